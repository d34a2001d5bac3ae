"""What a person sees of a batch in the Prefect UI: its progress while it runs; when it ends, a table and the pictures.

Pictures are shown by link: a browser fetches them from the gateway.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from limner.ledger import reports
from limner.links import Links, links_of
from limner.press import BatchReport
from limner.progress import Progress
from limner.settings import read_settings
from limner.studio import Room

SECONDS_BEFORE = 0.5
# Each change is a call of the API; a person needs no more.
SECONDS_BETWEEN = 2.0

# A table is read by people; the whole report lies in the bucket.
TABLE_ROWS = 500

# A page with more pictures is slow to look at; the contact sheet shows them all.
THUMBNAILS = 60

# As long as Prefect keeps what it shows; S3 signs its own links for a week at most.
LINK_SECONDS = 30 * 86_400

_MARKUP = re.compile(r"([\\`*_\[\]<>#&|~!])")


class ProgressShown:
    """The batch's progress artifact, changed in coarse steps beside the work, which never waits for it."""

    def __init__(self, room: Room, progress: Progress) -> None:
        self._progress = progress
        self._sheet = links_of(read_settings(), room.bucket, LINK_SECONDS).sheet(progress.batch.id)
        self._ended = asyncio.Event()
        self._showing = asyncio.create_task(self._show())

    async def end(self) -> None:
        """Show how far the batch came, and stop."""
        self._ended.set()
        await self._showing

    async def _show(self) -> None:
        stage = self._progress.stage
        title = f"{_plain(stage.title)}: {stage.asked} pictures."
        title += f" [Contact sheet]({self._sheet}), also while it runs." if self._sheet else ""
        shown = stage.percent
        # The first calls of providers go before it.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), SECONDS_BEFORE)
        artifact = await acreate_progress_artifact(progress=shown, key=_key(stage.batch), description=title)
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), SECONDS_BETWEEN)
            if (now := self._progress.stage.percent) != shown:
                shown = now
                await aupdate_progress_artifact(artifact_id=artifact, progress=shown)


async def show_batch(room: Room, report: BatchReport) -> None:
    """Write the batch's table, a row a picture with its link or why there is none, and a page with the pictures."""
    rows = room.ledger.run(lambda connection: list(reports.sheet_rows(connection, report.batch, TABLE_ROWS)))
    links = links_of(read_settings(), room.bucket, LINK_SECONDS)
    more = f" The first {TABLE_ROWS} are shown." if report.asked > TABLE_ROWS else ""
    said = (
        f"{report.made} made, {report.reused} reused, {report.failed} failed of {report.asked}.{more} "
        f"The whole report: {room.bucket.location()}{report.report}"
    )
    table = [_row(links, row) for row in rows]
    await acreate_table_artifact(table=table, key=f"{_key(report.batch)}-pictures", description=said)
    if sheet := links.sheet(report.batch):
        title = room.progress(report.batch).batch.title
        page = _page(title, sheet, links, [row for row in rows if row.artifact])
        await acreate_markdown_artifact(markdown=page, key=f"{_key(report.batch)}-sheet", description=f"{title}.")


def _row(links: Links, row: Any) -> dict[str, Any]:
    return {
        "picture": row.key,
        "status": row.status,
        "score": row.score,
        "provider": row.provider,
        "seed": row.seed,
        "link": links.picture(row.sha256, row.artifact) if row.artifact else "",
        "why": row.reason or "",
    }


def _page(title: str, sheet: str, links: Links, rows: Sequence[Any]) -> str:
    """Return the pictures as Markdown: a link to the contact sheet, and thumbnails.

    They are no links themselves: Prefect's own pages show an image within a link as its address.
    """
    shown = [f"![{_plain(row.key)}]({links.thumbnail(row.sha256)})" for row in rows[:THUMBNAILS]]
    more = f" The first {THUMBNAILS} are shown here." if len(rows) > THUMBNAILS else ""
    return f"# {_plain(title)}\n\n[Contact sheet]({sheet}).{more}\n\n" + "\n".join(shown) + "\n"


def _plain(words: str) -> str:
    """Return words in which nothing is Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(words.split()))


def _key(batch: str) -> str:
    """Return an artifact key of the batch: Prefect takes lower-case Latin letters, digits and hyphens."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in batch.lower()).strip("-")
