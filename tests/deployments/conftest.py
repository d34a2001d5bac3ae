"""One Prefect API for the tests that only need one: its start takes seconds."""

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
