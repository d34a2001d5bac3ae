"""`limner up`, `limner down`, `limner doctor`."""

from typing import Annotated

import typer

from limner.settings import read_settings


def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the Prefect API and its UI.  [4200]")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is healthy.")] = False,
) -> None:
    """Start a Prefect API, the ledger and a worker, with blocks and deployments; stay until Ctrl-C."""
    from deployments import stack  # noqa: PLC0415

    start = stack.up_detached if detach else stack.up
    start(read_settings(), port, typer.echo)


def down() -> None:
    """Stop what `limner up` started."""
    from deployments import stack  # noqa: PLC0415

    stack.down(read_settings(), typer.echo)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say what is configured, what is reachable, what is missing, and how to mend it."""
    from deployments.doctor import as_json as in_json  # noqa: PLC0415
    from deployments.doctor import as_text, examine, exit_status  # noqa: PLC0415

    findings = examine(read_settings())
    typer.echo(in_json(findings) if as_json else as_text(findings))
    raise typer.Exit(exit_status(findings))
