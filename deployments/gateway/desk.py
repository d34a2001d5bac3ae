"""The desk: everything that the gateway's endpoints work with, opened once, and who stands before it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from blocks.bucket import LimnerBucket
from blocks.database import LimnerDatabase
from blocks.studio import LimnerStudio
from deployments.gateway.answering import Refusal
from limner.bucket import Bucket
from limner.ledger import tokens
from limner.ledger.opening import Ledger
from limner.links import Links, links_of
from limner.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

T = TypeVar("T")

# An app keeps what it was sent; a link is for fetching it.
LINK_SECONDS = 24 * 3600

# Whoever waits for an answer is told at once that the ledger is away.
_PATIENCE_SECONDS = 1.0

_PREFECT_SECONDS = 10.0

_CONNECTIONS = 8


@dataclass(frozen=True)
class Desk:
    """What the default studio's bucket and ledger hold, the Prefect API, and how things are linked to."""

    settings: Settings
    ledger: Ledger
    bucket: Bucket
    links: Links
    prefect: "PrefectClient"

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the ledger, in a thread; raises LedgerUnreachable."""
        return await run_in_threadpool(self.ledger.run, work, _PATIENCE_SECONDS)

    async def ask(self, call: Awaitable[T]) -> T:
        """Return what the Prefect API answers; raises TimeoutError where its client would try for minutes."""
        async with asyncio.timeout(_PREFECT_SECONDS):
            return await call

    async def owner_of(self, request: Request) -> str:
        """Return whom the request's token speaks for; raises Refusal."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "Show a token: Authorization: Bearer TOKEN (limner tokens add makes one).")
        owner = await self.look(lambda connection: tokens.owner_of(connection, token.strip()))
        if owner is None:
            raise Refusal(401, "This token is unknown or was revoked; ask for a new one.")
        return owner


async def open_desk(settings: Settings, gateway_url: str, prefect: "PrefectClient") -> Desk:
    """Open the default studio's ledger and bucket; raises LimnerError in one sentence."""
    studio = await LimnerStudio.named("default", settings)
    bucket = (await LimnerBucket.named(studio.bucket, settings)).open()
    database = await LimnerDatabase.named(studio.database, settings)
    links = links_of(settings.model_copy(update={"gateway_url": gateway_url}), bucket, LINK_SECONDS)
    return Desk(settings, database.open(settings, _CONNECTIONS), bucket, links, prefect)


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk
