"""The provider chain: who is asked, in what order, and when to stop.

Knows nothing of HTTP, Prefect or storage; the caller passes in how to make an attempt and how to wait.
The only place where calls of providers are repeated.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from limner.errors import (
    BadImage,
    Broken,
    Busy,
    Cancelled,
    Invalid,
    LimnerError,
    OutOfCredit,
    OverBudget,
    ProviderError,
    Refused,
    Rejected,
    Shut,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from an answer: how many calls of one provider may end so, and with which seed it is asked again.

    calls: None leaves it to the job's `max_tries`; 1 means never again at this provider.
    spends_a_try: a throttle does not. ends_the_job: nobody else is asked either.
    is_breakage: counts towards the provider's breaker. shuts_for_the_run: no other job of this run asks it any more.
    """

    outcome: str
    calls: int | None
    new_seed: bool = False
    spends_a_try: bool = True
    ends_the_job: bool = False
    is_breakage: bool = False
    shuts_for_the_run: bool = False


# The one table of what is tried again, and where the next provider is asked.
RULES: dict[type[LimnerError], Rule] = {
    Busy: Rule("busy", calls=None, spends_a_try=False),
    Shut: Rule("shut", calls=1, spends_a_try=False),
    Refused: Rule("refused", calls=1),
    Invalid: Rule("invalid", calls=1),
    Unauthorised: Rule("unauthorised", calls=1, shuts_for_the_run=True),
    OutOfCredit: Rule("out of credit", calls=1, shuts_for_the_run=True),
    OverBudget: Rule("over budget", calls=1),
    Broken: Rule("broken", calls=None, is_breakage=True),
    # May have been paid for: once more, and no oftener.
    UnknownOutcome: Rule("unknown", calls=2, is_breakage=True),
    # Its picture will come and is paid for: whoever else were asked would be paid too.
    Unfinished: Rule("unfinished", calls=1, ends_the_job=True),
    Cancelled: Rule("cancelled", calls=1, ends_the_job=True),
    BadImage: Rule("no picture", calls=None, new_seed=True),
    Rejected: Rule("rejected", calls=None, new_seed=True),
}


@dataclass(frozen=True, slots=True)
class Skip:
    """A provider that was passed over for an order, and why."""

    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One call that the chain asks for. number counts this run's calls from 1, seed_number its seeds from 1.

    skipped: who was passed over before this provider.
    """

    provider: str
    number: int
    seed_number: int
    skipped: tuple[Skip, ...] = ()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one job is tried. backoff_seconds is the first wait; it doubles, with jitter."""

    max_tries: int = 3
    backoff_seconds: float = 2.0
    max_busy_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What the chain brought: a result, or none; what each provider said, and who was passed over."""

    result: T | None
    said: tuple[str, ...]
    skipped: tuple[Skip, ...] = ()

    @property
    def reason(self) -> str:
        return "; ".join(self.said) or "no provider could be asked"


def rule_for(error: LimnerError) -> Rule:
    """Return the row of the table for an answer; its nearest ancestor's where a kind has none of its own."""
    return next(RULES[kind] for kind in type(error).__mro__ if kind in RULES)


def ask_in_turn(
    providers: Sequence[str],
    *,
    why_not: Callable[[str], str | None],
    attempt: Callable[[Turn], T],
    wait: Callable[[float], None],
    patience: Patience,
    what: str = "",
) -> Outcome[T]:
    """Ask providers in turn until one brings an accepted picture.

    why_not: why a provider cannot honour the order, or None. attempt: raises ProviderError, BadImage or Rejected; what
    else it raises ends the chain. wait: sleeps. what: the job's key, for the log.
    """
    said: list[str] = []
    skipped: list[Skip] = []
    count = _Count()
    for provider in providers:
        if (reason := why_not(provider)) is not None:
            said.append(f"{provider} was skipped: {reason}")
            skipped.append(Skip(provider, reason))
            continue
        tries = _Tries(patience)
        while not tries.over:
            count.calls += 1
            try:
                turn = Turn(provider, count.calls, count.seeds, tuple(skipped))
                return Outcome(attempt(turn), tuple(said), tuple(skipped))
            except (ProviderError, OverBudget, BadImage, Rejected) as error:
                pause = tries.note(error)
                count.seeds += tries.rule.new_seed
                log.info("%s answered '%s' for %s: %s", provider, tries.rule.outcome, what, error)
                if not tries.over:
                    wait(pause)
        said.append(f"{provider} ({tries.rule.outcome}): {tries.last}")
        if tries.rule.ends_the_job:
            break
    return Outcome(None, tuple(said), tuple(skipped))


@dataclass(slots=True)
class _Count:
    """What goes on from provider to provider: calls made, and which seed is next."""

    calls: int = 0
    seeds: int = 1


class _Tries:
    """How one provider's calls ended so far, and whether it may be asked again."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._ended: Counter[str] = Counter()
        self._spent = 0
        self._busy_seconds = 0.0
        self.over = False
        self.rule = RULES[Broken]
        self.last = ""

    def note(self, error: LimnerError) -> float:
        """Take in how a call ended; return how many seconds to wait before the next."""
        self.rule, self.last = rule_for(error), str(error)
        self._ended[self.rule.outcome] += 1
        self._spent += self.rule.spends_a_try
        pause = self._pause(error)
        self._busy_seconds += 0 if self.rule.spends_a_try else pause
        self.over = (
            self._spent >= self._patience.max_tries
            or self._ended[self.rule.outcome] == self.rule.calls
            or self._busy_seconds > self._patience.max_busy_seconds
        )
        return pause

    def _pause(self, error: LimnerError) -> float:
        """Return what the provider asked for, or 2**n seconds with jitter; nothing before a new seed."""
        # "At once", said by a provider that is busy, would be asked again for ever.
        if isinstance(error, Busy) and (error.retry_after_seconds or 0) > 0:
            return float(error.retry_after_seconds or 0)
        if self.rule.new_seed:
            return 0.0
        grown = self._patience.backoff_seconds * 2 ** (self._ended[self.rule.outcome] - 1)
        return float(min(grown, 60.0)) * random.uniform(1.0, 1.25)  # noqa: S311 - jitter, no secret
