"""What the owner of a GPU costs: pictures a second through it, over those of the bare pipeline in the same run.

One process calls the pipeline itself, in full batches; another is the owner, asked by clients that each want one
picture after the other. Both have the model loaded and warm, and take turns. Prints the ratio, median of the rounds,
the batches that the owner needed over those it would need were all full, and how often a model was loaded.

    python -m benchmarks.gpu_owner [--pictures 32] [--batch 4] [--clients 20] [--steps 4] [--side 64] [--rounds 3]

With LIMNER_DIFFUSERS_MODEL it is that model, on the best device of this machine; else one of a few megabytes.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from limner.jobs import Order
from limner.providers.diffusers.owners import Owners
from limner.providers.diffusers.wire import Status, token_of
from limner.providers.seam import Asked
from limner.settings import Settings, read_settings


def main() -> None:
    asked = _arguments()
    if asked.bare:
        _be_bare(asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LIMNER_HOME": folder, "LIMNER_DIFFUSERS_BATCH": str(asked.batch)}
        if "LIMNER_DIFFUSERS_MODEL" not in os.environ:
            from tests.limner.providers.diffusers.tiny_models import save_xl

            # So that a small machine's cores are not spun away by those who wait for each other.
            os.environ |= {"LIMNER_DIFFUSERS_MODEL": str(save_xl(Path(folder) / "tiny")), "OMP_NUM_THREADS": "1"}
        with _bare() as bare, _owner(read_settings()) as owner:
            _measure(asked, bare, owner)


class _Owner:
    """An owner in a process of its own, and its clients."""

    def __init__(self, address: str, settings: Settings) -> None:
        self._address = address
        self._token = token_of(settings)
        self._looking = self._client()

    def draw(self, asked: argparse.Namespace) -> float:
        """Return the seconds of so many pictures, by so many clients."""
        clients = [self._client() for _ in range(asked.clients)]
        order = Order("benchmark", "a castle", width=asked.side, height=asked.side, steps=asked.steps)
        began = time.monotonic()
        with ThreadPoolExecutor(asked.clients) as pool:
            drawing = [
                pool.submit(clients[number % asked.clients].generate, Asked(order, order.prompt, "", seed=number + 1))
                for number in range(asked.pictures)
            ]
            for one in drawing:
                one.result()
        seconds = time.monotonic() - began
        for one in clients:
            one.close()
        return seconds

    def status(self) -> Status:
        """Return what it says of itself; waits until it is ready."""
        while not (self._looking.capabilities().models and (status := self._looking._owners[0].said)):
            time.sleep(0.2)
        while status.state != "ready":
            time.sleep(1.1)
            self._looking.capabilities()
            status = self._looking._owners[0].said or status
        return status

    def _client(self) -> Owners:
        return Owners([self._address], self._token, connections=2)


def _measure(asked: argparse.Namespace, bare: "subprocess.Popen[str]", owner: _Owner) -> None:
    owner.status()
    _draw_bare(bare), owner.draw(asked)  # warm
    time.sleep(1.1)
    before = owner.status()
    ratios = []
    for _ in range(asked.rounds):
        alone, owned = _draw_bare(bare), owner.draw(asked)
        ratios.append(alone / owned)
        print(f"  bare {asked.pictures / alone:.2f}/s, owner {asked.pictures / owned:.2f}/s")
    time.sleep(1.1)
    after = owner.status()
    batches, fewest = after.batches - before.batches, asked.rounds * -(-asked.pictures // asked.batch)
    print(f"{asked.pictures} pictures of {asked.side} px by {asked.clients} clients, batches of {asked.batch}")
    print(f"  pictures a second, owner over bare   {statistics.median(ratios):.3f}   ({after.model}, {after.device})")
    print(f"  batches over full ones               {batches / fewest:.2f}")
    print(f"  loads                                {after.loads}")
    assert after.drawn - before.drawn == asked.rounds * asked.pictures


@contextmanager
def _bare() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.gpu_owner", "--bare", *sys.argv[1:]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@contextmanager
def _owner(settings: Settings) -> Iterator[_Owner]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with subprocess.Popen([sys.executable, "-m", "limner.gpu", "--port", str(port)]) as process:
        yield _Owner(f"http://127.0.0.1:{port}", settings)
        process.terminate()


def _draw_bare(bare: "subprocess.Popen[str]") -> float:
    assert bare.stdin and bare.stdout
    bare.stdin.write("\n")
    bare.stdin.flush()
    return float(json.loads(bare.stdout.readline()))


def _be_bare(asked: argparse.Namespace) -> None:
    """Draw for each line that comes in, and say how many seconds it took."""
    import torch

    from limner.providers.diffusers.loading import Source, load

    loaded = load(Source(os.environ["LIMNER_DIFFUSERS_MODEL"]))
    for _ in sys.stdin:
        began = time.monotonic()
        for first in range(0, asked.pictures, asked.batch):
            count = min(asked.batch, asked.pictures - first)
            loaded.pipeline(
                prompt=["a castle"] * count,
                width=asked.side,
                height=asked.side,
                num_inference_steps=asked.steps,
                guidance_scale=7.5,
                generator=[torch.Generator("cpu").manual_seed(first + one + 1) for one in range(count)],
            )
        print(json.dumps(time.monotonic() - began), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
