"""`limner up` and `limner down`: healthy when it says so, one of it, and nothing of it left, however it ended."""

import os
import signal
import socket
from pathlib import Path

import httpx
import psutil
import pytest

from deployments.stack import running
from limner.home.postgres import postgres_runs
from tests.deployments.test_command_line import limner
from tests.deployments.users import becomes, keepers


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


def test_up_is_healthy_and_only_once_and_down_leaves_nothing(tmp_path: Path) -> None:
    """Told in order, since each start takes many seconds."""
    port = free_port()
    done = limner(tmp_path, "up", "--detach", "--port", port)
    assert done.returncode == 0, done.stdout + done.stderr
    address = f"http://127.0.0.1:{port}"
    assert address in done.stdout

    with httpx.Client(base_url=f"{address}/api", trust_env=False) as api:
        deployments = api.post("/deployments/filter", json={}).json()
        assert {one["name"] for one in deployments} == {"illustrate-chapter", "illustrate-book"}
        assert all(not schedule["active"] for one in deployments for schedule in one["schedules"])
        workers = api.post("/work_pools/cpu/workers/filter", json={}).json()
        assert [one["status"] for one in workers] == ["ONLINE"]
    assert httpx.get(address, trust_env=False, follow_redirects=True).text.lstrip().lower().startswith("<!doctype html")
    assert postgres_runs(tmp_path)

    assert "already up" in limner(tmp_path, "up").stdout
    assert len(keepers(tmp_path)) == 1

    down = limner(tmp_path, "down")
    assert down.returncode == 0 and "is down" in down.stdout
    assert not belonging_to(tmp_path) and not postgres_runs(tmp_path)


@pytest.mark.chaos
def test_nothing_of_a_killed_stack_lives_on_and_the_next_one_comes_up(tmp_path: Path) -> None:
    port = free_port()
    for _ in range(2):
        assert limner(tmp_path, "up", "--detach", "--port", port).returncode == 0
        here = running(tmp_path)
        assert here is not None
        os.kill(here.pid, signal.SIGKILL)
        assert becomes(lambda: not belonging_to(tmp_path), 25), belonging_to(tmp_path)
        assert not postgres_runs(tmp_path)
        assert "not up" in limner(tmp_path, "down").stdout


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = limner(tmp_path, "up", "--port", port)
    assert done.returncode == 2 and f"Port {port} is taken" in done.stderr and "Traceback" not in done.stderr
    assert not belonging_to(tmp_path)


def test_going_down_when_nothing_is_up_is_harmless(tmp_path: Path) -> None:
    done = limner(tmp_path / "never", "down")
    assert done.returncode == 0 and "not up" in done.stdout
    assert not (tmp_path / "never").exists()
