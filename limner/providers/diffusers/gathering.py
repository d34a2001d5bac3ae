"""Calls that are alike, gathered into one: whoever comes first draws for all who wait.

No thread of its own: the callers' threads take turns at drawing, one batch at a time, in the order they came. Knows
nothing of models; the caller passes in how a batch is drawn, and why a place in it may be left.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from limner.errors import Broken, ProviderError

Wanted = TypeVar("Wanted")
Drawn = TypeVar("Drawn")

# How long the first waits for others of a pool that was started together. Whoever comes later meets a busy model, and
# is gathered while it waits.
GATHER_SECONDS = 0.1
# How often a caller that waits looks whether it is still wanted.
LOOK_SECONDS = 0.1

_TORN = "diffusers: the call that this picture was gathered into was broken off; ask again."


class Place(Generic[Wanted, Drawn]):
    """One caller's place: what it wants, which calls are like it, and how it ended.

    leave: returns why the caller need not wait any longer, or None.
    """

    def __init__(self, wanted: Wanted, like: Hashable, leave: Callable[[], ProviderError | None]) -> None:
        self.wanted = wanted
        self.like = like
        self._leave = leave
        self._is_left = False
        self._drawn: Drawn | None = None
        self._failed: ProviderError | None = None

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

    def outcome(self) -> Drawn:
        if self._drawn is None:
            raise self._failed or Broken(_TORN)
        return self._drawn


class Gathering(Generic[Wanted, Drawn]):
    """The queue before one model. draw: ends every place that it is given, and is never called twice at once."""

    def __init__(self, draw: Callable[[Sequence[Place[Wanted, Drawn]]], None]) -> None:
        self._draw = draw
        self._changed = threading.Condition()
        self._waiting: list[Place[Wanted, Drawn]] = []
        self._is_drawing = False

    def take_part(self, place: Place[Wanted, Drawn], most: Callable[[], int]) -> Drawn:
        """Wait for the place's turn, or draw for all who are like it, up to `most`; return what was drawn for it."""
        if self._leads(place):
            batch = [place]
            try:
                batch = self._gather(place, most())
                self._draw(batch)
            finally:
                self._step_back(batch)
        return place.outcome()

    def _leads(self, place: Place[Wanted, Drawn]) -> bool:
        """Wait until the place is drawn, or first in the queue before an idle model; raises the reason to leave."""
        with self._changed:
            self._waiting.append(place)
            self._changed.notify_all()
            while not place.is_over:
                if not self._is_drawing and self._waiting[:1] == [place]:
                    self._is_drawing = True
                    return True
                if (reason := place.reason_to_leave()) is not None:
                    self._withdraw(place)
                    raise reason
                self._changed.wait(LOOK_SECONDS)
            return False

    def _withdraw(self, place: Place[Wanted, Drawn]) -> None:
        if place in self._waiting:
            self._waiting.remove(place)

    def _gather(self, first: Place[Wanted, Drawn], most: int) -> list[Place[Wanted, Drawn]]:
        with self._changed:
            if most > 1:
                self._changed.wait_for(lambda: len(self._like(first)) >= most, GATHER_SECONDS)
            batch = self._like(first)[: max(1, most)]
            self._waiting = [place for place in self._waiting if place not in batch]
            return batch

    def _like(self, first: Place[Wanted, Drawn]) -> list[Place[Wanted, Drawn]]:
        return [place for place in self._waiting if place.like == first.like]

    def _step_back(self, batch: Sequence[Place[Wanted, Drawn]]) -> None:
        with self._changed:
            for place in batch:
                if not place.is_over:
                    place.end(Broken(_TORN))
            self._is_drawing = False
            self._changed.notify_all()
