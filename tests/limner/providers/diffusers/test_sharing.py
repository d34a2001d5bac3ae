"""Sharing: one is made, whoever asks meanwhile; one that could not be made is tried again by the next."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from limner.errors import Busy, Unauthorised
from limner.providers.diffusers.sharing import Shared


def go_on() -> None:
    """Wait on."""


class Workshop:
    def __init__(self) -> None:
        self.made: list[str] = []
        self.may_go_on = threading.Event()
        self.fails: list[Exception] = []

    def make(self, key: str) -> str:
        self.made.append(key)
        assert self.may_go_on.wait(20)
        if self.fails:
            raise self.fails.pop(0)
        return key.upper()


def test_many_threads_that_ask_at_once_share_one() -> None:
    workshop = Workshop()
    shared = Shared(workshop.make)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(shared.get, "a", go_on) for _ in range(8)]
        workshop.may_go_on.set()
        assert {one.result(20) for one in asked} == {"A"}
    assert workshop.made == ["a"]
    assert shared.made("a") == "A" and shared.made("b") is None


def test_all_who_waited_are_told_why_there_is_none_and_the_next_tries_again() -> None:
    workshop = Workshop()
    shared = Shared(workshop.make)
    workshop.fails = [Unauthorised("no key")]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(shared.get, "a", go_on) for _ in range(4)]
        while sum(one.running() for one in asked) < 4:
            threading.Event().wait(0.001)
        threading.Event().wait(0.05)
        workshop.may_go_on.set()
        said = [one.exception(20) for one in asked]
    assert all(isinstance(one, Unauthorised) and str(one) == "no key" for one in said)
    # An error is raised in one thread only.
    assert len({id(one) for one in said}) == 4
    assert shared.get("a", go_on) == "A"
    assert workshop.made == ["a", "a"]


def test_a_wait_can_be_ended_while_another_makes_it() -> None:
    workshop = Workshop()
    shared = Shared(workshop.make)

    def tired() -> None:
        raise Busy("not now")

    with ThreadPoolExecutor(1) as pool:
        maker = pool.submit(shared.get, "a", go_on)
        while not workshop.made:
            threading.Event().wait(0.001)
        with pytest.raises(Busy):
            shared.get("a", tired)
        workshop.may_go_on.set()
        assert maker.result(20) == "A"


def test_nobody_waits_for_ever_for_a_maker_that_was_torn_away() -> None:
    workshop = Workshop()
    shared = Shared(workshop.make)
    workshop.may_go_on.set()
    workshop.fails = [RuntimeError("a slip of ours")]
    with pytest.raises(RuntimeError):
        shared.get("a", go_on)
    assert shared.get("a", go_on) == "A"


def test_what_is_forgotten_is_made_anew() -> None:
    workshop = Workshop()
    workshop.may_go_on.set()
    shared = Shared(workshop.make)
    shared.get("a", go_on)
    shared.forget("a")
    shared.forget("never there")
    assert shared.made("a") is None
    shared.get("a", go_on)
    assert workshop.made == ["a", "a"]
