"""What housekeeping runs show in the Prefect UI: one table each, of what was found and done."""

from collections.abc import Sequence
from dataclasses import asdict

from prefect.artifacts import acreate_table_artifact
from prefect.client.orchestration import get_client

from limner.errors import BooksDisagree
from limner.ledger.auditing import Spend
from limner.purging import Purged
from limner.studio import Room
from tasks import sweeping
from tasks.sweeping import Swept

# Faults named in the sentence that fails the run; the table has them all.
NAMED = 20


async def sweep(room: Room) -> list[Swept]:
    """Make one pass of the sweeper."""
    async with get_client() as client:
        return await sweeping.sweep(room, client)


async def show_swept(swept: Sequence[Swept]) -> None:
    table = [{**asdict(one), "step": str(one.step)} for one in swept]
    said = f"{len(swept)} runs were found whose process had died." if swept else "Every run has its process."
    await acreate_table_artifact(table=table, key="sweep", description=said)


async def show_books(spend: Spend) -> None:
    """Show what each owner spent, and what does not agree; raises BooksDisagree where that is anything."""
    faults = [f"{one.what}: {one.one} and {one.other}" for one in spend.faults]
    totals = [{name: str(value) for name, value in row.items()} for row in spend.totals]
    said = "; ".join(faults) or "Counters, entries and attempts agree to the cent."
    await acreate_table_artifact(table=totals, key="audit", description=said)
    if faults:
        more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise BooksDisagree(f"The books disagree: {'; '.join(faults[:NAMED])}{more}. See limner audit spend.")


async def show_purged(purged: Sequence[Purged], *, dry_run: bool) -> None:
    table = [asdict(one) for one in purged]
    said = "What would go; nothing was touched." if dry_run else "What has gone."
    await acreate_table_artifact(table=table, key="purge", description=said)
