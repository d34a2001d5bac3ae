"""SIGKILL at each of the press's steps: the same command again finishes the batch, and nothing is lost or repeated."""

import random
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from limner.home.postgres import stop_postgres
from limner.steps import STEPS, Step
from tests.chaos.forking import Forks
from tests.chaos.homes import Home, home_ledger, processes_of, write_descriptions
from tests.deployments.users import becomes
from tests.standins.pollinations import Running

PICTURES = 6
LATENCY_SECONDS = 0.1

# Each row is one request, killed again and again at these steps before it may end.
TWENTY: tuple[tuple[tuple[Step, int], ...], ...] = (
    (("plan", 1), ("find", 1), ("claim", 4), ("record", 2), ("report", 1)),
    (("reserve", 1), ("intent", 1), ("call", 3), ("store", 4), ("judge", 2)),
    (("claim", 1), ("verify", 1), ("record", 6), ("call", 1), ("store", 1)),
    (("call", 6), ("intent", 4), ("verify", 4), ("judge", 1), ("record", 1)),
)


def _descriptions(folder: Path, title: str) -> Path:
    """Write descriptions that no other request has, so that nothing is reused from it."""
    places = (f"A castle with {number} towers above the lake of {title}." for number in range(PICTURES))
    return write_descriptions(folder / "descriptions.json", list(places))


def _is_killed(home: Home, title: str, descriptions: Path, step: Step, at: int) -> int:
    """Kill the command at a step, as late as it can be reached; return how many calls were in flight."""
    missing = home.to_make(title)
    at = at if missing is None else max(1, min(at, missing))
    status = home.illustrate(title, descriptions, LIMNER_DIE_AT=f"{step}:{at}").ends()
    assert status == -signal.SIGKILL, f"{step}:{at} was not reached"
    return home.in_flight()


def _is_killed_and_finishes(home: Home, title: str, folder: Path, kills: Sequence[tuple[Step, int]]) -> None:
    descriptions = _descriptions(folder, title)
    before, in_flight = home.calls(), 0
    for step, at in kills:
        in_flight += _is_killed(home, title, descriptions, step, at)
    home.assert_whole(home.illustrate(title, descriptions).report(), PICTURES)
    assert PICTURES <= home.calls() - before <= PICTURES + in_flight


@pytest.mark.parametrize("kills", TWENTY, ids=lambda kills: "-".join(step for step, _ in kills))
def test_a_killed_command_is_finished_by_the_same_command(
    home: Home, tmp_path: Path, kills: Sequence[tuple[Step, int]]
) -> None:
    home.standin.be_slow(LATENCY_SECONDS)
    _is_killed_and_finishes(home, "-".join(step for step, _ in kills), tmp_path, kills)


def test_nothing_lives_on_when_the_only_command_of_a_home_is_killed(
    commands: Forks, standin: Running, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "home"
        with home_ledger(folder) as ledger:
            home = Home(folder, standin, commands, ledger)
            command = home.illustrate("Only", _descriptions(tmp_path, "Only"), LIMNER_DIE_AT="store:2")
            assert command.ends() == -signal.SIGKILL
        stop_postgres(folder)
        assert becomes(lambda: not processes_of(folder), 30), processes_of(folder)


def test_the_twenty_are_spread_over_all_steps() -> None:
    steps = [step for kills in TWENTY for step, _ in kills]
    assert len(steps) == 20
    assert set(steps) == set(STEPS)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(40))
def test_two_hundred_kills_at_sampled_steps(home: Home, tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    # Five in a row on one request; over all rows each step comes as often as any other.
    steps = [STEPS[(number * 5 + place) % len(STEPS)] for place in range(5)]
    # A plan is stored once, and after a kill at the report nothing is left to make.
    steps.sort(key=lambda step: (step != "plan", step == "report"))
    home.standin.be_slow(chance.choice([0.0, 0.05, 0.3]))
    kills = [(step, chance.randint(1, PICTURES)) for step in steps]
    kills = [(step, 1 if step in ("plan", "find", "reserve", "report") else at) for step, at in kills]
    _is_killed_and_finishes(home, f"Sample {number}", tmp_path, kills)
