"""One Prefect API for the tests that only need one: its start takes seconds."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.users import keepers, users


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose path is long and full of what shells, URLs and configuration files find special."""
    return tmp_path_factory.mktemp("home") / ("long " * 30 + '100% "жизнь" it\'s $x?#&\\')


@pytest.fixture(scope="session")
def used(home: Path) -> Iterator[str]:
    """The URL of an API of `home` that another process keeps in use."""
    with users(home) as (user,):
        yield user.enters()
        user.leaves()
    assert not keepers(home)


@pytest.fixture
def stack_home() -> Iterator[Path]:
    """A home for a stack with a PostgreSQL of its own."""
    # Not in pytest's own folder: each pytest that starts on this machine closes that to the server's account.
    with tempfile.TemporaryDirectory() as place:
        yield Path(place) / "home"
