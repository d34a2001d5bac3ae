"""Processes that use a home's Prefect API, as commands do, in surroundings that mean another API."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from deployments.keeper import kept
from deployments.local_api import child_environment

POISON = {
    "PREFECT_API_URL": "http://127.0.0.1:1",
    "PREFECT_PROFILE": "nonesuch",
    "PREFECT_API_KEY": "pnu_nobody",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/prefect.db",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
}

_USER = """
import sys, time
from deployments.local_api import prefect_api
from limner.settings import read_settings
began = time.monotonic()
with prefect_api(read_settings(), while_waiting=lambda: None) as url:
    print(url, flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


def surroundings(home: Path, **more: str) -> dict[str, str]:
    return {**child_environment(), **POISON, "LIMNER_HOME": str(home), "PYTHONWARNINGS": "ignore", **more}


class User:
    """A process inside `with prefect_api(...)`, until it is told to leave or killed."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _USER],
            env=surroundings(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def enters(self) -> str:
        """Return the API's URL once it answers."""
        assert self.process.stdout is not None and self.process.stderr is not None
        url = self.process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), self.process.stderr.read()
        return url

    def leaves(self) -> None:
        out, err = self.process.communicate("\n", timeout=40)
        assert out == "left\n", err

    def is_killed(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@contextmanager
def users(home: Path, number: int = 1) -> Iterator[list[User]]:
    using = [User(home) for _ in range(number)]
    try:
        yield using
    finally:
        for user in using:
            if user.process.poll() is None:
                user.is_killed()


def keepers(home: Path) -> list[int]:
    """Return the process ids of the keepers of `home` that live."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "deployments.keeper" in words and str(home) in words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def becomes(claim: Callable[[], bool], seconds: float = 15) -> bool:
    """Say whether `claim` comes true within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.05)
    return claim()


def keeper_pid(home: Path) -> int:
    said = kept(home)
    assert said is not None
    return said.pid


def send(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
