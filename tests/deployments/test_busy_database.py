"""A request that the database was too busy for is made again, with the same body, and only its last answer is seen."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments import busy_database
from deployments.busy_database import AskedAgain

BODY = [
    {"type": "http.request", "body": b"one ", "more_body": True},
    {"type": "http.request", "body": b"two", "more_body": False},
]


class Api:
    """Answers 503 so often, as Prefect does: it raises what it has answered; then 201 with the body it got."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        status = 503 if len(self.bodies) <= self.busy else 201
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})
        if status == 503:
            raise RuntimeError("database is locked")


def ask(api: Api) -> list[Message]:
    sent: list[Message] = []
    body: list[Any] = list(BODY)

    async def receive() -> Message:
        return dict(body.pop(0))

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(AskedAgain(api)({"type": "http"}, receive, send))
    return sent


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_database, "PAUSES_SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("busy", [0, 1, 2])
def test_the_last_answer_is_the_only_one(busy: int) -> None:
    api = Api(busy)
    assert [one.get("status", one.get("body")) for one in ask(api)] == [201, b"one two"]
    assert api.bodies == [b"one two"] * (busy + 1)


def test_who_is_busy_for_too_long_says_so() -> None:
    api = Api(3)
    with pytest.raises(RuntimeError):
        ask(api)
    assert len(api.bodies) == 3
