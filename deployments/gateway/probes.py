"""What whoever keeps the gateway up asks it: whether it lives, whether it can work, and its metrics."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deployments.gateway.desk import Desk, desk_of
from limner.metrics import exposition

_SECONDS = 5.0

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


async def health(_request: Request) -> Response:
    """Say that the process answers."""
    return JSONResponse({"status": "alive"})


async def ready(request: Request) -> Response:
    """Say of each thing that the gateway stands on whether it answers; where it lies is nobody's business."""
    desk = desk_of(request)
    parts = {"ledger": _ledger, "bucket": _bucket, "prefect": _prefect}
    found = dict(zip(parts, await asyncio.gather(*(_answers(part, desk) for part in parts.values())), strict=True))
    return JSONResponse(found, 200 if set(found.values()) == {"ready"} else 503)


async def metrics(request: Request) -> Response:
    """Answer in Prometheus' text format."""
    return Response(await run_in_threadpool(exposition, desk_of(request).ledger), media_type=_EXPOSITION)


async def _answers(part: Callable[[Desk], Awaitable[object]], desk: Desk) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            await part(desk)
    except Exception:  # whatever it is, it is not ready
        return "away"
    return "ready"


async def _ledger(desk: Desk) -> None:
    await desk.look(lambda connection: connection.execute(text("select 1")))


async def _bucket(desk: Desk) -> None:
    await run_in_threadpool(desk.bucket.exists, "reports")


async def _prefect(desk: Desk) -> None:
    if (error := await desk.prefect.api_healthcheck()) is not None:
        raise error
