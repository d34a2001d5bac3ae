"""`limner numbers`: what was asked, made, reused, rejected and failed, how fast and for how much."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from limner.errors import BadInput
from limner.settings import read_settings


def numbers(
    by: Annotated[str, typer.Option(help="provider, type or tier.")] = "provider",
    owner: Annotated[str | None, typer.Option(help="Of one owner.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Count pictures by provider, by description type or by tier."""
    from limner.home.ledger import open_ledger  # noqa: PLC0415
    from limner.ledger import reports  # noqa: PLC0415

    if by not in get_args(reports.By):
        raise BadInput(f"There are no numbers by {by!r}; say {', '.join(get_args(reports.By))}.")
    ledger = open_ledger(read_settings())
    try:
        rows = ledger.run(lambda connection: reports.numbers(connection, cast("reports.By", by), owner))
    finally:
        ledger.close()
    if as_json:
        typer.echo(json.dumps(rows, default=float))
        return
    if not rows:
        typer.echo("Nothing was asked for yet.")
        return
    Console().print(_table(rows))


def _table(rows: Sequence[Mapping[str, object]]) -> Table:
    """Return a line a measure and a column a row, so that eighty signs are wide enough."""
    name, *measures = rows[0]
    table = Table(name, *(str(row[name]) for row in rows))
    for measure in measures:
        table.add_row(measure.replace("_", " "), *("" if row[measure] is None else str(row[measure]) for row in rows))
    return table
