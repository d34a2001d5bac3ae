"""JSON logs of flow runs: every line is one object and names its run, Prefect's own lines too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments.users import surroundings

_RUN = """
import logging
import sys
from deployments.local_api import prefect_api
from deployments.run_lines import set_up
from limner.logs import about
from limner.settings import read_settings

if sys.argv[1:]:
    set_up(read_settings(), sys.argv[1])
with prefect_api(read_settings()):
    from prefect import flow, get_run_logger, task

    log = logging.getLogger("limner.press")

    @task
    def paint():
        with about("batch-1"):
            log.info("of the craft, in a task")
        get_run_logger().warning("of the task")

    @flow
    def small(fails: bool):
        log.info("of the craft, key sk-of-openai-1234")
        get_run_logger().info("of the flow")
        paint()
        if fails:
            raise ValueError("broke, with sk-of-openai-1234")
        print(__import__("prefect").runtime.flow_run.id)

    small(False)
    small(True, return_state=True)
"""


@pytest.mark.parametrize("process", [[], ["runner"]], ids=["in a process of Prefect's", "in one of ours"])
def test_every_line_of_a_flow_run_is_one_object_and_names_its_run(
    home: Path, used: str, tmp_path: Path, process: list[str]
) -> None:
    program = tmp_path / "small.py"
    program.write_text(_RUN)
    environment = surroundings(home, LIMNER_LOG_FORMAT="json", OPENAI_API_KEY="sk-of-openai-1234")
    command = [sys.executable, str(program), *process]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert all(line.get("process") == (process[0] if process else None) for line in lines)
    messages = {line["message"]: line for line in lines}
    run = ran.stdout.strip()
    for told in ("of the craft, in a task", "of the task"):
        assert messages[told]["task_run_id"]
    assert messages["of the craft, in a task"]["batch"] == "batch-1"
    first = [line for line in lines if line["flow_run_id"] == run]
    assert {line["message"] for line in first} >= {"of the flow", "of the task", "of the craft, key ***"}
    assert len({line["flow_run_id"] for line in lines}) == 2
    assert any("ValueError: broke, with ***" in line.get("exception", "") for line in lines)
    assert "sk-of-openai-1234" not in ran.stderr
