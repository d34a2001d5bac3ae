"""`limner serve`: one long-lived process of a stack, for whoever keeps processes up themselves (compose, systemd)."""

from typing import Annotated

import typer

from limner.settings import Settings, read_settings

app = typer.Typer(help="One process of a stack; limner up starts them all.", no_args_is_help=True)


def _settings(name: str) -> Settings:
    """Return the settings, with the process's log as they say."""
    from deployments import run_lines  # noqa: PLC0415

    settings = read_settings()
    run_lines.set_up(settings, name)
    return settings


Host = Annotated[str, typer.Option(help="Address to listen on.")]


@app.command()
def gateway(host: Host = "127.0.0.1", port: Annotated[int | None, typer.Option(help="[4300]")] = None) -> None:
    """Serve other apps, signed links and metrics."""
    from deployments.gateway.serving import serve  # noqa: PLC0415

    settings = _settings("gateway")
    serve(settings, host=host, port=port or settings.gateway_port)


@app.command()
def sweeper() -> None:
    """Find what died, resume or close it; deliver webhooks."""
    from deployments.sweeper import serve  # noqa: PLC0415

    serve(_settings("sweeper"))


@app.command()
def runner() -> None:
    """Make interactive flow runs in warm processes."""
    from deployments.runner import serve  # noqa: PLC0415

    serve(_settings("runner"))


@app.command()
def worker(
    pool: Annotated[str, typer.Option(help="Work pool.")] = "cpu",
    queue: Annotated[list[str] | None, typer.Option(help="Work queue; may be repeated.  [batch, default]")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Flow runs at once.")] = 4,
) -> None:
    """Make flow runs in a process each, as Prefect's process worker."""
    from deployments.worker import serve  # noqa: PLC0415

    serve(_settings("worker"), pool, tuple(queue or ("batch", "default")), limit)


@app.command("gpu-owner")
def gpu_owner(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 4400,
    device: Annotated[str, typer.Option(help="cuda:0, cpu, mps; the best one where empty.")] = "",
) -> None:
    """Own a GPU: load the model once, draw for all who ask."""
    from limner.gpu.serving import serve  # noqa: PLC0415

    serve(_settings("gpu-owner"), host=host, port=port, device=device)
