"""Prefect's process worker for one pool's queues, with Prefect's settings as Limner chooses them."""

import signal
import subprocess
import sys

from deployments.local_api import child_environment, prefect_api
from deployments.roster import worker_command, worker_name
from limner.settings import Settings


def serve(settings: Settings, pool: str, queues: tuple[str, ...], limit: int) -> None:
    """Run the worker until it ends, or a signal that is passed on ends it; raises SystemExit with its status.

    It tells how it is at /health, on the port that PREFECT_WORKER_WEBSERVER_PORT names (8080).
    """
    with prefect_api(settings, while_waiting=lambda: None):
        command = [
            sys.executable,
            "-P",
            "-m",
            *worker_command(pool, queues, worker_name(pool), limit),
            "--with-healthcheck",
        ]
        with subprocess.Popen(command, env=child_environment()) as process:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda told, _frame: process.send_signal(told))
            raise SystemExit(process.wait())
