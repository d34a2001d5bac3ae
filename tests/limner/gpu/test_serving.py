"""The owner as a process: signs of life, how it ends, and what it cannot be started with."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from limner.errors import BadInput, Broken
from limner.gpu.owner import Owner
from limner.gpu.serving import own, serve
from limner.home.alive import is_alive
from limner.providers.diffusers.owners import Owners
from limner.providers.diffusers.wire import token_of
from limner.settings import Settings
from tests.limner.gpu.painting import Painter, paged, wanted


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Process:
    """An owner in a process of its own; a batch ends when it is let."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.port = free_port()
        command = [sys.executable, "-m", "tests.limner.gpu.painting", "--port", str(self.port)]
        environment = {**os.environ, "LIMNER_HOME": str(home)}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.owners = Owners([f"http://127.0.0.1:{self.port}"], token_of(self.settings), connections=8)
        self.pages = paged(f"http://127.0.0.1:{self.port}", token_of(self.settings))
        while not self._is_ready():
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            threading.Event().wait(0.02)

    def let(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def draws(self, drawing: int, waiting: int) -> None:
        """Return once so many are drawn and so many wait."""
        while (told := self.pages.get("/status").json()) and (
            told["drawing"] != drawing or sum(told["waiting"].values()) != waiting
        ):
            threading.Event().wait(0.01)

    def _is_ready(self) -> bool:
        try:
            return self.pages.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)
        self.owners.close()
        self.pages.close()


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path)
    yield started
    started.close()


def test_told_to_end_it_ends_the_batch_under_way_sends_away_who_waits_and_goes(owner: Process) -> None:
    assert is_alive(owner.settings.home, "gpu-owner")
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(owner.pages.post, "/pictures", json={"prompt": "a", "width": 64, "height": 64, "seed": 1})
        owner.draws(1, 0)
        second = pool.submit(owner.pages.post, "/pictures", json={"prompt": "b", "width": 64, "height": 64, "seed": 1})
        owner.draws(1, 1)
        owner.process.terminate()
        assert second.result(20).status_code == 503
        assert owner.pages.get("/ready").status_code == 503
        assert owner.pages.get("/health").json() == {"state": "leaving"}
        owner.let()
        assert first.result(20).status_code == 200
    assert owner.process.wait(20) == 0
    assert not is_alive(owner.settings.home, "gpu-owner")


def test_the_second_signal_does_not_wait(owner: Process) -> None:
    with ThreadPoolExecutor(4) as pool:
        pool.submit(owner.owners.generate, wanted())
        owner.draws(1, 0)
        owner.process.terminate()
        while owner.pages.get("/health").json() != {"state": "leaving"}:
            threading.Event().wait(0.01)
        owner.process.terminate()
        assert owner.process.wait(20) == -signal.SIGTERM


def test_killed_in_a_call_it_is_broken_at_no_cost_and_then_waited_for(owner: Process) -> None:
    with ThreadPoolExecutor(4) as pool:
        drawing = pool.submit(owner.owners.generate, wanted())
        owner.draws(1, 0)
        owner.process.kill()
        broken = drawing.exception(20)
    assert type(broken) is Broken and not broken.may_be_paid
    assert "perhaps to be started anew" in str(owner.owners.warnings())


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(BadInput, match="name a free port"):
        own(Owner(Painter(), 32), Settings(home=tmp_path), port=other.getsockname()[1])


def test_without_a_model_there_is_nothing_to_own(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="set LIMNER_DIFFUSERS_MODEL"):
        serve(Settings(home=tmp_path), port=free_port())


def test_a_model_that_cannot_be_loaded_ends_it_with_the_reason(tmp_path: Path) -> None:
    class Torn(Painter):
        def load(self) -> None:
            raise Broken("diffusers: the model is torn")

    with pytest.raises(Broken, match="the model is torn"):
        own(Owner(Torn(), 32), Settings(home=tmp_path), port=free_port())
