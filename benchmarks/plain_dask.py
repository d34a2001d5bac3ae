"""The same work as prefect-dask's own pages do it: a task run a picture. Forgets all on a crash."""

import os
import threading
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect_dask import DaskTaskRunner

from limner.bucket.directory import DirectoryBucket
from limner.home.postgres import postgres_url
from limner.quality.gates import load_gates
from limner.quality.judging import judge
from limner.quality.verifying import examine
from limner.settings import read_settings

_mine = threading.local()


def run(address: str, pictures: int, words: str) -> None:
    """Make pictures, a task run each, on the cluster at `address`."""
    plain_pictures.with_options(task_runner=DaskTaskRunner(address=address))(pictures, words)


@flow
def plain_pictures(pictures: int, words: str) -> None:
    prompts = [f"A plain castle, {words}, tower {number}" for number in range(pictures)]
    draw.map(prompts).wait()


@task(cache_policy=NO_CACHE, persist_result=False)
def draw(prompt: str) -> str:
    """Make a picture; what a worker keeps open does not travel with the task."""
    return _drawn(prompt)


def _drawn(prompt: str) -> str:
    """Ask the stand-in for a picture, look at it, keep it, write a row."""
    if not hasattr(_mine, "client"):
        _open()
    asked = {"model": "flux", "width": 1280, "height": 768, "seed": 7}
    answer = _mine.client.get(f"/image/{quote(prompt, safe='')}", params=asked)
    answer.raise_for_status()
    examined = examine(answer.content)
    verdict = judge(examined, 1280, 768, load_gates()["chapters"])
    sha256 = examined.image.sha256
    DirectoryBucket(Path(os.environ["LIMNER_HOME"]) / "plain").put(f"images/{sha256}.jpg", answer.content, "image/jpeg")
    _mine.rows.execute("insert into plain values (%s, %s, %s)", (sha256, verdict.score, prompt))
    return sha256


def _open() -> None:
    _mine.client = httpx.Client(
        base_url=os.environ["LIMNER_POLLINATIONS_URL"],
        headers={"Authorization": f"Bearer {os.environ['POLLINATIONS_API_KEY']}"},
        timeout=120,
    )
    url = postgres_url(read_settings().home).replace("+psycopg", "")
    _mine.rows = psycopg.connect(url, autocommit=True)
    _mine.rows.execute("create table if not exists plain (sha256 text, score int, prompt text)")
