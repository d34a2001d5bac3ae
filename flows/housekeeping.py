"""Housekeeping, by the clock: what died is swept, the books are audited, what is old is purged."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from blocks.studio import open_studio
from limner.ledger.auditing import audit_spend
from limner.purging import Ages, purge
from tasks.housekeeping import show_books, show_purged, show_swept
from tasks.housekeeping import sweep as sweep_once

Days = Annotated[float, Field(ge=1, le=3650)]


@flow(name="sweep", flow_run_name="sweep")
async def sweep_dead_runs(studio: str = "default") -> int:
    """Find runs whose process died, resume or close them; return how many there were.

    Args:
        studio: Whose ledger and providers: the name of a limner-studio block.
    """
    swept = await sweep_once(await open_studio(studio))
    await show_swept(swept)
    return len(swept)


@flow(name="audit", flow_run_name="audit")
async def audit_books(studio: str = "default") -> None:
    """Add the books up, to the cent; fails, with a sentence, where they disagree.

    Args:
        studio: Whose ledger: the name of a limner-studio block.
    """
    room = await open_studio(studio)
    await show_books(room.ledger.run(audit_spend))


@flow(name="purge", flow_run_name="purge")
async def purge_what_is_old(
    rejected_days: Days = 30,
    uploads_days: Days = 30,
    webhooks_days: Days = 30,
    turns_days: Days = 7,
    dry_run: bool = False,
    studio: str = "default",
) -> None:
    """Remove what nobody needs any more; the record of what was made and paid for stays.

    Args:
        rejected_days: Pictures that a gate rejected are kept for so many days.
        uploads_days: Files that apps sent are kept for so many days, and while a batch is unfinished that names them.
        webhooks_days: Deliveries that have ended are kept for so many days.
        turns_days: Owners that were not served for so many days wait like new ones.
        dry_run: Only count what would go.
        studio: Whose ledger and bucket: the name of a limner-studio block.
    """
    room = await open_studio(studio)
    ages = Ages(rejected_days, uploads_days, webhooks_days, turns_days)
    await show_purged(purge(room.ledger, room.bucket, ages, dry_run=dry_run), dry_run=dry_run)
