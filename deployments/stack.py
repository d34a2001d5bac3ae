"""The stack of one machine: a Prefect API, the ledger, and the processes that work with them, up until told to go.

Knows nothing of what flows do. Everything it starts dies with it, however it dies: the keeper by its lock, its parts
by their leashes; the ledger's server is stopped by the keeper when nobody uses it.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from deployments import parts, roster
from deployments.bootstrap import apply_deployments, prefect_yaml, register
from deployments.local_api import child_environment, prefect_api, running_api
from deployments.parts import Process, Standing
from deployments.prefect_settings import shown
from limner.errors import BadInput, LimnerError, Unreachable
from limner.home.layout import folder
from limner.home.ledger import open_ledger
from limner.home.local_token import local_token
from limner.home.locks import Lock
from limner.settings import Settings

PORT = 4200
START_SECONDS = 180
STOP_SECONDS = 90
WATCH_SECONDS = 1.0
# How each part stands is asked less often: each question is work for it.
TELL_SECONDS = 5.0

_log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Up:
    """What a running stack says of itself. ready: all its parts were healthy once."""

    url: str
    pid: int
    ready: bool = True
    parts: tuple[Standing, ...] = field(default=())


def standing(home: Path) -> Up | None:
    """Return what the stack of `home` says of itself, ready or not; None when none is up."""
    if not (home / "run").is_dir() or _is_free(home):
        return None
    try:
        told = json.loads((home / "run" / "stack.json").read_text())
        here = Up(told["url"], told["pid"], told["ready"], tuple(Standing(**one) for one in told["parts"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # A killed stack leaves its words behind; they are not those of the one that holds the lock now.
    return here if psutil.pid_exists(here.pid) else None


def running(home: Path) -> Up | None:
    """Return what the stack of `home` says of itself, or None when none is up (or none is up yet)."""
    here = standing(home)
    return here if here is not None and here.ready else None


def up(settings: Settings, port: int | None, say: Say) -> None:
    """Bring everything up, say where it is, and stay until SIGINT, SIGTERM or `down`."""
    home = settings.home.resolve()
    lock = _lock(home)
    if not lock.take():
        say(_already(home))
        return
    (home / "run" / "stack.json").unlink(missing_ok=True)
    _refuse_taken(settings.gateway_port)
    ended = threading.Event()
    with _ending(ended), prefect_api(settings, port=_port(settings, port)) as url:
        try:
            with _ledger(settings):
                _keep_a_token(settings)
                say("Registering blocks, work pools and queues.")
                asyncio.run(register())
                _run(settings, url, ended, say)
        finally:
            (home / "run" / "stack.json").unlink(missing_ok=True)
    _leave_no_ledger(settings)
    lock.release()


def _run(settings: Settings, url: str, ended: threading.Event, say: Say) -> None:
    home = settings.home.resolve()
    with parts.running(home, roster.parts_of(settings, url)) as processes:
        _tell(home, url, processes, ready=False)
        # They take seconds to start: the deployments are applied meanwhile.
        say("Applying the deployments of prefect.yaml.")
        apply_deployments(prefect_yaml())
        parts.wait_until_healthy(processes, START_SECONDS, ended.is_set)
        if not ended.is_set():
            _tell(home, url, processes, ready=True)
            for line in _where(url, processes, "Ctrl-C or "):
                say(line)
        _watch(settings, url, processes, ended)
        say("Going down.")


def status(settings: Settings) -> list[Standing]:
    """Return each part of the stack of this home as it stands now; nothing where none is up."""
    home = settings.home.resolve()
    here = standing(home)
    if here is None:
        return []
    api = running_api(home)
    shared = [
        Standing("prefect-api", api.pid if api else 0, roster.answers(f"{here.url}/ready"), shown(here.url)),
        Standing("ledger", 0, _ledger_answers(settings)),
        Standing("bucket", 0, roster.gateway_finds("bucket", here.parts)),
    ]
    return [*shared, *(replace(one, healthy=one.healthy and psutil.pid_exists(one.pid)) for one in here.parts)]


def _ledger_answers(settings: Settings) -> bool:
    try:
        open_ledger(settings, patience_seconds=0).close()
    except LimnerError:
        return False
    return True


def up_detached(settings: Settings, port: int | None, say: Say) -> None:
    """Start `limner up` in a process of its own and return once it is healthy."""
    home = settings.home.resolve()
    if not _is_free(home):
        say(_already(home))
        return
    log = folder(home, "logs") / "up.log"
    command = [sys.executable, "-m", "deployments.command_line", "up", *(["--port", str(port)] if port else [])]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            env={**child_environment(), "LIMNER_GATEWAY_PORT": str(settings.gateway_port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while (here := running(home)) is None:
        if child.poll() is not None:
            raise Unreachable(_last_line(log) or f"limner up ended at once; see {log}.")
        if time.monotonic() > deadline:
            child.terminate()
            raise Unreachable(f"limner up is not healthy after {START_SECONDS} s; see {log}.")
        time.sleep(0.1)
    for line in _where(here.url, here.parts):
        say(line)


def down(settings: Settings, say: Say) -> None:
    """Stop the stack of this home and wait until it has gone; harmless when none is up."""
    home = settings.home.resolve()
    here = standing(home)
    if here is None and (not (home / "run").is_dir() or _is_free(home)):
        say("Limner is not up.")
        return
    if here is None:
        raise Unreachable("Limner is coming up or going down right now; try again in a few seconds.")
    with suppress(ProcessLookupError):
        os.kill(here.pid, signal.SIGTERM)
    _wait_for_the_end_of(here.pid)
    if not _wait_for_silence(home):
        raise Unreachable(f"The Prefect API of {home} still runs: a command uses it. It ends with that command.")
    say("Limner is down.")


def _wait_for_the_end_of(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            _log.warning("limner up (process %s) did not end within %s s; killing it", pid, STOP_SECONDS)
            process.kill()


def _wait_for_silence(home: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS / 2
    while running_api(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _port(settings: Settings, port: int | None) -> int | None:
    """Return the port to ask for: the one named, else that of an API that already runs, else the usual one."""
    if port or settings.prefect_port:
        return port or settings.prefect_port
    return None if running_api(settings.home.resolve()) else PORT


def _refuse_taken(port: int) -> None:
    """Raise BadInput for a port of the gateway that another program listens on."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError:
            raise BadInput(
                f"Port {port} is taken by another program; end it, or choose another for the gateway "
                "(LIMNER_GATEWAY_PORT, or --gateway-port)."
            ) from None


def _where(url: str, found: Sequence[Process | Standing], how: str = "") -> Iterator[str]:
    """Yield the sentences that say where everything is; `how` else it is stopped."""
    yield f"Limner is up. Prefect UI: {shown(url)}"
    for one in found:
        address = one.address if isinstance(one, Standing) else one.part.address
        name = one.name if isinstance(one, Standing) else one.part.name
        if address:
            yield f"{name}: {address}"
    yield f"Stop it with {how}limner down; limner status shows each part."


def _already(home: Path) -> str:
    here = running(home)
    return f"Limner is already up at {shown(here.url)}." if here else "Limner is already coming up."


def _lock(home: Path) -> Lock:
    return Lock(folder(home, "run") / "stack.lock")


def _is_free(home: Path) -> bool:
    lock = _lock(home)
    free = lock.take()
    lock.release()
    return free


def _tell(home: Path, url: str, processes: Sequence[Process], *, ready: bool) -> None:
    seen = tuple(Standing(one.part.name, one.pid, one.part.is_healthy(), one.part.address) for one in processes)
    fresh = home / "run" / "stack.new"
    fresh.write_text(json.dumps(asdict(Up(url, os.getpid(), ready, seen))))
    fresh.replace(home / "run" / "stack.json")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


@contextmanager
def _ending(ended: threading.Event) -> Iterator[None]:
    """Let a signal end the wait, and a start that is under way."""

    def end(_number: int, _frame: object) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ledger(settings: Settings) -> Iterator[None]:
    """Hold the embedded PostgreSQL while the stack is up, so that no run has to start it."""
    if settings.database_url is not None:
        yield
        return
    from limner.home.postgres import start_postgres, stop_postgres  # noqa: PLC0415

    start_postgres(settings.home)
    try:
        yield
    finally:
        stop_postgres(settings.home)


def _keep_a_token(settings: Settings) -> None:
    """Have a token in the home with which apps of this machine ask the gateway."""
    ledger = open_ledger(settings)
    try:
        local_token(settings, ledger)
    finally:
        ledger.close()


def _leave_no_ledger(settings: Settings) -> None:
    """Stop the embedded PostgreSQL where a part that was killed held it a moment longer than we did."""
    if settings.database_url is None:
        from limner.home.postgres import stop_if_unused  # noqa: PLC0415

        stop_if_unused(settings.home)


def _watch(settings: Settings, url: str, processes: Sequence[Process], ended: threading.Event) -> None:
    """Until told to end: what was killed is started again, and how each part stands is written down."""
    home = settings.home.resolve()
    told = time.monotonic()
    while not ended.wait(WATCH_SECONDS):
        try:
            if settings.database_url is None:
                _revive_ledger(settings)
            # All of them, whether one was started anew or not.
            started = [process.keep_running() for process in processes]
            if any(started) or time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                _tell(home, url, processes, ready=True)
        except (LimnerError, OSError) as error:  # a disk without room for a moment is no reason to go down
            _log.warning("%s Trying again.", error)


def _revive_ledger(settings: Settings) -> None:
    from limner.home.postgres import start_postgres  # noqa: PLC0415

    start_postgres(settings.home)
