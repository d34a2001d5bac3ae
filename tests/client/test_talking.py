"""The talks, without a gateway: what is asked, what an answer means, when it is asked again, and who sees the token."""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from limner_client import (
    AsyncLimner,
    KeyTaken,
    Limner,
    LimnerClientError,
    NotFound,
    Picture,
    Refused,
    StillRunning,
    Unauthorised,
    Unavailable,
    talking,
)
from limner_client.talking import Call, Pause, Talk

WAITING: dict[str, Any] = {
    "id": "1",
    "state": "waiting",
    "why": "",
    "batch": None,
    "title": None,
    "counts": None,
    "links": {"reply": "r", "sheet": None},
}
PICTURE = Picture(
    key="hall",
    sha256="ab" * 32,
    media_type="image/png",
    width=1,
    height=1,
    bytes=1,
    link="http://elsewhere.example/hall?signature=1",
    thumbnail="",
    words="",
    prompt="",
    negative_prompt="",
    provider="sketch",
    model=None,
    seed=1,
    score=None,
    level=None,
    reused=False,
)


def carried_out(talk: Talk[Any], came: Sequence[httpx.Response | httpx.TransportError]) -> tuple[Any, list[Call]]:
    """Return what a talk came to, and its calls; nobody waits for its pauses."""
    calls: list[Call] = []
    answers = iter(came)
    step = next(talk)
    try:
        while True:
            if isinstance(step, Pause):
                assert 0 < step.seconds < 60
                step = talk.send(None)
            else:
                calls.append(step)
                step = talk.send(next(answers))
    except StopIteration as done:
        return done.value, calls


def said(status: int, body: Any = WAITING, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def test_what_may_pass_is_asked_again_with_the_same_key() -> None:
    away = httpx.ConnectError("refused")
    asked, calls = carried_out(
        talking.submit("k", {}, None, True), [away, said(503, {}, **{"retry-after": "2"}), said(429), said(201)]
    )
    assert (
        asked.state == "waiting" and len({call.headers["Idempotency-Key"] for call in calls}) == 1 and len(calls) == 4
    )


def test_it_gives_up_after_a_few_times() -> None:
    with pytest.raises(Unavailable, match=r"5 times in a row \(ConnectError: refused\)"):
        carried_out(talking.look("1"), [httpx.ConnectError("refused")] * 9)
    with pytest.raises(Unavailable, match="It rests"):
        carried_out(talking.look("1"), [said(503, {"error": "It rests."})] * 9)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (401, Unauthorised), (403, Unauthorised), (404, NotFound), (409, KeyTaken), (422, Refused)],
)
def test_what_is_refused_is_asked_once_and_says_why(status: int, error: type[Refused]) -> None:
    body = {"error": "limit: too small.", "fields": {"limit": "too small"}}
    with pytest.raises(error, match="limit: too small") as refused:
        carried_out(talking.submit("k", {}, None, True), [said(status, body)])
    assert (refused.value.status, refused.value.fields) == (status, {"limit": "too small"})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"id": 1}'])
def test_what_is_no_gateway_is_one_sentence(body: bytes) -> None:
    with pytest.raises(LimnerClientError, match="is no gateway of Limner"):
        carried_out(talking.look("1"), [httpx.Response(200, content=body)])


def test_waiting_ends_with_the_request_or_the_time() -> None:
    ended, calls = carried_out(talking.wait("1", 60), [said(200), said(200, WAITING | {"state": "short"})])
    assert ended.state == "short" and ended.has_ended and all("?wait=" in call.address for call in calls)
    with pytest.raises(StillRunning, match="Request 1 is still waiting after 0 s"):
        carried_out(talking.wait("1", 0), [said(200)])


def test_following_asks_for_what_differs() -> None:
    before, _ = carried_out(talking.look_again("1", None), [said(200, etag='"a"')])
    news, calls = carried_out(talking.look_again("1", before), [httpx.Response(304), said(200, etag='"b"')])
    assert news[1] == '"b"' and [call.headers["If-None-Match"] for call in calls] == ['"a"', '"a"']


def test_an_id_stays_one_part_of_the_address() -> None:
    _, calls = carried_out(talking.look("../uploads?x=1"), [said(200)])
    assert calls[0].address == "/v1/requests/..%2Fuploads%3Fx%3D1"


def test_the_token_goes_to_the_gateway_alone_and_what_is_not_the_picture_is_refused() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return said(200) if request.url.host == "gateway.example" else httpx.Response(200, content=b"other bytes")

    with Limner("https://gateway.example/", "secret", transport=httpx.MockTransport(answer)) as limner:
        limner.look("1")
        with pytest.raises(Unavailable, match="What lies at the link of hall is not that picture"):
            limner.download(PICTURE)
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert "secret" not in str(seen[1].headers) and str(seen[1].url) == PICTURE.link


def test_both_clients_can_the_same() -> None:
    def can(client: type) -> set[str]:
        return {name.removeprefix("a") for name in vars(client) if not name.startswith("_")}

    assert {"submit", "follow", "wait", "reply", "cancel", "upload", "download"} < can(Limner)
    assert {name.removeprefix("a") for name in can(Limner)} == {name.removeprefix("a") for name in can(AsyncLimner)}


def test_the_client_needs_httpx_and_pydantic_alone() -> None:
    trees = [ast.parse(one.read_text()) for one in Path(talking.__file__).parent.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    named = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    named += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    needed = {name.partition(".")[0] for name in named} - sys.stdlib_module_names
    assert needed == {"httpx", "pydantic", "limner_client"}
