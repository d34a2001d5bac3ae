"""`limner webhooks`: who is told of a batch's end, what they were told, and telling them again."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from deployments.commands.owners import refuse_no_name
from limner.errors import BadInput
from limner.settings import Settings, read_settings

if TYPE_CHECKING:
    from limner.ledger.opening import Ledger

# Characters of a line that nobody sees cut.
WIDE = 250

app = typer.Typer(help="Tell other apps, signed, that a batch has ended.", no_args_is_help=True)

# More lines than this nobody reads.
MOST = 200


@app.command()
def add(owner: str, url: str) -> None:
    """Tell URL of the end of each of OWNER's batches; prints the webhook's id and the secret that signs."""
    from limner.ledger import outbox  # noqa: PLC0415
    from limner.webhooks.sending import check_url  # noqa: PLC0415

    refuse_no_name(owner)
    settings = read_settings()
    told = check_url(url, allow_private=settings.allow_private_addresses)
    with _ledger(settings) as ledger:
        webhook_id = ledger.run(lambda connection: outbox.add(connection, owner, told), patience_seconds=0)
    typer.echo(f"{webhook_id}\n{_secret(settings, webhook_id)}")


@app.command("list")
def list_(owner: Annotated[str | None, typer.Argument()] = None) -> None:
    """List the webhooks, of everybody or of one owner."""
    from limner.ledger import outbox  # noqa: PLC0415

    with _ledger(read_settings()) as ledger:
        found = ledger.run(lambda connection: outbox.living(connection, owner), patience_seconds=0)
    for one in found:
        typer.echo(f"{one.id}  {one.owner}  {one.url}")


@app.command()
def remove(webhook: str) -> None:
    """Tell a webhook nothing any more; what still waits for it is dead."""
    from limner.ledger import outbox  # noqa: PLC0415

    with _ledger(read_settings()) as ledger:
        was_there = ledger.run(lambda connection: outbox.remove(connection, webhook), patience_seconds=0)
    if not was_there:
        raise _unknown(webhook)
    typer.echo(f"{webhook} is told nothing any more.")


@app.command()
def secret(webhook: str) -> None:
    """Print what a webhook's messages are signed with."""
    settings = read_settings()
    with _ledger(settings) as ledger:
        _url(ledger, webhook)
    typer.echo(_secret(settings, webhook))


@app.command()
def sent(
    owner: Annotated[str | None, typer.Option(help="Of one owner.")] = None,
    status: Annotated[str | None, typer.Option(help="waiting, delivered or dead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Show what was told and what is still to be, the newest first."""
    from limner.ledger import outbox  # noqa: PLC0415

    wanted = next((one for one in get_args(outbox.Status) if one == status), None)
    if status != wanted:
        raise BadInput(f"No message is {status!r}; say {', '.join(get_args(outbox.Status))}.")
    with _ledger(read_settings()) as ledger:
        rows = ledger.run(lambda connection: outbox.sent(connection, owner, wanted, MOST), patience_seconds=0)
    if as_json:
        typer.echo(json.dumps([dict(row._mapping) for row in rows], default=lambda time: time.isoformat()))
        return
    table = Table("message", "event", "batch", "status", "tries", "reason")
    for row in rows:
        table.add_row(row.id, row.event, row.batch, row.status, str(row.tries), row.reason or "")
    # In a pipe too each id is whole: it is what `resend` is told.
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    console.print(table if rows else "Nothing was to be told yet.")


@app.command()
def resend(
    message: Annotated[str | None, typer.Argument(help="As `limner webhooks sent` shows it.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
) -> None:
    """Send one message anew, or all dead ones."""
    from limner.ledger import outbox  # noqa: PLC0415

    if dead == (message is not None):
        raise BadInput("Say which message to send again, or --dead for all that were given up.")
    with _ledger(read_settings()) as ledger:
        again = ledger.run(lambda connection: outbox.send_again(connection, message), patience_seconds=0)
    if message and not again:
        raise BadInput(f"There is no message {message} of a living webhook; `limner webhooks sent` lists them.")
    typer.echo(f"{again} {'message is' if again == 1 else 'messages are'} sent again.")


@app.command()
def test(webhook: str) -> None:
    """Send a `ping` now, and print what the receiver answers."""
    from limner.errors import ProviderError  # noqa: PLC0415
    from limner.webhooks.delivering import ping  # noqa: PLC0415

    settings = read_settings()
    with _ledger(settings) as ledger:
        url = _url(ledger, webhook)
    try:
        answer = ping(settings, webhook, url)
    except ProviderError as error:
        typer.echo(str(error))
        raise typer.Exit(1) from None
    typer.echo(f"{str(answer).capitalize()}.")
    raise typer.Exit(0 if answer.is_fine else 1)


@contextmanager
def _ledger(settings: Settings) -> Iterator["Ledger"]:
    from limner.home.ledger import open_ledger  # noqa: PLC0415

    ledger = open_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close()


def _url(ledger: "Ledger", webhook: str) -> str:
    from limner.ledger import outbox  # noqa: PLC0415

    found = ledger.run(lambda connection: outbox.find(connection, webhook), patience_seconds=0)
    if found is None:
        raise _unknown(webhook)
    return str(found.url)


def _secret(settings: Settings, webhook: str) -> str:
    from limner.signing import signing_key  # noqa: PLC0415
    from limner.webhooks.sending import secret_of  # noqa: PLC0415

    return secret_of(signing_key(settings), webhook)


def _unknown(webhook: str) -> BadInput:
    return BadInput(f"There is no webhook {webhook}; `limner webhooks list` shows all.")
