"""What every answer has in common: a refusal is JSON with one sentence, never a traceback."""

import logging
from collections.abc import Mapping

import httpx
from prefect.exceptions import PrefectHTTPStatusError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from limner.errors import DiskFull, RefusedRequest, Unreachable

log = logging.getLogger(__name__)

# Sentences for what no code of ours has refused.
_STATUSES = {404: "There is nothing at this address.", 405: "This address does not take that method."}
_AWAY = "Limner cannot be reached inside at the moment; try again in a few seconds."


class Refusal(Exception):
    """An answer that is no success: its status, one sentence, and where it is about fields, one for each."""

    def __init__(self, status: int, sentence: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.fields = fields


def answer(status: int, sentence: str, fields: Mapping[str, str] | None = None) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "2"} if status == 503 else {}
    return JSONResponse({"error": sentence} | ({"fields": dict(fields)} if fields else {}), status, headers)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - what this handler is named for
    return answer(error.status, str(error), error.fields)


def _of_framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return answer(error.status_code, _STATUSES.get(error.status_code, str(error.detail)))


def _of_request(_request: Request, error: Exception) -> Response:
    return answer(422, str(error))


def _away(_request: Request, error: Exception) -> Response:
    # Its sentence names addresses of ours.
    log.warning("%s", error)
    return answer(503, _AWAY)


def _of_prefect(request: Request, error: Exception) -> Response:
    assert isinstance(error, PrefectHTTPStatusError)  # noqa: S101
    log.warning("%s", error)
    return _away(request, error) if error.response.status_code >= 500 else _broken(request, error)


def _broken(_request: Request, _error: Exception) -> Response:
    return answer(500, "Limner failed inside; its log says how.")


# What an exception of an endpoint becomes, the nearest class first.
HANDLERS = {
    Refusal: _refused,
    HTTPException: _of_framework,
    RefusedRequest: _of_request,
    Unreachable: _away,
    DiskFull: _away,
    httpx.HTTPError: _away,
    PrefectHTTPStatusError: _of_prefect,
    TimeoutError: _away,
    Exception: _broken,
}
