"""Gathering: calls that wait together are drawn together, each gets its own end, and nobody is left waiting."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from limner.errors import Broken, Busy, Cancelled, ProviderError
from limner.providers.diffusers.gathering import Gathering, Place

Pictures = Gathering[str, str]


def never() -> ProviderError | None:
    return None


class Painter:
    """Draws words as their capitals, one batch for each time it is let: while it is held, others gather behind it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.has_begun = threading.Event()
        self.breaks: BaseException | None = None
        self._may_draw = threading.Semaphore(0)

    def let(self, batches: int = 100) -> None:
        self._may_draw.release(batches)

    def draw(self, places: Sequence[Place[str, str]]) -> None:
        self.batches.append([place.wanted for place in places])
        self.has_begun.set()
        assert self._may_draw.acquire(timeout=20)
        if self.breaks is not None:
            raise self.breaks
        for place in places:
            place.end(place.wanted.upper() if place.wanted != "bad" else Broken("it is bad"))


def ask(
    pictures: Pictures,
    pool: ThreadPoolExecutor,
    word: str,
    like: str = "",
    most: int = 4,
    leave: Callable[[], ProviderError | None] = never,
) -> Future[str]:
    """Ask from a thread of its own; returns once its place is in the queue."""
    before = len(pictures._waiting)
    asked = pool.submit(pictures.take_part, Place(word, like, leave), lambda: most)
    while len(pictures._waiting) == before and not asked.done():
        threading.Event().wait(0.001)
    return asked


def held(painter: Painter, pool: ThreadPoolExecutor) -> tuple[Pictures, Future[str]]:
    """Return a queue before a painter who is busy with a first picture."""
    pictures = Pictures(painter.draw)
    first = pool.submit(pictures.take_part, Place("first", "other", never), lambda: 1)
    assert painter.has_begun.wait(20)
    return pictures, first


def test_calls_that_wait_are_drawn_in_one() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, first = held(painter, pool)
        others = [ask(pictures, pool, word) for word in ("a", "b", "c")]
        painter.let()
        assert [one.result(20) for one in (first, *others)] == ["FIRST", "A", "B", "C"]
    assert painter.batches == [["first"], ["a", "b", "c"]]


def test_only_calls_that_are_alike_are_drawn_together_and_none_overtakes_the_first() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        others = [ask(pictures, pool, word, like) for word, like in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "y"))]
        painter.let()
        assert [one.result(20) for one in others] == ["A", "B", "C", "D"]
    assert painter.batches[1:] == [["a", "c"], ["b", "d"]]


def test_no_more_are_drawn_at_once_than_fit() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        others = [ask(pictures, pool, word, most=2) for word in ("a", "b", "c", "d", "e")]
        painter.let()
        assert [one.result(20) for one in others] == ["A", "B", "C", "D", "E"]
    assert painter.batches[1:] == [["a", "b"], ["c", "d"], ["e"]]


def test_one_that_fails_leaves_the_others_of_its_batch_alone() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        good, bad = ask(pictures, pool, "a"), ask(pictures, pool, "bad")
        painter.let()
        assert good.result(20) == "A"
        with pytest.raises(Broken, match="it is bad"):
            bad.result(20)


def test_who_waits_and_is_not_wanted_any_more_leaves_and_is_not_drawn() -> None:
    painter, stop = Painter(), threading.Event()
    with ThreadPoolExecutor(8) as pool:
        pictures, first = held(painter, pool)
        gone = ask(pictures, pool, "a", leave=lambda: Cancelled("stopped") if stop.is_set() else None)
        stays = ask(pictures, pool, "b")
        stop.set()
        with pytest.raises(Cancelled):
            gone.result(20)
        assert not first.done()
        painter.let()
        assert stays.result(20) == "B"
    assert painter.batches[1:] == [["b"]]


def test_who_is_being_drawn_and_is_not_wanted_any_more_leaves_the_others_to_it() -> None:
    painter, stop = Painter(), threading.Event()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        stays = ask(pictures, pool, "a")
        gone = ask(pictures, pool, "b", leave=lambda: Cancelled("stopped") if stop.is_set() else None)
        painter.has_begun.clear()
        painter.let(1)
        assert painter.has_begun.wait(20)
        stop.set()
        assert isinstance(gone.exception(20), Cancelled)
        assert not stays.done()
        painter.let()
        assert stays.result(20) == "A"
    assert painter.batches[1:] == [["a", "b"]]


def test_nobody_waits_for_a_call_that_was_torn_away() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, first = held(painter, pool)
        painter.breaks = SystemExit("the thread ended")
        others = [ask(pictures, pool, word) for word in ("a", "b")]
        painter.let()
        ends = [one.exception(20) for one in (first, *others)]
    # Whoever drew is told itself; whom it drew for is told that it was broken off.
    assert [type(one) for one in ends] == [SystemExit, SystemExit, Broken]


def test_the_first_waits_a_moment_for_those_that_were_started_with_it() -> None:
    painter = Painter()
    painter.let()
    pictures, together = Pictures(painter.draw), threading.Barrier(4)

    def one(word: str) -> str:
        together.wait(20)
        return pictures.take_part(Place(word, "", never), lambda: 4)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, "abcd")) == ["A", "B", "C", "D"]
    assert len(painter.batches) < 4


# -- the line ------------------------------------------------------------------------------------------------------


def in_line(
    pictures: Pictures, pool: ThreadPoolExecutor, word: str, *, priority: int = 100, owner: str = "", most: int = 1
) -> Future[str]:
    """Ask from a thread of its own; returns once its place is in the queue."""
    before = pictures.tally().waiting.get(priority, 0)
    asked = pool.submit(pictures.take_part, Place(word, "", never, priority, owner), lambda: most, 6)
    while pictures.tally().waiting.get(priority, 0) == before and not asked.done():
        threading.Event().wait(0.001)
    return asked


def test_priority_goes_first_then_whose_owner_was_served_longest_ago_then_who_came_first() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        for word, priority, owner in (
            ("m1", 100, "mary"),
            ("m2", 100, "mary"),
            ("m3", 100, "mary"),
            ("j1", 100, "john"),
            ("now", 1, "mary"),
            ("j2", 100, "john"),
        ):
            in_line(pictures, pool, word, priority=priority, owner=owner)
        assert pictures.tally().waiting == {1: 1, 100: 5}
        painter.let()
    assert painter.batches == [["first"], ["now"], ["j1"], ["m1"], ["j2"], ["m2"], ["m3"]]


def test_owners_take_turns_within_a_batch_too() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        for word in ("m1", "m2", "m3", "m4", "j1", "j2"):
            in_line(pictures, pool, word, owner=word[0], most=4)
        painter.let()
    assert painter.batches[1:] == [["m1", "j1", "m2", "j2"], ["m3", "m4"]]


def test_in_a_full_line_the_last_gives_way_to_a_better_one_and_nobody_to_an_equal() -> None:
    painter = Painter()
    with ThreadPoolExecutor(9) as pool:
        pictures, _ = held(painter, pool)
        waiting = [in_line(pictures, pool, word) for word in "abcdef"]
        with pytest.raises(Busy, match="6 pictures wait already; ask later") as busy:
            pictures.take_part(Place("g", "", never), lambda: 1, 6)
        assert busy.value.retry_after_seconds == 1.0
        better = in_line(pictures, pool, "now", priority=1)
        with pytest.raises(Busy):
            waiting[-1].result(20)
        painter.let()
        assert better.result(20) == "NOW" and waiting[0].result(20) == "A"
    assert painter.batches == [["first"], ["now"], ["a"], ["b"], ["c"], ["d"], ["e"]]


def test_when_to_come_back_follows_from_the_seconds_of_a_batch_and_the_half_of_the_line() -> None:
    pictures = Pictures(lambda _places: None)
    pictures._seconds.extend([2.0, 4.0])
    pictures._waiting = [Place("a", "", never) for _ in range(10)]
    assert pictures.tally().seconds_a_batch == 3.0
    assert (pictures._retry_after(1), pictures._retry_after(2), pictures._retry_after(4)) == (15.0, 9.0, 6.0)


def test_who_is_sent_away_is_told_and_what_is_being_drawn_is_drawn() -> None:
    painter = Painter()
    with ThreadPoolExecutor(8) as pool:
        pictures, first = held(painter, pool)
        others = [in_line(pictures, pool, word) for word in "ab"]
        pictures.send_away(lambda: Busy("closing"))
        assert all(isinstance(one.exception(20), Busy) for one in others)
        painter.let()
        assert first.result(20) == "FIRST"
    tally = pictures.tally()
    assert (tally.batches, tally.drawn, tally.drawing, tally.waiting) == (1, 1, 0, {})


def test_the_line_goes_on_when_whose_turn_has_come_is_not_wanted_any_more() -> None:
    painter, stop = Painter(), threading.Event()
    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        gone = ask(pictures, pool, "a", leave=lambda: Cancelled("stopped") if stop.is_set() else None)
        stays = ask(pictures, pool, "b", like="y")
        stop.set()
        painter.let()
        assert stays.result(20) == "B"
        assert gone.exception(20) is None or isinstance(gone.exception(20), Cancelled)


def test_whose_thread_is_interrupted_leaves_no_gap_in_the_line() -> None:
    painter, interrupted = Painter(), threading.Event()

    def leave() -> ProviderError | None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        return None

    with ThreadPoolExecutor(8) as pool:
        pictures, _ = held(painter, pool)
        gone = ask(pictures, pool, "a", leave=leave)
        stays = ask(pictures, pool, "b")
        interrupted.set()
        assert isinstance(gone.exception(20), KeyboardInterrupt)
        painter.let()
        assert stays.result(20) == "B"
    assert painter.batches[1:] == [["b"]]
