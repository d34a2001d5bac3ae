"""A batch that fell short: exactly what failed is asked for again, by Prefect's Retry or by the same request."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.local_api import child_environment
from tests.chaos.forking import Forks
from tests.chaos.homes import BOOK, Home, home_ledger, write_descriptions
from tests.integration.books import assert_the_books_balance, rows, value
from tests.standins.pollinations import Running

PICTURES, CURSED = 200, 37


def _descriptions(folder: Path, title: str, pictures: int, cursed: int) -> Path:
    """Write descriptions of which the stand-in will fail the cursed ones."""
    words = ["cursed" if number < cursed else "merry" for number in range(pictures)]
    contents = [f"A {word} tower of {floors} floors in {title}." for floors, word in enumerate(words)]
    return write_descriptions(folder / "descriptions.json", contents)


def test_a_retried_run_of_200_asks_for_exactly_the_37_that_failed(home: Home, tmp_path: Path) -> None:
    home.standin.fail({"what": "500", "match": "cursed"})
    before = home.calls()
    command = [sys.executable, "-m", "tests.chaos.retrying", str(_descriptions(tmp_path, "the Run", PICTURES, CURSED))]
    with subprocess.Popen(
        command, env=home.environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        first = json.loads(process.stdout.readline() or process.stderr.read())
        assert first["state"] == "Failed"
        assert f"{CURSED} of {PICTURES} pictures are missing" in first["said"]
        assert first["said"].count("pollinations (broken)") == CURSED, "each failed picture is named, and why"
        assert home.calls() - before == PICTURES - CURSED + 3 * CURSED
        (batch,) = rows(home.ledger, "select * from batches where request->>'title' = 'Two hundred'")
        assert batch["status"] == "short"
        home.standin.fail()
        calls = home.calls()
        out, err = process.communicate("retry\n", timeout=120)
    second = json.loads(out)
    assert (second["state"], second["run"]) == ("Completed", first["run"]), err
    assert home.calls() - calls == CURSED
    counted = rows(home.ledger, "select status, count(*) from jobs where batch_id = :b group by 1", b=batch["id"])
    assert counted == [{"status": "made", "count": PICTURES}]
    assert value(home.ledger, "select count(*) from runs where batch_id = :b", b=batch["id"]) == 1
    assert_the_books_balance(home.ledger, home.bucket)


def test_the_same_command_again_asks_for_exactly_what_failed(home: Home, tmp_path: Path) -> None:
    home.standin.fail({"what": "safety", "match": "cursed"})
    descriptions = _descriptions(tmp_path, "the Command", 10, 4)
    first = home.illustrate("Again", descriptions)
    assert first.ends() == 1
    said = json.loads(first.out.read_text())
    assert (said["made"], said["failed"], sorted(said["errors"])) == (6, 4, ["d0", "d1", "d2", "d3"])
    assert all(reason.startswith("pollinations (refused)") for reason in said["errors"].values())
    assert "4 of 10 pictures are missing" in first.err.read_text()
    home.standin.fail()
    calls = home.calls()
    home.assert_whole(home.illustrate("Again", descriptions).report(), 10)
    assert home.calls() - calls == 4


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_retry_in_the_prefect_ui_asks_for_exactly_the_37_that_failed(
    tmp_path: Path, commands: Forks, standin: Running
) -> None:
    """The same through a deployment, a worker, and the request that the UI's button sends."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "home"
        environment = {
            **child_environment(),
            "LIMNER_HOME": str(folder),
            "POLLINATIONS_API_KEY": standin.key,
            "LIMNER_POLLINATIONS_URL": standin.url,
            "LIMNER_POLLINATIONS_CALLS_A_MINUTE": "0",
            "LIMNER_ALLOW_PRIVATE_ADDRESSES": "true",
            "LIMNER_CONCURRENCY": "8",
        }
        assert commands.start(["up", "--detach"], environment).ends(180) == 0
        try:
            _is_retried(folder, standin, _descriptions(tmp_path, "the UI", PICTURES, CURSED))
        finally:
            assert commands.start(["down"], environment).ends(120) == 0


def _is_retried(folder: Path, standin: Running, descriptions: Path) -> None:
    standin.fail({"what": "safety", "match": "cursed"})
    before = standin.counts()["calls"]
    url = json.loads((folder / "run" / "stack.json").read_text())["url"]
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as api, home_ledger(folder) as ledger:
        (deployment,) = api.post(
            "/deployments/filter", json={"deployments": {"name": {"any_": ["illustrate-chapter"]}}}
        ).json()
        told = json.loads(descriptions.read_text())
        request = {"book": BOOK, "title": "UI", "descriptions": told, "limit": PICTURES}
        run = api.post(
            f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": {"request": request}}
        ).json()
        failed = _ended(api, run["id"], "FAILED")
        assert f"{CURSED} of {PICTURES} pictures are missing" in failed["state"]["message"]
        assert standin.counts()["calls"] - before == PICTURES
        standin.fail()
        retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}, "force": True}
        api.post(f"/flow_runs/{run['id']}/set_state", json=retry).raise_for_status()
        done = _ended(api, run["id"], "COMPLETED")
        assert done["run_count"] == 2
        assert standin.counts()["calls"] - before == PICTURES + CURSED
        assert value(ledger, "select count(*) from jobs where status = 'made'") == PICTURES


def _ended(api: httpx.Client, run: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        found: dict[str, Any] = api.get(f"/flow_runs/{run}").json()
        if found["state_type"] == state:
            return found
        time.sleep(1)
    raise AssertionError(f"{run} is {found['state']}, not {state}")
