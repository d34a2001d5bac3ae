"""The owner: one model, loaded once and warm, and who is let into the line before it.

    loading -> warming up -> ready -> leaving          failed: the model cannot be drawn with

Knows no HTTP. The line itself is `limner/providers/diffusers/gathering.py`.
"""

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from limner.errors import Broken, Busy, Invalid, ProviderError
from limner.fitting import fault_of
from limner.jobs import Order
from limner.providers.diffusers import Drawn, Loaded
from limner.providers.diffusers.model_folder import NAME
from limner.providers.diffusers.wire import Ordered, State, Status
from limner.providers.seam import Asked, Capabilities

log = logging.getLogger(__name__)

# How soon a caller may ask again whom we cannot serve yet, or not any more.
RETRY_SECONDS = 3.0
# Beyond those who wait and those who are drawn for, some are being sent their pictures, and some come for another's
# place.
SPARE_THREADS = 16
WARM_UP_STEPS = 2
# The first kernels of a GPU are compiled for minutes at worst.
WARM_UP_SECONDS = 900.0


class Model(Protocol):
    """What an owner owns; `Diffusers` is one."""

    @property
    def model(self) -> str: ...

    @property
    def batch(self) -> int: ...

    def capabilities(self) -> Capabilities: ...

    def load(self) -> None: ...

    def draw(self, asked: Asked, seconds: float) -> Drawn: ...

    def status(self) -> Loaded: ...

    def send_away(self, why: str) -> None: ...


def room_for(batch: int) -> int:
    """Return how many may wait for a model: twice as many as the ledger lets through to it, and 32 at least."""
    return max(32, 4 * batch)


class Owner:
    """Owns a model. room: how many may wait for it, as the model itself was told."""

    def __init__(self, model: Model, room: int) -> None:
        self.failed: ProviderError | None = None
        # Calls under way; counted by the one thread of the event loop.
        self.inside = 0
        self.state: State = "loading"
        self._model = model
        self._room = room
        self._most = room + 2 * model.batch + SPARE_THREADS
        self._pool = ThreadPoolExecutor(self._most, "picture")
        self._began = time.monotonic()

    @property
    def model(self) -> str:
        return self._model.model

    def open(self) -> None:
        """Load the model and draw a small picture with it; what goes wrong stays in `failed`."""
        try:
            self._model.load()
            self._become("warming up")
            self._model.draw(self._warm_up(), WARM_UP_SECONDS)
        except ProviderError as error:
            self.failed, self.state = error, "failed"
            return
        except Exception as error:
            self.failed, self.state = Broken(f"{NAME}: {type(error).__name__}: {error}"), "failed"
            return
        self._become("ready")
        log.info("%s is ready on %s", self.model, self._model.status().device)

    async def draw(self, ordered: Ordered, stop: threading.Event) -> Drawn:
        """Draw one picture; raises ProviderError. stop: set when nobody waits for it any more."""
        if self.state != "ready":
            raise Busy(f"{NAME}: the owner is {self.state}; ask again.", RETRY_SECONDS)
        if self.inside >= self._most:
            raise Busy(f"{NAME}: {self.inside} calls are under way; ask later.", RETRY_SECONDS)
        asked = self._asked(ordered, stop)
        self.inside += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._model.draw, asked, ordered.within_seconds)
        finally:
            self.inside -= 1

    def leave(self) -> bool:
        """Let nobody in any more and send away who waits; say whether all have gone. To be called until they have."""
        self.state = "leaving"
        self._model.send_away(f"{NAME}: the owner is leaving; ask another, or this one again.")
        return self.inside == 0

    def status(self) -> Status:
        loaded = self._model.status()
        tally = loaded.tally
        return Status(
            state=self.state,
            model=self.model,
            device=loaded.device,
            batch=self._model.batch,
            capabilities=self._model.capabilities(),
            room=self._room,
            waiting=dict(tally.waiting),
            drawing=tally.drawing,
            drawn=tally.drawn,
            batches=tally.batches,
            loads=loaded.loads,
            seconds_a_batch=tally.seconds_a_batch,
            up_seconds=time.monotonic() - self._began,
            memory_bytes=dict(loaded.memory_bytes),
        )

    def _become(self, state: State) -> None:
        # Whoever is leaving does not come back.
        if self.state != "leaving":
            self.state = state

    def _warm_up(self) -> Asked:
        can = self._model.capabilities()
        side = -(-can.min_side // can.multiple_of) * can.multiple_of
        order = Order("warm-up", "a house", width=side, height=side, steps=WARM_UP_STEPS)
        return Asked(order, order.prompt, "", seed=1)

    def _asked(self, ordered: Ordered, stop: threading.Event) -> Asked:
        """Return the order as the model takes it; raises Invalid for one that it does not."""
        order = Order(
            "picture",
            ordered.prompt,
            ordered.negative_prompt,
            ordered.width,
            ordered.height,
            ordered.steps,
            ordered.guidance,
            # A model that knows one way only draws in that.
            droppable=("steps", "guidance"),
        )
        can = self._model.capabilities()
        if (fault := fault_of(order, can, ordered.model)) is not None:
            raise Invalid(f"{NAME}: {self.model} cannot draw it: {fault}.")
        if (longest := max(len(ordered.prompt), len(ordered.negative_prompt))) > can.max_prompt:
            raise Invalid(f"{NAME}: a prompt of {longest} characters is too long; give {can.max_prompt} at most.")
        return Asked(
            order=order,
            prompt=ordered.prompt,
            negative_prompt=ordered.negative_prompt,
            seed=ordered.seed,
            model=ordered.model,
            stop=stop,
            owner=ordered.owner,
            priority=ordered.priority,
        )
