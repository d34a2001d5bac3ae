"""The owner's pages: who may ask, what is refused and how, and who is taken out of the line."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from limner.errors import Broken, Invalid, Refused
from limner.providers.diffusers.wire import BATCH, MODEL, Status
from tests.limner.gpu.painting import Painter, paged, png, served

ORDER = {"prompt": "a fox", "width": 64, "height": 64, "seed": 7, "steps": 2}


@pytest.fixture
def painter() -> Painter:
    return Painter(room=3, multiple_of=8)


@pytest.fixture
def owner(painter: Painter) -> Iterator[httpx.Client]:
    with served(painter) as (address, _), paged(address) as client:
        yield client


def post(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/pictures", json={**ORDER, **more})


def test_a_picture_comes_with_its_model_and_its_batch(painter: Painter, owner: httpx.Client) -> None:
    painter.let()
    answers = [post(owner), post(owner)]
    assert [(one.status_code, one.headers[BATCH], one.content) for one in answers] == [
        (200, "1", png()),
        (200, "2", png()),
    ]
    assert answers[0].headers[MODEL] == "oil%20on%20canvas"


def test_it_is_alive_at_once_and_ready_once_its_model_is_loaded_and_warm(painter: Painter) -> None:
    painter.may_load.clear()
    with served(painter, opened=False) as (address, owner), paged(address) as client, ThreadPoolExecutor(1) as pool:
        opening = pool.submit(owner.open)
        assert (client.get("/health").status_code, client.get("/ready").status_code) == (200, 503)
        assert client.get("/ready").json() == {"state": "loading"}
        refused = post(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
        assert refused.json()["said"] == "the owner is loading; ask again."
        painter.may_load.set()
        opening.result(20)
        assert client.get("/ready").status_code == 200
        assert Status.model_validate_json(client.get("/status").content).loads == 1


def test_a_model_that_cannot_be_drawn_with_is_said() -> None:
    class Torn(Painter):
        def load(self) -> None:
            raise Broken("diffusers: the model is torn")

    with served(Torn()) as (address, owner), paged(address) as client:
        assert (client.get("/ready").status_code, client.get("/ready").json()) == (503, {"state": "failed"})
        assert str(owner.failed) == "diffusers: the model is torn"


@pytest.mark.parametrize(
    "header", [{}, {"authorization": "Bearer other"}, {"authorization": "a-token-of-ours"}], ids=str
)
def test_only_who_shows_the_token_draws(painter: Painter, owner: httpx.Client, header: dict[str, str]) -> None:
    with httpx.Client(base_url=owner.base_url, headers=header) as stranger:
        refused = [post(stranger), stranger.get("/status"), stranger.post("/pictures", content=b"\xff" * 1000)]
        assert [one.status_code for one in refused] == [401] * 3
        assert (stranger.get("/health").status_code, stranger.get("/ready").status_code) == (200, 200)
    assert painter.batches == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Invalid JSON"),
        (b"{" * 100_000, "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"x" * 600_000, "an order has 524,288 bytes at most; send a shorter one."),
        ({"width": 65}, "it makes sides of 64 to 4096 px in steps of 8, not 65x64"),
        ({"width": 16_000}, "it makes sides of 64 to 4096 px in steps of 8, not 16000x64"),
        ({"width": 10**9}, "width: Input should be less than or equal to 16384"),
        ({"width": "broad"}, "width: Input should be a valid integer"),
        ({"steps": 10**6}, "steps: Input should be less than or equal to 1000"),
        ({"guidance": 1e9}, "guidance: Input should be less than or equal to 100"),
        ({"seed": 0}, "seed: Input should be greater than or equal to 1"),
        ({"prompt": ""}, "prompt: String should have at least 1 character"),
        ({"prompt": "a" * 2000}, "a prompt of 2000 characters is too long; give 1000 at most."),
        ({"model": "watercolour"}, "it has no model watercolour"),
        ({"priority": 0}, "priority: Input should be greater than or equal to 1"),
        ({"within_seconds": 0}, "within_seconds: Input should be greater than 0"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_rubbish_is_refused_in_one_sentence_and_draws_nothing(
    painter: Painter, owner: httpx.Client, body: Any, said: str
) -> None:
    answer = owner.post("/pictures", content=body) if isinstance(body, bytes) else post(owner, **body)
    assert answer.status_code == 400 and said in answer.json()["said"]
    assert "\n" not in answer.json()["said"] and len(answer.json()["said"]) < 400
    assert owner.get("/ready").status_code == 200
    assert painter.batches == []


def test_what_is_no_page_is_said(owner: httpx.Client) -> None:
    answers = [owner.get("/"), owner.get("/pictures"), owner.delete("/status")]
    assert [one.status_code for one in answers] == [404, 405, 405]
    assert {one.json()["said"] for one in answers} == {
        "There is no such page; POST /pictures draws, GET /status tells."
    }


@pytest.mark.parametrize(
    ("error", "status", "categories"),
    [
        (Refused("diffusers: blackened", ("nsfw",)), 422, ["nsfw"]),
        (Invalid("diffusers: too odd"), 400, []),
        (Broken("diffusers: out of paint"), 500, []),
    ],
    ids=str,
)
def test_what_goes_wrong_in_a_batch_is_told_to_each_of_it(
    painter: Painter, owner: httpx.Client, error: Any, status: int, categories: list[str]
) -> None:
    painter.breaks = lambda: error
    painter.let()
    answer = post(owner)
    assert (answer.status_code, answer.json()["categories"]) == (status, categories)
    assert answer.json()["said"] == str(error).removeprefix("diffusers: ")


def test_a_full_line_is_said_at_once_with_when_to_come_back(painter: Painter, owner: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(post, owner)
        painter.begun()
        waiting = [pool.submit(post, owner, prompt=f"{number}") for number in range(3)]
        painter.waits_for(3)
        refused = post(owner)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        # Somebody waits for this one: the last of the others is told to come back.
        urgent = pool.submit(post, owner, prompt="now", priority=1)
        told = next(one for one in iter(lambda: [x for x in waiting if x.done()], None) if one)[0]
        assert told.result().status_code == 429
        painter.let()
        assert [one.result(20).status_code for one in (first, urgent)] == [200, 200]
    assert painter.batches[1][0] == "now"


def test_who_hangs_up_is_taken_out_of_the_line(painter: Painter, owner: httpx.Client) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, owner)
        painter.begun()
        address = owner.base_url
        body = httpx.Request("POST", address, json={**ORDER, "prompt": "gone"}).content
        with socket.create_connection((address.host, address.port or 0)) as caller:
            head = "POST /pictures HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-of-ours\r\n"
            caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            painter.waits_for(1)
        painter.waits_for(0)
        painter.let()
        assert first.result(20).status_code == 200
    assert painter.batches == [["a fox"]]


def test_who_hangs_up_in_the_middle_of_an_order_does_no_harm(painter: Painter, owner: httpx.Client) -> None:
    address = owner.base_url
    with socket.create_connection((address.host, address.port or 0)) as caller:
        head = "POST /pictures HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-of-ours\r\n"
        caller.sendall(f"{head}Content-Length: 5000\r\n\r\nhalf".encode())
    painter.let()
    assert post(owner).status_code == 200


def test_an_owner_that_leaves_lets_nobody_in_and_ends_what_it_draws(painter: Painter) -> None:
    with served(painter) as (address, owner), paged(address) as client, ThreadPoolExecutor(4) as pool:
        first = pool.submit(post, client)
        painter.begun()
        second = pool.submit(post, client)
        painter.waits_for(1)
        assert not owner.leave()
        sent_away, refused = second.result(20), post(client)
        assert [one.status_code for one in (sent_away, refused)] == [503, 503]
        assert sent_away.json()["said"] == "the owner is leaving; ask another, or this one again."
        painter.let()
        assert first.result(20).status_code == 200
        while not owner.leave():
            threading.Event().wait(0.005)
        assert client.get("/ready").json() == {"state": "leaving"}


def test_its_status_says_what_it_does_and_who_waits(painter: Painter, owner: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        pool.submit(post, owner)
        painter.begun()
        pool.submit(post, owner, priority=1)
        pool.submit(post, owner, priority=7)
        painter.waits_for(2)
        status = Status.model_validate_json(owner.get("/status").content)
        painter.let()
    assert (status.state, status.model, status.device, status.batch) == ("ready", "oil on canvas", "canvas", 2)
    assert (status.waiting, status.drawing, status.batches, status.load) == ({1: 1, 7: 1}, 1, 1, 3)
    after = Status.model_validate_json(owner.get("/status").content)
    assert (after.drawn, after.load, after.loads) == (3, 0, 1)
