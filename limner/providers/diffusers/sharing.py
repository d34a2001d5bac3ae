"""What is dear to make is made once per process: whoever wants the same thing meanwhile waits for it, and shares it.

Knows nothing of what it makes.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from limner.errors import Broken, ProviderError

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")

LOOK_SECONDS = 0.1


@dataclass(slots=True)
class _Making(Generic[Thing]):
    """One thing, being made or made."""

    is_over: threading.Event = field(default_factory=threading.Event)
    thing: Thing | None = None
    kind: type[ProviderError] = Broken
    failed: str = "diffusers: loading the model was broken off; ask again."


class Shared(Generic[Key, Thing]):
    """Things by key. make: raises ProviderError, which all who waited for it are told; the next call tries again."""

    def __init__(self, make: Callable[[Key], Thing]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._things: dict[Key, _Making[Thing]] = {}
        # How many were made so far, those that were let go of among them.
        self.count = 0

    def get(self, key: Key, check: Callable[[], None]) -> Thing:
        """Return the thing, making it where there is none. check: called in the wait; raises what ends it."""
        with self._lock:
            making = self._things.get(key)
            is_ours = making is None
            if making is None:
                making = self._things[key] = _Making()
        if is_ours:
            self._fill(making, key)
        while not making.is_over.wait(LOOK_SECONDS):
            check()
        if making.thing is None:
            raise making.kind(making.failed)
        return making.thing

    def made(self, key: Key) -> Thing | None:
        """Return the thing where there is one; never waits."""
        making = self._things.get(key)
        return making.thing if making is not None else None

    def forget(self, key: Key) -> None:
        """Let go of a thing: who uses it keeps it, the next call makes it anew."""
        with self._lock:
            making = self._things.get(key)
            if making is not None and making.is_over.is_set():
                del self._things[key]

    def _fill(self, making: _Making[Thing], key: Key) -> None:
        """Make the thing; nobody is left waiting, whatever is raised."""
        try:
            making.thing = self._make(key)
            self.count += 1
        except ProviderError as error:
            making.kind, making.failed = type(error), str(error)
        finally:
            if making.thing is None:
                with self._lock:
                    self._things.pop(key, None)
            making.is_over.set()
