"""`limner lineage show`."""

import json
import re
from typing import Annotated

import typer

from limner.errors import BadInput
from limner.settings import read_settings

app = typer.Typer(help="Where pictures came from.", no_args_is_help=True)

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@app.callback()
def lineage() -> None:
    """Ask the ledger."""


@app.command()
def show(which: Annotated[str, typer.Argument(metavar="SHA256|BATCH", help="A picture, or a batch.")]) -> None:
    """Print everything the ledger knows of a picture or a batch, as JSON."""
    from limner.home.ledger import open_ledger  # noqa: PLC0415
    from limner.ledger import reports  # noqa: PLC0415

    ledger = open_ledger(read_settings())
    asked = which.strip().lower() if _SHA256.match(which.strip().lower()) else which.strip()
    find = reports.lineage_of_picture if _SHA256.match(asked) else reports.lineage_of_batch
    try:
        found = ledger.run(lambda connection: find(connection, asked), patience_seconds=0)
    finally:
        ledger.close()
    if found is None:
        raise BadInput(f"The ledger knows no picture or batch {asked!r}; give a whole sha256 or a batch's name.")
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2, default=str))
