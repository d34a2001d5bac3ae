"""A Dask cluster on loopback whose processes are started and killed one by one."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

ROOT = Path(__file__).parents[2]


class Cluster:
    """A scheduler that keeps its address, and its workers, newest last."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.log = folder / "dask.log"
        self._environment = dict(environment)
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", self._port)
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_workers(self, number: int, *options: str) -> None:
        common = ("--host", "127.0.0.1", "--local-directory", str(self.log.parent))
        self.workers += [self._start("worker", self.address, *common, *options) for _ in range(number)]

    def wait_for_workers(self) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=60)

    def restart_scheduler(self) -> None:
        """Kill the scheduler, as its supervisor would find it, and start it anew at its address."""
        kill(self.scheduler)
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", self._port)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            kill(process)

    def _start(self, *words: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


@contextmanager
def cluster(folder: Path, environment: Mapping[str, str], workers: int, *options: str) -> Iterator[Cluster]:
    """Run a cluster, whose workers have no nanny: whoever kills one starts the next."""
    running = Cluster(folder, environment)
    try:
        running.add_workers(workers, "--no-nanny", *options)
        yield running
    finally:
        running.end()
