"""Real commands against services that take orders under an id: killed, cancelled, refused, short of money, in a hurry.

What the fal and Replicate stand-ins counted is what the services would have drawn, and sent a bill for.
"""

import json
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.local_api import running_api
from limner.providers.opening import Kind
from tests.chaos.forking import Command, Forks
from tests.chaos.homes import BOOK, Home, home_ledger, turned_on, write_descriptions
from tests.deployments.users import becomes
from tests.integration.books import assert_the_books_balance, rows, value
from tests.standins import fal, openai, replicate
from tests.standins.serving import Running

# Small squares, which every one of the services makes as they are or nearly so.
SMALL = ("--aspect-ratio", "1:1")
MODELS = {"LIMNER_FAL_MODEL": "fal-ai/flux-lora", "LIMNER_REPLICATE_MODEL": "black-forest-labs/flux-schnell"}

# Longer than any test looks.
FOR_EVER_SECONDS = 600.0


@dataclass(frozen=True)
class Service:
    """One service at its stand-in, and a home's commands that ask nobody else."""

    name: Kind
    standin: Running
    home: Home
    folder: Path

    @property
    def drawn(self) -> int:
        """How many pictures were ordered of it, each of them to be paid for."""
        return self.standin.counts()["generations"]

    @property
    def cancelled(self) -> int:
        return self.standin.counts()["cancelled"]

    def illustrate(self, title: str, pictures: int, *more: str, **environment: str) -> Command:
        """Start a command for so many pictures that no other title has."""
        title = f"{title} {self.name}"
        places = [f"A castle with {number} towers above the lake of {title}." for number in range(pictures)]
        file = write_descriptions(self.folder / f"{title}.json", places)
        return self.home.illustrate(title, file, "--provider", self.name, *SMALL, *more, **environment)

    def attempts(self, title: str) -> list[dict[str, Any]]:
        asked = "select t.* from attempts t join batches b on b.id = t.batch_id where b.request->>'title' = :title"
        return rows(self.home.ledger, asked, title=f"{title} {self.name}")

    def known(self, title: str) -> int:
        """Return how many calls are under way of which the ledger knows the service's own id."""
        return sum(one["provider_id"] is not None and one["outcome"] is None for one in self.attempts(title))

    def ids(self, title: str) -> set[str]:
        return {one["provider_id"] for one in self.attempts(title) if one["provider_id"] is not None}

    def outcomes(self, title: str) -> list[str]:
        return sorted(one["outcome"] for one in self.attempts(title))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Kind, Running]]:
    calls = tmp_path_factory.mktemp("standins")
    with (
        fal.running(sizes=["512x512"], calls=calls / "fal.jsonl") as one,
        replicate.running(calls=calls / "replicate.jsonl") as two,
        openai.running(calls=calls / "openai.jsonl") as three,
    ):
        yield {"fal": one, "replicate": two, "openai": three}


@pytest.fixture
def standins(running: dict[Kind, Running]) -> Iterator[dict[Kind, Running]]:
    yield running
    for standin in running.values():
        standin.fail()
        standin.be_slow(0)


@pytest.fixture
def queues(home: Home, standins: dict[Kind, Running], tmp_path: Path) -> list[Service]:
    """The two services with a queue; what happens to both happens at the same time."""
    told = home.with_environment(**MODELS)
    names: list[Kind] = ["fal", "replicate"]
    return [Service(name, standins[name], told.with_service(name, standins[name]), tmp_path) for name in names]


def assert_it_agrees(home: Home) -> None:
    """Assert that the books balance, and that the command which says so says it."""
    assert_the_books_balance(home.ledger, home.bucket)
    audit = home.run("audit", "spend", "--json")
    assert audit.ends() == 0, audit.out.read_text() + audit.err.read_text()
    assert json.loads(audit.out.read_text())["agrees"] is True


def assert_they_bring_all(queues: Sequence[Service], title: str, pictures: int) -> None:
    """Assert that the same commands, run again, bring every picture; the books balance when both are done."""
    commands = [one.illustrate(title, pictures) for one in queues]
    for report in [command.report() for command in commands]:
        queues[0].home.assert_whole(report, pictures)


def test_a_killed_commands_orders_are_fetched_by_their_ids_and_one_without_is_lost_once(queues: list[Service]) -> None:
    before = [one.drawn for one in queues]
    for one in queues:
        one.standin.be_slow(FOR_EVER_SECONDS)
        # Taken, and the answer that has the id takes minutes.
        one.standin.fail({"what": "trickle head", "seconds": 60.0, "times": 1})
    first = [one.illustrate("Killed", 4, LIMNER_CONCURRENCY="4") for one in queues]
    assert becomes(lambda: all(one.known("Killed") == 3 for one in queues), 60)
    assert becomes(lambda: [one.drawn - was for one, was in zip(queues, before, strict=True)] == [4, 4], 60)
    ids = [one.ids("Killed") for one in queues]
    for command in first:
        command.send(signal.SIGKILL)
        assert command.ends() == -signal.SIGKILL
    for one in queues:
        one.standin.fail()
        one.standin.be_slow(0)
        one.standin.finish()
    assert_they_bring_all(queues, "Killed", 4)
    for one, known in zip(queues, ids, strict=True):
        assert one.outcomes("Killed") == ["made"] * 4 + ["unknown"]
        assert known < one.ids("Killed"), "the very orders of the dead"
        (lost,) = (call for call in one.attempts("Killed") if call["outcome"] == "unknown")
        assert lost["cost_usd"] == lost["estimate_usd"] > 0 and lost["provider_id"] is None
    assert [one.drawn - was for one, was in zip(queues, before, strict=True)] == [5, 5], "one more, for the one lost"
    assert_it_agrees(queues[0].home)


@pytest.mark.chaos
@pytest.mark.parametrize("step", ["intent", "call", "verify", "judge", "store", "record", "report"])
def test_a_kill_at_a_step_orders_nothing_twice_that_has_an_id(queues: list[Service], step: str) -> None:
    before = [one.drawn for one in queues]
    title, at = f"Dies at {step}", 1 if step == "report" else 3
    first = [one.illustrate(title, 5, LIMNER_DIE_AT=f"{step}:{at}") for one in queues]
    assert [command.ends() for command in first] == [-signal.SIGKILL] * 2
    # Whoever was killed between an order and its id is one that lost it.
    lost = [sum(call["provider_id"] is None for call in one.attempts(title)) for one in queues]
    assert_they_bring_all(queues, title, 5)
    drawn = [one.drawn - was for one, was in zip(queues, before, strict=True)]
    assert all(5 <= count <= 5 + unheard for count, unheard in zip(drawn, lost, strict=True))
    assert_it_agrees(queues[0].home)


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT, signal.SIGTERM), pytest.param((signal.SIGTERM, signal.SIGINT), marks=pytest.mark.chaos)],
    ids=["fal by Ctrl-C, Replicate by SIGTERM", "fal by SIGTERM, Replicate by Ctrl-C"],
)
def test_a_command_that_is_asked_to_end_cancels_its_orders_and_the_next_run_makes_them(
    queues: list[Service], signals: Sequence[signal.Signals]
) -> None:
    title = f"Ended by {signals[0].name}"
    before = [(one.drawn, one.cancelled) for one in queues]
    for one in queues:
        one.standin.be_slow(FOR_EVER_SECONDS)
    first = [one.illustrate(title, 5, LIMNER_CONCURRENCY="3") for one in queues]
    assert becomes(lambda: all(one.known(title) == 3 for one in queues), 60)
    for command, number in zip(first, signals, strict=True):
        command.send(number)
    assert all(command.ends(60) != 0 for command in first)
    for one, command, was in zip(queues, first, before, strict=True):
        assert "Traceback" not in command.err.read_text()
        assert (one.drawn - was[0], one.cancelled - was[1]) == (3, 3), "nothing more is asked for"
        assert one.outcomes(title) == ["cancelled"] * 3
        assert {call["cost_usd"] for call in one.attempts(title)} == {Decimal(0)}
        assert one.home.to_make(f"{title} {one.name}") == 5, "nothing failed"
    assert_it_agrees(queues[0].home)
    for one in queues:
        one.standin.be_slow(0)
    assert_they_bring_all(queues, title, 5)
    assert [one.drawn - was for one, (was, _) in zip(queues, before, strict=True)] == [3 + 5] * 2
    assert_it_agrees(queues[0].home)


def test_who_refused_and_who_made_it_instead_is_seen_in_prefect_and_in_the_lineage(
    home: Home, standins: dict[Kind, Running], tmp_path: Path
) -> None:
    told = home.with_environment(**MODELS)
    for name, standin in standins.items():
        told = told.with_service(name, standin)
    standins["fal"].fail({"what": "policy"})
    file = write_descriptions(tmp_path / "chain.json", [f"A bridge of {arches} arches." for arches in range(3)])
    # One call at a time: who waits for its turn at the first finds that its key was refused to another.
    command = told.illustrate(
        "Chain", file, "--provider", "openai,fal,replicate", *SMALL, LIMNER_CONCURRENCY="1", OPENAI_API_KEY="sk-wrong"
    )
    report = command.report()
    assert {picture["provider"] for picture in report["pictures"]} == {"replicate"}

    jobs = _lineage(told, report["batch"])
    (first,) = (job for job in jobs if job["attempts"][0]["provider"] == "openai")
    unauthorised, refused, made = first["attempts"]
    assert [call["outcome"] for call in first["attempts"]] == ["unauthorised", "refused", "made"]
    assert "the API key was not accepted (401); set OPENAI_API_KEY" in unauthorised["reason"]
    assert "refused by its content policy" in refused["reason"]
    assert refused["reason"].endswith("[content_policy_violation]")
    assert (unauthorised["cost_usd"], refused["cost_usd"]) == (0, refused["estimate_usd"])
    assert made["cost_usd"] == made["estimate_usd"] > 0
    # Two are at work: the third begins when one of them is done.
    last = jobs[2]
    assert last["skipped"] == [{"provider": "openai", "reason": "it was unauthorised in this run"}]
    assert [call["provider"] for call in last["attempts"]] == ["fal", "replicate"]

    of_first = {"openai-1": "Failed", "fal-2": "Failed", "replicate-3": "Completed"}
    of_last = {"fal-1": "Failed", "replicate-2": "Completed"}
    # Runs are written a little later, many at once.
    assert becomes(lambda: _children(home, f"render-{first['key']}") == ("Completed", of_first), 30)
    assert becomes(lambda: _children(home, f"render-{last['key']}") == ("Completed", of_last), 30)
    assert_it_agrees(home)


def _lineage(home: Home, batch: str) -> list[dict[str, Any]]:
    command = home.run("lineage", "show", batch)
    assert command.ends() == 0, command.err.read_text()
    jobs: list[dict[str, Any]] = json.loads(command.out.read_text())["jobs"]
    return jobs


def _children(home: Home, name: str) -> tuple[str, dict[str, str]]:
    """Return how a task run of the chain's flow run ended, and its children by name."""
    with httpx.Client(base_url=_api_of(home), trust_env=False) as api:
        runs = api.post("/task_runs/filter", json={"flow_runs": {"name": {"any_": ["chapter-chain-1"]}}}).json()
    parents = {run["id"]: [one["id"] for one in run["task_inputs"].get("__parents__", [])] for run in runs}
    for parent in (run for run in runs if run["name"] == name):
        of_it = {run["name"]: run["state_name"] for run in runs if parent["id"] in parents[run["id"]]}
        return parent["state_name"], of_it
    return "", {}


def _api_of(home: Home) -> str:
    here = running_api(home.folder)
    assert here is not None
    return here.url


def test_a_batch_is_cut_to_what_it_may_cost_and_refused_where_that_buys_nothing(queues: list[Service]) -> None:
    service = queues[0]
    before, batches = service.drawn, value(service.home.ledger, "select count(*) from batches")
    dry = service.illustrate("Dear", 5, "--dry-run")
    (price,) = {round(one / 5, 6) for one in dry.report()["estimate_usd"].values()}
    assert price > 0

    refused = service.illustrate("Dear", 5, "--max-usd", f"{price * 0.5:.6f}")
    assert refused.ends() == 2
    said = refused.err.read_text().strip()
    assert said.count("\n") == 0 and "--max-usd" in said and f"${price:.4f}" in said
    assert value(service.home.ledger, "select count(*) from batches") == batches, "nothing was promised"

    cut = service.illustrate("Dear", 5, "--max-usd", f"{price * 2.5:.6f}")
    report = cut.report()
    assert (report["asked"], report["made"], service.drawn - before) == (2, 2, 2)
    assert report["spend_usd"] == pytest.approx(2 * price)
    assert "Cut from 5 by the money left" in cut.err.read_text()
    assert_it_agrees(service.home)


def test_an_owner_spends_what_their_tier_allows_and_no_more(
    home: Home, standins: dict[Kind, Running], tmp_path: Path
) -> None:
    """A dollar a month, at OpenAI's dearest."""
    told = home.with_service("openai", standins["openai"]).with_environment(LIMNER_OPENAI_QUALITY="max")
    assert told.run("owners", "set", "anna", "--tier", "free").ends() == 0
    service = Service("openai", standins["openai"], told, tmp_path)
    before = service.drawn
    first = service.illustrate("Owned", 8, "--owner", "anna", LIMNER_CONCURRENCY="8")
    report = first.report()
    assert report["asked"] == report["made"] == service.drawn - before < 8
    assert 0.8 < report["spend_usd"] <= 1.0
    assert "Cut from 8 by the money left: $1.00." in first.err.read_text()
    second = service.illustrate("Owned more", 2, "--owner", "anna")
    assert second.ends() == 2
    said = second.err.read_text().strip()
    assert said.count("\n") == 0 and "limner owners set anna --tier" in said
    assert service.drawn - before == report["made"]
    assert_it_agrees(home)


@pytest.mark.parametrize("pictures", [4, pytest.param(10, marks=pytest.mark.chaos)])
def test_two_commands_at_once_keep_to_what_a_service_allows_in_a_minute(
    home: Home, tmp_path: Path, pictures: int
) -> None:
    """Two calls a second; one may come a second early, as a network has it, which two that share nothing exceed."""
    home.standin.limit(120, burst=3)
    hurried = home.with_environment(LIMNER_POLLINATIONS_CALLS_A_MINUTE="120", LIMNER_CONCURRENCY="8")
    before = home.standin.counts()
    try:
        commands = [
            hurried.illustrate(title, _mills(tmp_path, title, pictures), *SMALL, "--provider", "pollinations")
            for title in (f"Hurried {number} for {pictures}" for number in range(2))
        ]
        assert [command.report()["made"] for command in commands] == [pictures] * 2
    finally:
        home.standin.limit(None)
    after = home.standin.counts()
    assert after["calls"] - before["calls"] == 2 * pictures, "none was turned away, and none repeated"
    assert after["throttled"] == before["throttled"]
    assert rows(home.ledger, "select provider from slots") == [], "no slot is left behind"


def _mills(folder: Path, title: str, pictures: int) -> Path:
    places = [f"A mill of {sails} sails in {title}." for sails in range(pictures)]
    return write_descriptions(folder / f"{title}.json", places)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_cancelling_a_run_in_the_prefect_ui_cancels_what_the_service_draws(
    commands: Forks, standin: Running, standins: dict[Kind, Running]
) -> None:
    service = standins["fal"]
    service.be_slow(FOR_EVER_SECONDS)
    before = service.counts()
    with _stack(commands, standin, service) as home, httpx.Client(base_url=_api_of(home), trust_env=False) as api:
        (deployment,) = api.post(
            "/deployments/filter", json={"deployments": {"name": {"any_": ["illustrate-chapter"]}}}
        ).json()
        request = {"book": BOOK, "title": "Cancelled", "provider": ["fal"], "aspect_ratio": "1:1"}
        path = f"/deployments/{deployment['id']}/create_flow_run"
        created = api.post(path, json={"parameters": {"request": request}})
        assert created.is_success, created.text
        run = created.json()["id"]
        known = "select count(*) from attempts where provider_id is not null and outcome is null"
        assert becomes(lambda: value(home.ledger, known) == 3, 120)
        api.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "CANCELLING"}}).raise_for_status()
        assert becomes(lambda: api.get(f"/flow_runs/{run}").json()["state_type"] == "CANCELLED", 120)
        assert service.counts()["cancelled"] - before["cancelled"] == 3
        assert service.counts()["generations"] - before["generations"] == 3
        outcomes = rows(home.ledger, "select outcome from attempts")
        assert outcomes == [{"outcome": "cancelled"}] * 3
        assert value(home.ledger, "select count(*) from jobs where status = 'promised'") == 10
        assert_it_agrees(home)


@contextmanager
def _stack(commands: Forks, standin: Running, service: Running) -> Iterator[Home]:
    """Run `limner up` in a home of its own, with fal turned on."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "home"
        told = {**MODELS, **turned_on("fal", service), "LIMNER_CONCURRENCY": "3"}
        with home_ledger(folder) as ledger:
            home = Home(folder, standin, commands, ledger, told)
            assert home.run("up", "--detach").ends(240) == 0
            try:
                yield home
            finally:
                assert home.run("down").ends(120) == 0
