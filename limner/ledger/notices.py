"""Notices: one thread and one connection a process that hear what others say in the ledger, while somebody waits.

Knows nothing of what is said. Whatever was said while nobody listened is lost, which whoever waits is told by None.
"""

import logging
import threading
import time
from collections.abc import Callable

from limner.errors import LedgerUnreachable
from limner.ledger.opening import Ledger

log = logging.getLogger(__name__)

# It goes on listening for so long after it was last needed.
_LINGER_SECONDS = 10.0

_TICK_SECONDS = 0.2


class Notices:
    """Hears a channel from `listen` on until nobody has called it for a while, or `close`."""

    def __init__(self, ledger: Ledger, channel: str, tell: Callable[[str | None], None]) -> None:
        self._ledger = ledger
        self._channel = channel
        self._tell = tell
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._until = 0.0
        self._closing = threading.Event()

    def listen(self) -> None:
        """Listen from now on; once it does, None is told."""
        with self._lock:
            self._until = time.monotonic() + _LINGER_SECONDS
            if not self._closing.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._hear, name="limner-notices", daemon=True)
                self._thread.start()

    def close(self) -> None:
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=10)

    def _hear(self) -> None:
        over = self._is_over()
        while not over:
            try:
                self._hear_until_over()
                over = True
            except LedgerUnreachable as error:
                # Whoever waits asks the ledger itself every so often, and says that it is away.
                log.debug("%s", error)
                self._closing.wait(1)
                over = self._is_over()

    def _hear_until_over(self) -> None:
        said = self._ledger.hear(self._channel, _TICK_SECONDS)
        try:
            self._tell(next(said))
            for one in said:
                if one is not None:
                    self._tell(one)
                elif self._is_over():
                    return
        finally:
            said.close()

    def _is_over(self) -> bool:
        with self._lock:
            over = self._closing.is_set() or time.monotonic() > self._until
            if over:
                self._thread = None
            return over
