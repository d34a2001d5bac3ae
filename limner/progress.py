"""How far a batch is, for whoever watches it while it runs, and the word to stop it.

Counts only what this process saw settle; the truth across processes is the ledger's.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limner.ledger.plans import Batch


@dataclass(frozen=True, slots=True)
class Stage:
    """A batch at a moment: jobs asked, settled, and of those failed."""

    batch: str
    title: str
    asked: int
    settled: int
    failed: int

    @property
    def percent(self) -> float:
        return 100 * self.settled / max(1, self.asked)


Watcher = Callable[[Stage], None]


class Progress:
    """A batch under way in this process."""

    def __init__(self, batch: Batch, watchers: list[Watcher]) -> None:
        self.batch = batch
        self.stop = threading.Event()
        self._watchers = watchers
        self._lock = threading.Lock()
        self._rest = threading.Condition(self._lock)
        self._at_work = 0
        self._settled = 0
        self._failed = 0
        # Providers that nobody of this run asks any more, and why.
        self.shut: dict[str, str] = {}
        # Called when a job has its answer, in the thread that asked: the next one may ask.
        self.answered: Callable[[], None] = lambda: None

    def begin(self, settled: int) -> None:
        """A run begins with this many jobs settled already."""
        with self._lock:
            self.stop.clear()
            self.shut.clear()
            self._settled, self._failed = settled, 0
        self._tell()

    def note(self, status: str) -> None:
        """A job has settled, as `made`, `reused` or `failed`."""
        with self._lock:
            self._settled += 1
            self._failed += status == "failed"
        self._tell()

    def see(self, settled: int, failed: int) -> None:
        """So many have settled by now, as the ledger has it: others make them."""
        with self._lock:
            self._settled, self._failed = settled, failed
        self._tell()

    @contextmanager
    def working(self) -> Iterator[None]:
        """A job is under way in this process."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                self._rest.notify_all()

    def wait_until_at_rest(self, seconds: float) -> bool:
        """Wait until no job is under way in this process; say whether it came to that."""
        with self._lock:
            return self._rest.wait_for(lambda: self._at_work == 0, seconds)

    @property
    def stage(self) -> Stage:
        return Stage(self.batch.id, self.batch.title, self.batch.asked, self._settled, self._failed)

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher(self.stage)
