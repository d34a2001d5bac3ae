"""On a stack with real workers: who waits for theirs overtakes a running batch, and owners' batches take turns.

The service makes one call at once, and each is done when the test says so: the order of its calls is what is looked at.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.block import DEFAULT
from deployments.local_api import prefect_api
from deployments.why import ask
from limner.ledger.quota import set_tier
from limner.settings import Settings, read_settings
from tests.chaos.homes import BOOK, write_descriptions
from tests.chaos.stacks import Stack, stack
from tests.deployments.users import becomes
from tests.integration.books import value
from tests.standins.pollinations import running
from tests.standins.serving import Running

# By the owner who wants it painted.
SUBJECTS = {"mary": "castle", "anne": "harbour", "john": "windmill"}
WAITS = "select count(*) from slots where granted_at is null and owner = :owner"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(latency=100, calls=tmp_path / "calls.jsonl") as standin:
        yield standin


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_an_interactive_run_overtakes_a_batch_of_500_and_owners_take_turns(service: Running, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as place, stack(Path(place) / "home", service) as up:
        one_call_at_once(up, service)
        for owner in SUBJECTS:
            up.ledger.run(lambda connection, owner=owner: set_tier(connection, owner, "ultimate"))
        files = {
            owner: write_descriptions(tmp_path / f"{owner}.json", [f"A {subject} with {n} doors." for n in range(500)])
            for owner, subject in SUBJECTS.items()
        }
        start(up, "batch", "mary", files["mary"], 500)
        follow(service, up, ["mary"] * 3, behind=["mary"])

        start(up, "interactive", "john", files["john"], 3)
        assert becomes(lambda: value(up.ledger, WAITS, owner="john") == 1, 60), "john does not wait"
        follow(service, up, ["john"] * 3 + ["mary"], behind=["mary"])

        run = start(up, "batch", "anne", files["anne"], 50)
        assert becomes(lambda: value(up.ledger, WAITS, owner="anne") == 1, 60), "anne does not wait"
        said = ask(read_settings(), run).sentences
        assert "pollinations: it waits for a call and is next; under way: 1 of mary." in said, said
        follow(service, up, ["anne", "mary"] * 4, behind=["mary", "anne"])


def one_call_at_once(up: Stack, service: Running) -> None:
    """Save blocks by which the studio asks the stand-in alone, one call at once over all processes."""
    from blocks.provider import LimnerProvider
    from blocks.studio import LimnerStudio

    told: dict[str, Any] = {"kind": "pollinations", "key": service.key, "base_url": service.url, "allow_private": True}
    with prefect_api(Settings(home=up.folder, prefect_api_url=up.url)):
        LimnerProvider(**told, calls_at_once=1, calls_a_minute=0).save("pollinations", _sync=True)
        LimnerStudio(providers=["pollinations"]).save(DEFAULT, _sync=True)


def start(up: Stack, queue: str, owner: str, descriptions: Path, pictures: int) -> str:
    request = {"book": BOOK, "title": owner, "owner": owner, "descriptions_file": str(descriptions), "limit": pictures}
    (deployment,) = up.ask("/deployments/filter", {"deployments": {"name": {"any_": ["illustrate-chapter"]}}})
    body = {"parameters": {"request": request}, "state": {"type": "SCHEDULED"}, "work_queue_name": queue}
    return str(up.ask(f"/deployments/{deployment['id']}/create_flow_run", body)["id"])


def follow(service: Running, up: Stack, owners: list[str], behind: list[str]) -> None:
    """See whose calls come next, as those who wait `behind` them stand in line; the last one stays under way."""
    first = len(callers(service))
    for number, owner in enumerate(owners, first + 1):
        if number > 1:
            service.finish()
        assert becomes(lambda number=number: len(callers(service)) == number, 60), "nobody calls"
        assert callers(service)[-1] == owner
        waiting = {*behind, owner} if owners[number - first :].count(owner) else {*behind}
        assert becomes(lambda waiting=waiting: all(value(up.ledger, WAITS, owner=one) for one in waiting), 60), waiting


def callers(service: Running) -> list[str]:
    """Return whose calls the service got, in their order."""
    prompts = [event["prompt"] for event in service.events("read")]
    return [owner for prompt in prompts for owner, subject in SUBJECTS.items() if subject in prompt]
