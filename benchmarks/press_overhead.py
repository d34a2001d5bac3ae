"""What the press costs beside the ideal, and beside a plain asyncio loop that does the same work.

A stand-in provider on loopback takes 2 s a picture; 24 pictures, 8 at once. The flow's process and the Prefect API have
started (a batch of 8 went before); everything else counts. Prints ratios to the ideal wall time, and the constants
behind them: fixed seconds a batch, CPU ms a picture without looking at its pixels.

    python -m benchmarks.press_overhead [--pictures 24] [--seconds 2] [--at-once 8] [--rounds 3]
"""

import argparse
import asyncio
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.plain_loop import PlainLoop
from tests.standins import pollinations


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder, pollinations.running(asked.seconds) as standin:
        os.environ |= {
            "LIMNER_HOME": folder,
            "LIMNER_CONCURRENCY": str(asked.at_once),
            "POLLINATIONS_API_KEY": standin.key,
            "LIMNER_POLLINATIONS_URL": standin.url,
            "LIMNER_POLLINATIONS_CALLS_A_MINUTE": "0",
            "LIMNER_ALLOW_PRIVATE_ADDRESSES": "true",
        }
        os.environ.pop("DATABASE_URL", None)
        _measure(asked, standin)


def _measure(asked: argparse.Namespace, standin: Any) -> None:
    from deployments.local_api import prefect_api
    from limner.settings import read_settings

    with prefect_api(read_settings()):
        from blocks.studio import close_studios

        press = Press()
        standin.be_slow(0.5)
        press.run(asked.at_once)
        pixels_ms = press.pixels_ms()
        few, many = (_cpu(lambda n=n: press.run(n)) for n in (asked.at_once, asked.at_once + 96))
        standin.be_slow(asked.seconds)
        ideal = math.ceil(asked.pictures / asked.at_once) * asked.seconds
        loop = PlainLoop(asked.at_once)
        rounds = [
            (wall(lambda: press.run(asked.pictures)), wall(lambda: loop.run(asked.pictures)))
            for _ in range(asked.rounds)
        ]
        fixed = [wall(lambda: press.run(1)) - asked.seconds for _ in range(asked.rounds)]
        loop.close()
        close_studios()
    walls, plain = ([one[i] for one in rounds] for i in (0, 1))
    a_picture = 1000 * (many - few) / 96
    print(f"{asked.pictures} pictures of {asked.seconds} s, {asked.at_once} at once: ideal {ideal:.1f} s")
    print(f"press over ideal       {_said([wall / ideal for wall in walls])}")
    print(f"plain loop over ideal  {_said([wall / ideal for wall in plain])}")
    print(f"fixed seconds a batch  {_said(fixed)}   (a batch of one, less its picture's seconds)")
    without = a_picture - pixels_ms
    print(f"CPU ms a picture       {without:.1f}   ({a_picture:.1f} with the {pixels_ms:.1f} of its pixels)")


class Press:
    """Runs flows for descriptions that were never asked for before."""

    def __init__(self) -> None:
        self._asked = 0
        self.last: Any = None

    def run(self, pictures: int) -> None:
        from flows.chapters import illustrate_chapter
        from limner.requests import ChapterRequest, Description

        self._asked += 1
        words = f"A castle above the river, the {self._asked}th time"
        found = [
            Description(id=f"d{number}", content=f"{words}, tower {number}", type="location", priority=90)
            for number in range(pictures)
        ]
        request = ChapterRequest(title="Bench", descriptions=tuple(found), limit=pictures, language="en")
        self.last = asyncio.run(illustrate_chapter(request))
        assert self.last.made == pictures

    def pixels_ms(self) -> float:
        """Return the CPU ms of verifying and judging one of the last batch's pictures."""
        from blocks.studio import room_of
        from limner.quality.gates import load_gates
        from limner.quality.judging import judge
        from limner.quality.verifying import examine

        bucket = room_of("default").bucket
        data = bucket.get(bucket.keys("images/")[0])
        gate = load_gates()["chapters"]

        def look() -> None:
            for _ in range(20):
                examined = examine(data)
                judge(examined, examined.image.width, examined.image.height, gate)

        return 1000 * _cpu(look) / 20


def wall(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _said(figures: list[float]) -> str:
    return f"{statistics.median(figures):.3f}  (min {min(figures):.3f}, max {max(figures):.3f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
