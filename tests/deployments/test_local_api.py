"""Our own Prefect API lives exactly as long as somebody uses it, however they end. Real processes throughout."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from deployments.local_api import _answers, prefect_api
from limner.errors import BadInput, Unreachable
from limner.settings import Settings
from tests.deployments.users import User, becomes, keeper_pid, keepers, send, surroundings, users

_FLOW = """
import asyncio
from deployments.local_api import prefect_api
from limner.settings import read_settings
with prefect_api(read_settings()):
    from prefect import flow, task
    @task
    def one(number): return number
    @flow(name="many")
    async def many(): return [one(number) for number in range(30)]
    asyncio.run(many())
"""


def status(url: str, **headers: str) -> int:
    return httpx.get(url, headers=headers, trust_env=False, timeout=5).status_code


def test_a_second_user_adopts_it(home: Path, used: str) -> None:
    with users(home, 2) as others:
        assert {other.enters() for other in others} == {used}
        assert len(keepers(home)) == 1
        for other in others:
            other.leaves()
    assert _answers(used, 5)


def test_pages_of_other_sites_get_nothing_from_it(used: str) -> None:
    assert status(f"{used}/health") == 200
    assert status(f"{used}/health", Origin=used.removesuffix("/api")) == 200
    assert status(f"{used}/health", Origin="https://example.org") == 403
    assert status(f"{used}/health", Host="example.org") == 403


def test_another_port_than_the_running_one_is_refused(home: Path, used: str) -> None:
    with pytest.raises(BadInput, match="already runs at"), prefect_api(Settings(home=home), port=1):
        pass


def test_a_told_api_is_used_as_it_is(tmp_path: Path, used: str) -> None:
    before = dict(os.environ)
    settings = Settings(home=tmp_path, prefect_api_url=used)
    with prefect_api(settings, while_waiting=lambda: None) as url:
        assert url == used == os.environ["PREFECT_API_URL"]
    assert dict(os.environ) == before
    assert not keepers(tmp_path)


def test_a_told_api_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, prefect_api_url="http://127.0.0.1:1/api")
    with pytest.raises(Unreachable, match="LIMNER_PREFECT_API_URL"), prefect_api(settings):
        pass


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"Port {port} is taken"), prefect_api(Settings(home=tmp_path), port=port):
            pass


def test_a_flow_runs_and_its_whole_history_is_there_afterwards(home: Path, used: str) -> None:
    subprocess.run([sys.executable, "-c", _FLOW], env=surroundings(home), check=True, timeout=60)
    database = sqlite3.connect(home / "prefect/prefect.db")
    asked = "select state_type, count(*) from task_run group by 1"
    assert becomes(lambda: database.execute(asked).fetchall() == [("COMPLETED", 30)])
    assert database.execute("select state_type from flow_run").fetchall() == [("COMPLETED",)]
    database.close()


def test_kills_of_user_and_keeper_leave_nothing_and_stop_nothing(tmp_path: Path) -> None:
    """One life of an API, told in order, since each start takes seconds."""
    with users(tmp_path) as (first,):
        url = first.enters()
        # The keeper is killed: its user starts another one at the same address, and goes on.
        killed = keeper_pid(tmp_path)
        send(killed, signal.SIGKILL)
        assert becomes(lambda: keeper_pid(tmp_path) != killed and _answers(url, 1))
        with users(tmp_path) as (second,):
            assert second.enters() == url
            second.is_killed()
        assert _answers(url, 5), "the first still uses it"
        # Stopped, it answers nobody: it is ended and another one started.
        stopped = keeper_pid(tmp_path)
        send(stopped, signal.SIGSTOP)
        third = User(tmp_path)
        assert third.enters() == url
        assert stopped not in keepers(tmp_path)
        first.is_killed()
        third.is_killed()
    assert becomes(lambda: not keepers(tmp_path)), "it ends by itself when its last user was killed"
