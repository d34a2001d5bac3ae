"""The owner's pages: what is asked of it over HTTP, who may ask, and what each answer means.

What goes over the wire stands in `limner/providers/diffusers/wire.py`.
"""

import asyncio
import hmac
import math
import threading
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from limner.errors import BadInput, Busy, LimnerError, Refused
from limner.gpu.owner import RETRY_SECONDS, Owner
from limner.providers.diffusers.model_folder import NAME
from limner.providers.diffusers.wire import BATCH, MODEL, STATUSES, Ordered

# Two prompts of the longest, each letter escaped.
MAX_BODY_BYTES = 512 * 1024
# How long an order may take to come in.
BODY_SECONDS = 30.0


def app_of(owner: Owner, token: str) -> Starlette:
    """Return the pages of an owner; pictures are for whoever shows the token."""
    shown = f"Bearer {token}".encode()

    def guarded(page: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            if not hmac.compare_digest(request.headers.get("authorization", "").encode(), shown):
                return _said(401, "this owner draws for its own installation only")
            return await page(request)

        return checked

    async def picture(request: Request) -> Response:
        try:
            return await _picture(owner, request)
        except LimnerError as error:
            return _failed(owner, error)
        except ClientDisconnect:
            return Response(status_code=400)

    async def status(_request: Request) -> Response:
        return Response(owner.status().model_dump_json(), media_type="application/json")

    async def ready(_request: Request) -> Response:
        if owner.state == "ready":
            return JSONResponse({"state": owner.state})
        return JSONResponse({"state": owner.state}, 503, {"retry-after": f"{RETRY_SECONDS:g}"})

    async def health(_request: Request) -> Response:
        return JSONResponse({"state": owner.state})

    return Starlette(
        routes=[
            Route("/pictures", guarded(picture), methods=["POST"]),
            Route("/status", guarded(status)),
            Route("/ready", ready),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: _no_such_page},
    )


async def _picture(owner: Owner, request: Request) -> Response:
    """Draw what is asked for; whoever hangs up is taken out of the line."""
    ordered = _read(await _body(request))
    stop = threading.Event()
    drawing = asyncio.ensure_future(owner.draw(ordered, stop))
    gone = asyncio.ensure_future(_gone(request))
    await asyncio.wait((drawing, gone), return_when=asyncio.FIRST_COMPLETED)
    if not drawing.done():
        stop.set()
    try:
        drawn = await drawing
    finally:
        gone.cancel()
    # A header has no letters beyond ASCII, and a folder may have.
    headers = {MODEL: quote(owner.model), BATCH: str(drawn.batch)}
    return Response(drawn.data, media_type="image/png", headers=headers)


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise BadInput(f"{NAME}: an order has {MAX_BODY_BYTES:,} bytes at most; send a shorter one.")
    except TimeoutError:
        raise BadInput(f"{NAME}: the order was not whole within {BODY_SECONDS:g} s; send it again.") from None
    return bytes(body)


def _read(body: bytes) -> Ordered:
    try:
        return Ordered.model_validate_json(body)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the order'}: {one['msg']}" for one in error.errors()[:5])
        raise BadInput(f"{NAME}: {said}.") from None


async def _gone(request: Request) -> None:
    """Return once the caller has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _failed(owner: Owner, error: LimnerError) -> Response:
    status = STATUSES.get(type(error), 500)
    headers: dict[str, str] = {}
    if isinstance(error, Busy):
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds or RETRY_SECONDS))
        status = status if owner.state == "ready" else 503
    return _said(
        status,
        str(error).removeprefix(f"{NAME}: "),
        error.categories if isinstance(error, Refused) else (),
        headers,
    )


async def _no_such_page(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _said(status, "There is no such page; POST /pictures draws, GET /status tells.")


def _said(
    status: int, words: str, categories: tuple[str, ...] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"said": words, "categories": list(categories)}, status, headers)
