"""The talk with a gateway, as steps that a synchronous and an asynchronous client carry out alike.

A talk is a generator: it yields a call to make or seconds to wait, is sent what came of it, and returns the answer.
Knows how to ask, what an answer means, and when to ask again; knows no connection.
"""

import hashlib
import random
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from limner_client.answers import Picture, Reply, Standing
from limner_client.errors import (
    KeyTaken,
    LimnerClientError,
    NotFound,
    Refused,
    StillRunning,
    Unauthorised,
    Unavailable,
)

# A gateway holds an answer back for a minute at most.
LOOK_SECONDS = 25.0
# And it may take so long for any other.
ANSWER_SECONDS = 60.0

TRIES = 5
_MOST_PAUSE_SECONDS = 30.0

# The same call may find it well again.
_PASSING = (408, 429, 500, 502, 503, 504)
_REFUSALS: dict[int, type[Refused]] = {401: Unauthorised, 403: Unauthorised, 404: NotFound, 409: KeyTaken}

Answer = TypeVar("Answer", bound=BaseModel)
Said = TypeVar("Said")


@dataclass(frozen=True)
class Call:
    """One HTTP request. is_ours: goes to the gateway with the token; a link goes as it is, and shows nobody's."""

    method: str
    address: str
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    seconds: float = ANSWER_SECONDS
    is_ours: bool = True


@dataclass(frozen=True)
class Pause:
    seconds: float


# What a client is to do, and what came of it: a response, what broke the connection, or nothing of a pause.
Step = Call | Pause
Came = httpx.Response | httpx.TransportError | None
Talk = Generator[Step, Came, Said]


def submit(kind: str, request: dict[str, Any], idempotency_key: str | None, interactive: bool | None) -> Talk[Standing]:
    """Ask for pictures. With its key a request may be sent as often as it takes: it is one."""
    asked = {"kind": kind, "request": request, "interactive": interactive}
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    return _read(Standing, (yield from _answered(Call("POST", "/v1/requests", headers, json=asked))))


def look(request_id: str) -> Talk[Standing]:
    return _read(Standing, (yield from _answered(Call("GET", _path(request_id)))))


def look_again(request_id: str, before: tuple[Standing, str] | None) -> Talk[tuple[Standing, str]]:
    """Return how a request stands and its mark, as soon as it stands otherwise than before."""
    while True:
        headers, wait = ({}, "") if before is None else ({"If-None-Match": before[1]}, f"?wait={LOOK_SECONDS:.0f}")
        call = Call("GET", _path(request_id) + wait, headers, seconds=ANSWER_SECONDS + LOOK_SECONDS)
        response = yield from _answered(call)
        if response.status_code != 304:
            return _read(Standing, response), response.headers.get("etag", "")


def wait(request_id: str, timeout: float) -> Talk[Standing]:
    """Return how a request ended; raises StillRunning when it has not in time."""
    deadline = time.monotonic() + timeout
    while True:
        left = min(max(deadline - time.monotonic(), 0), LOOK_SECONDS)
        call = Call("GET", f"{_path(request_id)}?wait={left:.2f}", seconds=ANSWER_SECONDS + LOOK_SECONDS)
        standing = _read(Standing, (yield from _answered(call)))
        if standing.has_ended:
            return standing
        if time.monotonic() >= deadline:
            raise StillRunning(f"Request {request_id} is still {standing.state} after {timeout:g} s; wait again.")


def reply(request_id: str) -> Talk[Reply]:
    return _read(Reply, (yield from _answered(Call("GET", f"{_path(request_id)}/reply"))))


def cancel(request_id: str) -> Talk[Standing]:
    return _read(Standing, (yield from _answered(Call("DELETE", _path(request_id)))))


def upload(data: bytes, name: str) -> Talk[str]:
    """Send a file; return how a request names it as its `book` or `descriptions_file`."""
    response = yield from _answered(Call("PUT", f"/v1/uploads?name={quote(name, safe='')}", content=data))
    return str(_json(response)["upload"])


def download(picture: Picture) -> Talk[bytes]:
    """Fetch a picture; what came is what was made, or an error."""
    data = (yield from _answered(Call("GET", picture.link, is_ours=False))).content
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise Unavailable(f"What lies at the link of {picture.key} is not that picture; ask for the reply again.")
    return data


def _path(request_id: str) -> str:
    return f"/v1/requests/{quote(request_id, safe='')}"


def _answered(call: Call) -> Talk[httpx.Response]:
    """Make a call until it is answered, a few times at most: every call of ours is safe to repeat."""
    for number in range(TRIES):
        came = yield call
        if isinstance(came, httpx.Response) and came.status_code not in _PASSING:
            return _accepted(came)
        if number + 1 < TRIES:
            yield Pause(_pause_seconds(came, number))
    what = _sentence(came) if isinstance(came, httpx.Response) else f"{type(came).__name__}: {came}"
    raise Unavailable(f"The gateway could not be asked {TRIES} times in a row ({what}); try again later.")


def _pause_seconds(came: Came, number: int) -> float:
    told = came.headers.get("retry-after", "") if isinstance(came, httpx.Response) else ""
    seconds = float(told) if told.isdigit() else 0.5 * 2**number
    return min(seconds, _MOST_PAUSE_SECONDS) * random.uniform(1, 1.3)  # noqa: S311 - so that not all come back at once


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success or response.status_code == 304:
        return response
    error = _REFUSALS.get(response.status_code, Refused)
    raise error(_sentence(response), response.status_code, _fields(response))


def _sentence(response: httpx.Response) -> str:
    said = _object(response).get("error")
    return said if isinstance(said, str) else f"It answered {response.status_code}."


def _fields(response: httpx.Response) -> dict[str, str]:
    said = _object(response).get("fields")
    return {str(name): str(one) for name, one in said.items()} if isinstance(said, dict) else {}


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _json(response: httpx.Response) -> dict[str, Any]:
    if not (said := _object(response)):
        raise LimnerClientError("What answers there is no gateway of Limner; see the address.")
    return said


def _read(model: type[Answer], response: httpx.Response) -> Answer:
    try:
        return model.model_validate(_json(response))
    except ValidationError:
        raise LimnerClientError("What answers there is no gateway of Limner, or of another version.") from None
