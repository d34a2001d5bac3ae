"""Limiters over one ledger: some in this process, each as if it were a process of its own, and some that truly are.

python -m tests.integration.limiting URL      (a line of JSON in: a `Load`; a line out for each call that ended)
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from limner.ledger.claims import Holder
from limner.ledger.limits import Breaker
from limner.ledger.opening import Ledger
from limner.limiter import Limiter, Slot
from limner.providers.seam import Limits


@dataclass(frozen=True)
class Load:
    """What a process does: in `threads` at once, `calls` each, of `seconds` each, at one provider."""

    threads: int
    calls: int
    seconds: float
    at_once: int | None = None
    a_minute: float | None = None
    priority: int = 1

    @property
    def limits(self) -> Limits:
        return Limits(self.at_once, self.a_minute)


@dataclass(frozen=True)
class Span:
    """A call from when its slot was there to when it was given back, in seconds of this machine's clock."""

    began: float
    ended: float


class Party:
    """A limiter with a holder and a ledger's door of its own, as a process has."""

    def __init__(
        self,
        url: str,
        lease_seconds: float = 30,
        patience_seconds: float = 5,
        breaker: Breaker | None = None,
        at_once: int | None = None,
    ) -> None:
        self.ledger = Ledger.open(url, connections=10, patience_seconds=patience_seconds)
        self.holder = Holder.start(self.ledger, lease_seconds)
        self.limiter = Limiter(self.ledger, self.holder, at_once, breaker)

    def close(self) -> None:
        self.limiter.close()
        self.holder.close()
        self.ledger.close()


class OpenParty(Protocol):
    """Open one more party; each is closed when the test ends."""

    def __call__(
        self,
        *,
        lease_seconds: float = 30,
        patience_seconds: float = 5,
        breaker: Breaker | None = None,
        at_once: int | None = None,
    ) -> Party: ...


@contextmanager
def parties(url: str) -> Iterator[OpenParty]:
    with ExitStack() as stack:

        def open_one(**told: Any) -> Party:
            party = Party(url, **told)
            stack.callback(party.close)
            return party

        yield open_one


class Calling:
    """A thread that wants one call, and keeps its slot until `let_go`."""

    def __init__(self, party: Party, limits: Limits, priority: int = 1, owner: str = "", **more: Any) -> None:
        self.owner = owner
        self.stop = threading.Event()
        self.has_slot = threading.Event()
        self.began = 0.0
        self.error: Exception | None = None
        self._end: Callable[[Slot], object] = Slot.good
        self._free = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(party, limits, priority, owner, more), daemon=True)
        self._thread.start()

    def _run(self, party: Party, limits: Limits, priority: int, owner: str, more: dict[str, Any]) -> None:
        try:
            with party.limiter.slot("fal", limits, priority, owner, stop=self.stop, **more) as slot:
                self.began = time.monotonic()
                self.has_slot.set()
                self._free.wait(120)
                self._end(slot)
        except Exception as error:
            self.error = error

    def gets_in(self, seconds: float = 60) -> "Calling":
        assert self.has_slot.wait(seconds), f"no slot, but {self.error!r}"
        return self

    def let_go(self, end: Callable[[Slot], object] = Slot.good) -> None:
        self._end = end
        self._free.set()
        self.is_over()

    def is_over(self, seconds: float = 60) -> "Calling":
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it still waits"
        return self


def call(party: Party, limits: Limits, end: Callable[[Slot], object] = Slot.good, **more: Any) -> None:
    """Make one call at once, which ends so."""
    with party.limiter.slot("fal", limits, 1, stop=threading.Event(), **more) as slot:
        end(slot)


class Process:
    """A process that does a load: it begins when told."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.limiting", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def is_ready(self) -> None:
        assert self._line() == "ready"

    def begin(self, load: Load) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(load)) + "\n")
        self._process.stdin.flush()

    def calls(self, number: int) -> list[Span]:
        """Wait until so many calls have ended."""
        return [Span(*json.loads(self._line())) for _ in range(number)]

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def processes(url: str, number: int) -> Iterator[Sequence[Process]]:
    started = [Process(url) for _ in range(number)]
    try:
        for one in started:
            one.is_ready()
        yield started
    finally:
        for one in started:
            one.kill()


def spans_of(running: Sequence[Process], load: Load) -> list[Span]:
    """Have all do the load at once; return their calls in the order of their beginnings."""
    for one in running:
        one.begin(load)
    return sorted(
        (span for one in running for span in one.calls(load.threads * load.calls)), key=lambda span: span.began
    )


def most_at_once(spans: Sequence[Span]) -> int:
    """Return how many calls were under way at the fullest moment; one that ends as another begins is over."""
    moments = sorted([(span.began, 1) for span in spans] + [(span.ended, -1) for span in spans])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


def main() -> None:
    party = Party(sys.argv[1])
    print("ready", flush=True)
    load = Load(**json.loads(sys.stdin.readline()))
    said = threading.Lock()

    def work(_thread: int) -> None:
        for _ in range(load.calls):
            with party.limiter.slot("fal", load.limits, load.priority, stop=threading.Event()) as slot:
                began = time.time()
                time.sleep(load.seconds)
                ended = time.time()
                slot.good()
            with said:
                print(json.dumps([began, ended]), flush=True)

    with ThreadPoolExecutor(load.threads) as pool:
        list(pool.map(work, range(load.threads)))
    sys.stdin.read()  # until whoever started it has seen enough


if __name__ == "__main__":
    main()
