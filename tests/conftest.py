"""What many tests stand on: one PostgreSQL a session, a fresh ledger a test, rooms over it.

Nothing of it starts before a test asks for it, and no Prefect is imported.
"""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from limner.home.locks import Lock
from limner.home.postgres import start_postgres, stop_if_unused, stop_postgres
from limner.ledger.opening import Ledger
from tests.integration.pressing import OpenRoom, rooms

if TYPE_CHECKING:
    from tests.deployments.gateway.house import House

_TEMPLATE = "template_limner"
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server whose database `template_limner` holds an empty ledger."""
    # Not in pytest's own folder: each pytest that starts on this machine closes that to the server's account.
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        url = start_postgres(home)
        # Tests of the home let go of every server of this process; this lock keeps ours.
        ours = Lock(home / "run" / "postgres-users.lock")
        assert ours.share()
        # What a test wrote need not outlive a power cut.
        ask(url, "alter system set fsync = off")
        ask(url, "select pg_reload_conf()")
        ask(url, f"create database {_TEMPLATE}")
        Ledger.open(_database(url, _TEMPLATE)).close()
        yield url
        ours.release()
        stop_postgres(home)
        stop_if_unused(home)


@pytest.fixture
def ledger_url(postgres: str) -> Iterator[str]:
    """The URL of a database of this test's own, with an empty ledger."""
    name = f"ledger_{next(_numbers)}"
    ask(postgres, f"create database {name} template {_TEMPLATE}")
    yield _database(postgres, name)
    ask(postgres, f"drop database {name} with (force)")


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(ledger_url, patience_seconds=5)
    yield opened
    opened.close()


@pytest.fixture
def open_room(ledger_url: str, tmp_path: Path) -> Iterator[OpenRoom]:
    """Open rooms over one ledger and one directory bucket: each with a ledger's door and a heartbeat of its own."""
    with rooms(ledger_url, tmp_path / "bucket") as opener:
        yield opener


@pytest.fixture(scope="session")
def house(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["House"]:
    """A gateway over a ledger, a bucket and a Prefect API, in a process of its own that makes what is scheduled."""
    from tests.deployments.gateway.house import house as opened

    ask(postgres, f"create database ledger_of_house template {_TEMPLATE}")
    with opened(tmp_path_factory.mktemp("house"), _database(postgres, "ledger_of_house")) as here:
        yield here
    ask(postgres, "drop database ledger_of_house with (force)")


def ask(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)


def _database(url: str, name: str) -> str:
    before, _, after = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{after}"
