"""The templates for pools whose runs are containers or pods: taken by Prefect's own checks, with nothing undeclared."""

import json
import re
import tomllib
from typing import Any

import pytest

from deployments.bootstrap import load_pools
from deployments.prefect_settings import CLIENT
from tests.production.reading import ROOT, home_of, last, stages

FOLDER = ROOT / "deployments" / "job_templates"
KINDS = ("docker", "kubernetes")
PLACEHOLDER = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


def template(kind: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{kind}.json").read_text("utf-8")))


def variables(kind: str) -> dict[str, dict[str, Any]]:
    return dict(template(kind)["variables"]["properties"])


def test_there_is_one_for_each_kind_and_no_other() -> None:
    assert {one.name for one in FOLDER.iterdir()} == {f"{kind}.json" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
class TestTemplate:
    def test_is_taken_by_the_api(self, kind: str) -> None:
        from prefect.server.schemas.actions import WorkPoolCreate

        for pool in load_pools().pools:
            WorkPoolCreate(name=pool.name, type=kind, base_job_template=template(kind))

    def test_every_placeholder_has_a_variable_and_every_variable_is_used(self, kind: str) -> None:
        used = set(PLACEHOLDER.findall(json.dumps(template(kind)["job_configuration"])))
        assert used == variables(kind).keys()

    def test_every_variable_has_a_form_and_defaults_that_it_takes(self, kind: str) -> None:
        from prefect.utilities.schema_tools.validation import is_valid_schema, validate

        schema = template(kind)["variables"]
        is_valid_schema(schema)
        for one in variables(kind).values():
            assert one["title"] and one["description"].endswith(".")
        defaults = {name: one["default"] for name, one in variables(kind).items() if "default" in one}
        assert validate(defaults, schema, raise_on_error=True) == []
        with pytest.raises(Exception, match="not of type"):
            validate({**defaults, "image": 3}, schema, raise_on_error=True)

    def test_flow_runs_behave_as_they_do_elsewhere(self, kind: str) -> None:
        assert variables(kind)["env"]["default"] == CLIENT

    def test_runs_the_image_of_this_version_from_the_registry_or_at_hand(self, kind: str) -> None:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert variables(kind)["image"]["default"] == f"limner:{version}"

    def test_a_caller_cannot_say_what_is_run_or_with_which_rights(self, kind: str) -> None:
        assert variables(kind).keys() & {"command", "privileged", "entrypoint"} == set()
        said = json.dumps(template(kind)["job_configuration"])
        assert '"ALL"' in said and "privileged" not in said


def test_a_pod_that_dies_is_not_started_again_by_kubernetes() -> None:
    """Prefect starts a run again from its stored plan; two that do would draw at once."""
    spec = template("kubernetes")["job_configuration"]["job_manifest"]["spec"]
    assert spec["backoffLimit"] == 0 and spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["ttlSecondsAfterFinished"] == "{{ finished_job_ttl }}"


def test_a_pod_runs_as_the_images_user_and_writes_where_the_image_does() -> None:
    pod = template("kubernetes")["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert user == last(stages()["cpu"], "USER").text
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert mounts == {home_of("cpu"), "/tmp"}  # noqa: S108 - a container's
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
