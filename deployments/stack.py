"""The stack of one machine: a Prefect API, the ledger, blocks, deployments and one worker, up until told to go.

Knows nothing of what flows do. Everything it starts dies with it, however it dies: the keeper by its lock, the worker
by its leash; the ledger's server is stopped by the keeper when nobody uses it.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from deployments.local_api import child_environment, prefect_api, running_api
from deployments.prefect_settings import shown
from limner.errors import BadInput, Unreachable
from limner.home.layout import folder
from limner.home.locks import Lock
from limner.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

POOL = "cpu"
PORT = 4200
# How many flow runs the worker starts at once; each is a process of some 200 MB.
WORKER_LIMIT = 4
START_SECONDS = 120
STOP_SECONDS = 60
WATCH_SECONDS = 2.0

_log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Up:
    """What a running stack says of itself."""

    url: str
    pid: int


def running(home: Path) -> Up | None:
    """Return what the stack of `home` says of itself, or None when none is up (or none is up yet)."""
    if not (home / "run").is_dir() or _is_free(home):
        return None
    try:
        here = Up(**json.loads((home / "run" / "stack.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    # A killed stack leaves its words behind; they are not those of the one that holds the lock now.
    return here if psutil.pid_exists(here.pid) else None


def up(settings: Settings, port: int | None, say: Say) -> None:
    """Bring everything up, say where it is, and stay until SIGINT, SIGTERM or `down`."""
    home = settings.home.resolve()
    lock = _lock(home)
    if not lock.take():
        say(_already(home))
        return
    (home / "run" / "stack.json").unlink(missing_ok=True)
    ended = threading.Event()
    with _ending(ended), prefect_api(settings, port=_port(settings, port)) as url:
        try:
            with _ledger(settings):
                say("Registering blocks.")
                asyncio.run(_register())
                with _worker(home) as worker:
                    # The worker takes seconds to start: the deployments are applied meanwhile.
                    say("Applying the deployments of prefect.yaml.")
                    apply_deployments(prefect_yaml())
                    worker.wait_until_online()
                    _tell(home, Up(url, os.getpid()))
                    say(f"{_is_up(url)} Stop it with Ctrl-C or limner down.")
                    _watch(settings, worker, ended)
                    say("Going down.")
        finally:
            (home / "run" / "stack.json").unlink(missing_ok=True)
    lock.release()


def up_detached(settings: Settings, port: int | None, say: Say) -> None:
    """Start `limner up` in a process of its own and return once it is healthy."""
    home = settings.home.resolve()
    if not _is_free(home):
        say(_already(home))
        return
    log = folder(home, "logs") / "up.log"
    command = [sys.executable, "-m", "deployments.command_line", "up", *(["--port", str(port)] if port else [])]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while (here := running(home)) is None:
        if child.poll() is not None:
            raise Unreachable(_last_line(log) or f"limner up ended at once; see {log}.")
        if time.monotonic() > deadline:
            child.terminate()
            raise Unreachable(f"limner up is not healthy after {START_SECONDS} s; see {log}.")
        time.sleep(0.1)
    say(f"{_is_up(here.url)} Stop it with limner down.")


def down(settings: Settings, say: Say) -> None:
    """Stop the stack of this home and wait until it has gone; harmless when none is up."""
    home = settings.home.resolve()
    here = running(home)
    if here is None and (not (home / "run").is_dir() or _is_free(home)):
        say("Limner is not up.")
        return
    if here is None:
        raise Unreachable("Limner is coming up or going down right now; try again in a few seconds.")
    with suppress(ProcessLookupError):
        os.kill(here.pid, signal.SIGTERM)
    _wait_for_the_end_of(here.pid)
    if not _wait_for_silence(home):
        raise Unreachable(f"The Prefect API of {home} still runs: a command uses it. It ends with that command.")
    say("Limner is down.")


def _wait_for_the_end_of(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            _log.warning("limner up (process %s) did not end within %s s; killing it", pid, STOP_SECONDS)
            process.kill()


def _wait_for_silence(home: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS / 2
    while running_api(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _port(settings: Settings, port: int | None) -> int | None:
    """Return the port to ask for: the one named, else that of an API that already runs, else the usual one."""
    if port or settings.prefect_port:
        return port or settings.prefect_port
    return None if running_api(settings.home.resolve()) else PORT


def _is_up(url: str) -> str:
    return f"Limner is up. Prefect UI: {shown(url)} (work pool {POOL})."


def _already(home: Path) -> str:
    here = running(home)
    return f"Limner is already up at {shown(here.url)}." if here else "Limner is already coming up."


def _lock(home: Path) -> Lock:
    return Lock(folder(home, "run") / "stack.lock")


def _is_free(home: Path) -> bool:
    lock = _lock(home)
    free = lock.take()
    lock.release()
    return free


def _tell(home: Path, here: Up) -> None:
    fresh = home / "run" / "stack.new"
    fresh.write_text(json.dumps(asdict(here)))
    fresh.replace(home / "run" / "stack.json")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


@contextmanager
def _ending(ended: threading.Event) -> Iterator[None]:
    """Let a signal end the wait, and a start that is under way."""

    def end(_number: int, _frame: object) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ledger(settings: Settings) -> Iterator[None]:
    """Hold the embedded PostgreSQL while the stack is up, so that no run has to start it."""
    if settings.database_url is not None:
        yield
        return
    from limner.home.postgres import start_postgres, stop_postgres  # noqa: PLC0415

    start_postgres(settings.home)
    try:
        yield
    finally:
        stop_postgres(settings.home)


async def _register() -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from blocks.registering import register_blocks  # noqa: PLC0415

    await register_blocks()
    async with get_client() as client:
        await _make_pool(client)


async def _make_pool(client: "PrefectClient") -> None:
    from prefect.client.schemas.actions import WorkPoolCreate  # noqa: PLC0415
    from prefect.exceptions import ObjectAlreadyExists  # noqa: PLC0415
    from prefect.workers.process import ProcessWorker  # noqa: PLC0415

    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type="process", base_job_template=template, description="Flow runs, no GPU.")
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(pool)


def prefect_yaml() -> Path:
    """Return the file with the deployments: beside our packages, or in the working folder."""
    for place in (Path(__file__).resolve().parent.parent, Path.cwd()):
        if (place / "prefect.yaml").is_file():
            return place / "prefect.yaml"
    raise BadInput("There is no prefect.yaml here; run limner up in the folder that you cloned.")


def apply_deployments(file: Path) -> None:
    """Apply every deployment of `file` through Prefect's own command; raises Unreachable with its last words."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file.name]
    done = subprocess.run(
        command,
        cwd=file.parent,
        env={**child_environment(), "PWD": str(file.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())
        raise Unreachable(f"Prefect could not apply {file}: {said[-500:]}")


class Worker:
    """The process worker of the pool `cpu`, on a leash; started anew when it ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.name = f"limner-{socket.gethostname()}-{os.getpid()}"
        self._child = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", "deployments.leash", sys.executable, "-P", "-m", "prefect"]
        command += ["worker", "start", "--pool", POOL, "--type", "process", "--name", self.name]
        with (folder(self._home, "logs") / "worker.log").open("ab") as output:
            return subprocess.Popen(
                [*command, "--limit", str(WORKER_LIMIT), "--install-policy", "never"],
                cwd=folder(self._home, "run"),
                env={**child_environment(), "PREFECT_WORKER_QUERY_SECONDS": "2"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def keep_running(self) -> None:
        if self._child.poll() is not None:
            _log.warning("The worker ended with status %s; starting it again", self._child.returncode)
            self._child = self._start()

    def wait_until_online(self) -> None:
        """Raises Unreachable when the worker ends or does not report to the API in time."""
        deadline = time.monotonic() + START_SECONDS
        while not asyncio.run(_is_online(self.name)):
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise Unreachable(f"The worker did not start; see {self._home / 'logs' / 'worker.log'}.")
            time.sleep(0.2)

    def stop(self) -> None:
        assert self._child.stdin is not None  # noqa: S101 (it was opened with a pipe)
        self._child.stdin.close()
        self._child.wait()


@contextmanager
def _worker(home: Path) -> Iterator[Worker]:
    worker = Worker(home)
    try:
        yield worker
    finally:
        worker.stop()


async def _is_online(name: str) -> bool:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    async with get_client() as client:
        return any(one.name == name for one in await client.read_workers_for_work_pool(POOL))


def _watch(settings: Settings, worker: Worker, ended: threading.Event) -> None:
    """Until told to end: what was killed is started again."""
    while not ended.wait(WATCH_SECONDS):
        try:
            if settings.database_url is None:
                _revive_ledger(settings)
            worker.keep_running()
        except Unreachable as error:
            _log.warning("%s Trying again.", error)


def _revive_ledger(settings: Settings) -> None:
    from limner.home.postgres import start_postgres  # noqa: PLC0415

    start_postgres(settings.home)
