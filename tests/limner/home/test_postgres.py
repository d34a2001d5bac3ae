"""The embedded PostgreSQL: started, shared, adopted, mended; stopped by the last one out. A real server throughout."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from limner.errors import BadInput, LedgerUnreachable
from limner.home import postgres
from limner.home.account import server_account
from limner.home.postgres import postgres_runs, postgres_url, start_postgres, stop_if_unused, stop_postgres
from limner.home.sockets import socket_folder

_USER = """
import sys, time
from pathlib import Path
from limner.home.postgres import start_postgres, stop_postgres
home = Path(sys.argv[1])
start_postgres(home)
print("up", flush=True)
sys.stdin.readline()
stop_postgres(home)
print("released", flush=True)
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One home for the module: the first start makes its data, the others take a tenth of a second."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        yield home
        stop_postgres(home)


@pytest.fixture(autouse=True)
def _nobody_is_left_using_it() -> Iterator[None]:
    yield
    for home in list(postgres._users):
        stop_postgres(home)


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def postmaster(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0])


def another_user(home: Path) -> "subprocess.Popen[str]":
    user = subprocess.Popen(
        [sys.executable, "-c", _USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdout is not None and user.stdout.readline() == "up\n"
    return user


def test_starts_a_server_that_keeps_its_promises(home: Path) -> None:
    url = start_postgres(home)
    assert url.startswith("postgresql+psycopg://") and url == postgres_url(home)
    asked = "select current_database(), current_setting('fsync'), current_setting('synchronous_commit'), "
    asked += "current_setting('max_connections'), current_setting('listen_addresses')"
    assert ask(url, asked) == ("limner", "on", "on", "200", "")


def test_only_its_owner_reaches_the_data_and_the_socket(home: Path) -> None:
    start_postgres(home)
    for name in ("data", "socket"):
        found = home / "postgres" / name
        if found.exists():
            assert stat.S_IMODE(found.stat().st_mode) == 0o700


def test_the_last_one_out_stops_it(home: Path) -> None:
    start_postgres(home)
    with another_user(home) as other:
        stop_postgres(home)
        assert postgres_runs(home)
        assert "released" in other.communicate("\n")[0]
    assert not postgres_runs(home)
    assert not (home / "postgres/data/postmaster.pid").exists()


def test_what_a_killed_user_leaves_is_adopted(home: Path) -> None:
    with another_user(home) as other:
        other.kill()
    assert postgres_runs(home)
    left = postmaster(home)
    start_postgres(home)
    assert postmaster(home) == left
    stop_postgres(home)
    assert not postgres_runs(home)


def test_what_a_killed_user_leaves_can_be_stopped_without_using_it(home: Path) -> None:
    with another_user(home) as other:
        assert not stop_if_unused(home)
        other.kill()
    assert stop_if_unused(home)
    assert not postgres_runs(home)


def test_nothing_committed_is_lost_when_the_server_is_killed(home: Path) -> None:
    url = start_postgres(home)
    ask(url, "create table kept as select 42 as answer")
    os.kill(postmaster(home), signal.SIGKILL)
    assert start_postgres(home) == url
    assert ask(url, "select answer from kept") == (42,)


def test_a_pid_file_that_names_a_stranger_does_not_stop_a_start(home: Path) -> None:
    start_postgres(home)
    stop_postgres(home)
    lock = home / "postgres/data/postmaster.pid"
    lock.write_text(f"{os.getppid()}\n{home}/postgres/data\n1\n5432\n\n\n1 1\nready\n")
    url = start_postgres(home)
    assert ask(url, "select 1") == (1,)
    assert postmaster(home) != os.getppid()


def test_many_at_once_share_one_server(home: Path) -> None:
    stop_postgres(home)
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(start_postgres(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    others = [another_user(home) for _ in range(2)]
    for thread in threads:
        thread.join()
    for other in others:
        other.communicate("\n")
    assert len(set(urls)) == 1 and len(urls) == 4
    assert ask(urls[0], "select 1") == (1,)


def test_a_stopped_server_is_said_and_serves_on_when_continued(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_postgres(home)
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 2)
    server = psutil.Process(postmaster(home))
    server.suspend()
    try:
        with pytest.raises(LedgerUnreachable, match=f"process {server.pid}"):
            start_postgres(home)
    finally:
        server.resume()
    assert ask(start_postgres(home), "select 1") == (1,)


def test_a_server_that_cannot_start_says_why_and_what_to_do(home: Path) -> None:
    start_postgres(home)
    stop_postgres(home)
    configuration = home / "postgres/data/postgresql.conf"
    words = configuration.read_text()
    configuration.write_text(words + "\nno_such_setting = 1\n")
    try:
        with pytest.raises(LedgerUnreachable, match=r"contains errors.*server\.log, or set DATABASE_URL"):
            start_postgres(home)
    finally:
        configuration.write_text(words)


def test_data_of_a_version_that_the_wheel_lacks_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(LedgerUnreachable, match="made by PostgreSQL 9"):
        start_postgres(tmp_path)
    assert (data / "PG_VERSION").read_text() == "9\n"


@pytest.mark.parametrize("name", ["x" * 200, '100% "жизнь" it\'s $x`y`?#&\\'])
def test_any_path_works_also_under_a_folder_for_nobody_else(name: str) -> None:
    private = Path(tempfile.mkdtemp())
    home = private / "s p a c e s" / name
    try:
        url = start_postgres(home)
        assert ask(url, "select current_setting('data_directory')") == (str(home / "postgres/data"),)
        where = socket_folder(home.resolve(), server_account(home / "postgres/data").uid)
        assert where.is_dir()
        assert len(str(where / ".s.PGSQL.5432")) <= 103
        assert stat.S_IMODE(where.stat().st_mode) == 0o700
        assert not stat.S_IMODE(private.stat().st_mode) & 0o066, "nobody else may read or write there"
        stop_postgres(home)
        assert where.is_relative_to(home) or not where.exists(), "short folders of homes long gone would pile up"
    finally:
        stop_postgres(home)
        shutil.rmtree(private)


def test_an_interrupted_making_of_the_data_is_made_again(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp())
    try:
        unfinished = home / "postgres/data.unfinished"
        unfinished.mkdir(parents=True)
        (unfinished / "PG_VERSION").write_text("18\n")
        assert ask(start_postgres(home), "select 1") == (1,)
        assert not unfinished.exists()
    finally:
        stop_postgres(home)
        shutil.rmtree(home)


def test_the_short_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    from limner.home import sockets

    home = tmp_path / ("x" * 120)
    squatted = sockets.socket_folder(home, os.geteuid())
    squatted.symlink_to(tmp_path)
    try:
        with pytest.raises(LedgerUnreachable, match="belongs to somebody else"):
            sockets.socket_folder(home, os.geteuid(), make=True)
    finally:
        squatted.unlink()


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(BadInput, match="set LIMNER_HOME"):
        start_postgres(tmp_path / "home")


def test_listens_on_no_address_of_the_network(home: Path) -> None:
    start_postgres(home)
    server = psutil.Process(postmaster(home))
    assert not [one for one in server.net_connections() if one.family in (socket.AF_INET, socket.AF_INET6)]


def test_the_end_of_a_process_stops_it(home: Path) -> None:
    code = "import sys; from pathlib import Path; from limner.home.postgres import *; start_postgres(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)
    assert not postgres_runs(home)
