"""`limner up` and `limner down`: healthy when it says so, one of it, and nothing of it left, however it ended."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.stack import running, standing
from limner.home.postgres import postgres_runs
from tests.deployments.test_command_line import limner
from tests.deployments.users import becomes, keepers

PARTS = {"prefect-api", "ledger", "bucket", "gateway", "sweeper", "runner", "worker-cpu"}
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def belonging_to(home: Path) -> list[str]:
    """Return the command lines of the living processes that work for `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("LIMNER_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.fixture
def api(stack_home: Path) -> Iterator[httpx.Client]:
    """The Prefect API of a stack that is up in `stack_home`; it goes down with the test."""
    port, gateway = free_port(), free_port()
    done = limner(stack_home, "up", "--detach", "--port", port, "--gateway-port", gateway)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"http://127.0.0.1:{port}" in done.stdout and f"http://127.0.0.1:{gateway}" in done.stdout
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False, timeout=30) as client:
            yield client
    finally:
        limner(stack_home, "down")


def parts(home: Path) -> dict[str, dict[str, Any]]:
    said = json.loads(limner(home, "status", "--json").stdout)
    return {one["name"]: one for one in said["parts"]}


def start(api: httpx.Client, **request: object) -> str:
    """Start a small interactive run over the API; return its id."""
    deployment = api.get("/deployments/name/illustrate-chapter/illustrate-chapter").json()
    described = [{"id": "hall", "content": "A long, low hall.", "type": "location", "priority": 90}]
    asked = {"title": "Hall", "descriptions": described, "provider": ["sketch"]} | request
    started = api.post(
        f"/deployments/{deployment['id']}/create_flow_run",
        json={"parameters": {"request": asked}, "state": {"type": "SCHEDULED"}},
    )
    assert started.status_code == 201, started.text
    return str(started.json()["id"])


def ends(api: httpx.Client, run: str) -> str:
    """Return the state in which a run ends."""
    assert becomes(lambda: api.get(f"/flow_runs/{run}").json()["state"]["type"] in FINAL, 60)
    return str(api.get(f"/flow_runs/{run}").json()["state"]["type"])


def test_up_is_healthy_and_only_once_and_down_leaves_nothing(stack_home: Path, api: httpx.Client) -> None:
    """Told in order, since each start takes many seconds."""
    found = parts(stack_home)
    assert set(found) == PARTS and all(one["healthy"] for one in found.values())

    deployments = api.post("/deployments/filter", json={}).json()
    assert {one["name"] for one in deployments} >= {"illustrate-chapter", "illustrate-book"}
    ui = str(api.base_url).removesuffix("/api/")
    assert httpx.get(ui, trust_env=False, follow_redirects=True).text.lstrip().lower().startswith("<!doctype html")
    assert postgres_runs(stack_home)

    # What is there is left as it is.
    assert "already up" in limner(stack_home, "up").stdout
    assert len(keepers(stack_home)) == 1
    assert "as they should be" in limner(stack_home, "bootstrap").stdout
    assert len(api.post("/deployments/filter", json={}).json()) == len(deployments)
    queues = api.post("/work_pools/cpu/queues/filter", json={}).json()
    assert {one["name"]: one["priority"] for one in queues}["interactive"] == 1

    # What a schedule is to start is there in advance.
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    assert becomes(lambda: bool(api.post("/flow_runs/filter", json=scheduled).json()), 90)

    # Somebody waits: a warm process makes it; another is there for the next.
    assert [ends(api, start(api)), ends(api, start(api, chapter=2))] == ["COMPLETED", "COMPLETED"]

    # What is killed is started again.
    for name in ("gateway", "runner"):
        os.kill(psutil.Process(found[name]["pid"]).children()[0].pid, signal.SIGKILL)
    assert becomes(
        lambda: {parts(stack_home)[one]["pid"] for one in ("gateway", "runner")}.isdisjoint(
            {found[one]["pid"] for one in ("gateway", "runner")}
        ),
        30,
    )
    assert becomes(lambda: all(one["healthy"] for one in parts(stack_home).values()), 60)

    down = limner(stack_home, "down")
    assert down.returncode == 0 and "is down" in down.stdout
    assert not belonging_to(stack_home) and not postgres_runs(stack_home)
    assert limner(stack_home, "status").returncode == 1


@pytest.mark.chaos
def test_nothing_of_a_killed_stack_lives_on_and_the_next_one_comes_up(stack_home: Path) -> None:
    ports = ("--port", free_port(), "--gateway-port", free_port())
    for _ in range(2):
        assert limner(stack_home, "up", "--detach", *ports).returncode == 0
        here = running(stack_home)
        assert here is not None
        os.kill(here.pid, signal.SIGKILL)
        assert becomes(lambda: not belonging_to(stack_home), 40), belonging_to(stack_home)
        assert not postgres_runs(stack_home)
        assert "not up" in limner(stack_home, "down").stdout


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_taken_port_is_one_sentence(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ports = {"--port": free_port(), "--gateway-port": free_port()} | {option: port}
        done = limner(tmp_path, "up", *(word for both in ports.items() for word in both))
    assert done.returncode == 2 and f"Port {port} is taken" in done.stderr and "Traceback" not in done.stderr
    assert standing(tmp_path) is None
    assert not belonging_to(tmp_path)


def test_going_down_when_nothing_is_up_is_harmless(tmp_path: Path) -> None:
    done = limner(tmp_path / "never", "down")
    assert done.returncode == 0 and "not up" in done.stdout
    assert not (tmp_path / "never").exists()
