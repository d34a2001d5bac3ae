"""A card of the contact sheet, from what the ledger says of its job (`limner.ledger.reports.sheet_rows`).

Where the picture is shown from is for the caller to add.
"""

from typing import Any

from limner.sheet.writing import SheetPicture


def card_of(row: Any) -> SheetPicture:
    """Return a job's card, still without its picture."""
    return SheetPicture(
        key=row.key,
        data=None,
        words=row.about.get("original") or row.about.get("description") or "",
        prompt=row.prompt or "",
        score=row.score,
        level=row.level or "",
        seed=row.seed,
        provider=row.provider or "",
        model=row.model or "",
        width=row.width or 0,
        height=row.height or 0,
        sha256=row.sha256 or "",
        reused=row.status == "reused",
        error=row.reason or "",
    )
