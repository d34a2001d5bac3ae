"""The provider chain, held row by row to its table: plain functions stand in for providers, and no clock runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from limner.chain import RULES, Outcome, Patience, Skip, Turn, ask_in_turn, rule_for
from limner.errors import (
    BadImage,
    BatchStopped,
    Broken,
    Busy,
    Cancelled,
    Invalid,
    LeaseLost,
    LedgerUnreachable,
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

PATIENCE = Patience(max_tries=3, backoff_seconds=2.0, max_busy_seconds=900.0)


@dataclass
class Studio:
    """Providers that answer as they are told: an error is raised, anything else is the picture."""

    answers: Callable[[Turn], object]
    turns: list[Turn] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def attempt(self, turn: Turn) -> str:
        self.turns.append(turn)
        answer = self.answers(turn)
        if isinstance(answer, BaseException):
            raise answer
        return str(answer)

    def ask(
        self,
        *providers: str,
        patience: Patience = PATIENCE,
        why_not: Callable[[str], str | None] = lambda _name: None,
    ) -> Outcome[str]:
        return ask_in_turn(providers, why_not=why_not, attempt=self.attempt, wait=self.waits.append, patience=patience)


def always(error: LimnerError) -> Studio:
    """Return a studio whose provider `first` always fails so; `second` draws."""
    return Studio(lambda turn: error if turn.provider == "first" else "picture")


def one_after_the_other(*answers: object) -> Studio:
    left: Iterator[object] = iter(answers)
    return Studio(lambda _turn: next(left))


def near(waits: Sequence[float], *least: float) -> bool:
    """Say whether each wait is its least, or up to a quarter more."""
    return len(waits) == len(least) and all(low <= wait <= low * 1.25 for wait, low in zip(waits, least, strict=True))


# Every row: what `first` answers, its seed numbers call by call, its least waits, the seed that `second` is asked with.
ROWS: list[tuple[LimnerError, list[int], list[float], int]] = [
    (Refused("no"), [1], [], 1),
    (Invalid("no"), [1], [], 1),
    (Unauthorised("no"), [1], [], 1),
    (OutOfCredit("no"), [1], [], 1),
    (OverBudget("no"), [1], [], 1),
    (Shut("no", 30.0), [1], [], 1),
    (Broken("no"), [1, 1, 1], [2, 4], 1),
    (UnknownOutcome("no"), [1, 1], [2], 1),
    (BadImage("no"), [1, 2, 3], [0, 0], 4),
    (Rejected("no"), [1, 2, 3], [0, 0], 4),
]


@pytest.mark.parametrize(("error", "seeds", "waits", "next_seed"), ROWS, ids=[type(row[0]).__name__ for row in ROWS])
def test_each_answer_has_its_tries_seeds_and_waits_and_then_the_next_is_asked(
    error: LimnerError, seeds: list[int], waits: list[float], next_seed: int
) -> None:
    studio = always(error)
    outcome = studio.ask("first", "second")
    calls = [*(("first", seed) for seed in seeds), ("second", next_seed)]
    assert [(turn.provider, turn.seed_number) for turn in studio.turns] == calls
    assert [turn.number for turn in studio.turns] == list(range(1, len(calls) + 1)), "numbers go on over providers"
    assert near(studio.waits, *waits), "the last answer is not waited on"
    assert outcome == Outcome("picture", (f"first ({RULES[type(error)].outcome}): no",))


# Every row after which nobody else is asked.
ENDS: list[LimnerError] = [Unfinished("it is still drawing"), Cancelled("stopped")]


@pytest.mark.parametrize("error", ENDS, ids=[type(error).__name__ for error in ENDS])
def test_what_ends_the_job_is_asked_once_and_of_nobody_else(error: LimnerError) -> None:
    studio = always(error)
    outcome = studio.ask("first", "second")
    assert outcome == Outcome(None, (f"first ({RULES[type(error)].outcome}): {error}",))
    assert [turn.provider for turn in studio.turns] == ["first"]


def test_the_table_says_what_breaks_a_provider_and_what_shuts_it_for_the_run() -> None:
    assert {kind for kind, rule in RULES.items() if rule.is_breakage} == {Broken, UnknownOutcome}
    assert {kind for kind, rule in RULES.items() if rule.shuts_for_the_run} == {Unauthorised, OutOfCredit}


def test_the_rows_above_are_the_whole_table() -> None:
    assert {type(row[0]) for row in ROWS} | {type(error) for error in ENDS} | {Busy} == set(RULES)
    assert set(ProviderError.__subclasses__()) < set(RULES), "an answer without a row would end the chain"


def test_a_throttle_spends_no_try_and_waits_as_long_as_it_says() -> None:
    studio = one_after_the_other(*[Busy("later", 30.0)] * 5, Broken("x"), Broken("x"), "picture")
    assert studio.ask("first").result == "picture"
    assert [turn.seed_number for turn in studio.turns] == [1] * 8
    assert studio.waits[:5] == [30.0] * 5, "no jitter on what the provider itself asked for"
    assert near(studio.waits[5:], 2, 4), "the back-off of a failure does not grow with throttles"


def test_a_throttle_that_names_no_time_backs_off_up_to_a_minute() -> None:
    studio = one_after_the_other(*[Busy("later")] * 7, "picture")
    assert studio.ask("first").result == "picture"
    assert near(studio.waits, 2, 4, 8, 16, 32, 60, 60)


@pytest.mark.parametrize("said", [0.0, -5.0])
def test_a_busy_provider_that_asks_for_no_wait_at_all_is_not_asked_for_ever(said: float) -> None:
    studio = always(Busy("now", said))
    assert studio.ask("first", "second").result == "picture"
    assert near(studio.waits[:3], 2, 4, 8)
    assert sum(studio.waits) <= PATIENCE.max_busy_seconds


def test_a_provider_busy_for_too_long_is_left_for_the_next() -> None:
    studio = always(Busy("later", 400.0))
    assert studio.ask("first", "second").said == ("first (busy): later",)
    assert studio.waits == [400.0, 400.0], "a third would pass 900 s, so it is not waited out"


def test_a_throttle_longer_than_all_patience_is_not_waited_on() -> None:
    studio = always(Busy("tomorrow", 86_400.0))
    assert studio.ask("first", "second").result == "picture"
    assert studio.waits == []


def test_an_unknown_outcome_is_tried_once_more_and_may_still_succeed() -> None:
    studio = one_after_the_other(UnknownOutcome("cut off"), "picture")
    assert studio.ask("first").result == "picture"
    assert [turn.seed_number for turn in studio.turns] == [1, 1], "the same order, so the same seed"


def test_unknown_outcomes_and_failures_share_the_tries() -> None:
    studio = one_after_the_other(UnknownOutcome("x"), Broken("x"), Rejected("x"), "never asked for")
    assert studio.ask("first").result is None
    assert len(studio.turns) == 3


def test_a_job_of_one_try_is_tried_once() -> None:
    studio = always(Rejected("dull"))
    studio.ask("first", patience=Patience(max_tries=1))
    assert len(studio.turns) == 1 and studio.waits == []


def test_skips_a_provider_that_cannot_honour_the_order_and_says_why() -> None:
    studio = always(Broken("never asked"))
    outcome = studio.ask(
        "first", "second", why_not=lambda name: "it takes 0 references, not 2" if name == "first" else None
    )
    skip = Skip("first", "it takes 0 references, not 2")
    assert outcome == Outcome("picture", ("first was skipped: it takes 0 references, not 2",), (skip,))
    assert [(turn.provider, turn.skipped) for turn in studio.turns] == [("second", (skip,))]


def test_names_what_each_provider_said_when_none_brought_a_picture() -> None:
    studio = Studio(lambda turn: Refused("violence") if turn.provider == "first" else OutOfCredit("top it up"))
    outcome = studio.ask("zeroth", "first", "second", why_not=lambda name: "no key" if name == "zeroth" else None)
    assert outcome.result is None
    assert outcome.reason == (
        "zeroth was skipped: no key; first (refused): violence; second (out of credit): top it up"
    )


def test_nobody_to_ask_is_a_reason_too() -> None:
    assert Studio(lambda _turn: "never").ask().reason == "no provider could be asked"


@pytest.mark.parametrize("error", [LeaseLost("stale"), BatchStopped("stop"), LedgerUnreachable("away"), KeyError("x")])
def test_what_is_no_answer_of_a_provider_ends_the_chain(error: Exception) -> None:
    studio = Studio(lambda _turn: error)
    with pytest.raises(type(error)):
        studio.ask("first", "second")
    assert len(studio.turns) == 1 and studio.waits == []


def test_a_stop_while_waiting_makes_no_further_call() -> None:
    studio = always(Broken("x"))

    def stopped(_seconds: float) -> None:
        raise BatchStopped("stop")

    with pytest.raises(BatchStopped):
        ask_in_turn(
            ["first", "second"], why_not=lambda _: None, attempt=studio.attempt, wait=stopped, patience=PATIENCE
        )
    assert len(studio.turns) == 1


def test_a_kind_of_answer_without_a_row_follows_its_parent() -> None:
    class Overloaded(Busy):
        pass

    assert rule_for(Overloaded("x")) is RULES[Busy]
