"""Requests of apps, over HTTP, against a real Prefect API and ledger."""

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from limner.ledger import tokens
from tests.deployments.gateway.house import DESCRIPTIONS, House

REQUEST = {"title": "Alice", "genre": "fantasy", "descriptions": DESCRIPTIONS, "provider": ["sketch"]}


def submit(app: httpx.Client, key: str | None = None, **more: Any) -> httpx.Response:
    asked = json.dumps({"kind": "illustrate-chapter", "request": REQUEST} | more)
    return app.post("/v1/requests", content=asked, headers={"Idempotency-Key": key or uuid4().hex})


def test_asks_follows_and_gets_every_picture_by_its_link(house: House) -> None:
    with house.app("mary") as app:
        asked = submit(app)
        assert asked.status_code == 201, asked.text
        request_id = asked.json()["id"]
        ended = app.get(f"/v1/requests/{request_id}?wait=60").json()
        assert (ended["state"], ended["why"]) == ("complete", "")
        assert ended["counts"] == {"asked": 2, "made": 2, "reused": 0, "failed": 0}

        reply = app.get(ended["links"]["reply"]).json()
        assert reply["complete"] and [one["key"] for one in reply["pictures"]] == ["hall", "garden"]
        assert str(house.home) not in json.dumps(reply)
        for picture in reply["pictures"]:
            got = httpx.get(picture["link"], trust_env=False)
            assert len(got.content) == picture["bytes"] and got.headers["content-type"] == picture["media_type"]


def test_twice_the_same_key_is_one_request_and_another_request_by_it_is_refused(house: House) -> None:
    with house.app("twice") as app, house.app("somebody") as other:
        first, again = submit(app, "key"), submit(app, "key")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        for more in ({"request": REQUEST | {"limit": 1}}, {"kind": "illustrate-book"}):
            assert submit(app, "key", **more).status_code == 409
        theirs = submit(other, "key")
        assert theirs.status_code == 201 and theirs.json()["id"] != first.json()["id"]
        # Nobody's key can be made to look like another's.
        assert submit(other, "illustrate-chapter:key").status_code == 201


def test_another_owners_request_is_as_if_it_were_not(house: House) -> None:
    with house.app("ann") as app, house.app("bob") as other, house.runner.held():
        request_id = submit(app).json()["id"]
        for method, path in (("GET", ""), ("GET", "/reply"), ("DELETE", "")):
            of_another = other.request(method, f"/v1/requests/{request_id}{path}")
            of_nobody = other.request(method, f"/v1/requests/{uuid4()}{path}")
            of_no_id = other.request(method, f"/v1/requests/x'%00--{path}")
            assert of_another.status_code == of_nobody.status_code == of_no_id.status_code == 404
            assert of_another.json() == of_nobody.json() == of_no_id.json() == {"error": "There is no such request."}
        assert app.get(f"/v1/requests/{request_id}").json()["state"] == "waiting"
        assert app.delete(f"/v1/requests/{request_id}").status_code == 202
        assert app.get(f"/v1/requests/{request_id}").json()["state"] == "cancelled"
        assert app.delete(f"/v1/requests/{request_id}").status_code == 200


def test_a_part_of_a_reply_is_there_while_the_rest_is_made_and_news_are_waited_for(house: House) -> None:
    with house.app("news") as app, house.runner.held():
        asked = submit(app)
        assert asked.json()["state"] == "waiting" and asked.json()["batch"] is None
        reply = app.get(asked.json()["links"]["reply"]).json()
        assert (reply["complete"], reply["pictures"]) == (False, [])
        here, mark = f"/v1/requests/{asked.json()['id']}", asked.headers["etag"]
        assert app.get(f"{here}?wait=0.1", headers={"If-None-Match": mark}).status_code == 304
        assert app.get(f"{here}?wait=0.1").json()["state"] == "waiting"
    with house.app("news") as app:
        changed = app.get(f"{here}?wait=60", headers={"If-None-Match": mark})
        assert changed.status_code == 200 and changed.headers["etag"] != mark


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"kind": "audit"}, 422, "There is no kind 'audit'; ask for one of illustrate-chapter, illustrate-book."),
        ({"job_variables": {"command": "id"}}, 422, "job_variables: is no known field."),
        ({"request": {"descriptions": DESCRIPTIONS, "limit": 0}}, 422, "request.limit: Input should be greater than"),
        ({"request": {}}, 422, "request: name a book or give descriptions."),
        ({"request": {"book": "/etc/passwd"}}, 422, "request.book: Upload the file first"),
        ({"request": {"book": "samples/alice.txt"}}, 422, "request.book: Upload the file first"),
        ({"request": {"descriptions_file": "file:///etc/passwd"}}, 422, "request.descriptions_file: Upload"),
        ({"request": REQUEST | {"owner": "root"}}, 403, "This token speaks for wrong alone; leave the owner out."),
        ({"request": REQUEST | {"book_sha256": "a" * 64}}, 422, "book_sha256 is filled in by the run; leave it out."),
        ({"request": REQUEST | {"title": "a\0b"}}, 422, "request.title: there is a control character"),
        ({"request": []}, 422, "request: Input should be a valid dictionary"),
        ({"request": {"\ud800": 1}}, 422, "request: Input should be a valid string"),
        ({"request": REQUEST | {"title": "\ud800"}}, 422, "request.title: "),
        ({"interactive": "perhaps"}, 422, "interactive: Input should be a valid boolean"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence_a_field(
    house: House, sent: dict[str, Any], status: int, said: str
) -> None:
    with house.app("wrong") as app:
        refused = submit(app, **sent)
    assert refused.status_code == status and refused.json()["error"].startswith(said), refused.text


def test_a_body_that_is_none_is_one_sentence_too(house: House) -> None:
    with house.app("wrong") as app:
        key = {"Idempotency-Key": "x"}
        for body in (b"", b"{", b"\xff", b"[" * 100_000, b'{"kind": "\\ud800", "request": {}}'):
            refused = app.post("/v1/requests", content=body, headers=key)
            assert refused.status_code in (400, 422) and refused.json()["error"], body[:10]
        assert app.post("/v1/requests", json={}).json()["error"].startswith("Name the request by a header")
        for odd in ("", "a b", "x" * 201):
            assert app.post("/v1/requests", json={}, headers={"Idempotency-Key": odd}).status_code == 422
        assert app.post("/v1/requests", content=b" " * 11 * 2**20, headers=key).status_code == 413


def test_who_shows_no_token_or_a_revoked_one_gets_nothing(house: House) -> None:
    with house.app("gone") as app:
        of_gone = house.ledger.run(lambda connection: tokens.listed(connection, "gone"))
        house.ledger.run(lambda connection: tokens.revoke(connection, of_gone[0].id))
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}):
            refused = app.get(f"/v1/requests/{uuid4()}", headers=headers)
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        assert submit(app).status_code == app.put("/v1/uploads", content=b"a").status_code == 401


def test_an_uploaded_book_is_read_by_its_owner_alone(house: House) -> None:
    book = Path("samples/alice.txt").read_bytes()
    with house.app("reader") as app, house.app("thief") as thief:
        for _ in range(2):
            uploaded = app.put("/v1/uploads?name=alice.txt", content=book)
            assert uploaded.status_code == 201
        request = {"book": uploaded.json()["upload"], "limit": 1, "provider": ["sketch"]}
        assert submit(thief, request=request).status_code == 422
        asked = submit(app, request=request)
        ended = app.get(f"/v1/requests/{asked.json()['id']}?wait=60").json()
        assert (ended["state"], ended["title"]) == ("complete", "alice, chapter 1")

        beyond = submit(app, request=request | {"chapter": 99})
        failed = app.get(f"/v1/requests/{beyond.json()['id']}?wait=60").json()
        assert failed["state"] == "failed" and "alice.txt" in failed["why"] and "/" not in failed["why"]


def test_what_is_no_file_is_not_uploaded(house: House) -> None:
    with house.app("reader") as app:
        assert app.put("/v1/uploads", content=b"").status_code == 422
        assert app.put("/v1/uploads?name=../../x", content=b"a").status_code == 422
        # Only announced: refused before it is sent.
        where = urlsplit(house.url)
        with socket.create_connection((str(where.hostname), where.port or 0), timeout=30) as line:
            line.sendall(
                f"PUT /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: {app.headers['Authorization']}\r\n"
                f"Content-Length: {10**12}\r\n\r\n".encode()
            )
            assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_more_descriptions_than_prefect_takes_go_by_the_bucket(house: House) -> None:
    many = [DESCRIPTIONS[0] | {"id": str(number), "content": "A hall. " * 300} for number in range(300)]
    request = {"title": "Many", "descriptions": many, "only": "299", "provider": ["sketch"]}
    assert len(json.dumps(request)) > 512 * 1024
    with house.app("many") as app:
        first, again = submit(app, "many", request=request), submit(app, "many", request=request)
        assert (first.status_code, again.status_code) == (201, 200), first.text
        ended = app.get(f"/v1/requests/{first.json()['id']}?wait=60").json()
        assert ended["state"] == "complete" and ended["counts"]["made"] == 1, ended
        assert submit(app, "many", request=request).json() == ended
