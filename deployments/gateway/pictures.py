"""Pictures, their small copies and contact sheets, for whoever has a link that the gateway has signed."""

import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from deployments.gateway.answering import Refusal
from deployments.gateway.desk import Desk, desk_of
from limner.home.layout import folder
from limner.ledger import plans, replies, reports
from limner.ledger.plans import Batch
from limner.links import artifact_path, sheet_path, thumbnail_path
from limner.sheet import SheetPicture, pieces
from limner.sheet.cards import card_of
from limner.sheet.thumbnails import small_copy

# A page with more pictures serves nobody; the reply lists them all.
SHEET_PICTURES = 500

# How often a page whose batch is under way loads itself anew.
REFRESH_SECONDS = 5

# What is opened by a link tells no other site of it, and is what it says it is.
_CLOSED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_OF_PICTURES = _CLOSED | {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_OF_SHEETS = _CLOSED | {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}
# What a path may name, also where it is signed.
_NAMES = {"sha256": re.compile(r"[0-9a-f]{64}"), "batch": re.compile(r"[\w-]+")}
_MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp")

# Decoding takes tens of megabytes and a core each.
_easels = threading.BoundedSemaphore(os.cpu_count() or 1)


async def picture(request: Request) -> Response:
    """Answer with a picture's bytes as they came from whoever drew it: nothing beside them."""
    desk, sha256 = desk_of(request), _sealed(request, "sha256", artifact_path)
    data, media_type = await _picture(desk, sha256)
    return Response(data, media_type=media_type, headers=_OF_PICTURES)


async def thumbnail(request: Request) -> Response:
    """Answer with a picture's small copy, made when it is first asked for."""
    desk, sha256 = desk_of(request), _sealed(request, "sha256", thumbnail_path)
    file = folder(desk.settings.home.resolve(), "thumbs") / f"{sha256}.webp"
    try:
        # Who may see it is asked of the ledger each time; the file only spares the making.
        await _where(desk, sha256)
        small = await run_in_threadpool(file.read_bytes)
    except Refusal:
        file.unlink(missing_ok=True)
        raise
    except FileNotFoundError:
        data, _ = await _picture(desk, sha256)
        small = await run_in_threadpool(_copied, data, file)
    return Response(small, media_type="image/webp", headers=_OF_PICTURES)


async def sheet(request: Request) -> Response:
    """Answer with a batch's contact sheet as it stands; one that is under way loads itself anew."""
    desk, batch_id = desk_of(request), _sealed(request, "batch", sheet_path)
    batch = await desk.look(lambda connection: plans.get_batch(connection, batch_id))
    if batch is None:
        raise _nothing()
    rows = await desk.look(partial(_rows, batch))
    page = await run_in_threadpool(lambda: b"".join(_page(desk, batch, rows)))
    is_open = batch.status == "open"
    return HTMLResponse(page, headers=_OF_SHEETS | ({"Refresh": str(REFRESH_SECONDS)} if is_open else {}))


def _sealed(request: Request, name: str, path_of: Any) -> str:
    """Return what the path names; raises Refusal where its signature does not open it."""
    named: str = request.path_params[name]
    asked = request.query_params
    why_not = desk_of(request).links.seal.why_not(path_of(named), asked.get("until", ""), asked.get("signature", ""))
    if why_not is not None:
        raise Refusal(403, why_not)
    if not _NAMES[name].fullmatch(named):
        raise _nothing()
    return named


async def _picture(desk: Desk, sha256: str) -> tuple[bytes, str]:
    key, media_type = await _where(desk, sha256)
    try:
        return await run_in_threadpool(desk.bucket.get, key), media_type
    except KeyError:
        raise _nothing() from None


async def _where(desk: Desk, sha256: str) -> tuple[str, str]:
    """Return a picture's bucket key and media type; raises Refusal for one that is unknown or deleted."""
    found = await desk.look(lambda connection: replies.where_it_lies(connection, sha256))
    if found is None or found[1] not in _MEDIA_TYPES:
        raise _nothing()
    return found


def _copied(data: bytes, file: Path) -> bytes:
    with _easels:
        small = small_copy(data)
    if small is None:
        raise _nothing()
    fresh = file.with_suffix(f".{secrets.token_hex(4)}.new")
    # Where it cannot be kept it is made again.
    with suppress(OSError):
        fresh.write_bytes(small)
        fresh.replace(file)
    return small


def _nothing() -> Refusal:
    return Refusal(404, "There is no such picture or batch; it may have been deleted.")


def _rows(batch: Batch, connection: Connection) -> list[Any]:
    return list(reports.sheet_rows(connection, batch.id, SHEET_PICTURES))


def _page(desk: Desk, batch: Batch, rows: list[Any]) -> Iterator[bytes]:
    more = f"The first {SHEET_PICTURES} of {batch.asked} are shown."
    notes = [*batch.notes, *([more] if batch.asked > len(rows) else [])]
    cards = (_card(desk, row, batch.status == "open") for row in rows)
    yield from pieces(batch.title, cards, notes, images="'self'")


def _card(desk: Desk, row: Any, is_open: bool) -> SheetPicture:
    def here(path: str) -> str:
        # Relative, so that it works behind whatever the gateway stands behind.
        return "../.." + desk.links.seal.sealed(path, desk.links.seconds)

    return replace(
        card_of(row),
        link=here(artifact_path(row.sha256)) if row.sha256 else "",
        thumbnail=here(thumbnail_path(row.sha256)) if row.sha256 else "",
        awaited=is_open and row.status == "promised",
    )
