"""Reading what was sent: so many bytes at most, within so many seconds."""

import asyncio
import json
from tempfile import SpooledTemporaryFile
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from deployments.gateway.answering import Refusal

SECONDS = 60.0

# What is on its way slowly lies on the disk.
_IN_MEMORY_BYTES = 2**20


async def received(request: Request, most: int) -> "SpooledTemporaryFile[bytes]":
    """Return the request's body, to be closed; raises Refusal for one that is too large, too slow or broken off."""
    too_large = Refusal(413, f"This is larger than {most // 2**20} MiB; send less.")
    said = request.headers.get("content-length", "0")
    if said.isdigit() and int(said) > most:
        raise too_large
    body = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - whoever asked closes it
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body.write(chunk)
                if body.tell() > most:
                    raise too_large
    except BaseException as error:
        body.close()
        if isinstance(error, TimeoutError):
            raise Refusal(408, f"The body did not come within {SECONDS:.0f} s; send it again.") from None
        if isinstance(error, ClientDisconnect):
            raise Refusal(400, "The body broke off.") from None
        raise
    body.seek(0)
    return body


async def json_of(request: Request, most: int) -> Any:
    """Return the request's body as JSON; raises Refusal."""
    with await received(request, most) as body:
        try:
            return await run_in_threadpool(lambda: json.loads(body.read()))
        except (ValueError, RecursionError):
            raise Refusal(400, "The body is no JSON.") from None
