"""The sweeper: finds what died and resumes or closes it, asks after what was paid for, delivers webhooks.

    python -m deployments.sweeper

One is enough, several are safe, and it may be killed at any moment. What a pass does stands in `tasks/sweeping.py`;
here stands only when.
"""

import asyncio
import logging
import signal
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy import text

from deployments.local_api import prefect_api
from limner import sweeping
from limner.errors import LimnerError
from limner.home.alive import BEAT_SECONDS, beat
from limner.ledger.runs import SILENT_SECONDS
from limner.settings import Settings, read_settings
from limner.studio import Room

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

NAME = "sweeper"

PASS_SECONDS = 5.0
# What a provider was not done with is asked after this often.
SETTLE_SECONDS = 30.0
# A ledger that takes longer for a word was away.
AWAY_SECONDS = 3.0
STOP_SECONDS = 5.0

_log = logging.getLogger(__name__)


class _Ear:
    """Knows for how long the ledger has been there, so that those it could not hear from are not called dead."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    @property
    def has_heard(self) -> bool:
        return time.monotonic() - self._since > SILENT_SECONDS

    def listen(self, room: Room) -> None:
        """Ask the ledger for a word; waits while it is away."""
        asked = time.monotonic()
        try:
            room.ledger.run(lambda connection: connection.execute(text("select 1")).scalar())
        except LimnerError:
            self._since = time.monotonic()
            raise
        if time.monotonic() - asked > AWAY_SECONDS:
            self._since = time.monotonic()


def serve(settings: Settings) -> None:
    """Sweep until SIGTERM or SIGINT."""
    with prefect_api(settings):
        from blocks.studio import close_studios  # noqa: PLC0415 - its environment must stand first

        try:
            asyncio.run(_serve(settings))
        finally:
            close_studios()


async def _serve(settings: Settings) -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from blocks.studio import open_studio  # noqa: PLC0415

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    room = await open_studio()
    stop = threading.Event()
    async with get_client() as client:
        beside = [threading.Thread(target=_settle_until, args=(room, stop), name="limner-settle", daemon=True)]
        beside.append(
            threading.Thread(target=_deliver, args=(room, settings, stop), name="limner-webhooks", daemon=True)
        )
        for one in beside:
            one.start()
        work = [asyncio.create_task(one) for one in (_sweep_for_ever(room, client), _beat(settings))]
        await ended.wait()
        stop.set()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for one in beside:
            await asyncio.to_thread(one.join, STOP_SECONDS)


async def _sweep_for_ever(room: Room, client: "PrefectClient") -> None:
    from tasks.sweeping import sweep  # noqa: PLC0415

    ear = _Ear()
    while True:
        try:
            await asyncio.to_thread(ear.listen, room)
            await sweep(room, client, silence_counts=ear.has_heard)
        except Exception as error:  # the API or the ledger is away for a moment; the next pass finds the same
            _log.warning("A pass was not finished (%s: %s); the next one is soon", type(error).__name__, error)
        await asyncio.sleep(PASS_SECONDS)


def _settle_until(room: Room, stop: threading.Event) -> None:
    """Ask, beside the passes, after what was accepted by a provider for batches that have ended."""
    while not stop.wait(SETTLE_SECONDS):
        try:
            for batch in sweeping.left_behind(room):
                sweeping.settle(room, batch)
        except LimnerError:  # away for a moment; it is asked again
            continue
        except Exception:
            _log.exception("What was left open could not be settled; it is tried again")


def _deliver(room: Room, settings: Settings, stop: threading.Event) -> None:
    from limner.webhooks.delivering import deliver_until  # noqa: PLC0415 - with it comes an HTTP client

    while not stop.is_set():
        try:
            deliver_until(room.ledger, settings, stop)
        except Exception:
            _log.exception("Webhooks could not be delivered; they are tried again")
            stop.wait(PASS_SECONDS)


async def _beat(settings: Settings) -> None:
    while True:
        beat(settings.home, NAME)
        await asyncio.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    serve(read_settings())
