"""The roster: which parts a stack has, by the settings and the GPUs that are found, and when each is healthy."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from functools import partial

from deployments.bootstrap import BATCH, INTERACTIVE
from deployments.local_api import asked
from deployments.parts import Part, Standing
from limner.home.alive import forget, is_alive
from limner.settings import Settings

LOOPBACK = "127.0.0.1"

# How many flow runs a worker starts at once; each is a process of some 200 MB.
WORKER_LIMIT = 4

# The queue that every pool has, for deployments that name none.
DEFAULT = "default"


def gateway_url(settings: Settings) -> str:
    """Return where people and apps reach the gateway: as told, or on this machine."""
    return settings.gateway_url or f"http://{LOOPBACK}:{settings.gateway_port}"


def parts_of(settings: Settings, api_url: str) -> list[Part]:
    """Return the parts of a stack, in the order in which they are started."""
    gpus = found_gpus()
    owners = list(_owners(settings, gpus))
    addresses = settings.diffusers_url or ",".join(one.address for one in owners)
    environment = {"LIMNER_GATEWAY_URL": gateway_url(settings)}
    if addresses:
        environment["LIMNER_DIFFUSERS_URL"] = addresses
    found = [
        *owners,
        _gateway(settings),
        *_by_signs_of_life(settings),
        _worker(settings, api_url, "cpu", "cpu", ""),
    ]
    found += [_worker(settings, api_url, f"gpu-{gpu}", "gpu", gpu) for gpu in gpus]
    return [_with(part, environment) for part in found]


def _with(part: Part, environment: dict[str, str]) -> Part:
    return Part(part.name, part.command, part.is_healthy, {**environment, **part.environment}, part.address)


def _gateway(settings: Settings) -> Part:
    command = serving("gateway", "--port", str(settings.gateway_port))
    here = f"http://{LOOPBACK}:{settings.gateway_port}"
    return Part("gateway", command, partial(answers, f"{here}/health"), address=gateway_url(settings))


def _by_signs_of_life(settings: Settings) -> Iterator[Part]:
    for name in ("sweeper", "runner") if settings.warm_processes else ("sweeper",):
        forget(settings.home, name)
        yield Part(name, serving(name), partial(is_alive, settings.home, name))


def _owners(settings: Settings, gpus: list[str]) -> Iterator[Part]:
    """Yield an owner for each GPU, or one for the processor, where a local model is to be used and nobody owns it."""
    if settings.diffusers_model is None or settings.diffusers_url is not None:
        return
    for number, gpu in enumerate(gpus or [""]):
        port = _free_port()
        here = f"http://{LOOPBACK}:{port}"
        pinned = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
        command = serving("gpu-owner", "--port", str(port))
        yield Part(f"gpu-owner-{number}", command, partial(answers, f"{here}/health"), pinned, here)


def _worker(settings: Settings, api_url: str, name: str, pool: str, gpu: str) -> Part:
    # Where no process waits for them, interactive runs go the way of all others.
    queues = (BATCH, DEFAULT) if settings.warm_processes else (INTERACTIVE, BATCH, DEFAULT)
    called = worker_name(name)
    environment = {"PREFECT_WORKER_QUERY_SECONDS": "2"} | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})
    command = worker_command(pool, queues, called)
    return Part(f"worker-{name}", command, partial(_is_online, api_url, pool, called), environment)


def serving(name: str, *more: str) -> tuple[str, ...]:
    """Return what `python -m` runs for `limner serve NAME`."""
    return ("deployments.command_line", "serve", name, *more)


def worker_name(what: str) -> str:
    """Return a worker's name: the sweeper reads in it on which host its runs' processes are."""
    return f"limner-{what}-{socket.gethostname()}-{os.getpid()}"


def worker_command(pool: str, queues: tuple[str, ...], name: str = "", limit: int = WORKER_LIMIT) -> tuple[str, ...]:
    """Return what `python -m` runs for a process worker of a pool's queues."""
    command = ["prefect", "worker", "start", "--pool", pool, "--type", "process", "--limit", str(limit)]
    command += ["--name", name] if name else []
    command += [word for queue in queues for word in ("--work-queue", queue)]
    return (*command, "--install-policy", "never")


def gateway_finds(what: str, found: Iterable[Standing]) -> bool:
    """Say whether the gateway of these parts calls something it stands on ready."""
    here = next((one.address for one in found if one.name == "gateway"), "")
    said = asked(f"{here}/ready", seconds=10.0, refusal=503)
    return said is not None and json.loads(said).get(what) == "ready"


def answers(url: str) -> bool:
    """Say whether an address on this machine answers with 200."""
    return asked(url, seconds=2.0) is not None


def _is_online(api_url: str, pool: str, name: str) -> bool:
    """Say whether a worker has reported to the API."""
    said = asked(f"{api_url}/work_pools/{pool}/workers/filter", seconds=2.0, body={"limit": 200})
    return said is not None and any(one["name"] == name and one["status"] == "ONLINE" for one in json.loads(said))


def found_gpus() -> list[str]:
    """Return the GPUs of this machine, by index, that CUDA_VISIBLE_DEVICES leaves to us; none without a driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one.strip() for one in visible.split(",") if one.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return said.split()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])
