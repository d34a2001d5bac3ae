"""The owner of a GPU behind the press: one load for all, in the processor's place, with a model of a few megabytes."""

import importlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from limner.errors import BatchStopped
from limner.ledger.opening import Ledger
from limner.providers.diffusers import Diffusers
from limner.providers.diffusers.owners import Owners
from limner.providers.diffusers.wire import BATCH, Status, token_of
from limner.providers.opening import open_provider, wirings_of
from limner.providers.seam import Limits
from limner.settings import Settings
from tests.integration.books import assert_the_books_balance, rows
from tests.integration.pressing import OpenRoom, castles, illustrate
from tests.limner.gpu.painting import paged

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

pytest.importorskip("torch", reason="torch is not installed: make local")
pytest.importorskip("diffusers", reason="diffusers is not installed: make local")
tiny_models = importlib.import_module("tests.limner.providers.diffusers.tiny_models")

SMALL = {"width": 128, "height": 96, "steps": 2}


@dataclass(frozen=True)
class Owned:
    """An owner that runs, its model's folder, and how to ask it."""

    model: Path
    settings: Settings
    pages: httpx.Client

    def status(self) -> Status:
        return Status.model_validate_json(self.pages.get("/status").content)

    def provider(self, limits: Limits | None = None) -> Owners:
        opened = open_provider(replace(wirings_of(self.settings)["diffusers"], limits=limits), 32)
        assert isinstance(opened, Owners)
        return opened


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owned]:
    place = tmp_path_factory.mktemp("owner")
    model = Path(tiny_models.save_xl(place / "tiny"))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    settings = Settings(home=place / "home", diffusers_url=f"http://127.0.0.1:{port}")
    told = {"LIMNER_HOME": str(settings.home), "LIMNER_DIFFUSERS_MODEL": str(model), "LIMNER_DIFFUSERS_BATCH": "4"}
    command = [sys.executable, "-m", "limner.gpu", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, **told, "OMP_NUM_THREADS": "1"}
    with (
        (place / "owner.log").open("w") as log,
        subprocess.Popen(command, env=environment, stderr=log) as process,
        paged(f"http://127.0.0.1:{port}", token_of(settings)) as pages,
    ):
        try:
            while not is_ready(pages):
                assert process.poll() is None, (place / "owner.log").read_text()
                threading.Event().wait(0.1)
            yield Owned(model, settings, pages)
        finally:
            process.kill()


def is_ready(pages: httpx.Client) -> bool:
    try:
        return pages.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_twenty_runs_are_drawn_with_one_load(open_room: OpenRoom, ledger: Ledger, owned: Owned) -> None:
    before = owned.status()
    providers = [owned.provider() for _ in range(20)]

    def run(number: int) -> int:
        room = open_room(providers[number], concurrency=2)
        return illustrate(room, castles(1, title=f"Run {number}", chain=("diffusers",), **SMALL)).made

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(run, range(20))) == [1] * 20
    after = owned.status()
    assert (after.loads, after.drawn - before.drawn, after.load) == (1, 20, 0)
    assert after.batches - before.batches < 20
    found = rows(ledger, "select outcome, provider, model, cost_usd from attempts")
    assert {(row["outcome"], row["provider"], row["model"]) for row in found} == {("made", "diffusers", "tiny")}
    for one in providers:
        one.close()


def test_what_the_owner_drew_is_what_a_model_of_ones_own_would_have_drawn(
    open_room: OpenRoom, ledger: Ledger, owned: Owned
) -> None:
    asking = owned.provider()
    plan = castles(2, chain=("diffusers",), **SMALL)
    room = open_room(asking)
    assert illustrate(room, plan).made == 2
    alone = open_room(Diffusers(str(owned.model), batch=4, device="cpu"))
    again = illustrate(alone, castles(2, title="Again", session="A test", chain=("diffusers",), **SMALL))
    assert (again.made, again.reused) == (0, 2)
    assert_the_books_balance(ledger, room.bucket)
    asking.close()


def test_one_picture_for_somebody_who_waits_overtakes_a_batch_of_five_hundred(
    open_room: OpenRoom, owned: Owned
) -> None:
    # More than the ledger would let through, so that the line is at the owner.
    asking = owned.provider(Limits(calls_at_once=32))
    room = open_room(asking, concurrency=32, patience_seconds=20)
    plan = castles(500, title="All of them", chain=("diffusers",), **SMALL)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(illustrate, room, plan)
        try:
            while sum(owned.status().waiting.values()) < 24:
                assert not batch.done()
                threading.Event().wait(0.02)
            under_way = owned.status().batches
            picture = owned.pages.post("/pictures", json={"prompt": "a castle", "seed": 7, "priority": 1, **SMALL})
            assert picture.status_code == 200
            # One may have begun while it was on its way, of six that were before it.
            assert int(picture.headers[BATCH]) <= under_way + 2
        finally:
            for progress in room._progress.values():
                progress.stop.set()
        assert isinstance(batch.exception(60), BatchStopped | None)
    # Whoever was stopped has hung up.
    while owned.status().load:
        threading.Event().wait(0.02)
    asking.close()
