"""A second look before the private Prefect API says that it is busy.

SQLite takes one writer at a time, and turns another away at once when that one has read before it writes. Prefect
answers 503 then, with nothing done, and its clients come back after seconds. Here the same request is made again within
milliseconds.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Waits between tries; nobody waits longer than their sum.
PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)

# More than Prefect takes as the parameters of a run; what is larger is passed on as it comes.
MOST_BYTES = 2**20

BUSY = 503


class AskedAgain:
    """Repeats requests that are answered with 503, whose answer is the last one's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = await _whole(receive)
        for pause in PAUSES_SECONDS:
            if asked[-1].get("more_body"):
                break
            answer = _Answer(send)
            try:
                await self._app(dict(scope), _Again(asked, receive).receive, answer.send)
            except Exception:
                # The API raises what it has answered already, for the log.
                if not answer.is_busy:
                    raise
            if not answer.is_busy:
                return
            await asyncio.sleep(pause)
        await self._app(scope, _Again(asked, receive).receive, send)


async def _whole(receive: Receive) -> list[Message]:
    """Return the messages of a request's body, as far as they are not too large to keep."""
    messages = [await receive()]
    while messages[-1].get("more_body") and sum(len(one.get("body", b"")) for one in messages) <= MOST_BYTES:
        messages.append(await receive())
    return messages


class _Again:
    """Gives what was received once more, then what comes."""

    def __init__(self, messages: list[Message], receive: Receive) -> None:
        self._messages = list(messages)
        self._receive = receive

    async def receive(self) -> Message:
        return self._messages.pop(0) if self._messages else await self._receive()


class _Answer:
    """Passes an answer on, unless it says that the database is busy."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_busy = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == BUSY:
            self.is_busy = True
        if not self.is_busy:
            await self._send(message)
