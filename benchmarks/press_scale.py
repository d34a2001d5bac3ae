"""Large batches: memory from 200 to 2,000 pictures, 10,000 records, and a finished batch asked again.

Against a stand-in provider on loopback that answers at once. Memory is this process's, at its highest.

    python -m benchmarks.press_scale [--large 10000]
"""

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from tests.standins import pollinations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=10_000)
    large = parser.parse_args().large
    with tempfile.TemporaryDirectory() as folder, pollinations.running(sizes=("1280x768",)) as standin:
        os.environ |= {
            "LIMNER_HOME": folder,
            "LIMNER_CONCURRENCY": "8",
            "POLLINATIONS_API_KEY": standin.key,
            "LIMNER_POLLINATIONS_URL": standin.url,
            "LIMNER_POLLINATIONS_CALLS_A_MINUTE": "0",
            "LIMNER_ALLOW_PRIVATE_ADDRESSES": "true",
        }
        os.environ.pop("DATABASE_URL", None)
        _measure(Path(folder), standin, large)


def _measure(folder: Path, standin: Any, large: int) -> None:
    from deployments.local_api import prefect_api
    from limner.settings import read_settings

    with prefect_api(read_settings()):
        from blocks.studio import close_studios, room_of

        _run(folder, 200, "warm")
        with _highest_memory() as few:
            _run(folder, 200, "few")
        with _highest_memory() as many:
            _run(folder, 2000, "many")
        print(f"memory: {few[0]:.0f} MB at 200 pictures, {many[0] - few[0]:+.1f} MB at 2,000")

        _run(folder, 1000, "again")
        calls, began = standin.counts()["calls"], time.perf_counter()
        report = _run(folder, 1000, "again")
        seconds, calls = time.perf_counter() - began, standin.counts()["calls"] - calls
        print(f"a finished batch of 1,000 asked again: {seconds:.2f} s, {calls} calls, {report.reused} reused")

        began = time.perf_counter()
        with _highest_memory() as most:
            report = _run(folder, large, "large")
        seconds = time.perf_counter() - began
        counted = text("select count(*) from records where batch_id = :batch")
        rows = room_of("default").ledger.run(
            lambda connection: connection.execute(counted, {"batch": report.batch}).scalar()
        )
        each = f"{1000 * seconds / large:.1f} ms each, {most[0]:.0f} MB"
        print(f"{large} pictures: {report.made} made, {rows} records, {each}")
        close_studios()


def _run(folder: Path, pictures: int, words: str) -> Any:
    from flows.chapters import illustrate_chapter
    from limner.requests import ChapterRequest

    file = folder / f"{words}.json"
    found = [
        {"id": f"d{number}", "content": f"A castle, {words}, tower {number}", "type": "location", "priority": 90}
        for number in range(pictures)
    ]
    file.write_text(json.dumps(found))
    request = ChapterRequest(title=words, descriptions_file=str(file), limit=pictures, language="en")
    return asyncio.run(illustrate_chapter(request))


@contextmanager
def _highest_memory() -> Iterator[list[float]]:
    """Yield a list whose one number becomes the highest resident memory of the block, in MB."""
    process, highest, ended = psutil.Process(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            highest[0] = max(highest[0], process.memory_info().rss / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        ended.set()
        watcher.join()


if __name__ == "__main__":
    main()
