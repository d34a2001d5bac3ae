"""prefect.yaml promises only what the flows can keep."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[2] / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["deployments"]


def flow_of(deployment: dict[str, Any]) -> Any:
    module, _, name = deployment["entrypoint"].rpartition(".")
    return getattr(import_module(module), name)


@pytest.fixture(params=DEPLOYMENTS, ids=[one["name"] for one in DEPLOYMENTS])
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


def test_there_is_one_for_a_chapter_and_one_for_a_book() -> None:
    assert [one["name"] for one in DEPLOYMENTS] == ["illustrate-chapter", "illustrate-book"]


def test_the_entrypoint_is_a_module_path_to_a_flow_of_that_name(deployment: dict[str, Any]) -> None:
    assert "/" not in deployment["entrypoint"] and ".py" not in deployment["entrypoint"]
    assert flow_of(deployment).name == deployment["name"]


def test_the_sample_parameters_are_taken_by_the_flow(deployment: dict[str, Any]) -> None:
    validated = flow_of(deployment).validate_parameters(deployment["parameters"])
    assert (FILE.parent / validated["request"].book).is_file()
    assert deployment["enforce_parameter_schema"] is True


def test_every_schedule_is_switched_off_and_has_a_slug(deployment: dict[str, Any]) -> None:
    assert deployment["schedules"]
    assert all(one["active"] is False and one["slug"] for one in deployment["schedules"])


def test_runs_beyond_the_limit_wait_their_turn(deployment: dict[str, Any]) -> None:
    assert deployment["concurrency_limit"]["limit"] >= 1
    assert deployment["concurrency_limit"]["collision_strategy"] == "ENQUEUE"


def test_it_says_what_it_is_for(deployment: dict[str, Any]) -> None:
    assert len(deployment["description"]) > 40 and deployment["tags"] and deployment["work_pool"]["name"] == "cpu"


def test_every_parameter_of_the_form_is_explained(deployment: dict[str, Any]) -> None:
    from prefect.utilities.callables import parameter_schema

    asked = parameter_schema(flow_of(deployment)).properties
    assert set(asked) == {"request", "studio"} and all(one["description"] for one in asked.values())
