"""The sweeper at work on a stack: a flow process that is killed under its worker is resumed without a human hand."""

import tempfile
from pathlib import Path

import pytest

from tasks.sweeping import RESUMED
from tests.chaos.homes import write_descriptions
from tests.chaos.stacks import kill, seconds_until, stack
from tests.integration.books import assert_the_books_balance, value
from tests.standins.serving import Running

PICTURES = 20


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_killed_flow_run_is_resumed_to_its_end(standin: Running, tmp_path: Path) -> None:
    places = [f"A castle with {number} towers above a killed lake." for number in range(PICTURES)]
    descriptions = write_descriptions(tmp_path / "descriptions.json", places)
    standin.be_slow(1.0)
    before = standin.counts()["calls"]
    with tempfile.TemporaryDirectory() as place, stack(Path(place) / "home", standin, LIMNER_WARM_PROCESSES="0") as up:
        run = up.start("Killed", descriptions, limit=PICTURES)
        seconds_until(lambda: standin.counts()["calls"] - before >= 5, 60)
        process = up.process_of(run)
        assert process is not None
        kill(process)
        in_flight = int(value(up.ledger, "select count(*) from attempts where outcome is null"))
        found = seconds_until(lambda: up.state(run) == "AwaitingRetry", 30)
        resumed = found + seconds_until(lambda: value(up.ledger, "select count(holder) from runs") == 1, 60)
        seconds_until(lambda: up.state(run) == "Completed", 120)
        assert any((one["message"] or "").startswith(RESUMED) for one in up.states(run))
        assert value(up.ledger, "select count(*) from jobs where status = 'made'") == PICTURES
        assert standin.counts()["calls"] - before <= PICTURES + in_flight
        assert_the_books_balance(up.ledger, up.bucket)
        housekeeping = [up.start_deployment(name, {}) for name in ("sweep", "audit", "purge")]
        seconds_until(lambda: {up.state(one) for one in housekeeping} == {"Completed"}, 120)
    print(f"a killed flow process: found after {found:.1f} s, at work again after {resumed:.1f} s")
