"""A PostgreSQL of a test's own, to be stopped hard and started again."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from limner.home.postgres import start_postgres, stop_postgres


@dataclass(frozen=True)
class Server:
    """A running server, or one that was stopped."""

    home: Path
    url: str

    @property
    def postmaster(self) -> int:
        return int((self.home / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0])

    def stop(self) -> None:
        """Stop it at once, as a crash does: every connection breaks, nothing is written that was not committed."""
        process = psutil.Process(self.postmaster)
        family = [process, *process.children(recursive=True)]
        os.kill(process.pid, signal.SIGQUIT)
        deadline = time.monotonic() + 10
        while any(map(_runs, family)):
            assert time.monotonic() < deadline, "PostgreSQL did not stop"
            time.sleep(0.01)

    def start(self) -> None:
        start_postgres(self.home)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


@contextmanager
def own_postgres() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        try:
            yield Server(home, start_postgres(home))
        finally:
            stop_postgres(home)
