"""What a person sees of a batch in the Prefect UI: one progress artifact while it runs, one table when it ends."""

import asyncio
from contextlib import suppress
from typing import Any

from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact

from limner.ledger import reports
from limner.press import BatchReport
from limner.progress import Progress
from limner.studio import Room

# Each change is a call of the API; a person needs no more.
SECONDS_BETWEEN = 2.0

# A table is read by people; the whole report lies in the bucket.
TABLE_ROWS = 500

# As long as S3 signs a link for.
LINK_SECONDS = 7 * 86_400


class ProgressShown:
    """The batch's progress artifact, changed in coarse steps beside the work, which never waits for it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._ended = asyncio.Event()
        self._showing = asyncio.create_task(self._show())

    async def end(self) -> None:
        """Show how far the batch came, and stop."""
        self._ended.set()
        await self._showing

    async def _show(self) -> None:
        stage = self._progress.stage
        title = f"{stage.title}: {stage.asked} pictures"
        shown = stage.percent
        artifact = await acreate_progress_artifact(progress=shown, key=_key(stage.batch), description=title)
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), SECONDS_BETWEEN)
            if (now := self._progress.stage.percent) != shown:
                shown = now
                await aupdate_progress_artifact(artifact_id=artifact, progress=shown)


async def show_table(room: Room, report: BatchReport) -> None:
    """Write the batch's table: a row a picture with its link, and each failed job with its reason."""
    rows = room.ledger.run(lambda connection: list(reports.sheet_rows(connection, report.batch, TABLE_ROWS)))
    more = f" The first {TABLE_ROWS} are shown." if report.asked > TABLE_ROWS else ""
    said = (
        f"{report.made} made, {report.reused} reused, {report.failed} failed of {report.asked}.{more} "
        f"The whole report: {room.bucket.location()}{report.report}"
    )
    table = [_row(room, row) for row in rows]
    await acreate_table_artifact(table=table, key=f"{_key(report.batch)}-pictures", description=said)


def _row(room: Room, row: Any) -> dict[str, Any]:
    return {
        "picture": row.key,
        "status": row.status,
        "score": row.score,
        "provider": row.provider,
        "seed": row.seed,
        "link": room.bucket.link(row.artifact, LINK_SECONDS) if row.artifact else "",
        "why": row.reason or "",
    }


def _key(batch: str) -> str:
    """Return an artifact key of the batch: Prefect takes lower-case Latin letters, digits and hyphens."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in batch.lower()).strip("-")
