"""`limner up`, `limner down`, `limner status`, `limner bootstrap`, `limner alive`, `limner doctor`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from limner.settings import read_settings


def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the Prefect API and its UI.  [4200]")] = None,
    gateway_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the gateway.  [4300]")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is healthy.")] = False,
) -> None:
    """Start everything on this machine, with blocks, work pools and deployments; stay until Ctrl-C."""
    from deployments import run_lines, stack  # noqa: PLC0415

    settings = read_settings()
    run_lines.set_up(settings, "up")
    if gateway_port is not None:
        settings = settings.model_copy(update={"gateway_port": gateway_port})
    start = stack.up_detached if detach else stack.up
    start(settings, port, typer.echo)


def down() -> None:
    """Stop what `limner up` started."""
    from deployments import stack  # noqa: PLC0415

    stack.down(read_settings(), typer.echo)


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show each part of the stack; exit 1 where one is not healthy, or nothing is up."""
    from deployments.stack import status as look  # noqa: PLC0415

    found = look(read_settings())
    if as_json:
        typer.echo(json.dumps({"up": bool(found), "parts": [asdict(one) for one in found]}))
    elif not found:
        typer.echo("Limner is not up.")
    else:
        for one in found:
            state = "healthy" if one.healthy else "NOT HEALTHY"
            process = f"  process {one.pid}" if one.pid else ""
            typer.echo(f"{one.name:<14} {state:<12} {one.address}{process}".rstrip())
    raise typer.Exit(0 if found and all(one.healthy for one in found) else 1)


def bootstrap() -> None:
    """Make blocks, work pools, queues, automations and deployments known to the Prefect API."""
    import asyncio  # noqa: PLC0415

    from deployments.bootstrap import apply_deployments, prefect_yaml, register  # noqa: PLC0415
    from deployments.local_api import prefect_api  # noqa: PLC0415

    with prefect_api(read_settings()):
        changed = asyncio.run(register())
        apply_deployments(prefect_yaml())
    typer.echo(
        f"Changed: {', '.join(changed)}." if changed else "Pools, queues and automations were as they should be."
    )


def alive(name: Annotated[str, typer.Argument(help="sweeper, runner, gpu-owner.", show_default=False)]) -> None:
    """Exit 0 when a process of this machine has shown signs of life lately, else 1."""
    from limner.home.alive import is_alive  # noqa: PLC0415

    raise typer.Exit(0 if is_alive(read_settings().home, name) else 1)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say what is configured, what is reachable, what is missing, and how to mend it."""
    from deployments.doctor import as_json as in_json  # noqa: PLC0415
    from deployments.doctor import as_text, examine, exit_status  # noqa: PLC0415

    findings = examine(read_settings())
    typer.echo(in_json(findings) if as_json else as_text(findings))
    raise typer.Exit(exit_status(findings))
