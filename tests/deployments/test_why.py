"""Why a flow run has not begun: in sentences, and as a real API has it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deployments.commands.why import why
from deployments.local_api import prefect_api
from deployments.why import Answer, Due, Limit, ask, sentences
from limner.errors import BadInput
from limner.ledger.opening import Ledger
from limner.ledger.plans import store_plan
from limner.ledger.runs import begin
from limner.settings import Settings
from tests.integration.pressing import asker, castles

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def said(**more: Any) -> list[str]:
    told = {
        "id": "1",
        "name": "chapter-1",
        "state_type": "SCHEDULED",
        "state": "Late",
        "message": "",
        "starts": NOW,
        "queue": "cpu/batch",
        **more,
    }
    return sentences([Due(**told)], NOW)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"state_type": "RUNNING", "state": "Running"}, "Flow run chapter-1 is Running."),
        ({"state_type": "PENDING", "state": "Pending"}, "Flow run chapter-1 was taken by a worker"),
        ({"state_type": "PAUSED", "state": "Suspended"}, "Flow run chapter-1 is paused; resume it"),
        ({"state_type": "FAILED", "state": "Failed", "message": "No."}, "Flow run chapter-1 has ended, Failed: No."),
        (
            {"state": "Scheduled", "starts": NOW + timedelta(hours=2, minutes=5)},
            "Flow run chapter-1 is to begin at 2026-11-21 14:05:00 UTC, in 2 h 5 min.",
        ),
        (
            {"state": "AwaitingRetry", "starts": NOW + timedelta(seconds=80)},
            "Flow run chapter-1 is tried again at 2026-11-21 12:01:20 UTC, in 1 min 20 s.",
        ),
        ({}, "Flow run chapter-1 is due (Late) and has not begun."),
    ],
)
def test_a_state_is_a_sentence(told: dict[str, Any], sentence: str) -> None:
    assert said(**told)[0].startswith(sentence)


def test_whatever_holds_a_run_up_is_a_sentence() -> None:
    full = Limit("deployment book", 2, ("book-1", "book-2"))
    free = Limit("work pool cpu", 16, ("book-1", "book-2"))
    # A run that waits for a place of its deployment is scheduled a little later each time.
    awaits = {"state": "AwaitingConcurrencySlot", "starts": NOW + timedelta(seconds=20)}
    assert said(limits=(full, free), paused=("work queue cpu/batch",), is_polled=False, **awaits)[1:] == [
        "The work queue cpu/batch is paused; resume it (prefect work-pool, prefect work-queue, or the Prefect UI).",
        "The deployment book is full: 2 of 2 runs at once, by book-1, book-2.",
        "No worker looks into the work queue cpu/batch; start one (limner up).",
    ]
    assert said(limits=(free,))[1:] == ["Nothing holds it up; a worker takes it when it looks next."]
    many = Limit("work pool cpu", 7, tuple(f"book-{number}" for number in range(7)))
    assert said(limits=(many,))[1].endswith("by book-0, book-1, book-2, book-3, book-4 and 2 more.")


def test_only_runs_that_have_not_ended_are_told_of() -> None:
    ended = Due("1", "first", "CRASHED", "Crashed", "", None)
    running = Due("2", "second", "RUNNING", "Running", "", None)
    assert sentences([ended, running], NOW) == ["Flow run second is Running."]
    assert sentences([running, ended][1:], NOW) == ["Flow run first has ended, Crashed."]


def test_a_real_api_and_ledger_say_what_a_run_waits_for(
    used: str, tmp_path: Path, ledger: Ledger, ledger_url: str
) -> None:
    settings = Settings(home=tmp_path, prefect_api_url=used, database_url=ledger_url)
    with prefect_api(settings), _a_run_behind_another() as run_id:
        _is_told_of(settings, ledger, run_id)
    with pytest.raises(BadInput, match="no batch and no flow run 'nobody'"):
        ask(settings, "nobody")


def _is_told_of(settings: Settings, ledger: Ledger, run_id: str) -> None:
    batch, _ = ledger.run(lambda connection: store_plan(connection, asker(castles(3)), castles(3), ["sketch"], "test"))
    ledger.run(lambda connection: begin(connection, run_id, batch.id, "elsewhere|1|2|3|4|5"))
    answer = ask(settings, "second")
    assert answer.flow_runs == ask(settings, run_id).flow_runs == ask(settings, batch.id).flow_runs
    assert answer.sentences[0].startswith(f"0 of 3 pictures of {batch.id} (A test) are there, 3 are to be made")
    assert answer.sentences[-4:] == (
        "Flow run second is due (Scheduled) and has not begun.",
        "The work queue why/slow is paused; resume it (prefect work-pool, prefect work-queue, or the Prefect UI).",
        "The work queue why/slow is full: 1 of 1 runs at once, by first.",
        "No worker looks into the work queue why/slow; start one (limner up).",
    )


@contextmanager
def _a_run_behind_another() -> Iterator[str]:
    """Have a pool with a paused queue that takes one run, which is under way; yield the id of a run behind it."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.states import Running, Scheduled

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="why", type="process"))
        queue = client.create_work_queue("slow", work_pool_name="why", concurrency_limit=1)
        client.update_work_queue(queue.id, is_paused=True)
        flow = client.create_flow_from_name("why")
        deployment = client.create_deployment(flow, "why", work_pool_name="why", work_queue_name="slow")
        first = client.create_flow_run_from_deployment(deployment, name="first")
        client.set_flow_run_state(first.id, Running(), force=True)
        second = client.create_flow_run_from_deployment(deployment, name="second", state=Scheduled())
        yield str(second.id)
        # Others use this API too.
        for run in (first, second):
            client.delete_flow_run(run.id)
        client.delete_deployment(deployment)
        client.delete_work_pool("why")


def test_the_command_prints_sentences_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    due = Due("1", "second", "RUNNING", "Running", "", None)
    monkeypatch.setattr("deployments.why.ask", lambda _settings, _which: Answer(None, (due,), ("It runs.", "Soon.")))
    line = typer.Typer()
    line.command()(why)
    assert CliRunner().invoke(line, ["second"]).output == "It runs.\nSoon.\n"
    printed = json.loads(CliRunner().invoke(line, ["second", "--json"]).output)
    assert printed["sentences"] == ["It runs.", "Soon."]
    assert printed["flow_runs"][0]["name"] == "second"
