"""A stack under fire: `limner up` in a home of its own, flow runs started over the API, and who may be killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from deployments.local_api import child_environment, running_api
from deployments.stack import standing
from limner.bucket import Bucket
from limner.home.ledger import open_ledger
from limner.ledger.opening import Ledger
from limner.settings import Settings
from tests.chaos.homes import BOOK, turned_on
from tests.standins.serving import Running

# Served by warm processes, where there are any, and by a worker.
INTERACTIVE, BATCH = "illustrate-chapter", "illustrate-chapter-nightly"


@dataclass(frozen=True)
class Stack:
    """A stack that is up: its home, its API, and the ledger and bucket that its runs work with."""

    folder: Path
    url: str
    standin: Running
    ledger: Ledger
    bucket: Bucket

    # -- flow runs -----------------------------------------------------------------------------------------------------

    def start(
        self, title: str, descriptions: Path, *, deployment: str = INTERACTIVE, studio: str = "default", **more: Any
    ) -> str:
        """Start a flow run of a chapter's deployment; return its id."""
        request = {"book": BOOK, "title": title, "descriptions_file": str(descriptions), **more}
        return self.start_deployment(deployment, {"request": request, "studio": studio})

    def start_deployment(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Start a flow run of a deployment; return its id."""
        (found,) = self.ask("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        body = {"parameters": dict(parameters), "state": {"type": "SCHEDULED"}}
        return str(self.ask(f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def flow_run(self, id: str) -> dict[str, Any]:  # noqa: A002
        found: dict[str, Any] = self.ask(f"/flow_runs/{id}")
        return found

    def state(self, id: str) -> str:  # noqa: A002
        """Return what Prefect calls a run; nothing while its API is away."""
        try:
            return str(self.flow_run(id)["state_name"])
        except httpx.HTTPError:
            return ""

    def states(self, id: str) -> list[dict[str, Any]]:  # noqa: A002
        found: list[dict[str, Any]] = self.ask(f"/flow_run_states/?flow_run_id={id}")
        return found

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = client.post(self.url + path, json=body) if body is not None else client.get(self.url + path)
            return answer.raise_for_status().json()

    # -- processes -----------------------------------------------------------------------------------------------------

    def process_of(self, run: str) -> psutil.Process | None:
        """Return the process that makes a flow run."""
        for process in self.processes("prefect."):
            try:
                if process.environ().get("PREFECT__FLOW_RUN_ID") == run:
                    return process
            except psutil.Error:
                continue
        return None

    def processes(self, words: str) -> list[psutil.Process]:
        """Return this home's living processes with these words in their command line; leashes are none of them."""
        found = []
        for process in psutil.process_iter():
            try:
                said = " ".join(process.cmdline())
                ours = process.environ().get("LIMNER_HOME") == str(self.folder) or str(self.folder) in said
                if ours and words in said and "deployments.leash" not in said:
                    found.append(process)
            except psutil.Error:
                continue
        return [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def api(self) -> psutil.Process:
        kept = running_api(self.folder)
        assert kept is not None
        return psutil.Process(kept.pid)

    def postgres(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0]))


@contextmanager
def stack(folder: Path, standin: Running, **environment: str) -> Iterator[Stack]:
    """Bring a stack up in `folder`, not one of pytest's own, and take it down at the end."""
    ports = [_free_port() for _ in range(2)]
    told = {
        "LIMNER_HOME": str(folder),
        "LIMNER_GATEWAY_PORT": str(ports[1]),
        **turned_on("pollinations", standin),
        **environment,
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        _limner("up", "--detach", "--port", str(ports[0]))
        here = standing(folder)
        assert here is not None
        ledger = open_ledger(Settings(), patience_seconds=60)
        try:
            yield Stack(folder, here.url, standin, ledger, _bucket())
        finally:
            ledger.close()
            _limner("down")
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _bucket() -> Bucket:
    from blocks.bucket import LimnerBucket

    return LimnerBucket.from_settings(Settings()).open()


def kill(*processes: psutil.Process) -> None:
    assert processes, "there is somebody to kill"
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)


def seconds_until(happens: Callable[[], object], at_most: float) -> float:
    """Wait until something happens; return how long that took."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < at_most, f"it did not happen within {at_most} s"
        time.sleep(0.1)
    return time.monotonic() - began


def _limner(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.command_line", *words],
        env=child_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
