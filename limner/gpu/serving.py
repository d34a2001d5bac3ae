"""Serving: an owner and its pages as one long-lived process.

On SIGTERM or SIGINT it refuses what is new, ends the batch under way, and goes; the second signal does not wait.
"""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from limner.errors import BadInput, LimnerError
from limner.gpu.app import app_of
from limner.gpu.owner import Owner, room_for
from limner.home.alive import BEAT_SECONDS, beat, forget
from limner.providers.diffusers import Diffusers
from limner.providers.diffusers.wire import token_of
from limner.settings import Settings

LOOPBACK = "127.0.0.1"
NAME = "gpu-owner"

# Longer than a client keeps a connection that it does not use, so that none is closed while it is taken up again.
KEEP_ALIVE_SECONDS = 75
# The server ticks ten times a second.
BEAT_TICKS = int(BEAT_SECONDS * 10)

log = logging.getLogger(__name__)


def serve(settings: Settings, *, port: int, device: str = "", host: str = LOOPBACK) -> None:
    """Own a device and draw for all who show this installation's token, until SIGTERM or SIGINT.

    Raises BadInput for settings that no owner can be started with, and Broken or Unauthorised where the model cannot be
    drawn with.
    """
    if settings.diffusers_model is None:
        raise BadInput("The owner of a GPU needs a model; set LIMNER_DIFFUSERS_MODEL.")
    room = room_for(settings.diffusers_batch)
    model = Diffusers(
        settings.diffusers_model,
        device=device,
        batch=settings.diffusers_batch,
        steps=settings.diffusers_steps,
        guidance=settings.diffusers_guidance,
        room=room,
    )
    own(Owner(model, room), settings, port=port, host=host, name=_name(device))


def own(owner: Owner, settings: Settings, *, port: int, host: str = LOOPBACK, name: str = NAME) -> None:
    """Serve an owner's pages while it loads its model and after, until SIGTERM or SIGINT, or it has failed."""
    config = uvicorn.Config(
        app_of(owner, token_of(settings)),
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    listening = _listen(host, port)
    threading.Thread(target=owner.open, name="load", daemon=True).start()
    log.info("%s: http://%s:%s", name, host, port)
    _Server(config, owner, lambda: beat(settings.home, name)).run([listening])
    forget(settings.home, name)
    if owner.failed is not None:
        raise owner.failed


class _Server(uvicorn.Server):
    """Serves until the owner has nobody left to draw for."""

    def __init__(self, config: uvicorn.Config, owner: Owner, beat: Callable[[], None]) -> None:
        super().__init__(config)
        self._owner = owner
        self._beat = beat
        self._is_leaving = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._is_leaving:
            self.force_exit = True
            super().handle_exit(sig, frame)
        self._is_leaving = True

    async def on_tick(self, counter: int) -> bool:
        if counter % BEAT_TICKS == 0:
            with suppress(LimnerError, OSError):  # a home without room is no reason not to draw
                self._beat()
        if self._owner.failed is not None or (self._is_leaving and self._owner.leave()):
            self.should_exit = True
        return await super().on_tick(counter)


def _name(device: str) -> str:
    return f"{NAME}-{device.replace(':', '-')}" if device else NAME


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise BadInput(f"The owner of a GPU cannot listen at {host}:{port} ({error}); name a free port.") from None
