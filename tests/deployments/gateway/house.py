"""A house with a gateway: a Prefect API, a ledger, a bucket in a folder, and a process that runs flows."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from deployments.local_api import child_environment, prefect_api
from limner.ledger import tokens
from limner.ledger.opening import Ledger
from limner.settings import Settings, read_settings

if TYPE_CHECKING:
    import uvicorn

DESCRIPTIONS = [
    {"id": "hall", "content": "A long, low hall, lit up by a row of lamps.", "type": "location", "priority": 90},
    {"id": "garden", "content": "The loveliest garden, with cool fountains.", "type": "location", "priority": 80},
]


class Runner:
    """Makes what is scheduled, one run after the other, in a process of its own; while it is held, runs wait."""

    def __init__(self, place: Path) -> None:
        self._hold = place / "hold"
        command = [sys.executable, "-W", "ignore", "-m", "tests.deployments.gateway.runner", str(self._hold)]
        self._process = subprocess.Popen(
            command, env=child_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @contextmanager
    def held(self) -> Iterator[None]:
        self._hold.touch()
        try:
            yield
        finally:
            self._hold.unlink()

    def end(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class House:
    """A gateway that answers at `url`; `port` may listen anywhere."""

    url: str
    home: Path
    ledger: Ledger
    runner: Runner
    settings: Settings

    def token(self, owner: str) -> str:
        return self.ledger.run(lambda connection: tokens.add(connection, owner, "test"))

    def app(self, owner: str) -> httpx.Client:
        """Return an app that speaks for an owner."""
        headers = {"Authorization": f"Bearer {self.token(owner)}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=90)


@contextmanager
def house(home: Path, ledger_url: str) -> Iterator[House]:
    before = dict(os.environ)
    os.environ |= {"LIMNER_HOME": str(home), "DATABASE_URL": ledger_url, "LIMNER_GATEWAY_URL": "http://127.0.0.1:1"}
    try:
        with prefect_api(read_settings()):
            _deploy()
            with _gateway() as url:
                os.environ["LIMNER_GATEWAY_URL"] = url
                ledger, runner = Ledger.open(ledger_url), Runner(home)
                try:
                    yield House(url, home, ledger, runner, read_settings())
                finally:
                    runner.end()
                    ledger.close()
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _gateway() -> Iterator[str]:
    import uvicorn

    from deployments.gateway.serving import _listening, application

    with _listening("127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(application(read_settings(), url), log_level="warning"))
        thread = threading.Thread(target=partial(server.run, sockets=[listening]), daemon=True)
        thread.start()
        _wait_until_up(server, thread)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


def _wait_until_up(server: "uvicorn.Server", thread: threading.Thread) -> None:
    while not server.started:
        assert thread.is_alive(), "the gateway did not start"
        thread.join(0.02)


def _deploy() -> None:
    """Make the deployments of a pool where nobody works: the runner takes their runs."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from flows import chapters

    async def deploy() -> None:
        async with get_client() as client:
            await client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
        for flow in (chapters.illustrate_chapter, chapters.illustrate_book):
            deployment: Any = await flow.ato_deployment(name=flow.name, work_pool_name="cpu")
            await deployment.aapply()

    asyncio.run(deploy())
