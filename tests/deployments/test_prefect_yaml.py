"""prefect.yaml promises only what the flows can keep."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.bootstrap import load_pools
from deployments.gateway.kinds import KINDS

FILE = Path(__file__).parents[2] / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["deployments"]


def flow_of(deployment: dict[str, Any]) -> Any:
    module, _, name = deployment["entrypoint"].rpartition(".")
    return getattr(import_module(module), name)


@pytest.fixture(params=DEPLOYMENTS, ids=[one["name"] for one in DEPLOYMENTS])
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


def test_there_is_one_for_each_kind_that_apps_may_ask_for() -> None:
    assert {one["name"] for one in DEPLOYMENTS} >= set(KINDS)


def test_the_entrypoint_is_a_module_path_to_a_flow_whose_name_it_begins_with(deployment: dict[str, Any]) -> None:
    assert "/" not in deployment["entrypoint"] and ".py" not in deployment["entrypoint"]
    assert deployment["name"].startswith(flow_of(deployment).name)


def test_the_parameters_are_taken_by_the_flow(deployment: dict[str, Any]) -> None:
    validated = flow_of(deployment).validate_parameters(deployment.get("parameters", {}))
    if "request" in validated:
        assert (FILE.parent / validated["request"].book).is_file()
    assert deployment["enforce_parameter_schema"] is True


def test_what_spends_money_by_a_schedule_is_switched_on_by_a_person(deployment: dict[str, Any]) -> None:
    for one in deployment.get("schedules", []):
        assert one["slug"] and (one["active"] is False or "housekeeping" in deployment["tags"])


def test_what_a_schedule_starts_is_limited_and_what_apps_may_ask_for_is_not(deployment: dict[str, Any]) -> None:
    if deployment["name"] in KINDS:
        assert "concurrency_limit" not in deployment and "schedules" not in deployment
    else:
        assert deployment["concurrency_limit"]["limit"] >= 1
        assert deployment["concurrency_limit"]["collision_strategy"] in ("ENQUEUE", "CANCEL_NEW")


def test_its_queue_is_one_of_its_pools(deployment: dict[str, Any]) -> None:
    queues = {pool.name: {queue.name for queue in pool.queues} for pool in load_pools().pools}
    assert deployment["work_pool"]["work_queue_name"] in queues[deployment["work_pool"]["name"]]


def test_it_says_what_it_is_for(deployment: dict[str, Any]) -> None:
    assert len(deployment["description"]) > 40 and deployment["tags"]
