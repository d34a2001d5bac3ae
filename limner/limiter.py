"""The limiter: who may call a provider now, over all processes together, and who waits for how long.

    with limiter.slot("fal", provider.limits, priority, owner, stop=stop) as slot:
        answer = call()          # raises: slot.busy(retry_after), slot.broken()
        slot.good()              # free for the next call while this answer is looked at

Those of this process who want the same provider stand in line, and among equals owners take turns; only the first of
each owner asks the ledger. What is allowed, and what has gone wrong, stands in `limner/ledger/limits.py`. Knows nothing
of jobs and answers.
"""

import bisect
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

from sqlalchemy import Connection

from limner.errors import BatchStopped, Busy, LedgerUnreachable, Shut
from limner.ledger import limits as rows
from limner.ledger.claims import Holder
from limner.ledger.limits import Breaker, Ended, Place, Reply, State, Terms
from limner.ledger.notices import Notices
from limner.ledger.opening import Ledger
from limner.providers.seam import Limits
from limner.tiers import BATCH_STEP

log = logging.getLogger(__name__)

# Whoever waits asks again so often whatever they heard: a lost notice costs no more than this. Less than a third of
# what keeps a place in line.
_POLL_SECONDS = 1.9

# How often whoever waits looks whether they are to stop.
_LOOK_UP_SECONDS = 0.1

# How often this process looks whether a provider's slots are held by the dead.
_SWEEP_SECONDS = 1.0

# Somebody ahead has gone, or a call that was not taken does not count: the rate's next moment is nearer than it was.
_BRINGS_NEARER = (Ended.UNASKED, Ended.BUSY)

# How old what is known of a provider may be: of one that has no limits, and of one that is shut.
_STALE_SECONDS = 5.0
_STALE_SHUT_SECONDS = 1.0


class Limiter:
    """This process's way to the providers' limits.

    at_once: this process's calls at once at each provider; None is without limit.
    """

    def __init__(
        self, ledger: Ledger, holder: Holder, at_once: int | None = None, breaker: Breaker | None = None
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._at_once = rows.ANY if at_once is None else at_once
        self._breaker = breaker or Breaker()
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        # The slots to renew: one whose release was lost with the ledger ends with its lease.
        self._held: set[str] = set()
        self._notices = Notices(ledger, rows.CHANNEL, self._heard)
        holder.beat_also(self._beat)

    @contextmanager
    def slot(
        self,
        provider: str,
        limits: Limits,
        priority: int,
        owner: str = "",
        *,
        stop: threading.Event,
        patience_seconds: float = 900.0,
        is_last_hope: bool = True,
    ) -> Iterator["Slot"]:
        """Hold a slot of a provider for one call; waits for it as long as others only were quicker.

        priority: 1 is served first; among equals the owner who was served longest ago. Raises BatchStopped when `stop`
        is set, Busy when the provider wants no calls for longer than `patience_seconds`, and Shut when only another
        provider could help and one may be asked still.
        """
        line = self._line(provider)
        waiter = _Waiter(
            Place(uuid4().hex, provider, self._holder.name, priority, owner),
            _terms(limits, priority),
            stop,
            patience_seconds,
            is_last_hope,
        )
        slot = self._wait(line, waiter)
        try:
            yield slot
        finally:
            slot.release()

    def why_shut(self, provider: str) -> str | None:
        """Say why a provider is left alone for now, or None; asks the ledger at most once a few seconds."""
        line = self._line(provider)
        self._look(line)
        known = line.known
        return _shut_sentence(provider, known) if known.is_shut else None

    def close(self) -> None:
        """Give back what this process holds."""
        self._notices.close()
        try:
            self._ledger.run(lambda connection: rows.leave(connection, self._holder.name), patience_seconds=0)
        except LedgerUnreachable:
            log.warning("The ledger is away; the slots of this process end with their leases.")

    # -- to wait ---------------------------------------------------------------------------------------------------

    def _wait(self, line: "_Line", waiter: "_Waiter") -> "Slot":
        line.join(waiter)
        slot: Slot | None = None
        try:
            while slot is None:
                waiter.wake.clear()
                if waiter.stop.is_set():
                    raise BatchStopped("The batch was stopped while it waited for a provider.")
                seconds = _POLL_SECONDS
                if line.takes(waiter):
                    slot, seconds = self._ask(line, waiter)
                else:
                    waiter.bear(line.known)
                if slot is None:
                    waiter.wait(seconds)
        finally:
            line.leave(waiter, is_served=slot is not None)
            if slot is None:
                self._step_back(line, waiter)
        return slot

    def _ask(self, line: "_Line", waiter: "_Waiter") -> tuple["Slot | None", float]:
        """Ask for a slot; return it, or how long to wait before asking again."""
        granted = False
        try:
            if not self._needs_the_ledger(line, waiter.terms):
                granted = True
                return Slot(self, line, waiter.place, waiter.terms, is_in_ledger=False), 0.0
            waiter.is_in_ledger = True
            reply = self._ask_ledger(waiter)
            line.learn(reply.state)
            granted = reply.granted
            if granted:
                return self._granted(line, waiter, reply), 0.0
            line.note_turn(waiter.place.owner, reply.served_seconds)
            waiter.bear(reply.state)
            return None, self._seconds(line, waiter, reply)
        finally:
            if not granted:
                line.could_not(waiter)

    def _ask_ledger(self, waiter: "_Waiter") -> Reply:
        def ask(connection: Connection) -> Reply:
            while True:
                reply = rows.ask(
                    connection, waiter.place, waiter.terms, waiter.waited_seconds, self._holder.lease_seconds
                )
                if reply is not None:
                    return reply
                rows.ensure(connection, waiter.place.provider)

        return self._ledger.ask(ask)

    def _granted(self, line: "_Line", waiter: "_Waiter", reply: Reply) -> "Slot":
        with self._lock:
            self._held.add(waiter.place.id)
        time.sleep(reply.start_seconds)
        return Slot(self, line, waiter.place, waiter.terms, is_in_ledger=True)

    def _seconds(self, line: "_Line", waiter: "_Waiter", reply: Reply) -> float:
        self._notices.listen()
        seconds = reply.wait_seconds(waiter.terms)
        waiter.knows_when = seconds is not None and reply.state.pause_seconds <= 0
        if seconds is None:
            return 0.0 if self._sweep(line) else _POLL_SECONDS
        return min(seconds, _POLL_SECONDS)

    def _sweep(self, line: "_Line") -> bool:
        """Free what the dead hold at a provider; say whether there was any."""
        if not line.is_due_to_sweep():
            return False
        dead = self._ledger.ask(lambda connection: rows.find_lost(connection, line.provider))
        if dead is None:
            return False
        self._ledger.run(lambda connection: rows.sweep(connection, line.provider, dead))
        log.info("%s: what processes that are gone held is free again", line.provider)
        return True

    def _step_back(self, line: "_Line", waiter: "_Waiter") -> None:
        if waiter.is_in_ledger:
            with suppress(LedgerUnreachable):  # the place in line then ends by itself
                self._tell(waiter.place, Ended.UNASKED, waiter.terms, patience_seconds=0)
            line.wake(whoever=True)

    def _heard(self, said: str | None) -> None:
        who, ended, provider = ("", "", "") if said is None else rows.heard(said)
        if who == self._holder.name.rpartition("|")[2]:
            return  # woken without it
        with self._lock:
            lines = [line for line in self._lines.values() if said is None or line.provider == provider]
        for line in lines:
            line.wake(whoever=ended in _BRINGS_NEARER)

    # -- to know without asking ------------------------------------------------------------------------------------

    def _needs_the_ledger(self, line: "_Line", terms: Terms) -> bool:
        """Whether a call has to be asked for: one without limits only while there is trouble."""
        if terms != Terms():
            return True
        self._look(line)
        return line.known.is_troubled

    def _look(self, line: "_Line") -> None:
        if line.is_due_to_look():
            with suppress(LedgerUnreachable):  # whoever has to know asks again
                line.learn(self._ledger.ask(lambda connection: rows.look(connection, line.provider), 0))
                known = line.known
                if known.is_shut and known.shut_seconds <= 0:
                    # Tried by one call, which may have died with its process: nobody else waits who would find out.
                    self._sweep(line)

    # -- to end ----------------------------------------------------------------------------------------------------

    def end(self, slot: "Slot", ended: Ended, seconds: float = 0.0) -> None:
        """Give a slot back and note how its call ended; never raises for a ledger that is away."""
        says_something = ended in (Ended.BROKEN, Ended.BUSY) or (ended is Ended.GOOD and slot.line.known.is_troubled)
        try:
            if slot.is_in_ledger or says_something:
                slot.line.learn(self._tell(slot.place, ended, slot.terms, seconds))
        except LedgerUnreachable as error:
            log.warning("%s The slot at %s ends with its lease.", error, slot.place.provider)
        finally:
            with self._lock:
                self._held.discard(slot.place.id)
            slot.line.give_back(whoever=ended in _BRINGS_NEARER)

    def _tell(
        self, place: Place, ended: Ended, terms: Terms, seconds: float = 0.0, patience_seconds: float | None = None
    ) -> State | None:
        def tell(connection: Connection) -> State | None:
            state = rows.end(connection, place, ended, terms, self._breaker, seconds)
            if state is None and ended in (Ended.BROKEN, Ended.BUSY):
                rows.ensure(connection, place.provider)
                state = rows.end(connection, place, ended, terms, self._breaker, seconds)
            return state

        return self._ledger.ask(tell, patience_seconds)

    def _beat(self, connection: Connection) -> None:
        with self._lock:
            held = tuple(self._held)
        if held:
            rows.renew(connection, held, self._holder.lease_seconds)

    def _line(self, provider: str) -> "_Line":
        with self._lock:
            return self._lines.setdefault(provider, _Line(provider, self._at_once))


class Slot:
    """One call's slot. The first of its words ends it; the others then do nothing."""

    def __init__(self, limiter: Limiter, line: "_Line", place: Place, terms: Terms, *, is_in_ledger: bool) -> None:
        self._limiter = limiter
        self._over = False
        self.line = line
        self.place = place
        self.terms = terms
        self.is_in_ledger = is_in_ledger

    def release(self) -> None:
        """The call is over, and says nothing of the provider."""
        self._end(Ended.LEFT)

    def good(self) -> None:
        """The provider answered as it should: with a picture, or with a refusal of this one order."""
        self._end(Ended.GOOD)

    def broken(self) -> None:
        """The provider broke."""
        self._end(Ended.BROKEN)

    def busy(self, retry_after_seconds: float | None) -> None:
        """The provider took no call: nobody asks it before the time it said, and then one goes first."""
        self._end(Ended.BUSY, retry_after_seconds or 0.0)

    def _end(self, ended: Ended, seconds: float = 0.0) -> None:
        if not self._over:
            self._over = True
            self._limiter.end(self, ended, seconds)


_numbers = count()


@dataclass(slots=True, eq=False)
class _Waiter:
    """A thread that wants a call."""

    place: Place
    terms: Terms
    stop: threading.Event
    patience_seconds: float
    is_last_hope: bool
    # Whether the ledger may have its place in line.
    is_in_ledger: bool = False
    # It asks the ledger this moment; it would, but for this process's own calls at once.
    is_asking: bool = False
    is_held_up: bool = False
    # It waits for the rate alone, which the end of a call does not bring nearer.
    knows_when: bool = False
    wake: threading.Event = field(default_factory=threading.Event)
    number: int = field(default_factory=lambda: next(_numbers))
    since: float = field(default_factory=time.monotonic)
    patience_ends: float | None = None

    @property
    def rank(self) -> tuple[int, int]:
        return self.place.priority, self.number

    @property
    def waited_seconds(self) -> float:
        return time.monotonic() - self.since

    def wait(self, seconds: float) -> None:
        """Sleep until woken, stopped, or the time is over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stop.is_set():
            if self.wake.wait(min(left, _LOOK_UP_SECONDS)):
                return

    def bear(self, state: State) -> None:
        """Put up with how the provider stands; raises Busy or Shut where that is too much."""
        provider = self.place.provider
        if state.is_shut and not self.is_last_hope:
            raise Shut(_shut_sentence(provider, state), max(0.0, state.shut_seconds))
        if state.at_most is None:
            self.patience_ends = None
        if state.pause_seconds <= 0:
            return
        now = time.monotonic()
        if self.patience_ends is None:
            self.patience_ends = now + self.patience_seconds
        if now + state.pause_seconds > self.patience_ends:
            if state.is_shut:
                raise Shut(_shut_sentence(provider, state), state.pause_seconds)
            sentence = f"{provider}: wants no calls for another {state.pause_seconds:.0f} s; ask later."
            raise Busy(sentence, state.pause_seconds)


class _Line:
    """Those of this process who want one provider, and what is known of it."""

    def __init__(self, provider: str, at_once: int) -> None:
        self.provider = provider
        self._known = State()
        self._lock = threading.Lock()
        # By owner, each owner's best first; and when each was served last.
        self._waiting: dict[str, list[_Waiter]] = {}
        self._served: dict[str, float] = {}
        self._at_once = at_once
        self._busy = 0
        self._looked = self._swept = -math.inf
        self._learned = 0.0

    def join(self, waiter: _Waiter) -> None:
        with self._lock:
            bisect.insort(self._waiting.setdefault(waiter.place.owner, []), waiter, key=lambda one: one.rank)

    def leave(self, waiter: _Waiter, *, is_served: bool) -> None:
        owner = waiter.place.owner
        with self._lock:
            self._waiting[owner].remove(waiter)
            if not self._waiting[owner]:
                del self._waiting[owner]
        self.note_turn(owner, 0.0 if is_served else None)
        self.wake()

    def note_turn(self, owner: str, seconds_ago: float | None) -> None:
        """An owner was served so long ago, here or in another process."""
        if seconds_ago is not None:
            with self._lock:
                self._served[owner] = max(self._served.get(owner, -math.inf), time.monotonic() - seconds_ago)

    def takes(self, waiter: _Waiter) -> bool:
        """Take one of this process's calls at once: for the first of an owner, if one is free beside those better."""
        with self._lock:
            firsts = self._firsts()
            if waiter not in firsts:
                return False
            better = sum(not one.is_asking for one in firsts[: firsts.index(waiter)])
            waiter.is_asking = self._busy + better < self._at_once
            waiter.is_held_up = not waiter.is_asking
            self._busy += waiter.is_asking
            return waiter.is_asking

    def could_not(self, waiter: _Waiter) -> None:
        """Give a call back that was not to be had; only those whom the asking held up need to know."""
        with self._lock:
            self._busy -= 1
            waiter.is_asking = False
            for first in self._firsts():
                if first.is_held_up:
                    first.wake.set()

    def give_back(self, *, whoever: bool = False) -> None:
        with self._lock:
            self._busy -= 1
        self.wake(whoever=whoever)

    def wake(self, *, whoever: bool = False) -> None:
        """Have the first of each owner ask again; one who knows when only if it may be nearer than they know."""
        with self._lock:
            for first in self._firsts():
                if whoever or not first.knows_when:
                    first.wake.set()

    def _firsts(self) -> list[_Waiter]:
        """Return the first of each owner, in the order they are served."""

        def rank(one: _Waiter) -> tuple[int, float, int]:
            return one.place.priority, self._served.get(one.place.owner, -math.inf), one.number

        return sorted((theirs[0] for theirs in self._waiting.values()), key=rank)

    @property
    def known(self) -> State:
        """What was last heard of the provider, as of now."""
        return self._known.after(max(0.0, time.monotonic() - self._learned))

    def learn(self, state: State | None) -> None:
        # A provider without a row has no trouble.
        with self._lock:
            self._known = state or State()
            self._learned = self._looked = time.monotonic()

    def is_due_to_look(self) -> bool:
        """Say, to one caller each time, that what is known is old."""
        stale = _STALE_SHUT_SECONDS if self.known.is_shut else _STALE_SECONDS
        with self._lock:
            due = time.monotonic() - self._looked > stale
            if due:
                self._looked = time.monotonic()
        return due

    def is_due_to_sweep(self) -> bool:
        with self._lock:
            due = time.monotonic() - self._swept > _SWEEP_SECONDS
            if due:
                self._swept = time.monotonic()
        return due


def _terms(limits: Limits, priority: int) -> Terms:
    spare = limits.spare if priority < BATCH_STEP else 0
    at_once = rows.ANY if limits.calls_at_once is None else limits.calls_at_once + spare
    return Terms(at_once, 60.0 / limits.calls_a_minute if limits.calls_a_minute else 0.0)


def _shut_sentence(provider: str, state: State) -> str:
    until = f"left alone for another {state.shut_seconds:.0f} s" if state.shut_seconds > 0 else "tried by one call now"
    return f"{provider}: broke {state.broken_in_a_row} times in a row; it is {until}."
