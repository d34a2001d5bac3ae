"""What a provider answers instead of a picture, and what follows: kept, tried anew, or asked of the next."""

import hashlib
import time
from dataclasses import replace
from typing import Any

import pytest

from limner.chain import Patience
from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Invalid,
    LimnerError,
    OutOfCredit,
    Refused,
    Unauthorised,
    UnknownOutcome,
)
from limner.jobs import derive_seed
from limner.ledger.limits import Breaker
from limner.ledger.opening import Ledger
from limner.providers.pollinations import Pollinations
from limner.providers.seam import Answer, Asked, Limits
from tests.integration.books import assert_the_books_balance, rows
from tests.integration.pressing import OpenRoom, Painter, carry_on, castles, illustrate, plan_of, planned, too_small
from tests.standins.pollinations import plain_picture, running

PAGE = b"<!doctype html><title>Sorry</title>" + b"<p>Be right back.</p>" * 900


class First:
    """A whim: the first calls end as told, the others bring pictures."""

    def __init__(self, *ends: Any) -> None:
        self._ends = list(ends)

    def __call__(self, asked: Asked) -> bytes | LimnerError | None:
        end = self._ends.pop(0) if self._ends else None
        return end(asked) if callable(end) else end


def _attempts(ledger: Ledger) -> list[tuple[str, str]]:
    found = rows(ledger, "select provider, outcome from attempts order by number")
    return [(row["provider"], row["outcome"]) for row in found]


def test_a_rejected_picture_is_kept_with_its_reason_and_a_new_seed_is_tried(open_room: OpenRoom) -> None:
    painter = Painter(whim=First(too_small))
    room = open_room(painter)
    report = illustrate(room, castles(1))
    assert (report.made, report.rejected, report.failed) == (1, 1, 0)
    rejected, made = rows(
        room.ledger,
        "select t.*, v.accepted, v.score, v.findings, a.key from attempts t join verdicts v on v.attempt_id = t.id "
        "join artifacts a on a.sha256 = t.sha256 order by t.number",
    )
    assert (rejected["outcome"], rejected["accepted"]) == ("rejected", False)
    failed = [finding["check"] for finding in rejected["findings"] if not finding["passed"]]
    assert failed
    assert rejected["reason"] == ", ".join(failed)
    assert hashlib.sha256(room.bucket.get(rejected["key"])).hexdigest() == rejected["sha256"]
    assert [one.seed for one in painter.asked] == [derive_seed("A test", "picture-1", number) for number in (1, 2)]
    assert made["seed"] == painter.asked[1].seed
    assert_the_books_balance(room.ledger, room.bucket)


def test_rejected_pictures_end_with_the_next_provider_and_its_seed_goes_on(open_room: OpenRoom) -> None:
    one, two = Painter("one", whim=First(*[too_small] * 9)), Painter("two")
    room = open_room(one, two)
    report = illustrate(room, castles(1, chain=("one", "two")))
    assert (report.made, report.rejected) == (1, 3)
    assert _attempts(room.ledger) == [("one", "rejected")] * 3 + [("two", "made")]
    assert two.asked[0].seed == derive_seed("A test", "picture-1", 4)


def test_a_job_that_nobody_could_make_names_each_reason(open_room: OpenRoom) -> None:
    one, two = Painter("one", whim=First(*[too_small] * 9)), Painter("two", whim=First(Refused("two: too dark")))
    three = Painter("three", max_side=100)
    room = open_room(one, two, three)
    report = illustrate(room, castles(1, chain=("one", "two", "three")))
    assert report.failed == 1
    said = report.errors["picture-1"]
    assert said.startswith("one (rejected): score ")
    assert "two (refused): two: too dark" in said
    assert said.endswith("three was skipped: it makes sides of 64 to 100 px, not 320x256")
    assert_the_books_balance(room.ledger, room.bucket)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Refused("no"), "refused"),
        (Invalid("no"), "invalid"),
        (Unauthorised("no"), "unauthorised"),
        (OutOfCredit("no"), "out of credit"),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(
    open_room: OpenRoom, error: LimnerError, outcome: str
) -> None:
    one, two = Painter("one", whim=lambda _asked: error), Painter("two")
    room = open_room(one, two)
    assert illustrate(room, castles(1, chain=("one", "two"))).made == 1
    assert _attempts(room.ledger) == [("one", outcome), ("two", "made")]
    assert one.asked[0].seed == two.asked[0].seed, "an order that nobody drew keeps its seed"


def test_a_throttle_is_waited_out_and_spends_no_try(open_room: OpenRoom) -> None:
    painter = Painter(whim=First(*[Busy("busy", 0.1)] * 5))
    room = open_room(painter)
    started = time.monotonic()
    assert illustrate(room, castles(1)).made == 1
    assert time.monotonic() - started > 0.5
    assert _attempts(room.ledger) == [("painter", "busy")] * 5 + [("painter", "made")]


def test_a_throttled_job_gives_its_slot_to_others_while_it_waits(open_room: OpenRoom) -> None:
    painter = Painter(whim=lambda asked: Busy("busy") if "1 towers" in asked.prompt and painter.calls < 3 else None)
    room = open_room(painter, concurrency=1, patience=Patience(backoff_seconds=0.5))
    assert illustrate(room, castles(4)).made == 4
    order = [asked.prompt for asked in painter.asked]
    assert order[-1] == order[0], "the other three were made while the first waited"


def test_a_retry_after_moves_the_whole_provider_and_nobody_elses(open_room: OpenRoom) -> None:
    called: list[tuple[str, float]] = []

    def whim(asked: Asked) -> LimnerError | None:
        called.append((asked.prompt, time.monotonic()))
        return Busy("busy", 0.5) if len(called) == 1 else None

    throttled, other = Painter("throttled", whim=whim), Painter("other")
    room = open_room(throttled, other, concurrency=1)
    assert illustrate(room, castles(4, chain=("throttled",))).made == 4
    (_, first), *rest = called
    assert len(rest) == 4 and all(at - first >= 0.5 for _, at in rest), "not one call before the time it asked for"


def test_a_provider_that_only_breaks_is_left_alone_when_another_can_be_asked(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    one, two = Painter("one", whim=lambda _asked: Broken("one: failed (500)")), Painter("two")
    room = open_room(one, two, concurrency=1, breaker=Breaker(failures=3, lasting_seconds=0.0))
    assert illustrate(room, castles(8, chain=("one", "two"))).made == 8
    assert one.calls < 8 and two.calls == 8
    skipped = [row["skipped"] for row in rows(ledger, "select skipped from jobs where skipped <> '[]'")]
    assert len(skipped) >= 5 and all(one["provider"] == "one" for (one,) in skipped)
    assert "broke 3 times in a row" in skipped[0][0]["reason"]


def test_an_unknown_outcome_is_asked_for_once_more_and_then_of_the_next(open_room: OpenRoom) -> None:
    one, two = Painter("one", whim=lambda _asked: UnknownOutcome("cut off")), Painter("two")
    room = open_room(one, two)
    assert illustrate(room, castles(1, chain=("one", "two"))).made == 1
    assert _attempts(room.ledger) == [("one", "unknown")] * 2 + [("two", "made")]
    assert one.asked[0].seed == one.asked[1].seed, "an identical request can join the one in progress"


def test_a_page_or_a_picture_of_one_colour_is_no_picture(open_room: OpenRoom) -> None:
    room = open_room(Painter(whim=First(PAGE, plain_picture(320, 256))))
    assert illustrate(room, castles(1)).made == 1
    assert _attempts(room.ledger) == [("painter", "no picture")] * 2 + [("painter", "made")]
    assert len(room.bucket.keys("images/")) == 1, "what is no picture is not kept as one"


def test_a_broken_provider_is_tried_three_times(open_room: OpenRoom) -> None:
    painter = Painter(whim=lambda _asked: Broken("500"))
    report = illustrate(open_room(painter), castles(1))
    assert report.errors == {"picture-1": "painter (broken): 500"}
    assert painter.calls == 3


def test_a_provider_that_cannot_make_the_size_is_skipped_and_said(open_room: OpenRoom) -> None:
    small, large = Painter("small", max_side=256), Painter("large")
    room = open_room(small, large)
    assert illustrate(room, castles(1, chain=("small", "large"))).made == 1
    assert (small.calls, large.calls) == (0, 1)
    alone = illustrate(open_room(small), castles(1, title="Alone", chain=("small",)))
    assert alone.errors["picture-1"] == "small was skipped: it makes sides of 64 to 256 px, not 320x256"


def test_a_negative_prompt_is_folded_where_there_is_no_field_for_it_and_the_attempt_says_so(
    open_room: OpenRoom,
) -> None:
    painter = Painter(negative_prompts=False)
    room = open_room(painter)
    illustrate(room, plan_of("a castle", negative_prompt="people"))
    assert "people" in painter.asked[0].prompt
    assert painter.asked[0].negative_prompt == ""
    (attempt,) = rows(room.ledger, "select prompt, negative_prompt, dropped from attempts")
    assert attempt == {
        "prompt": painter.asked[0].prompt,
        "negative_prompt": "",
        "dropped": ["negative prompt folded into the prompt"],
    }


def test_two_services_over_http_the_second_makes_what_the_first_refused(open_room: OpenRoom) -> None:
    with running() as service:
        service.fail({"what": "safety", "match": "1 towers"}, {"what": "truncated", "match": "2 towers", "times": 1})
        first = Pollinations(service.key, base_url=service.url, limits=Limits(), allow_private=True)
        second = Painter("second")
        room = open_room(first, second)
        report = illustrate(room, castles(3, chain=("pollinations", "second")))
        first.close()
        calls = service.counts()["calls"]
    assert (report.made, report.failed, calls) == (3, 0, 4)
    by_job = rows(room.ledger, "select job_key, provider, outcome from attempts order by job_key, number")
    assert [tuple(row.values()) for row in by_job] == [
        ("picture-1", "pollinations", "refused"),
        ("picture-1", "second", "made"),
        ("picture-2", "pollinations", "unknown"),
        ("picture-2", "pollinations", "made"),
        ("picture-3", "pollinations", "made"),
    ]
    assert_the_books_balance(room.ledger, room.bucket)


@pytest.mark.parametrize("said", ["no \0 way", "no \ud800 way"])
def test_words_of_a_provider_that_no_database_takes_settle_their_attempt_all_the_same(
    said: str, open_room: OpenRoom, ledger: Ledger
) -> None:
    report = illustrate(open_room(Painter(whim=lambda _asked: Refused(said))), castles(2))
    assert report.failed == 2
    assert [one["outcome"] for one in rows(ledger, "select outcome from attempts")] == ["refused"] * 2
    assert rows(ledger, "select 1 from claims") == []


def test_a_picture_whose_provider_names_its_model_with_a_nul_is_recorded(open_room: OpenRoom, ledger: Ledger) -> None:
    class Odd(Painter):
        def generate(self, asked: Asked) -> Answer:
            return replace(super().generate(asked), model="oil\0", revised_prompt="a \0 castle")

    room = open_room(Odd())
    assert illustrate(room, castles(1)).made == 1
    assert [one["model"] for one in rows(ledger, "select model from records")] == ["oil\ufffd"]
    assert_the_books_balance(ledger, room.bucket)


def test_a_provider_that_breaks_its_own_promise_leaves_no_attempt_open(open_room: OpenRoom, ledger: Ledger) -> None:
    def whim(_asked: Asked) -> None:
        raise ZeroDivisionError("a slip of the brush")

    room = open_room(Painter(whim=whim))
    batch = planned(room, castles(1))
    with pytest.raises(ZeroDivisionError):
        carry_on(room, batch)
    (attempt,) = rows(ledger, "select outcome, reason from attempts")
    assert attempt == {"outcome": "lost", "reason": "ZeroDivisionError: a slip of the brush"}


def test_what_may_have_been_accepted_counts_as_spent(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter(whim=First(UnknownOutcome("the line broke")), price_usd=0.04)
    room = open_room(painter)
    assert illustrate(room, castles(1)).spend_usd == pytest.approx(0.08)
    assert_the_books_balance(ledger, room.bucket)


def test_a_provider_is_known_by_the_name_its_studio_gave_it(open_room: OpenRoom, ledger: Ledger) -> None:
    painters = Painter("mine"), Painter("yours", whim=lambda _asked: Refused("no"))
    room = open_room(*painters)
    for painter in painters:
        painter.name = "painter"
    plan = castles(2, chain=("yours", "mine"))
    assert illustrate(room, plan).made == 2
    assert {one["provider"] for one in rows(ledger, "select provider from records")} == {"mine"}
    assert illustrate(room, plan).reused == 2


def test_a_studio_whose_provider_is_in_no_tiers_chain_asks_it_all_the_same(open_room: OpenRoom) -> None:
    room = open_room(Painter("mine"))
    assert illustrate(room, castles(1, chain=())).made == 1


def test_a_model_that_nobody_has_is_refused_before_anything_is_promised(open_room: OpenRoom, ledger: Ledger) -> None:
    oils, inks = Painter("oils", models=("oil",)), Painter("inks", models=("ink", "wash"))
    plan = castles(1, chain=("oils", "inks"), model="chalk")
    with pytest.raises(BadInput, match="There is no model 'chalk' to be had: oils has oil; inks has ink, wash"):
        illustrate(open_room(oils, inks), plan)
    assert rows(ledger, "select id from batches") == []
    assert illustrate(open_room(oils, Painter("inks")), plan).made == 1, "one that takes any"
    assert illustrate(open_room(oils, inks), replace(plan, title="Again")).reused == 1, "what exists needs nobody"
