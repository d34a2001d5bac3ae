"""Locks that the kernel frees when their holder dies, however it dies.

A shared lock says "I use this"; whoever gets the exclusive one knows that nobody does. Knows nothing of what is locked.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.05


class Lock:
    """An flock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    @property
    def descriptor(self) -> int:
        """The open file, for a child process that is to hold the lock on."""
        if self._file is None:
            raise RuntimeError(f"{self.path} is not held")
        return self._file

    def share(self) -> bool:
        """Take it together with others; say whether it worked at once."""
        return self._take(fcntl.LOCK_SH)

    def take(self) -> bool:
        """Take it alone; say whether it worked at once. A shared lock already held is made exclusive."""
        return self._take(fcntl.LOCK_EX)

    def wait(self, seconds: float, *, shared: bool = False) -> bool:
        """Take it within `seconds`; say whether it worked."""
        deadline = time.monotonic() + seconds
        while not (self.share() if shared else self.take()):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, mode: int) -> bool:
        file = self._file if self._file is not None else os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            # A failed change of mode may have dropped the lock that was held, so it counts as released.
            os.close(file)
            self._file = None
            return False
        except OSError:
            os.close(file)
            self._file = None
            raise
        self._file = file
        return True


@contextmanager
def alone(path: Path, seconds: float) -> Iterator[bool]:
    """Hold `path` alone; yields False when another process kept it for longer than `seconds`."""
    lock = Lock(path)
    try:
        yield lock.wait(seconds)
    finally:
        lock.release()
