"""JSON lines that know the run they were logged in; Prefect's own processes log through it, see `json_logs.yaml`."""

import sys

from limner import logs
from limner.logs import JsonLines
from limner.settings import Settings


def set_up(settings: Settings, name: str) -> None:
    """Have a process that uses Prefect log as the settings say."""
    logs.set_up(settings, name, RunLines)


class RunLines(JsonLines):
    """One JSON object a line, with the ids of the flow run and the task run around it."""

    def runs(self) -> dict[str, str | None]:
        # Prefect logs before it is imported to its end, and no run is under way then.
        if "prefect.runtime" not in sys.modules:
            return {}
        from prefect.runtime import flow_run, task_run  # noqa: PLC0415 - here this costs nothing

        return {"flow_run_id": flow_run.get_id(), "task_run_id": task_run.get_id()}
