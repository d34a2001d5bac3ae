"""A service that takes few calls a minute, and the press that has many pictures to ask for.

A stand-in takes 10 calls a minute, evenly, and answers the others 429 with an honest Retry-After. Time is compressed:
at --times 10 a minute of the service lasts 6 s and a picture a tenth of its seconds; what the press itself takes is
not compressed, so that the ratios are worse than in truth. The rate is known to us, or learned from the 429s alone.
Prints the wall time over the ideal, (n - 1) / rate + a picture's seconds; how many calls were answered 429; and how
many came before a Retry-After had passed that had been heard when they were sent.

    python -m benchmarks.throttled [--pictures 60] [--a-minute 10] [--seconds 3] [--times 10] [--at-once 8]
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limner.home.postgres import start_postgres, stop_postgres
from limner.providers.pollinations import Pollinations
from limner.providers.seam import Limits
from tests.integration.pressing import castles, illustrate, rooms
from tests.standins import pollinations

# What was on its way when a 429 was answered could not know of it: so long from sending to being read, either way.
ON_THE_WAY_SECONDS = 0.05


def main() -> None:
    asked = _arguments()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        url = start_postgres(place / "home")
        for name, limits in (("known", Limits(calls_a_minute=asked.a_minute * asked.times)), ("unknown", Limits())):
            _measure(asked, name, limits, url, place / name)
        stop_postgres(place / "home")


def _measure(asked: argparse.Namespace, name: str, limits: Limits, url: str, place: Path) -> None:
    place.mkdir()
    latency = asked.seconds / asked.times
    with pollinations.running(latency, calls=place / "calls.jsonl") as standin, rooms(url, place / "bucket") as opener:
        provider = Pollinations(
            standin.key, base_url=standin.url, limits=limits, allow_private=True, connections=asked.at_once
        )
        room = opener(provider, concurrency=asked.at_once)
        # What is imported, prepared and connected once is not what is measured.
        illustrate(room, castles(2, title=f"{name}, warm", chain=("pollinations",)))
        warm = len(standin.events("start"))
        standin.limit(asked.a_minute, minute_seconds=60 / asked.times, burst=1)
        time.sleep(60 / asked.times / asked.a_minute)
        began = time.monotonic()
        report = illustrate(room, castles(asked.pictures, title=name, chain=("pollinations",)))
        wall = time.monotonic() - began
        assert report.made == asked.pictures, report.errors
        ideal = (asked.pictures - 1) * 60 / (asked.a_minute * asked.times) + latency
        arrivals = standin.events("start")[warm:]
        throttled = standin.events("throttled")
    print(f"{asked.pictures} pictures of {asked.seconds} s at {asked.a_minute} a minute, the rate {name} to us")
    print(f"  wall over ideal            {wall / ideal:.3f}   (ideal {ideal:.1f} s, time {asked.times} times as fast)")
    print(f"  calls answered 429         {len(throttled)}")
    print(f"  before a Retry-After ended {_early(arrivals, throttled)}")


def _early(arrivals: Sequence[dict[str, Any]], throttled: Sequence[dict[str, Any]]) -> int:
    """Return how many calls came while a Retry-After was heard and not over."""
    quiet = [(one["at"] + ON_THE_WAY_SECONDS, one["until"]) for one in throttled]
    return sum(any(heard < one["at"] < until for heard, until in quiet) for one in arrivals)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--a-minute", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--at-once", type=int, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
