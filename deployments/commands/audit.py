"""`limner audit spend`."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from limner.settings import read_settings

app = typer.Typer(help="Whether the books agree.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Check the ledger against itself."""


@app.command()
def spend(
    owner: Annotated[str | None, typer.Option(help="One owner; all where not given.")] = None,
    period: Annotated[str | None, typer.Option(help="One month, like 2026-11.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what was spent, and that counters, entries and attempts agree to the cent; exit 1 where they do not."""
    from limner.home.ledger import open_ledger  # noqa: PLC0415
    from limner.ledger.auditing import audit_spend  # noqa: PLC0415

    ledger = open_ledger(read_settings())
    try:
        found = ledger.run(lambda connection: audit_spend(connection, owner, period))
    finally:
        ledger.close()
    if as_json:
        typer.echo(json.dumps({"agrees": not found.faults, **asdict(found)}, default=_plain))
    else:
        _show(found.totals, [f"{one.what}: ${one.one} and ${one.other}." for one in found.faults])
    raise typer.Exit(1 if found.faults else 0)


def _show(totals: Any, faults: list[str]) -> None:
    if not totals:
        typer.echo("Nothing was asked for yet.")
        return
    table = Table("period", "owner", "pictures", "counters", "entries", "attempts", "reserved")
    for row in totals:
        sums = (row[name] for name in ("counter_usd", "entries_usd", "attempts_usd", "reserved_usd"))
        table.add_row(row["period"], row["owner"], str(row["pictures"]), *(f"${one:.4f}" for one in sums))
    Console().print(table)
    for sentence in faults or ["Counters, entries and attempts agree to the cent."]:
        typer.echo(sentence, err=bool(faults))


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)
