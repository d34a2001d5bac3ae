"""The keeper: one process per home that runs the Prefect API for as long as somebody uses it.

    python -m deployments.keeper HOME [PORT]

Knows nothing of flows. Whoever uses the API shares `run/api-users.lock`; when the kernel gives the keeper that lock
alone, nobody is left (however they ended), and it ends too. `run/api-keeper.lock` makes a second keeper impossible.
The API runs inside this very process, so that a kill of the keeper leaves no server behind.
"""

import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.prefect_settings import LOOPBACK, database_file, enter_private
from limner.home.layout import folder
from limner.home.locks import Lock

if TYPE_CHECKING:
    import uvicorn

POLL_SECONDS = 0.2
DRAIN_SECONDS = 10
CLOSE_SECONDS = 3

# Exit statuses that the one who started us understands.
DOUBLE, PORT_TAKEN = 3, 4


@dataclass(frozen=True, slots=True)
class Kept:
    """What a keeper says of itself: where its API is, and who it is."""

    url: str
    pid: int
    port: int
    # Seconds since the epoch.
    since: float


def users_lock(home: Path) -> Lock:
    return Lock(folder(home, "run") / "api-users.lock")


def keeper_lock(home: Path) -> Lock:
    return Lock(folder(home, "run") / "api-keeper.lock")


def kept(home: Path) -> Kept | None:
    """Return what the last keeper of `home` said of itself; it may be gone."""
    try:
        return Kept(**json.loads((home / "run" / "api.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def main() -> int:
    home = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else None
    lock = keeper_lock(home)
    # Others look whether it is free by taking it for an instant.
    if not lock.wait(1):
        return DOUBLE
    listening = _listen(home, port)
    if listening is None:
        return PORT_TAKEN
    with listening:
        here = Kept(_url(listening), os.getpid(), listening.getsockname()[1], time.time())
        _tell(home, here)
        enter_private(home, here.url)
        _serve(home, listening)
    from limner.home.postgres import stop_if_unused  # noqa: PLC0415 (psycopg would delay the start)

    stop_if_unused(home)
    return 0


def _listen(home: Path, port: int | None) -> socket.socket | None:
    """Return a listening socket: on `port`, else where the last keeper listened, else on any free port.

    It listens before anything slow is imported: whoever asks early waits in its queue instead of being turned away.
    """
    last = kept(home)
    for candidate in (port,) if port else (last.port if last else 0, 0):
        # The protocol is named: asyncio turns Nagle off only for sockets that say they are TCP; else each answer
        # waits 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, candidate))
            listening.listen(512)
        except OSError:
            listening.close()
            continue
        return listening
    return None


def _url(listening: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/api"


def _tell(home: Path, here: Kept) -> None:
    file = folder(home, "run") / "api.json"
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(here)))
    fresh.replace(file)


def _serve(home: Path, listening: socket.socket) -> None:
    from deployments.prefect_schema import lay_out  # noqa: PLC0415

    lay_out(database_file(home))
    # Nothing imported is ever garbage; looking for it takes half a second of the start.
    gc.disable()
    # Prefect reads the environment when it is imported.
    import uvicorn  # noqa: PLC0415
    from prefect.server.api.server import create_app  # noqa: PLC0415

    from deployments.busy_database import AskedAgain  # noqa: PLC0415
    from deployments.own_pages import OwnPagesOnly  # noqa: PLC0415

    app = OwnPagesOnly(AskedAgain(create_app(final=True)), port=listening.getsockname()[1])
    gc.freeze()
    gc.enable()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=CLOSE_SECONDS,
        )
    )
    threading.Thread(target=_end_when_unused, args=(home, server), daemon=True).start()
    server.run(sockets=[listening])


def _end_when_unused(home: Path, server: "uvicorn.Server") -> None:
    users = users_lock(home)
    while not users.take():
        time.sleep(POLL_SECONDS)
    # Held until we are gone: whoever comes now waits for it, and then starts a keeper of their own.
    deadline = time.monotonic() + DRAIN_SECONDS
    while _undelivered() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 4)
    server.should_exit = True
    time.sleep(DRAIN_SECONDS + CLOSE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _undelivered() -> int:
    """Return how many events wait in the API's memory: states of task runs that the history would miss."""
    from prefect.server.utilities.messaging.memory import Topic  # noqa: PLC0415

    events = Topic.by_name("events")
    return sum(one._queue.qsize() + one._retry.qsize() for one in events._subscriptions)


if __name__ == "__main__":
    sys.exit(main())
