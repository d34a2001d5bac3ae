"""The same work without the press: a semaphore, an HTTP client, a file and a row a picture. Forgets all on a crash."""

import asyncio
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg

from limner.bucket.directory import DirectoryBucket
from limner.home.postgres import start_postgres
from limner.jobs import artifact_key
from limner.quality.gates import load_gates
from limner.quality.judging import judge
from limner.quality.verifying import examine
from limner.settings import read_settings


class PlainLoop:
    """Asks the stand-in for pictures, looks at them, keeps them, writes a row."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._asked = 0
        self._folder = tempfile.TemporaryDirectory()
        self._bucket = DirectoryBucket(Path(self._folder.name))
        url = start_postgres(read_settings().home).replace("postgresql+psycopg", "postgresql")
        self._rows = psycopg.connect(url, autocommit=True)
        self._rows.execute("create temp table plain (sha256 text, key text, score int, prompt text)")

    def run(self, pictures: int) -> None:
        self._asked += 1
        asyncio.run(self._all([f"A plain castle, the {self._asked}th time, tower {n}" for n in range(pictures)]))

    def close(self) -> None:
        self._rows.close()
        self._folder.cleanup()

    async def _all(self, prompts: list[str]) -> None:
        slots = asyncio.Semaphore(self._at_once)
        headers = {"Authorization": f"Bearer {os.environ['POLLINATIONS_API_KEY']}"}
        async with httpx.AsyncClient(
            base_url=os.environ["LIMNER_POLLINATIONS_URL"], headers=headers, timeout=60
        ) as client:
            await asyncio.gather(*(self._one(client, slots, prompt) for prompt in prompts))

    async def _one(self, client: httpx.AsyncClient, slots: asyncio.Semaphore, prompt: str) -> None:
        asked = {"model": "flux", "width": 1280, "height": 768, "seed": 7}
        async with slots:
            answer = await client.get(f"/image/{quote(prompt, safe='')}", params=asked)
            answer.raise_for_status()
        await asyncio.to_thread(self._keep, answer.content, prompt)

    def _keep(self, data: bytes, prompt: str) -> None:
        examined = examine(data)
        verdict = judge(examined, 1280, 768, load_gates()["chapters"])
        sha = examined.image.sha256
        key = artifact_key(sha, examined.image.extension)
        self._bucket.put(key, data, examined.image.media_type)
        self._rows.execute("insert into plain values (%s, %s, %s, %s)", (sha, key, verdict.score, prompt))
