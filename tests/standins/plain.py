"""A stand-in for no service in particular, for what holds of every service on the web.

    python -m tests.standins.plain --calls calls.jsonl

| call | what it answers |
|---|---|
| POST /orders | {"headers", "size"}: what came; a "submit" |
| GET /orders/1 | {"status": "done"}; a "poll" |
| GET /files/picture.jpg | a picture |
| GET /onward?to=ADDRESS | 302 to there, which is a "file" that lies elsewhere |
| GET /errors/429 | that status, with an endless sentence; /errors/429/torn breaks off, /errors/429/packed is gzip |
| GET /promises | 200 with a Content-Length of a terabyte, and nothing more |

Its own event is "headers": those of a call for a file that lies elsewhere.
"""

import gzip
from typing import Any
from urllib.parse import unquote

from tests.standins import serving
from tests.standins.serving import Call, Reply, Service, picture


class Plain(Service):
    """Answers at once, and says what it saw."""

    name = "plain"
    keyed = ("submit", "poll")

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.keep_file(picture("a castle", 7, 320, 256), "picture.jpg")

    def kind(self, call: Call) -> str:
        if call.path.startswith("/orders"):
            return "submit" if call.method == "POST" else "poll"
        return "other"

    async def answer(self, call: Call) -> Reply:
        if call.kind == "submit":
            return Reply.of_json({"headers": dict(call.headers), "size": len(call.body)}, 201)
        if call.kind == "poll":
            return Reply.of_json({"status": "done"})
        self.note("headers", call.number, headers=dict(call.headers))
        if call.path == "/onward":
            return Reply(302, more={"Location": unquote(call.query["to"]), "Set-Cookie": "who=us"})
        if call.path == "/promises":
            return Reply(body=b"x", more={"Content-Length": "1000000000000"}, ends="stall", length=False)
        _, _, status, *how = call.path.split("/")
        return wordy(int(status), how[0] if how else "")


def wordy(status: int, how: str) -> Reply:
    """Return an error that says more than anybody reads."""
    body = b"sorry " * 100_000
    if how == "torn":
        return Reply(status, body, sent=6_000, ends="reset")
    if how == "packed":
        return Reply(status, gzip.compress(body), more={"Content-Encoding": "gzip", "Retry-After": "7"})
    return Reply(status, body)


if __name__ == "__main__":
    serving.main(Plain, __doc__)
