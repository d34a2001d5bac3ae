"""The crash tests' fuse: it counts one step, and burns only when that step's count is reached."""

import os
import signal

import pytest

from limner.errors import BadInput
from limner.steps import STEPS, Fuse, fuse_from


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return what is killed, and with which signal; nothing really is."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: found.append((pid, number)))
    return found


def lit(said: str) -> Fuse:
    fuse = fuse_from(said)
    assert fuse is not None
    return fuse


def test_burns_once_at_the_count_of_its_own_step(kills: list[tuple[int, int]]) -> None:
    fuse = lit("store:3")
    for step in ("store", "judge", "record", "store", "plan"):
        fuse.reach(step)
    assert kills == []
    fuse.reach("store")
    assert kills == [(os.getpid(), signal.SIGKILL)]
    fuse.reach("store")
    assert len(kills) == 1


@pytest.mark.parametrize("step", STEPS)
def test_each_step_without_a_count_is_the_first_time(kills: list[tuple[int, int]], step: str) -> None:
    lit(step).reach(next(one for one in STEPS if one == step))
    assert len(kills) == 1


@pytest.mark.parametrize("said", [None, ""])
def test_nothing_said_is_no_fuse(said: str | None) -> None:
    assert fuse_from(said) is None


@pytest.mark.parametrize("said", ["paint", "store:often", "store:-1", ":2", "STORE"])
def test_another_form_is_refused_with_the_steps_named(said: str) -> None:
    with pytest.raises(BadInput, match="plan, find, claim"):
        fuse_from(said)


def test_a_count_of_nought_never_burns(kills: list[tuple[int, int]]) -> None:
    fuse = lit("store:0")
    for _ in range(5):
        fuse.reach("store")
    assert kills == []
