"""One home with a Prefect API and a PostgreSQL that live as long as the module: commands adopt both."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local_api import prefect_api
from limner.home.postgres import stop_postgres
from limner.settings import Settings
from tests.chaos.forking import Forks, forks
from tests.chaos.homes import Home, home_ledger, processes_of
from tests.deployments.users import becomes
from tests.standins.pollinations import Running, running


@pytest.fixture(scope="package")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("commands")) as started:
        yield started


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(calls=tmp_path_factory.mktemp("standin") / "calls.jsonl") as standin:
        yield standin


@pytest.fixture
def standin(service: Running) -> Iterator[Running]:
    yield service
    service.fail()
    service.be_slow(0)


@pytest.fixture(scope="package")
def _home(commands: Forks, service: Running) -> Iterator[Home]:
    # Not in pytest's own folder, which every pytest that starts closes to the server's account.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "home"
        with home_ledger(folder) as ledger, prefect_api(Settings(home=folder), while_waiting=lambda: None):
            yield Home(folder, service, commands, ledger)
        stop_postgres(folder)
        commands.end_all()
        assert becomes(lambda: not processes_of(folder)), processes_of(folder)


@pytest.fixture
def home(_home: Home, standin: Running) -> Home:
    """A home whose API runs, with a stand-in that is well."""
    return _home
