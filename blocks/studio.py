"""The studio block: the wiring. Names the other blocks, holds the policies, opens a `Room`."""

import atexit
import logging
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import ClassVar, Literal, Self

from pydantic import Field

from blocks.block import DEFAULT, LimnerBlock
from blocks.bucket import LimnerBucket
from blocks.database import LimnerDatabase
from blocks.provider import LimnerProvider
from limner.chain import Patience
from limner.errors import BadInput
from limner.ledger.claims import Holder
from limner.ledger.holders import is_here
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
    engine: Literal["threads", "dask"] = Field(
        default="threads", title="Engine", description="Where large batches run: in the flow's process, or on Dask."
    )
    dask_address: str = Field(
        default="", title="Dask address", description="Of the cluster's scheduler: tcp://host:8786."
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        told = {
            "concurrency": settings.concurrency,
            "engine": settings.engine,
            "dask_address": settings.dask_address,
        }
        return cls(**{name: value for name, value in told.items() if value})

    def rules(self) -> Rules:
        """Return the policies; raises BadInput for an engine that cannot be used."""
        if self.engine == "dask" and not self.dask_address:
            raise BadInput(
                "The engine dask has no cluster; set LIMNER_DASK_ADDRESS=tcp://host:8786, or fill in `dask_address` "
                "of the studio's block."
            )
        if self.engine == "dask" and find_spec("prefect_dask") is None:
            raise BadInput(
                "The engine dask needs packages that are not installed; run pip install 'limner[cluster]', "
                "or set LIMNER_ENGINE=threads."
            )
        return Rules(
            concurrency=self.concurrency,
            reuse_days=self.reuse_days,
            patience=Patience(backoff_seconds=self.backoff_seconds),
            chains=self.chains,
            cluster=self.dask_address if self.engine == "dask" else "",
        )

    async def open(self, settings: Settings) -> Room:
        """Open everything the studio names; raises LimnerError in one sentence, with nothing left half open."""
        rules = self.rules()
        bucket = (await LimnerBucket.named(self.bucket, settings)).open()
        bucket.exists("reports")  # a bucket that is away is found out before anything is made
        providers = await LimnerProvider.opened(self.providers, settings, self.concurrency)
        database = await LimnerDatabase.named(self.database, settings)
        # A job that is judged while the next is called needs a connection of its own, as the heartbeat does.
        ledger = database.open(settings, connections=2 * self.concurrency + 2)
        holder = Holder.start(ledger, settings.lease_seconds)
        _warn_of(providers)
        return Room(ledger, holder, bucket, providers, load_gates(), rules, fuse_from(settings.die_at))

    async def refuse_elsewhere(self, settings: Settings, holder: str) -> None:
        """Raise BadInput where the ledger or the bucket is of the holder's machine alone, and this is another."""
        if is_here(holder):
            return
        bucket = await LimnerBucket.named(self.bucket, settings)
        database = await LimnerDatabase.named(self.database, settings)
        if bucket.kind == "directory" or (database.url or settings.database_url) is None:
            raise BadInput(
                "The embedded PostgreSQL and the directory bucket are for one machine, and this worker is on another "
                "than its flow; give both one DATABASE_URL and one S3 (LIMNER_S3_ENDPOINT)."
            )


def _warn_of(providers: Mapping[str, Provider]) -> None:
    """Log what providers know of their near future; beside the work, which never waits for it."""

    def ask(checked: Checked) -> None:
        for sentence in checked.warnings():
            log.warning("%s", sentence)

    for provider in providers.values():
        if isinstance(provider, Checked):
            threading.Thread(target=ask, args=[provider], name=f"{provider.name}-check", daemon=True).start()


async def open_studio(name: str = DEFAULT, works_for: str | None = None) -> Room:
    """Return the studio's room, opened once per process and again when its block has changed.

    works_for: the holder that this process makes pictures for; raises BadInput where they cannot share the studio.
    """
    settings = read_settings()
    block = await LimnerStudio.named(name, settings)
    if works_for is not None:
        await block.refuse_elsewhere(settings, works_for)
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
