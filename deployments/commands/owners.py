"""`limner owners set`, `limner owners show`."""

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from limner.errors import BadInput
from limner.settings import read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

app = typer.Typer(help="Who asks, and what their tier allows.", no_args_is_help=True)


@app.command("set")
def set_(owner: str, tier: Annotated[str, typer.Option(help="free, premium, ultimate or local.")]) -> None:
    """Give an owner a tier."""
    from limner.home.ledger import open_ledger  # noqa: PLC0415
    from limner.ledger import quota  # noqa: PLC0415
    from limner.tiers import tier as known  # noqa: PLC0415

    name = known(tier).name
    refuse_no_name(owner)
    ledger = open_ledger(read_settings())
    try:
        ledger.run(lambda connection: quota.set_tier(connection, owner, name), patience_seconds=0)
    finally:
        ledger.close()
    typer.echo(f"{owner} is {name} now.")


@app.command()
def show(owner: str) -> None:
    """Print an owner's tier and what is left of this month's pictures and money, as JSON."""
    from limner.home.ledger import open_ledger  # noqa: PLC0415
    from limner.ledger import money, plans, quota  # noqa: PLC0415
    from limner.tiers import tier as known  # noqa: PLC0415

    refuse_no_name(owner)
    period = plans.period_of(datetime.now(UTC))

    def look(connection: "Connection") -> dict[str, object]:
        allowed = known(quota.tier_or_default(connection, owner))
        cap, budget = allowed.pictures_a_month, allowed.budget_usd_a_month
        left_usd = money.owners_usd_left(connection, owner, period, budget)
        return {
            "owner": owner,
            "tier": allowed.name,
            "period": period,
            "pictures": cap,
            "left": quota.pictures_left(connection, owner, period, cap),
            "budget_usd": budget,
            "left_usd": None if left_usd is None else float(left_usd),
        }

    ledger = open_ledger(read_settings())
    try:
        found = ledger.run(look, patience_seconds=0)
    finally:
        ledger.close()
    typer.echo(json.dumps(found))


def refuse_no_name(owner: str) -> None:
    """Refuse what no request could name as its owner."""
    from limner.requests import ChapterRequest  # noqa: PLC0415

    pattern = ChapterRequest.model_json_schema()["properties"]["owner"]["pattern"]
    if not re.fullmatch(pattern.removesuffix("$"), owner):
        raise BadInput(f"{owner!r} cannot be an owner: give 1 to 100 letters, digits, or any of . @ _ -")
