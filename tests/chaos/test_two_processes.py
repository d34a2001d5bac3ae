"""Two processes on one request: each picture is made once, also when one of them sleeps past its lease."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.homes import Home, write_descriptions
from tests.deployments.users import becomes
from tests.integration.books import assert_the_books_balance
from tests.integration.test_reports import PICTURE, REPORT

LEASE_SECONDS = 2


def _descriptions(folder: Path, title: str, number: int) -> Path:
    return write_descriptions(
        folder / f"{title}.json", [f"A tower of {floors} floors in {title}." for floors in range(number)]
    )


def test_two_commands_with_one_request_make_each_picture_once(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.1)
    descriptions, before = _descriptions(tmp_path, "Twins", 10), home.calls()
    both = [home.illustrate("Twins", descriptions) for _ in range(2)]
    first, second = (command.report() for command in both)
    assert home.calls() - before == 10
    assert first["made"] + first["reused"] == second["made"] + second["reused"] == 10
    pictures = [[(one["key"], one["sha256"]) for one in report["pictures"]] for report in (first, second)]
    assert pictures[0] == pictures[1]
    assert_the_books_balance(home.ledger, home.bucket)


def test_two_requests_that_share_pictures_make_each_once(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.1)
    descriptions, before = _descriptions(tmp_path, "Shared", 8), home.calls()
    both = [home.illustrate("Shared", descriptions, "--limit", limit) for limit in ("8", "9")]
    first, second = (command.report() for command in both)
    assert first["batch"] != second["batch"]
    assert home.calls() - before == 8
    assert first["made"] + second["made"] == 8
    assert_the_books_balance(home.ledger, home.bucket)


@pytest.mark.parametrize("asleep_seconds", [2 * LEASE_SECONDS, pytest.param(25, marks=pytest.mark.chaos)])
def test_a_command_that_sleeps_past_its_lease_makes_and_pays_nothing_twice(
    home: Home, tmp_path: Path, asleep_seconds: float
) -> None:
    leased = home.with_environment(LIMNER_LEASE_SECONDS=str(LEASE_SECONDS))
    home.standin.be_slow(1.0)
    title = f"Asleep {asleep_seconds}"
    descriptions, before = _descriptions(tmp_path, title, 9), home.calls()
    sleeper = leased.illustrate(title, descriptions)
    assert becomes(lambda: home.calls() - before >= 3), "its first calls are in flight"
    sleeper.send(signal.SIGSTOP)
    other = leased.illustrate(title, descriptions)
    time.sleep(asleep_seconds)
    assert not other.over.is_set(), "what the sleeper has in flight is not asked for again"
    assert becomes(lambda: home.to_make(title) == 3), "all the rest was taken over"
    sleeper.send(signal.SIGCONT)
    home.assert_whole(sleeper.report(), 9)
    home.assert_whole(other.report(), 9)
    assert home.calls() - before == 9


def test_a_killed_command_is_taken_over_by_the_one_that_waits_for_it(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(1.5)
    descriptions, before = _descriptions(tmp_path, "Heir", 4), home.calls()
    first = home.illustrate("Heir", descriptions)
    assert becomes(lambda: home.calls() - before >= 3)
    heir = home.illustrate("Heir", descriptions)
    time.sleep(0.5)
    first.send(signal.SIGKILL)
    first.ends()
    home.standin.be_slow(0)
    started = time.monotonic()
    home.assert_whole(heir.report(), 4)
    assert time.monotonic() - started < 20, "it does not wait for leases of the dead"
    assert home.calls() - before <= 4 + 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_command_that_is_asked_to_end_gives_back_what_it_reserved(
    home: Home, tmp_path: Path, number: signal.Signals
) -> None:
    home.standin.be_slow(2)
    descriptions, before = _descriptions(tmp_path, number.name, 9), home.calls()
    command = home.illustrate(number.name, descriptions)
    assert becomes(lambda: home.calls() - before >= 3)
    command.send(number)
    assert command.ends(30) != 0
    assert "Traceback" not in command.err.read_text()
    assert_the_books_balance(home.ledger, home.bucket)
    made = home.calls() - before
    assert made < 9, "nothing more is asked for"
    assert home.to_make(number.name) == 9 - made, "what was in flight is kept"
    home.assert_whole(home.illustrate(number.name, descriptions).report(), 9)
    assert home.calls() - before == 9


def test_the_command_itself_in_a_process_of_its_own(home: Home, tmp_path: Path) -> None:
    """What the other tests fork is what a person starts."""
    arguments = ["chapters", "illustrate", "samples/alice.txt", "--title", "Alone", "--provider", "sketch"]
    descriptions = _descriptions(tmp_path, "Alone", 2)
    done = subprocess.run(
        [sys.executable, "-m", "deployments.command_line", *arguments, "--descriptions", str(descriptions), "--json"],
        env=home.environ(),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "one object, and nothing else"
    report = json.loads(done.stdout)
    assert list(report) == REPORT.split()
    assert [list(picture) for picture in report["pictures"]] == [PICTURE.split()] * 2
    assert (report["made"], report["failed"]) == (2, 0)
