"""`limner tokens add`, `limner tokens list`, `limner tokens revoke`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from limner.settings import read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

app = typer.Typer(help="What other apps show to speak for an owner.", no_args_is_help=True)


@app.command()
def add(owner: str, name: Annotated[str, typer.Option(help="Which app it is for.")]) -> None:
    """Make a token for an owner and print it, once: only its hash is kept."""
    from limner.ledger import tokens  # noqa: PLC0415

    typer.echo(_in_ledger(lambda connection: tokens.add(connection, owner, name)))


@app.command("list")
def list_(
    owner: Annotated[str | None, typer.Option(help="Only theirs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print every token's id, owner, name, and when it was made and revoked."""
    from limner.ledger import tokens  # noqa: PLC0415

    found = _in_ledger(lambda connection: tokens.listed(connection, owner))
    if as_json:
        typer.echo(json.dumps({"tokens": [asdict(one) for one in found]}, default=str, ensure_ascii=False))
        return
    for one in found:
        revoked = f", revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else ""
        typer.echo(f"{one.id}  {one.owner}  {one.name}, made {one.made_at:%Y-%m-%d}{revoked}")


@app.command()
def revoke(token: Annotated[str, typer.Argument(help="Its id, as limner tokens list shows it.")]) -> None:
    """Take a token back; whoever shows it is refused from now on."""
    from limner.ledger import tokens  # noqa: PLC0415

    _in_ledger(lambda connection: tokens.revoke(connection, token))
    typer.echo(f"The token {token} is worth nothing now.")


def _in_ledger(work: "Callable[[Connection], T]") -> T:
    from limner.home.ledger import open_ledger  # noqa: PLC0415

    ledger = open_ledger(read_settings())
    try:
        return ledger.run(work, patience_seconds=0)
    finally:
        ledger.close()
