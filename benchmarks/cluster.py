"""A Dask cluster beside the ideal, and beside a task run a picture by the same cluster.

Clusters of some worker processes on this machine, each with some calls at once of a stand-in provider that sleeps: so
long that the ideal needs less than half of this machine's CPU. The workers have opened their rooms (a batch went
before); everything else counts. Prints the wall time over the ideal, and the CPU ms a picture without looking at its
pixels, of the flow's process, the scheduler and the workers: beside one process's threads, and less what the cluster
spends when it stands idle.

    python -m benchmarks.cluster [--workers 2 4 8] [--at-once 3] [--waves 20] [--least-seconds 2]
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.press_overhead import Press, wall
from tests.chaos.clusters import Cluster, cluster
from tests.standins import pollinations

IDLE_SECONDS = 5


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder, pollinations.running(sizes=("1280x768",)) as standin:
        os.environ |= {
            "LIMNER_HOME": folder,
            "LIMNER_CONCURRENCY": str(asked.at_once),
            "POLLINATIONS_API_KEY": standin.key,
            "LIMNER_POLLINATIONS_URL": standin.url,
            "LIMNER_POLLINATIONS_CALLS_A_MINUTE": "0",
            "LIMNER_ALLOW_PRIVATE_ADDRESSES": "true",
        }
        os.environ.pop("DATABASE_URL", None)
        _measure(asked, standin, Path(folder))


def _measure(asked: argparse.Namespace, standin: Any, folder: Path) -> None:
    from deployments.local_api import prefect_api
    from limner.settings import read_settings

    with prefect_api(read_settings()):
        from blocks.studio import close_studios

        press = Press()
        # More than have a task run each: what is compared are chunks of threads.
        press.run(asked.at_once)
        pixels_ms = press.pixels_ms()
        everybody = [psutil.Process(standin.pid), *psutil.Process().children(recursive=True), *_servers(folder)]
        before = _cpu(everybody)
        threads_ms = 1000 * _cpu_of(lambda: press.run(240), [psutil.Process()]) / 240
        others_ms = 1000 * (_cpu(everybody) - before) / 240
        a_picture = threads_ms + others_ms
        print(f"one process's threads: {threads_ms - pixels_ms:.1f} ms a picture, and {pixels_ms:.1f} of its pixels")
        for workers in asked.workers:
            with _on_a_cluster(folder, workers, asked.at_once) as running:
                _compare(asked, standin, press, running, a_picture, threads_ms, pixels_ms)
        close_studios()


def _compare(
    asked: argparse.Namespace,
    standin: Any,
    press: Press,
    running: Cluster,
    a_picture: float,
    threads_ms: float,
    pixels_ms: float,
) -> None:
    from benchmarks import plain_dask

    calls = len(running.workers) * asked.at_once
    pictures = calls * asked.waves
    # In the ideal, the machine works for as many pictures as there are calls in each of its spans.
    seconds = max(asked.least_seconds, math.ceil(20 * calls * a_picture / 1000 / (os.cpu_count() or 1)) / 10)
    ideal = asked.waves * seconds
    processes = [psutil.Process(), *(psutil.Process(one.pid) for one in (running.scheduler, *running.workers))]
    before = _cpu(processes)
    time.sleep(IDLE_SECONDS)
    idle = (_cpu(processes) - before) / IDLE_SECONDS
    said = f"{len(running.workers)} workers, {asked.at_once} calls at once each, idle {1000 * idle:.0f} ms a second"
    print(f"{said}: {pictures} pictures of {seconds:.1f} s")
    ways: dict[str, Callable[[int], object]] = {
        "shares": press.run,
        "a task run a picture": lambda number: plain_dask.run(running.address, number, f"{running.address} {number}"),
    }
    for name, run in ways.items():
        standin.be_slow(0)
        run(2 * calls)
        standin.be_slow(seconds)
        spent: list[float] = []
        took = wall(lambda run=run, spent=spent: spent.append(_cpu_of(lambda: run(pictures), processes)))
        ms = 1000 * (spent[0] - idle * took) / pictures
        said = f"{ms - pixels_ms:.1f} ms a picture, {ms - threads_ms:+.1f} beside threads"
        print(f"  {name:22} wall over ideal {took / ideal:.3f} (ideal {ideal:.0f} s), {said}", flush=True)


@contextmanager
def _on_a_cluster(folder: Path, workers: int, at_once: int) -> Iterator[Cluster]:
    """Run a cluster whose workers' own threads are as many as their calls, which a task run a picture needs."""
    with cluster(folder, os.environ, workers, "--nthreads", str(at_once)) as running:
        os.environ |= {"LIMNER_ENGINE": "dask", "LIMNER_DASK_ADDRESS": running.address}
        running.wait_for_workers()
        yield running


def _servers(folder: Path) -> Iterator[psutil.Process]:
    """Yield the PostgreSQL and the Prefect API of the home, which are nobody's children."""
    pid = int((folder / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0])
    yield psutil.Process(pid)
    yield from psutil.Process(pid).children()


def _cpu_of(work: Callable[[], object], processes: list[psutil.Process]) -> float:
    before = _cpu(processes)
    work()
    return _cpu(processes) - before


def _cpu(processes: list[psutil.Process]) -> float:
    spent = 0.0
    for one in processes:
        times = one.cpu_times()
        spent += times.user + times.system
    return spent


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--waves", type=int, default=20)
    parser.add_argument("--least-seconds", type=float, default=2.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
