"""The two clients: the same talks, carried out in a thread or in an event loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel

from limner_client import talking
from limner_client.answers import Picture, Reply, Standing
from limner_client.talking import Call, Came, Pause, Step, Talk

Said = TypeVar("Said")

# What is asked for: as JSON would have it, or a model of your own.
Request = Mapping[str, Any] | BaseModel
File = bytes | str | Path


class Limner:
    """A Limner's gateway, for one thread after the other.

        with Limner("http://127.0.0.1:4300", token) as limner:
            asked = limner.submit("illustrate-chapter", {"book": limner.upload("alice.txt"), "limit": 3})
            limner.wait(asked.id, timeout=300)
            for picture in limner.reply(asked.id).pictures:
                Path(f"{picture.key}.png").write_bytes(limner.download(picture))

    Every method raises LimnerClientError in one sentence; what may pass by itself was tried a few times before.
    """

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url, self._token = url.rstrip("/"), token
        self._http = httpx.Client(transport=transport)

    def submit(
        self, kind: str, request: Request, idempotency_key: str | None = None, interactive: bool | None = None
    ) -> Standing:
        """Ask for pictures; the same key again is the same request, also from another process."""
        return self._talk(talking.submit(kind, _plain(request), idempotency_key, interactive))

    def follow(self, request_id: str) -> Iterator[Standing]:
        """Yield how a request stands, now and whenever it changes, until it has ended."""
        before = None
        while before is None or not before[0].has_ended:
            before = self._talk(talking.look_again(request_id, before))
            yield before[0]

    def look(self, request_id: str) -> Standing:
        """Return how a request stands."""
        return self._talk(talking.look(request_id))

    def wait(self, request_id: str, timeout: float = 600) -> Standing:
        """Return how a request ended; raises StillRunning when it has not within `timeout` seconds."""
        return self._talk(talking.wait(request_id, timeout))

    def reply(self, request_id: str) -> Reply:
        """Return the pictures so far."""
        return self._talk(talking.reply(request_id))

    def cancel(self, request_id: str) -> Standing:
        """Stop a request; what is made is kept."""
        return self._talk(talking.cancel(request_id))

    def upload(self, file: File, name: str = "") -> str:
        """Send a file (its path, or what it says); return how a request names it."""
        return self._talk(talking.upload(*_read(file, name)))

    def download(self, picture: Picture) -> bytes:
        """Return a picture's bytes."""
        return self._talk(talking.download(picture))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self.close()

    def _talk(self, talk: Talk[Said]) -> Said:
        came: Came = None
        while True:
            try:
                step = talk.send(came)
            except StopIteration as done:
                said: Said = done.value
                return said
            came = self._do(step)

    def _do(self, step: Step) -> Came:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.request(**_asked(self._url, self._token, step))
        except httpx.TransportError as error:
            return error


class AsyncLimner:
    """A Limner's gateway, for an event loop: what `Limner` does, to be awaited."""

    def __init__(self, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url, self._token = url.rstrip("/"), token
        self._http = httpx.AsyncClient(transport=transport)

    async def submit(
        self, kind: str, request: Request, idempotency_key: str | None = None, interactive: bool | None = None
    ) -> Standing:
        return await self._talk(talking.submit(kind, _plain(request), idempotency_key, interactive))

    async def follow(self, request_id: str) -> AsyncIterator[Standing]:
        before = None
        while before is None or not before[0].has_ended:
            before = await self._talk(talking.look_again(request_id, before))
            yield before[0]

    async def look(self, request_id: str) -> Standing:
        return await self._talk(talking.look(request_id))

    async def wait(self, request_id: str, timeout: float = 600) -> Standing:
        return await self._talk(talking.wait(request_id, timeout))

    async def reply(self, request_id: str) -> Reply:
        return await self._talk(talking.reply(request_id))

    async def cancel(self, request_id: str) -> Standing:
        return await self._talk(talking.cancel(request_id))

    async def upload(self, file: File, name: str = "") -> str:
        return await self._talk(talking.upload(*await asyncio.to_thread(_read, file, name)))

    async def download(self, picture: Picture) -> bytes:
        return await self._talk(talking.download(picture))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _talk(self, talk: Talk[Said]) -> Said:
        came: Came = None
        while True:
            try:
                step = talk.send(came)
            except StopIteration as done:
                said: Said = done.value
                return said
            came = await self._do(step)

    async def _do(self, step: Step) -> Came:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.request(**_asked(self._url, self._token, step))
        except httpx.TransportError as error:
            return error


def _asked(url: str, token: str, call: Call) -> dict[str, Any]:
    """Return a call as httpx takes it; the token goes to the gateway alone, links may lead elsewhere."""
    ours = {"Authorization": f"Bearer {token}"} if call.is_ours else {}
    return {
        "method": call.method,
        "url": url + call.address if call.is_ours else call.address,
        "headers": call.headers | ours,
        "json": call.json,
        "content": call.content,
        "timeout": httpx.Timeout(call.seconds, connect=10),
    }


def _plain(request: Request) -> dict[str, Any]:
    return request.model_dump(mode="json") if isinstance(request, BaseModel) else dict(request)


def _read(file: File, name: str) -> tuple[bytes, str]:
    if isinstance(file, bytes):
        return file, name or "untitled.txt"
    return Path(file).read_bytes(), name or Path(file).name
