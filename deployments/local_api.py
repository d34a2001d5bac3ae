"""The Prefect API for one command: our own, started or adopted, or the one we were told to use.

    with prefect_api(settings) as url:
        from flows.chapters import illustrate_chapter   # only now may Prefect be imported

Nothing keeps running when the last user has left. Knows nothing of flows, and imports Prefect only once its
environment stands.
"""

import http.client
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deployments.keeper import DOUBLE, PORT_TAKEN, Kept, keeper_lock, kept, users_lock
from deployments.prefect_settings import enter_private, enter_told
from limner.errors import BadInput, DiskFull, LimnerError, Unreachable
from limner.home.layout import folder
from limner.home.locks import Lock
from limner.settings import Settings

# A keeper that was asked to end is gone within this, or ends itself.
LEAVE_SECONDS = 20
# A keeper whose start is over answers in milliseconds; one that was stopped shows after this long.
STUCK_SECONDS = 10
DRAIN_SECONDS = 10
GUARD_SECONDS = 1.0
LOG_BYTES = 8 * 2**20
_POLL_SECONDS = 0.05
_NO_ROOM = ("No space left on device", "disk is full")

_log = logging.getLogger(__name__)
# Loopback is never asked through a proxy.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class _Use:
    """This process's use of a home's API: however often it is entered, one shared lock."""

    lock: Lock
    entered: int = 0
    children: list["subprocess.Popen[bytes]"] = field(default_factory=list)


_uses: dict[Path, _Use] = {}


def import_prefect() -> None:
    import prefect  # noqa: F401, PLC0415 (slow, and reads the environment)


@contextmanager
def prefect_api(
    settings: Settings, *, port: int | None = None, while_waiting: Callable[[], object] = import_prefect
) -> Iterator[str]:
    """Yield the URL of a Prefect API that answers, with the environment set for Prefect.

    `while_waiting` is called once the environment stands and while our own API starts: the place for slow imports.
    Raises Unreachable (a told API is away, ours did not start) or BadInput (the port is taken), with the next step.
    """
    before = dict(os.environ)
    try:
        if settings.prefect_api_url:
            yield _told(settings, settings.prefect_api_url, while_waiting)
        else:
            with _private(settings, port or settings.prefect_port, while_waiting) as url:
                yield url
    finally:
        _restore(before)


def _told(settings: Settings, url: str, while_waiting: Callable[[], object]) -> str:
    enter_told(settings.home, url)
    if not _answers(url, STUCK_SECONDS):
        raise Unreachable(f"No Prefect API answers at {url}; start it, or unset LIMNER_PREFECT_API_URL to use our own.")
    refresh_prefect()
    while_waiting()
    return url


@contextmanager
def _private(settings: Settings, port: int | None, while_waiting: Callable[[], object]) -> Iterator[str]:
    home, seconds = settings.home.resolve(), settings.prefect_start_seconds
    with _using(home) as use:
        deadline = time.monotonic() + seconds
        here = _keeper(home, use, port, deadline)
        enter_private(home, here.url)
        refresh_prefect()
        while_waiting()
        _wait_until_ready(home, use, here, deadline, seconds)
        with _guarded(home, use, here.port):
            try:
                yield here.url
            finally:
                drain_prefect()


@contextmanager
def _using(home: Path) -> Iterator[_Use]:
    use = _uses.setdefault(home, _Use(users_lock(home)))
    # A keeper that is ending holds this lock alone until it is gone.
    if not use.lock.held and not use.lock.wait(LEAVE_SECONDS, shared=True):
        _end_stuck(home)
        if not use.lock.wait(STUCK_SECONDS, shared=True):
            raise _stuck(home)
    use.entered += 1
    try:
        yield use
    finally:
        use.entered -= 1
        if not use.entered:
            use.lock.release()
            _wait_for_the_end(home)
        use.children = [child for child in use.children if child.poll() is None]


def keeper_runs(home: Path) -> bool:
    """Say whether a keeper holds `home`."""
    lock = keeper_lock(home)
    free = lock.take()
    lock.release()
    return not free


def running_api(home: Path) -> Kept | None:
    """Return where the home's own API runs now, or None; starts nothing."""
    if not (home / "run").is_dir() or not keeper_runs(home):
        return None
    said = kept(home)
    return said if said and psutil.pid_exists(said.pid) else None


def _keeper(home: Path, use: _Use, port: int | None, deadline: float) -> Kept:
    """Return the words of the keeper, started where none runs; the caller shares the users' lock."""
    child: subprocess.Popen[bytes] | None = None
    while time.monotonic() < deadline:
        if said := running_api(home):
            if port and said.port != port:
                raise BadInput(
                    f"The Prefect API of {home} already runs at {said.url}; leave the port out to use it, "
                    f"or stop it first (limner down)."
                )
            return said
        if child is None or (child.poll() is not None and not keeper_runs(home)):
            _judge(child, home, port)
            child = _spawn(home, port)
            use.children.append(child)
        time.sleep(_POLL_SECONDS)
    raise _stuck(home)


@contextmanager
def _guarded(home: Path, use: _Use, port: int) -> Iterator[None]:
    """While it is used: an API that is killed or stopped in the middle is started anew at the same address."""
    ended = threading.Event()
    guard = threading.Thread(target=_guard, args=(home, use, port, ended), name="limner-api-guard", daemon=True)
    guard.start()
    try:
        yield
    finally:
        ended.set()
        guard.join()


def _guard(home: Path, use: _Use, port: int, ended: threading.Event) -> None:
    stopped = 0
    while not ended.wait(GUARD_SECONDS):
        said = running_api(home)
        stopped = stopped + 1 if said and _is_stopped(said.pid) else 0
        if said and stopped * GUARD_SECONDS > STUCK_SECONDS:
            _end_stuck(home, said.pid)
        elif said is None:
            try:
                _keeper(home, use, port, time.monotonic() + STUCK_SECONDS)
            except LimnerError as error:
                _log.warning("%s", error)


def _judge(child: "subprocess.Popen[bytes] | None", home: Path, port: int | None) -> None:
    """Raise the sentence for a keeper that ended at its start; another one being there is no fault."""
    if child is None or child.returncode in (0, DOUBLE):
        return
    if child.returncode == PORT_TAKEN:
        raise BadInput(f"Port {port} is taken by another program; end it, or choose another with --port.")
    raise _did_not_start(home)


def _did_not_start(home: Path) -> LimnerError:
    log = home / "logs" / "prefect-api.log"
    said = log.read_text(errors="replace")[-4000:] if log.exists() else ""
    if shutil.disk_usage(home).free < 2**20 or any(words in said for words in _NO_ROOM):
        return DiskFull(f"There is no room left under {home}; make room, or set LIMNER_HOME elsewhere.")
    return Unreachable(
        f"Our Prefect API did not start; see {log}. If its history is damaged, remove {home / 'prefect'}: "
        f"every picture's record is in the ledger."
    )


def _spawn(home: Path, port: int | None) -> "subprocess.Popen[bytes]":
    log = folder(home, "logs") / "prefect-api.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.old"))
    command = [sys.executable, "-P", "-m", "deployments.keeper", str(home), *([str(port)] if port else [])]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder(home, "run"),
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C at our terminal is for us; the keeper follows the lock.
            start_new_session=True,
        )


def child_environment() -> dict[str, str]:
    """Return our environment with our own packages importable from any folder."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *(one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one and one != root)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _wait_until_ready(home: Path, use: _Use, here: Kept, deadline: float, seconds: float) -> None:
    """Wait for the API's first answer; one that is stuck is ended and replaced, once."""
    replaced = False
    stopped_since: float | None = None
    while not _answers(here.url, 1.0):
        now = time.monotonic()
        is_stopped = _is_stopped(here.pid)
        stopped_since = (stopped_since or now) if is_stopped else None
        late = is_stopped and now - (stopped_since or now) > STUCK_SECONDS / 2
        late = late or time.time() - here.since > max(seconds, STUCK_SECONDS)
        if late and not replaced:
            replaced, stopped_since = True, None
            _end_stuck(home, here.pid)
            deadline = now + seconds
        if running_api(home) != here:
            here = _replacement(home, use, here, deadline)
        if now >= deadline:
            raise _stuck(home)
        time.sleep(_POLL_SECONDS)


def _replacement(home: Path, use: _Use, gone: Kept, deadline: float) -> Kept:
    """Return the next keeper at the same address: Prefect's environment already names it."""
    for child in use.children:
        if child.pid == gone.pid and child.poll() not in (None, -9):
            raise _did_not_start(home)
    return _keeper(home, use, gone.port, deadline)


def _answers(url: str, seconds: float) -> bool:
    return asked(f"{url}/ready", seconds) is not None


def asked(url: str, seconds: float, body: object | None = None, refusal: int | None = None) -> bytes | None:
    """Return what an address on this machine answers with 200, to a GET or to a POST of JSON; None for all else.

    refusal: another status whose answer counts too.
    """
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with _direct.open(urllib.request.Request(url, data, headers), timeout=seconds) as answer:  # noqa: S310
            return bytes(answer.read()) if answer.status == 200 else None
    except urllib.error.HTTPError as error:
        return bytes(error.read()) if error.code == refusal else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _is_stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _end_stuck(home: Path, pid: int | None = None) -> None:
    """End a keeper that does not answer; only a process that is the keeper of this home, and still the one meant."""
    said = kept(home)
    if said is None or (pid is not None and pid != said.pid):
        return
    try:
        process = psutil.Process(said.pid)
        words = process.cmdline()
        if "deployments.keeper" in words and str(home) in words:
            _log.warning("The Prefect API of %s (process %s) does not answer; starting it anew", home, said.pid)
            process.kill()
    except psutil.Error:
        return
    # Its lock, not its process id: a killed child of somebody else may stay in the table for long.
    deadline = time.monotonic() + STUCK_SECONDS
    while keeper_runs(home) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _stuck(home: Path) -> Unreachable:
    said = kept(home)
    who = f"process {said.pid}" if said else "another process"
    return Unreachable(f"The Prefect API of {home} does not answer; end {who} and try again.")


def _wait_for_the_end(home: Path) -> None:
    """Wait until the keeper has gone, unless somebody else still uses it."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while time.monotonic() < deadline and keeper_runs(home) and not _used(home):
        time.sleep(_POLL_SECONDS)


def _used(home: Path) -> bool:
    """Say whether somebody shares the users' lock; a keeper that is ending holds it alone, which is no use."""
    lock = users_lock(home)
    try:
        return lock.share() and not lock.take()
    finally:
        lock.release()


def refresh_prefect() -> None:
    """Let a Prefect that was imported before read the environment anew."""
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context  # noqa: PLC0415

        refresh_global_settings_context()


def drain_prefect() -> None:
    """Send what Prefect's threads still hold (logs, states of task runs) while the API is there."""
    if "prefect.context" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    APILogWorker.drain_all(timeout=DRAIN_SECONDS)
    EventsWorker.drain_all(timeout=DRAIN_SECONDS)


def _restore(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
