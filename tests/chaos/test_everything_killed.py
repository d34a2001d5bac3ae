"""Whoever is killed while 200 pictures are made: all 200 are there at the end, without a human hand, and none twice.

Three batches on one stack: one in a flow process under a worker, one on a Dask cluster, one at a GPU's owner.
"""

import importlib
import random
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.local_api import child_environment, prefect_api
from limner.settings import Settings
from tests.chaos.clusters import Cluster, cluster
from tests.chaos.clusters import kill as kill_child
from tests.chaos.homes import turned_on, write_descriptions
from tests.chaos.stacks import BATCH, INTERACTIVE, Stack, kill, seconds_until, stack
from tests.integration.books import assert_the_books_balance, rows, value
from tests.servers.s3 import S3Settings, s3_server
from tests.standins.serving import Running

SEED = 4
PICTURES: Mapping[str, int] = {"threads": 78, "dask": 110, "owner": 12}
LATENCY_SECONDS = 5.0

WAYS: Mapping[str, Mapping[str, Any]] = {
    "threads": {"deployment": BATCH, "provider": ["pollinations"]},
    "dask": {"deployment": INTERACTIVE, "studio": "cluster", "provider": ["pollinations"]},
    "owner": {"deployment": INTERACTIVE, "provider": ["diffusers"]},
}
# Whose pictures each of them makes.
AFFECTED: Mapping[str, tuple[str, ...]] = {
    "GPU owner": ("owner",),
    "runner": ("owner", "dask"),
    "Dask worker": ("dask",),
    "Dask scheduler": ("dask",),
    "worker": ("threads",),
    "flow process": ("threads",),
    "sweeper": ("threads",),
    "Prefect API": ("threads",),
    "PostgreSQL": ("threads",),
    "S3 server": ("threads",),
}
# So many pictures later, whoever was killed has come back.
RECOVERED = 3


class S3:
    """A server that a test kills, and starts anew at its address as its supervisor would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.settings = self._running.enter_context(s3_server(folder))

    def kill(self) -> None:
        port = self.settings.endpoint.rpartition(":")[2]
        for process in psutil.Process().children():
            with suppress(psutil.ZombieProcess):
                if f"127.0.0.1:{port}" in process.cmdline():
                    kill(process)
        self.end()
        self._running.enter_context(s3_server(self._folder, int(port)))

    def end(self) -> None:
        self._running.close()


@dataclass
class Everything:
    """The stack, the cluster and the bucket under fire, the runs, and what was in flight at each kill."""

    up: Stack
    dask: Cluster
    s3: S3
    runs: dict[str, str] = field(default_factory=dict)
    in_flight: int = 0

    def victims(self) -> dict[str, Callable[[], object]]:
        return {
            "worker": lambda: kill(*self.up.processes("prefect worker start")),
            "flow process": self._kill_flow,
            "runner": lambda: kill(*self.up.processes("serve runner")),
            "sweeper": lambda: kill(*self.up.processes("serve sweeper")),
            "Prefect API": lambda: kill(self.up.api()),
            "PostgreSQL": lambda: kill(self.up.postgres()),
            "S3 server": self.s3.kill,
            "GPU owner": lambda: kill(*self.up.processes("serve gpu-owner")),
            "Dask worker": lambda: kill_child(self.dask.workers[0]),
            "Dask scheduler": self.dask.restart_scheduler,
        }

    def kill(self, name: str) -> float:
        """Kill one; return how many seconds later more of the pictures that it makes were there."""
        wanted = {one: min(PICTURES[one], self.made(one) + RECOVERED) for one in AFFECTED[name]}
        self.in_flight += int(value(self.up.ledger, "select count(*) from attempts where outcome is null"))
        self.victims()[name]()
        return seconds_until(lambda: all(self.made(one) >= number for one, number in wanted.items()), 240)

    def made(self, name: str) -> int:
        """Return how many of a run's pictures are there."""
        asked = "select count(*) from jobs j join runs r using (batch_id) where r.id = :run and j.status = 'made'"
        return int(value(self.up.ledger, asked, run=self.runs[name]))

    def _kill_flow(self) -> None:
        process = self.up.process_of(self.runs["threads"])
        assert process is not None, "the run is at work"
        kill(process)


@contextmanager
def supervised(dask: Cluster) -> Iterator[None]:
    """Start a worker anew whenever one has ended, as it does when its scheduler is gone."""
    ended = threading.Event()

    def supervise() -> None:
        while not ended.wait(1.0):
            living = [one for one in dask.workers if one.poll() is None]
            gone, dask.workers = len(dask.workers) - len(living), living
            dask.add_workers(gone, "--no-nanny")

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _s3_variables(settings: S3Settings) -> dict[str, str]:
    return {
        "LIMNER_S3_ENDPOINT": settings.endpoint,
        "LIMNER_S3_BUCKET": settings.bucket,
        "LIMNER_S3_ACCESS_KEY": settings.access_key,
        "LIMNER_S3_SECRET_KEY": settings.secret_key,
        "LIMNER_S3_SECURE": "false",
    }


@contextmanager
def everything(place: Path, standin: Running) -> Iterator[Everything]:
    tiny = importlib.import_module("tests.limner.providers.diffusers.tiny_models").save_xl(place / "tiny", wide=True)
    home = place / "home"
    with ExitStack() as running:
        s3 = S3(place / "s3")
        running.callback(s3.end)
        told = {
            "LIMNER_DIFFUSERS_MODEL": str(tiny),
            "LIMNER_DIFFUSERS_STEPS": "1",
            "OMP_NUM_THREADS": "1",
            **_s3_variables(s3.settings),
        }
        ours = {**child_environment(), "LIMNER_HOME": str(home), **turned_on("pollinations", standin), **told}
        dask = running.enter_context(cluster(place, ours, 2))
        running.enter_context(supervised(dask))
        yield Everything(running.enter_context(stack(home, standin, **told)), dask, s3)


def _save_studio(dask: Cluster) -> None:
    """Save a studio whose batches run on the cluster."""
    with prefect_api(Settings()):
        from blocks.studio import LimnerStudio

        LimnerStudio(engine="dask", dask_address=dask.address).save("cluster", overwrite=True)


def _start(all_of_it: Everything, place: Path, *names: str) -> None:
    """Start some of the runs, and wait until each has its first picture."""
    for name in names:
        places = [f"A castle with {number} towers above the lake of {name}." for number in range(PICTURES[name])]
        descriptions = write_descriptions(place / f"{name}.json", places)
        all_of_it.runs[name] = all_of_it.up.start(name, descriptions, limit=PICTURES[name], **WAYS[name])
    seconds_until(lambda: all(all_of_it.made(one) for one in names), 300)


def _kill_in_turn(all_of_it: Everything, *runs: str) -> None:
    """Kill whoever makes the pictures of these runs, in an order by chance that is always the same."""
    names = [name for name, affected in AFFECTED.items() if set(affected) <= set(runs)]
    random.Random(SEED).shuffle(names)
    for name in names:
        print(f"{name}: {all_of_it.kill(name):.1f} s until {RECOVERED} more of its pictures were there")


@pytest.mark.chaos
@pytest.mark.timeout(1500)
def test_whoever_is_killed_all_pictures_are_there_and_none_twice(standin: Running, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed: make local")
    standin.be_slow(LATENCY_SECONDS)
    before = standin.counts()["calls"]
    with tempfile.TemporaryDirectory() as place, everything(Path(place), standin) as all_of_it:
        up = all_of_it.up
        _save_studio(all_of_it.dask)
        _start(all_of_it, tmp_path, "dask", "owner")
        _kill_in_turn(all_of_it, "dask", "owner")
        _start(all_of_it, tmp_path, "threads")
        _kill_in_turn(all_of_it, "threads")
        ended = seconds_until(lambda: all(up.state(one) == "Completed" for one in all_of_it.runs.values()), 400)
        print(f"after the last kill, all had ended {ended:.1f} s later")
        assert {name: all_of_it.made(name) for name in PICTURES} == PICTURES
        assert rows(up.ledger, "select distinct status from batches") == [{"status": "complete"}]
        paid = PICTURES["threads"] + PICTURES["dask"]
        assert paid <= standin.counts()["calls"] - before <= paid + all_of_it.in_flight
        assert_the_books_balance(up.ledger, up.bucket)
