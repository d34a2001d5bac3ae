"""Prefect's process worker for one pool's queues, with Prefect's settings as Limner chooses them."""

import subprocess
import sys

from deployments.local_api import child_environment, prefect_api
from deployments.roster import worker_command
from limner.settings import Settings


def serve(settings: Settings, pool: str, queues: tuple[str, ...], limit: int) -> None:
    """Run the worker until it ends, or a signal ends it; raises SystemExit with its status."""
    with prefect_api(settings, while_waiting=lambda: None):
        command = [sys.executable, "-P", "-m", *worker_command(pool, queues, limit=limit)]
        with subprocess.Popen(command, env=child_environment()) as process:
            raise SystemExit(process.wait())
