"""A house with a gateway: a Prefect API, a ledger, a bucket in a folder, and a process that runs flows."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deployments.local_api import child_environment
from limner.ledger import tokens
from limner.ledger.opening import Ledger
from limner.settings import Settings

DESCRIPTIONS = [
    {"id": "hall", "content": "A long, low hall, lit up by a row of lamps.", "type": "location", "priority": 90},
    {"id": "garden", "content": "The loveliest garden, with cool fountains.", "type": "location", "priority": 80},
]


class Served:
    """The gateway's process, which makes what is scheduled, one run after the other; while it is held, runs wait."""

    def __init__(self, home: Path, ledger_url: str) -> None:
        self._hold = home / "hold"
        command = [sys.executable, "-W", "ignore", "-m", "tests.deployments.gateway.served", str(self._hold)]
        environment = {**child_environment(), "LIMNER_HOME": str(home), "DATABASE_URL": ledger_url}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        assert self.url.startswith("http://127.0.0.1:"), "the gateway did not start"

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
    runner: Served
    settings: Settings

    def token(self, owner: str) -> str:
        return self.ledger.run(lambda connection: tokens.add(connection, owner, "test"))

    def app(self, owner: str) -> httpx.Client:
        """Return an app that speaks for an owner."""
        headers = {"Authorization": f"Bearer {self.token(owner)}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=90)


@contextmanager
def house(home: Path, ledger_url: str) -> Iterator[House]:
    served = Served(home, ledger_url)
    ledger = Ledger.open(ledger_url)
    try:
        told = {"DATABASE_URL": ledger_url, "home": home, "gateway_url": served.url}
        yield House(served.url, home, ledger, served, Settings.model_validate(told))
    finally:
        served.end()
        ledger.close()
