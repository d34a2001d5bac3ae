"""A batch on a Dask cluster: the same rows as in one process, whoever is stopped or killed on the way."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner.home.postgres import postgres_url
from limner.ledger.opening import Ledger
from tests.chaos.clusters import Cluster, cluster, kill
from tests.chaos.forking import Command
from tests.chaos.homes import Home, write_descriptions
from tests.conftest import ask
from tests.deployments.users import becomes
from tests.integration.books import assert_the_books_balance, rows, value

# Every column but ids, times and processes; a table's rows in an order that no run chooses.
WHAT_WAS_DONE = {
    "jobs": 'select position, key, order_key, base_key, similar_key, "order", about, subject, gate, max_tries, status, '
    "reused, reason, skipped from jobs order by position",
    "records": "select owner, order_key, base_key, similar_key, generation, sha256, job_key, provider, model, "
    "asked_model, deleted_at from records order by job_key",
    "artifacts": "select sha256, key, media_type, width, height, size_bytes, tombstoned_at from artifacts "
    "order by sha256",
    "attempts": "select order_key, job_key, provider, model, provider_id, number, seed, fingerprint, prompt, "
    "negative_prompt, dropped, revised_prompt, outcome, reason, estimate_usd, cost_usd, sha256 from attempts "
    "order by job_key, number",
    "verdicts": "select a.job_key, a.number, v.sha256, v.gate, v.score, v.level, v.accepted, v.findings "
    "from verdicts v join attempts a on a.id = v.attempt_id order by a.job_key, a.number",
    "entries": "select owner, what, pictures_reserved, pictures_used, usd_reserved, usd_used, a.job_key, a.number "
    "from entries left join attempts a on a.id = attempt_id order by what, a.job_key, a.number, entries.id",
    "counters": "select owner, period, pictures_reserved, pictures_used, usd_reserved, usd_used from counters",
    "left": "select (select count(*) from claims), (select count(*) from slots where granted_at is not null)",
}


def _towers(folder: Path, number: int, of: str) -> Path:
    return write_descriptions(folder / "towers.json", [f"A castle with {n} towers, {of}." for n in range(number)])


@contextmanager
def _on_a_cluster(home: Home, folder: Path, workers: int) -> Iterator[tuple[Cluster, Home]]:
    with cluster(folder, home.environ(), workers) as running:
        yield running, home.with_environment(LIMNER_ENGINE="dask", LIMNER_DASK_ADDRESS=running.address)


@contextmanager
def _with_a_ledger_of_its_own(home: Home, folder: Path) -> Iterator[Home]:
    server = postgres_url(home.folder)
    ask(server, "create database elsewhere")
    url = server.replace("/limner?", "/elsewhere?")
    ledger = Ledger.open(url)
    try:
        yield replace(home.with_environment(DATABASE_URL=url, LIMNER_BUCKET=str(folder / "bucket")), ledger=ledger)
    finally:
        ledger.close()
        ask(server, "drop database elsewhere with (force)")


def _begun(home: Home, title: str, folder: Path, pictures: int, *more: str, **environment: str) -> Command:
    return home.illustrate(title, _towers(folder, pictures, title), "--limit", str(pictures), *more, **environment)


def _lost(home: Home, title: str) -> int:
    """Return how many calls of a request died with their process: no more than two workers have under way."""
    asked = "select count(*) from attempts a join batches b on b.id = a.batch_id"
    asked += " where a.outcome = 'unknown' and b.request->>'title' = :title"
    lost = int(value(home.ledger, asked, title=title))
    assert lost <= 2 * 6, "of each, three that are called and three that are kept"
    return lost


def _most_at_once(home: Home, before: int) -> int:
    """Return how many calls were under way at once, of those after the first `before`."""
    assert home.standin.calls_file is not None
    lines = map(json.loads, home.standin.calls_file.read_text().splitlines())
    most = now = 0
    for line in lines:
        if line["number"] > before:
            now += (line["event"] == "start") - (line["event"] == "end")
            most = max(most, now)
    return most


def _done(home: Home, batch: str) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for table, asked in WHAT_WAS_DONE.items():
        found[table] = [dict(one) for one in rows(home.ledger, asked)]
    return found


def test_a_cluster_leaves_the_same_rows_as_one_process(home: Home, tmp_path: Path) -> None:
    """One of the pictures is refused, one is rejected at first, one is never accepted."""
    faults = (
        {"what": "safety", "match": "with 3 towers"},
        {"what": "plain", "match": "with 5 towers", "times": 1},
        {"what": "plain", "match": "with 7 towers"},
    )
    found = []
    for engine in ("threads", "dask"):
        folder = tmp_path / engine
        folder.mkdir()
        home.standin.fail(*faults)
        with _with_a_ledger_of_its_own(home, folder) as own:
            if engine == "threads":
                assert _begun(own, "Rows", folder, 16).ends() == 1
            else:
                with _on_a_cluster(own, folder, 2) as (_, there):
                    assert _begun(there, "Rows", folder, 16).ends() == 1
                assert value(own.ledger, "select count(distinct split_part(holder, '|', 4)) from runs") == 1
            found.append(_done(own, ""))
    threads, dask = found
    for table in WHAT_WAS_DONE:
        assert dask[table] == threads[table], table
    assert [one["status"] for one in dask["jobs"]].count("failed") == 2


@pytest.mark.chaos
def test_a_worker_that_comes_later_takes_its_share(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.2)
    with _on_a_cluster(home, tmp_path, 1) as (running, there):
        before = home.calls()
        command = _begun(there, "Later", tmp_path, 60, LIMNER_CONCURRENCY="2")
        assert becomes(lambda: home.calls() - before >= 2, 120)
        running.add_workers(1, "--no-nanny")
        there.assert_whole(command.report(), 60)
    assert home.calls() - before == 60
    assert _most_at_once(home, before) == 4


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_costs_its_calls_in_flight_and_no_more(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.3)
    with _on_a_cluster(home, tmp_path, 3) as (running, there):
        before = home.calls()
        command = _begun(there, "Killed", tmp_path, 200)
        for made in (20, 90):
            assert becomes(lambda made=made: home.calls() - before >= made, 120)
            kill(running.workers.pop())
            running.add_workers(1, "--no-nanny")
        there.assert_whole(command.report(), 200)
        assert home.calls() - before == 200 + _lost(there, "Killed")


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_scheduler_that_is_killed_and_started_again_costs_calls_in_flight_and_no_more(
    home: Home, tmp_path: Path
) -> None:
    home.standin.be_slow(0.3)
    with _on_a_cluster(home, tmp_path, 2) as (running, there):
        before = home.calls()
        command = _begun(there, "Scheduler", tmp_path, 200)
        assert becomes(lambda: home.calls() - before >= 50, 120)
        gone = running.workers
        running.restart_scheduler()
        # They end with their scheduler, and their supervisor starts them anew.
        for worker in gone:
            worker.wait(60)
        running.workers = []
        running.add_workers(2, "--no-nanny")
        there.assert_whole(command.report(), 200)
        assert home.calls() - before == 200 + _lost(there, "Scheduler")


def test_a_run_that_is_stopped_stops_its_workers_too(home: Home, tmp_path: Path) -> None:
    home.standin.be_slow(0.5)
    with _on_a_cluster(home, tmp_path, 2) as (_, there):
        before = home.calls()
        command = _begun(there, "Stopped", tmp_path, 60)
        assert becomes(lambda: home.calls() - before >= 6, 120)
        command.send(signal.SIGTERM)
        assert command.ends() == 143
        called = home.calls()
        assert called - before < 40, "they stop asking"
        assert_the_books_balance(home.ledger, home.bucket)
        there.assert_whole(_begun(there, "Stopped", tmp_path, 60).report(), 60)
        assert home.calls() - before == 60


def test_a_cluster_that_cannot_be_used_is_one_sentence(home: Home, tmp_path: Path) -> None:
    told = {
        "": "The engine dask has no cluster; set LIMNER_DASK_ADDRESS=tcp://host:8786",
        "tcp://127.0.0.1:9": "No Dask scheduler answers at tcp://127.0.0.1:9; start it",
        "nowhere://": "nowhere:// is no address of a Dask scheduler",
    }
    before = home.calls()
    for address, sentence in told.items():
        command = _begun(home, "Unusable", tmp_path, 10, LIMNER_ENGINE="dask", LIMNER_DASK_ADDRESS=address)
        assert command.ends() in (1, 2)
        assert sentence in command.err.read_text()
        assert "Traceback" not in command.err.read_text()
    assert home.calls() == before
    assert_the_books_balance(home.ledger, home.bucket)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_workers_that_die_of_each_picture_are_a_named_failure(home: Home, tmp_path: Path) -> None:
    with cluster(tmp_path, home.environ(LIMNER_DIE_AT="claim:1"), 0) as running:
        # Their nannies start them anew.
        running.add_workers(2, "--nanny")
        there = home.with_environment(LIMNER_ENGINE="dask", LIMNER_DASK_ADDRESS=running.address)
        command = _begun(there, "Deadly", tmp_path, 30)
        assert command.ends(300) == 1
        assert "The workers of the Dask cluster" in command.err.read_text()
    there.assert_whole(_begun(home, "Deadly", tmp_path, 30).report(), 30)
