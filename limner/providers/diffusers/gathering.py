"""Calls that are alike, gathered into one: whoever is the first in line draws for all who wait.

No thread of its own: the callers' threads take turns at drawing, one batch at a time. The line goes by priority, then
by owner (the one served longest ago first), then by who came first. Knows nothing of models; the caller passes in how a
batch is drawn, and why a place in it may be left.
"""

import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from limner.errors import Broken, Busy, ProviderError

Wanted = TypeVar("Wanted")
Drawn = TypeVar("Drawn")

# How long the first waits for others of a pool that was started together. Whoever comes later meets a busy model, and
# is gathered while it waits.
GATHER_SECONDS = 0.1
# How often a caller that waits looks whether it is still wanted.
LOOK_SECONDS = 0.1
# The seconds of a batch are the mean of so many.
MEASURED_BATCHES = 20
# Owners whose last turn is known. Whoever is forgotten was served longest ago all the same.
KNOWN_OWNERS = 10_000

_TORN = "diffusers: the call that this picture was gathered into was broken off; ask again."


@dataclass(frozen=True, slots=True)
class Tally:
    """What a model has drawn so far, and what waits for it. waiting: places by priority."""

    waiting: Mapping[int, int]
    drawing: int
    batches: int
    drawn: int
    seconds_a_batch: float


NOTHING_DRAWN = Tally({}, 0, 0, 0, 0.0)


class Place(Generic[Wanted, Drawn]):
    """One caller's place: what it wants, which calls are like it, and how it ended.

    leave: returns why the caller need not wait any longer, or None. priority: 1 is drawn first. batch: the number of
    the one that it was drawn in; 0 before.
    """

    def __init__(
        self,
        wanted: Wanted,
        like: Hashable,
        leave: Callable[[], ProviderError | None],
        priority: int = 100,
        owner: str = "",
    ) -> None:
        self.wanted = wanted
        self.like = like
        self.priority = priority
        self.owner = owner
        self.batch = 0
        # Its turn has come, or its end.
        self.called = threading.Event()
        self._leave = leave
        self._is_left = False
        self._drawn: Drawn | None = None
        self._failed: ProviderError | None = None

    @property
    def is_drawn(self) -> bool:
        return self._drawn is not None

    @property
    def is_over(self) -> bool:
        return self._drawn is not None or self._failed is not None

    def is_wanted(self) -> bool:
        return not self._is_left and self._leave() is None

    def reason_to_leave(self) -> ProviderError | None:
        reason = self._leave()
        self._is_left = reason is not None
        return reason

    def end(self, drawn: Drawn | ProviderError) -> None:
        """Settle the place; each needs an error of its own, because each caller raises it in its own thread."""
        if isinstance(drawn, ProviderError):
            self._failed = drawn
        else:
            self._drawn = drawn
        self.called.set()

    def outcome(self) -> Drawn:
        if self._drawn is None:
            raise self._failed or Broken(_TORN)
        return self._drawn


class Gathering(Generic[Wanted, Drawn]):
    """The line before one model. draw: ends every place that it is given, and is never called twice at once."""

    def __init__(self, draw: Callable[[Sequence[Place[Wanted, Drawn]]], None]) -> None:
        self._draw = draw
        self._changed = threading.Condition()
        self._waiting: list[Place[Wanted, Drawn]] = []
        # Whose thread draws, or is about to.
        self._leader: Place[Wanted, Drawn] | None = None
        self._served: OrderedDict[str, int] = OrderedDict()
        self._turns = 0
        self._drawing = 0
        self._batches = 0
        self._drawn = 0
        self._seconds: deque[float] = deque(maxlen=MEASURED_BATCHES)

    def take_part(self, place: Place[Wanted, Drawn], most: Callable[[], int], room: int | None = None) -> Drawn:
        """Wait for the place's turn, or draw for all who are like it, up to `most`; return what was drawn for it.

        room: how many may wait. In a full line the last one gives way to one of a better priority; raises Busy where
        nobody does.
        """
        self._join(place, room, most)
        if self._leads(place):
            batch, began = [place], time.monotonic()
            try:
                batch = self._gather(place, most())
                began = time.monotonic()
                self._draw(batch)
            finally:
                self._step_back(batch, time.monotonic() - began)
        return place.outcome()

    def tally(self) -> Tally:
        with self._changed:
            waiting = dict(sorted(Counter(place.priority for place in self._waiting).items()))
            return Tally(waiting, self._drawing, self._batches, self._drawn, self._seconds_a_batch())

    def send_away(self, why: Callable[[], ProviderError]) -> None:
        """End the places of all who wait; what is being drawn is drawn."""
        with self._changed:
            away = [place for place in self._waiting if place is not self._leader]
            self._waiting = [place for place in self._waiting if place is self._leader]
            for place in away:
                place.end(why())

    def _join(self, place: Place[Wanted, Drawn], room: int | None, most: Callable[[], int]) -> None:
        with self._changed:
            if room is not None and len(self._waiting) >= room:
                self._make_room(place, most())
            self._waiting.append(place)
            self._elect()
            # Whoever gathers a batch counts anew.
            self._changed.notify_all()

    def _make_room(self, place: Place[Wanted, Drawn], most: int) -> None:
        others = [one for one in reversed(self._waiting) if one is not self._leader]
        last = max(others, key=self._rank, default=place)
        busy = Busy(f"diffusers: {len(self._waiting)} pictures wait already; ask later.", self._retry_after(most))
        if last.priority <= place.priority:
            raise busy
        self._waiting.remove(last)
        last.end(busy)

    def _retry_after(self, most: int) -> float:
        """Return when half of those who wait will be drawn: sooner is in vain, later the model could be idle."""
        batches = math.ceil(len(self._waiting) / 2 / max(1, most))
        return max(1.0, float(math.ceil(batches * self._seconds_a_batch())))

    def _seconds_a_batch(self) -> float:
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0

    def _leads(self, place: Place[Wanted, Drawn]) -> bool:
        """Wait until the place is over, or the first in line before an idle model; raises the reason to leave."""
        try:
            while not place.is_over:
                if self._leader is place:
                    return True
                if (reason := place.reason_to_leave()) is not None:
                    raise reason
                place.called.wait(LOOK_SECONDS)
        except BaseException:
            # However its thread was interrupted: nobody else would ever draw for this place's turn.
            self._withdraw(place)
            raise
        return False

    def _withdraw(self, place: Place[Wanted, Drawn]) -> None:
        with self._changed:
            if place in self._waiting:
                self._waiting.remove(place)
            if self._leader is place:
                self._leader = None
                self._elect()

    def _elect(self) -> None:
        """Let the first in line draw, where nobody does."""
        if self._leader is None and self._waiting:
            self._leader = min(self._waiting, key=self._rank)
            self._leader.called.set()

    def _rank(self, place: Place[Wanted, Drawn]) -> tuple[int, int]:
        """Return what the line goes by; of equals, `min` takes the one that came first."""
        return place.priority, self._served.get(place.owner, 0)

    def _gather(self, first: Place[Wanted, Drawn], most: int) -> list[Place[Wanted, Drawn]]:
        with self._changed:
            if most > 1:
                self._changed.wait_for(lambda: len(self._like(first)) >= most, GATHER_SECONDS)
            self._batches += 1
            batch = [self._served_now(first)]
            while len(batch) < most and (like := self._like(first)):
                batch.append(self._served_now(min(like, key=self._rank)))
            self._drawing = len(batch)
            return batch

    def _like(self, first: Place[Wanted, Drawn]) -> list[Place[Wanted, Drawn]]:
        return [place for place in self._waiting if place.like == first.like]

    def _served_now(self, place: Place[Wanted, Drawn]) -> Place[Wanted, Drawn]:
        self._waiting.remove(place)
        place.batch = self._batches
        self._turns += 1
        self._served[place.owner] = self._turns
        self._served.move_to_end(place.owner)
        if len(self._served) > KNOWN_OWNERS:
            self._served.popitem(last=False)
        return place

    def _step_back(self, batch: Sequence[Place[Wanted, Drawn]], seconds: float) -> None:
        with self._changed:
            for place in batch:
                if not place.is_over:
                    place.end(Broken(_TORN))
            self._waiting = [place for place in self._waiting if not place.is_over]
            self._seconds.append(seconds)
            self._drawn += sum(place.is_drawn for place in batch)
            self._drawing = 0
            self._leader = None
            self._elect()
