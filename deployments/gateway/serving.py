"""Serving the gateway: a process that answers until it is told to end.

    python -m deployments.gateway.serving

Prefect and whatever needs it are imported once its environment stands.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from deployments.local_api import prefect_api
from limner.errors import BadInput
from limner.home.alive import BEAT_SECONDS, beat, forget
from limner.settings import Settings, read_settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"

# Connections at once; those beyond are answered 503, and none waits unseen.
MOST_CONNECTIONS = 256

# Answers under way have so long when it is told to end; those that wait for news end with it.
CLOSE_SECONDS = 3

_NAME = "gateway"


def serve(settings: Settings, *, host: str = LOOPBACK, port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT; raises BadInput for a taken port, and Unreachable for what it stands on."""
    with _listening(host, port or settings.gateway_port) as listening, prefect_api(settings):
        address = settings.gateway_url or f"http://{_named(host)}:{listening.getsockname()[1]}"
        asyncio.run(_serve(settings, address, listening))


async def _serve(settings: Settings, address: str, listening: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415

    config = uvicorn.Config(
        application(settings, address),
        log_level="warning",
        # What is asked for carries signatures.
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    server = uvicorn.Server(config)
    # Its own handlers would raise the signal again, before our Prefect API is left.
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, setattr, server, "should_exit", True)
    await server.serve(sockets=[listening])


def application(settings: Settings, address: str) -> "Starlette":
    """Return the gateway as an application, to be reached at `address`; opens nothing before it is started."""
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    from deployments.gateway import asking, pictures, probes, uploading  # noqa: PLC0415
    from deployments.gateway.answering import HANDLERS  # noqa: PLC0415

    routes = [
        Route("/v1/requests", asking.submit, methods=["POST"]),
        Route("/v1/requests/{id}", asking.show, methods=["GET"]),
        Route("/v1/requests/{id}", asking.cancel, methods=["DELETE"]),
        Route("/v1/requests/{id}/reply", asking.reply, methods=["GET"]),
        Route("/v1/uploads", uploading.upload, methods=["POST", "PUT"]),
        Route("/artifacts/{sha256}", pictures.picture, methods=["GET"]),
        Route("/artifacts/{sha256}/thumb.webp", pictures.thumbnail, methods=["GET"]),
        Route("/batches/{batch}/sheet", pictures.sheet, methods=["GET"]),
        Route("/health", probes.health, methods=["GET"]),
        Route("/ready", probes.ready, methods=["GET"]),
        Route("/metrics", probes.metrics, methods=["GET"]),
    ]

    @asynccontextmanager
    async def open_for_business(app: Starlette) -> AsyncIterator[None]:
        async with _opened(settings, address, app):
            yield

    return Starlette(routes=routes, lifespan=open_for_business, exception_handlers=dict(HANDLERS))


@asynccontextmanager
async def _opened(settings: Settings, address: str, app: "Starlette") -> AsyncIterator[None]:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from deployments.gateway.desk import open_desk  # noqa: PLC0415
    from deployments.gateway.watching import Watch  # noqa: PLC0415

    async with get_client() as prefect:
        app.state.desk = desk = await open_desk(settings, address, prefect)
        app.state.watch = watch = Watch(desk)
        at_work = [asyncio.create_task(one) for one in (watch.run(), _beating(settings))]
        try:
            yield
        finally:
            for one in at_work:
                one.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)
            desk.ledger.close()
            forget(settings.home, _NAME)


async def _beating(settings: Settings) -> None:
    while True:
        beat(settings.home, _NAME)
        await asyncio.sleep(BEAT_SECONDS)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a listening socket; raises BadInput where another program has the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio turns Nagle off only for sockets that say they are TCP.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(MOST_CONNECTIONS)
        except OSError as error:
            raise BadInput(
                f"The gateway cannot listen on {host}:{port} ({error.strerror}); "
                "set LIMNER_GATEWAY_PORT to a free port."
            ) from None
        yield listening


def _named(host: str) -> str:
    """Return by which name an address is reached from this machine."""
    return {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve(read_settings())
