"""The parts of a stack: processes that stay up until told to go, each on a leash, with a log of its own.

Knows nothing of what they do. A part that ends is started anew, after a pause that grows while it keeps ending.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deployments.local_api import child_environment
from limner.errors import Unreachable
from limner.home.layout import folder

LOG_BYTES = 8 * 2**20
STOP_SECONDS = 45
# A part that lived for less ended at its start.
SOON_SECONDS = 30
LONGEST_PAUSE_SECONDS = 30.0
_POLL_SECONDS = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """What a part is: `command` is what `python -m` runs, `is_healthy` asks it and never raises."""

    name: str
    command: tuple[str, ...]
    is_healthy: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A part of a stack that is up, as it was last seen."""

    name: str
    pid: int
    healthy: bool
    address: str = ""


class Process:
    """A part that runs."""

    def __init__(self, home: Path, part: Part) -> None:
        self.part = part
        self._home = home
        self._child = self._start()
        self._began = time.monotonic()
        self._pause = 0.0
        self._next = 0.0

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def log(self) -> Path:
        return folder(self._home, "logs") / f"{self.part.name}.log"

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def keep_running(self) -> bool:
        """Start it anew where it has ended and its pause is over; say whether it was started."""
        now = time.monotonic()
        if not self.has_ended:
            return False
        if not self._next:
            self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause + 1) if now - self._began < SOON_SECONDS else 0.0
            self._next = now + self._pause
            _log.warning("%s ended with status %s; starting it again", self.part.name, self._child.returncode)
        if now < self._next:
            return False
        self._next = 0.0
        self._child, self._began = self._start(), now
        return True

    def let_go(self) -> None:
        """Tell it to end."""
        assert self._child.stdin is not None  # noqa: S101 - it was opened with a pipe
        with suppress(OSError):
            self._child.stdin.close()

    def wait(self, seconds: float) -> None:
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            _log.warning("%s did not end within %s s; killing it", self.part.name, STOP_SECONDS)
            self._child.kill()
            self._child.wait()

    def last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def _start(self) -> "subprocess.Popen[bytes]":
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        command = [sys.executable, "-P", "-m", "deployments.leash", sys.executable, "-P", "-m", *self.part.command]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=folder(self._home, "run"),
                env={**child_environment(), **self.part.environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Ctrl-C at our terminal is for us; a part follows its leash.
                start_new_session=True,
            )


@contextmanager
def running(home: Path, parts: Sequence[Part]) -> Iterator[list[Process]]:
    """Run the parts; at the end all of them are told to go, and waited for."""
    processes: list[Process] = []
    try:
        processes += (Process(home, part) for part in parts)
        yield processes
    finally:
        for process in processes:
            process.let_go()
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            process.wait(max(0.1, deadline - time.monotonic()))


def wait_until_healthy(processes: Sequence[Process], seconds: float, ended: Callable[[], bool]) -> None:
    """Wait until each part is healthy, or `ended`; raises Unreachable with the words of one that is not in time."""
    deadline = time.monotonic() + seconds
    waiting = list(processes)
    while waiting and not ended():
        for process in waiting:
            if process.has_ended or time.monotonic() > deadline:
                said = process.last_words()
                raise Unreachable(
                    f"{process.part.name} did not start ({said or 'it said nothing'}); see {process.log}."
                )
        waiting = [process for process in waiting if not process.part.is_healthy()]
        time.sleep(_POLL_SECONDS)
