"""The studio block: the wiring. Names the other blocks, holds the policies, opens a `Room`."""

import atexit
import logging
import threading
from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field

from blocks.block import DEFAULT, LimnerBlock
from blocks.bucket import LimnerBucket
from blocks.database import LimnerDatabase
from blocks.provider import LimnerProvider
from limner.chain import Patience
from limner.ledger.claims import Holder
from limner.providers.seam import Checked, Provider
from limner.quality.gates import load_gates
from limner.settings import Settings, read_settings
from limner.steps import fuse_from
from limner.studio import Room, Rules

log = logging.getLogger(__name__)

# A process opens a studio once; tasks find it here by its name.
_rooms: dict[str, tuple[str, Room]] = {}


class LimnerStudio(LimnerBlock):
    """Which bucket, database and providers a studio works with, and its policies."""

    _block_type_name: ClassVar[str] = "Limner Studio"
    _block_type_slug: ClassVar[str] = "limner-studio"
    _description: ClassVar[str] = "Limner's wiring: bucket, database, providers by tier, and the policies."

    bucket: str = Field(default=DEFAULT, title="Bucket", description="Name of a limner-bucket block.")
    database: str = Field(default=DEFAULT, title="Database", description="Name of a limner-database block.")
    providers: list[str] = Field(
        default_factory=list,
        title="Providers",
        description="Names of limner-provider blocks, each asked for by that name; empty is what the environment has.",
    )
    chains: dict[str, list[str]] = Field(
        default_factory=dict, title="Chains", description="Providers in turn, by tier; where empty, the tier's own."
    )
    concurrency: int = Field(default=3, ge=1, le=1000, title="Concurrency", description="Providers' calls at once.")
    reuse_days: float = Field(default=7, ge=0, title="Reuse, days", description="How old a picture may be; 0: any.")
    backoff_seconds: float = Field(default=2, ge=0, le=60, title="Back-off", description="First wait between tries.")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(**({"concurrency": settings.concurrency} if settings.concurrency else {}))

    def rules(self) -> Rules:
        return Rules(
            concurrency=self.concurrency,
            reuse_days=self.reuse_days,
            patience=Patience(backoff_seconds=self.backoff_seconds),
            chains=self.chains,
        )

    async def open(self, settings: Settings) -> Room:
        """Open everything the studio names; raises LimnerError in one sentence, with nothing left half open."""
        bucket = (await LimnerBucket.named(self.bucket, settings)).open()
        bucket.exists("reports")  # a bucket that is away is found out before anything is made
        providers = await LimnerProvider.opened(self.providers, settings, self.concurrency)
        database = await LimnerDatabase.named(self.database, settings)
        # A job that is judged while the next is called needs a connection of its own, as the heartbeat does.
        ledger = database.open(settings, connections=2 * self.concurrency + 2)
        holder = Holder.start(ledger, settings.lease_seconds)
        _warn_of(providers)
        return Room(ledger, holder, bucket, providers, load_gates(), self.rules(), fuse_from(settings.die_at))


def _warn_of(providers: Mapping[str, Provider]) -> None:
    """Log what providers know of their near future; beside the work, which never waits for it."""

    def ask(checked: Checked) -> None:
        for sentence in checked.warnings():
            log.warning("%s", sentence)

    for provider in providers.values():
        if isinstance(provider, Checked):
            threading.Thread(target=ask, args=[provider], name=f"{provider.name}-check", daemon=True).start()


async def open_studio(name: str = DEFAULT) -> Room:
    """Return the studio's room, opened once per process and again when its block has changed."""
    settings = read_settings()
    block = await LimnerStudio.named(name, settings)
    wiring = block.model_dump_json() + repr(settings)
    if name in _rooms and _rooms[name][0] == wiring:
        return _rooms[name][1]
    if name in _rooms:
        _rooms.pop(name)[1].close()
    room = await block.open(settings)
    _rooms[name] = (wiring, room)
    return room


def room_of(name: str) -> Room:
    """Return a room that this process has opened."""
    return _rooms[name][1]


def close_studios() -> None:
    """Close what this process opened; harmless when nothing is open."""
    while _rooms:
        _rooms.popitem()[1][1].close()


atexit.register(close_studios)
