"""An owner without a model: a painter behind a real line and real pages, in this process or in one of its own.

python -m tests.limner.gpu.painting --port 4400     (LIMNER_HOME says where; each batch takes until SIGUSR1)
"""

import argparse
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import httpx
import uvicorn
from PIL import Image

from limner.errors import Broken, Busy, Cancelled, ProviderError
from limner.gpu.app import app_of
from limner.gpu.owner import Owner
from limner.gpu.serving import own
from limner.jobs import Order
from limner.providers.diffusers import Drawn, Loaded, refuse_what_would_be_lost
from limner.providers.diffusers.gathering import Gathering, Place
from limner.providers.seam import Asked, Capabilities
from limner.settings import read_settings

TOKEN = "a-token-of-ours"


class Painter:
    """Paints one colour, a batch each time it is let; keeps what it painted. `breaks` is what a batch ends with."""

    model = "oil on canvas"

    def __init__(self, batch: int = 2, room: int | None = None, **capabilities: Any) -> None:
        self.batch = batch
        self.room = room
        self.batches: list[list[str]] = []
        self.breaks: Callable[[], ProviderError] | None = None
        self.loads = 0
        self.may_load = threading.Event()
        self.may_load.set()
        self.has_begun = threading.Semaphore(0)
        self._may_draw = threading.Semaphore(0)
        self._can = Capabilities(models=(self.model,), cancels=True, max_prompt=1000, **capabilities)
        self._line: Gathering[str, bytes] = Gathering(self._paint)

    def let(self, batches: int = 1000) -> None:
        self._may_draw.release(batches)

    def begun(self) -> None:
        """Return once one more batch has begun."""
        assert self.has_begun.acquire(timeout=30)

    def capabilities(self) -> Capabilities:
        return self._can

    def load(self) -> None:
        assert self.may_load.wait(30)
        self.loads += 1

    def draw(self, asked: Asked, seconds: float) -> Drawn:
        refuse_what_would_be_lost(asked, self.model)
        if asked.order.kind == "warm-up":
            return Drawn(b"", 0)
        place: Place[str, bytes] = Place(
            asked.prompt,
            (asked.order.width, asked.order.height),
            lambda: Cancelled("diffusers: stopped") if asked.stop.is_set() else None,
            asked.priority,
            asked.owner,
        )
        return Drawn(self._line.take_part(place, lambda: self.batch, self.room), place.batch)

    def status(self) -> Loaded:
        return Loaded("canvas", self.loads, self._line.tally(), {})

    def send_away(self, why: str) -> None:
        self._line.send_away(lambda: Busy(why))

    def waits_for(self, number: int) -> None:
        """Return once so many wait in line."""
        while sum(self._line.tally().waiting.values()) != number:
            threading.Event().wait(0.005)

    def _paint(self, places: Sequence[Place[str, bytes]]) -> None:
        self.batches.append([place.wanted for place in places])
        self.has_begun.release()
        if not self._may_draw.acquire(timeout=30):
            raise Broken("nobody let it draw")
        for place in places:
            place.end(self.breaks() if self.breaks else png())


def png() -> bytes:
    data = BytesIO()
    Image.new("RGB", (64, 64), "navy").save(data, "PNG")
    return data.getvalue()


def wanted(prompt: str = "a fox", *, width: int = 64, **more: Any) -> Asked:
    order = Order("chapter", prompt, width=width, height=64, steps=2)
    return Asked(**{"order": order, "prompt": prompt, "negative_prompt": "", "seed": 7, **more})


@contextmanager
def served(painter: Painter, token: str = TOKEN, *, opened: bool = True) -> Iterator[tuple[str, Owner]]:
    """Serve a painter's pages from a thread; give their address, and the owner."""
    owner = Owner(painter, painter.room or 32)
    if opened:
        owner.open()
    config = uvicorn.Config(app_of(owner, token), port=0, lifespan="off", log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", owner
    finally:
        painter.let()
        server.should_exit = server.force_exit = True
        thread.join(20)


def paged(address: str, token: str = TOKEN) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {token}"}, timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    painter = Painter(batch=1)
    signal.signal(signal.SIGUSR1, lambda *_: painter.let(1))
    own(Owner(painter, 32), read_settings(), port=parser.parse_args().port)


if __name__ == "__main__":
    main()
