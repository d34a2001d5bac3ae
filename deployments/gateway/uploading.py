"""Files of apps: stored by what they say, for their owner alone."""

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deployments.gateway.answering import Refusal
from deployments.gateway.bodies import received
from deployments.gateway.desk import desk_of
from limner.bucket.uploads import keep
from limner.requests import MAX_BOOK_BYTES

# Each is in memory as a whole while it is stored.
_AT_ONCE = 4
_turns = asyncio.Semaphore(_AT_ONCE)


async def upload(request: Request) -> Response:
    """Store the body as a file of the token's owner; `name` is what it was called. Again is harmless."""
    desk = desk_of(request)
    owner = await desk.owner_of(request)
    name = request.query_params.get("name", "untitled.txt")
    with await received(request, MAX_BOOK_BYTES) as body:
        async with _turns:
            data = await run_in_threadpool(body.read)
            if not data:
                raise Refusal(422, "The body is empty; send the file itself.")
            return JSONResponse({"upload": await run_in_threadpool(keep, desk.bucket, owner, data, name)}, 201)
