"""From a trigger over the API to the first call of a provider: by warm processes, and by Prefect's process worker.

Brings a whole stack up in a home of its own, with its defaults, and starts small runs over the Prefect API, one after
the other: on the queue `interactive` (warm processes) and on `batch` (the process worker). The first call is the
attempt whose intent the ledger holds, by the same machine's clock. Prints the median and the slowest of each, where the
time goes, and the ratio of the two.

    python -m benchmarks.trigger [--runs 10] [--worker-runs 3]
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from sqlalchemy import text

from deployments.local_api import child_environment
from limner.home.ledger import open_ledger
from limner.ledger.opening import Ledger
from limner.settings import Settings

BOOK = Path(__file__).parents[1] / "samples" / "alice.txt"

# A run's end, and the next one's warm process, are not what is measured.
REST_SECONDS = 4.0
LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Timed:
    """Seconds from the request over the API to each of these."""

    answered: float
    pending: float
    running: float
    planned: float
    first_call: float


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        port = _free_port()
        _limner(home, "up", "--detach", "--port", str(port), "--gateway-port", str(_free_port()))
        ledger = open_ledger(Settings(home=home))
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False, timeout=30) as api:
                time.sleep(REST_SECONDS)
                warm = [_run(api, ledger, "interactive") for _ in range(asked.runs)]
                worker = [_run(api, ledger, "batch") for _ in range(asked.worker_runs)]
        finally:
            ledger.close()
            _limner(home, "down")
    _print("warm processes", warm)
    _print("process worker", worker)
    ratio = statistics.median(one.first_call for one in worker) / statistics.median(one.first_call for one in warm)
    print(f"the worker over warm processes: {ratio:.1f}")


def _run(api: httpx.Client, ledger: Ledger, queue: str) -> Timed:
    deployment = api.get("/deployments/name/illustrate-chapter/illustrate-chapter").json()["id"]
    request = {"book": str(BOOK), "genre": "fantasy", "limit": 1, "provider": ["sketch"], "force": True}
    body = {"parameters": {"request": request}, "work_queue_name": queue, "state": {"type": "SCHEDULED"}}
    began = time.time()
    run = api.post(f"/deployments/{deployment}/create_flow_run", json=body).raise_for_status().json()["id"]
    answered = time.time()
    while api.get(f"/flow_runs/{run}").json()["state"]["type"] != "COMPLETED":
        assert time.time() - began < LONGEST_SECONDS, api.get(f"/flow_runs/{run}").json()["state"]
        time.sleep(0.2)
    states = {one["type"]: one["timestamp"] for one in api.get("/flow_run_states/", params={"flow_run_id": run}).json()}
    planned, first = ledger.run(
        lambda connection: connection.execute(
            text(
                "select extract(epoch from min(b.planned_at)), extract(epoch from min(a.started_at))"
                " from attempts a join batches b on b.id = a.batch_id where a.run_id = :run"
            ),
            {"run": run},
        ).one()
    )
    time.sleep(REST_SECONDS)
    return Timed(
        answered - began,
        _seconds(states["PENDING"]) - began,
        _seconds(states["RUNNING"]) - began,
        float(planned) - began,
        float(first) - began,
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _print(name: str, runs: list[Timed]) -> None:
    def middle(what: str) -> float:
        return statistics.median(getattr(one, what) for one in runs)

    slowest = max(one.first_call for one in runs)
    print(f"{name}: first call after {middle('first_call'):.2f} s (slowest {slowest:.2f} s of {len(runs)})")
    steps = ", ".join(f"{what} {middle(what):.2f}" for what in ("answered", "pending", "running", "planned"))
    print(f"  {steps}")


def _limner(home: Path, *words: str) -> None:
    environment = {**child_environment(), "LIMNER_HOME": str(home)}
    environment = {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "deployments.command_line", *words]
    done = subprocess.run(command, env=environment, cwd=os.sep, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--worker-runs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
