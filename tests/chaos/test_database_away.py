"""PostgreSQL stopped under a command, for seconds or minutes: complete, or ended cleanly and completed later."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from limner.ledger.opening import Ledger
from tests.chaos.homes import Home, write_descriptions
from tests.deployments.users import becomes
from tests.integration.books import assert_the_books_balance, value
from tests.servers.postgres import Server, own_postgres

PICTURES = 10


def _descriptions(folder: Path, title: str) -> Path:
    return write_descriptions(
        folder / "d.json", [f"A bridge of {arches} arches, {title}." for arches in range(PICTURES)]
    )


@contextmanager
def _elsewhere(home: Home) -> Iterator[tuple[Server, Home]]:
    """Run a server that only the test stops and starts, and the home with its ledger there."""
    with own_postgres() as server:
        ledger = Ledger.open(server.url, patience_seconds=60)
        told = server.url.replace("+psycopg", "")
        try:
            yield server, replace(home.with_environment(DATABASE_URL=told), ledger=ledger)
        finally:
            ledger.close()


@pytest.mark.parametrize("seconds", [5, pytest.param(120, marks=[pytest.mark.chaos, pytest.mark.timeout(400)])])
def test_a_database_that_comes_back_costs_no_call(home: Home, tmp_path: Path, seconds: float) -> None:
    home.standin.be_slow(0.3)
    with _elsewhere(home) as (server, told):
        before = home.calls()
        command = told.illustrate("Away", _descriptions(tmp_path, f"away for {seconds} s"))
        assert becomes(lambda: home.calls() - before >= 4)
        server.stop()
        time.sleep(seconds)
        assert not command.over.is_set(), "it waits"
        server.start()
        told.assert_whole(command.report(), PICTURES)
        assert home.calls() - before == PICTURES


def test_an_embedded_database_that_is_killed_is_started_again_by_the_command(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.3)
    before = home.calls()
    command = home.illustrate("Revived", _descriptions(tmp_path, "revived"))
    assert becomes(lambda: home.calls() - before >= 4)
    Server(home.folder, "").stop()
    home.assert_whole(command.report(), PICTURES)
    assert home.calls() - before == PICTURES


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_database_that_stays_away_ends_the_command_and_a_rerun_completes_it(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.3)
    descriptions = _descriptions(tmp_path, "away for long")
    with _elsewhere(home) as (server, told):
        before = home.calls()
        command = told.illustrate("Gone", descriptions)
        assert becomes(lambda: home.calls() - before >= 4)
        server.stop()
        assert command.ends(400) == 1
        said = command.err.read_text().strip().splitlines()[-1]
        assert "start PostgreSQL or mend DATABASE_URL, then run the same command again" in said
        assert "Traceback" not in command.err.read_text()
        in_flight = home.calls() - before
        server.start()
        made = value(told.ledger, "select count(*) from records")
        told.assert_whole(told.illustrate("Gone", descriptions).report(), PICTURES)
        assert home.calls() - before == in_flight + PICTURES - made
        assert in_flight - made <= 6, "no more than were under way"


def test_a_database_that_is_away_from_the_start_is_said_in_one_sentence(home: Home, tmp_path: Path) -> None:
    with _elsewhere(home) as (server, told):
        server.stop()
        before = home.calls()
        command = told.illustrate("Never", _descriptions(tmp_path, "never"))
        assert command.ends(60) in (1, 2)
        assert command.err.read_text().strip().count("\n") == 0
        assert home.calls() == before
        server.start()
        assert_the_books_balance(told.ledger, home.bucket)
