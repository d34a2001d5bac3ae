"""Reading what was sent: so many bytes at most, within so many seconds."""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from deployments.gateway.answering import Refusal

SECONDS = 60.0


async def body_of(request: Request, most: int) -> bytes:
    """Return the request's body; raises Refusal for one that is too large, too slow or broken off."""
    too_large = Refusal(413, f"This is larger than {most // 2**20} MiB; send less.")
    said = request.headers.get("content-length", "0")
    if said.isdigit() and int(said) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise Refusal(408, f"The body did not come within {SECONDS:.0f} s; send it again.") from None
    except ClientDisconnect:
        raise Refusal(400, "The body broke off.") from None
    return bytes(body)


async def json_of(request: Request, most: int) -> Any:
    """Return the request's body as JSON; raises Refusal."""
    body = await body_of(request, most)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is no JSON.") from None
