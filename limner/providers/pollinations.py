"""Pollinations: one GET to gen.pollinations.ai for one picture.

Knows HTTP and this service's answers. Knows nothing of retries, limits or who is asked next: those are the chain's.
"""

import email.utils
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import yaml
from pydantic import BaseModel, ConfigDict

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Invalid,
    OutOfCredit,
    ProviderError,
    Refused,
    Unauthorised,
    UnknownOutcome,
)
from limner.jobs import Order
from limner.providers.seam import Answer, Asked, Capabilities, Limits

NAME = "pollinations"

MAX_PICTURE_BYTES = 40 * 1024 * 1024
# An error that says more than this is cut; what the service adds is its upstream's page.
MAX_ERROR_BYTES = 64 * 1024
CONNECT_SECONDS = 10.0
# A body that stops this long in its middle does not come any more.
STALL_SECONDS = 10.0
SAID_CHARS = 300

_SECONDS = re.compile(r"^[0-9]{1,9}(?:\.[0-9]+)?$")
_KNOW_A_KEY = "set POLLINATIONS_API_KEY"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Contract(BaseModel):
    """The schema of pollinations.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    model: str
    models: tuple[str, ...]
    min_side: int
    max_side: int
    max_prompt: int
    licence: str
    timeout_seconds: float
    calls_a_minute: int


@cache
def contract() -> Contract:
    text = resources.files("limner").joinpath("data/providers/pollinations.yaml").read_text("utf-8")
    return Contract.model_validate(yaml.safe_load(text))


class Pollinations:
    """Draws with one of Pollinations' models; safe to use from several threads, until `close`.

    timeout_seconds: for a whole call. concurrency: connections kept. enhance: let the service rewrite the prompt.
    price_usd: of one picture, for the owner's budget; the service itself does not say.

        Pollinations(key="sk_...")
        Pollinations(key="sk_...", model="zimage", enhance=True, concurrency=8)
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str | None = None,
        model: str | None = None,
        enhance: bool = False,
        timeout_seconds: float | None = None,
        concurrency: int = 3,
        price_usd: float = 0.0,
        calls_a_minute: float | None = None,
        max_bytes: int = MAX_PICTURE_BYTES,
    ) -> None:
        if not key.isascii() or any(char.isspace() or not char.isprintable() for char in key):
            # Said here, because the HTTP library's own complaint would repeat the key.
            raise BadInput(f"{NAME}: the API key has spaces or letters that no key has; {_KNOW_A_KEY} anew.")
        told = contract()
        self.timeout_seconds = timeout_seconds or told.timeout_seconds
        self._calls_a_minute: float | None = None if calls_a_minute is None else calls_a_minute
        self._key = key
        self._base_url = (base_url or told.base_url).rstrip("/")
        self._model = model or told.model
        self._enhance = enhance
        self._concurrency = concurrency
        self._price_usd = price_usd
        self._max_bytes = max_bytes
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"Pollinations({self._base_url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        return NAME

    @property
    def limits(self) -> Limits:
        return Limits(calls_a_minute=self._calls_a_minute)

    def estimate_usd(self, order: Order, model: str | None = None) -> float:  # noqa: ARG002 - one price for all
        return self._price_usd

    def capabilities(self, model: str | None = None) -> Capabilities:  # noqa: ARG002 - all of its models are alike
        told = contract()
        return Capabilities(
            negative_prompts=False,
            steps=False,
            guidance=False,
            min_side=told.min_side,
            max_side=told.max_side,
            max_pixels=told.max_side**2,
            max_prompt=told.max_prompt,
            licence=told.licence,
        )

    def generate(self, asked: Asked) -> Answer:
        """Ask for one picture and return its bytes as they came; whether they are a picture is for others to say.

        Raises the ProviderError family: UnknownOutcome wherever the order may have been taken. Sending an identical
        request again joins the one in progress and is billed once, so that a second try costs nothing.
        """
        self._refuse_what_would_be_lost(asked)
        model = asked.model or self._model
        started = time.monotonic()
        with self._answer(_path(asked), self._parameters(asked, model)) as response:
            if response.status_code != httpx.codes.OK:
                raise self._error(response)
            data = self._body(response, started)
        return Answer(data, model, provider_id=response.headers.get("x-request-id"))

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _refuse_what_would_be_lost(self, asked: Asked) -> None:
        if not self._key:
            raise Unauthorised(f"{NAME}: no API key; {_KNOW_A_KEY}.")
        if asked.references or asked.order.controls:
            raise Invalid(f"{NAME}: takes no references or control images; name another provider.")
        if asked.negative_prompt:
            raise Invalid(f"{NAME}: takes no negative prompt; fold it into the prompt.")

    def _parameters(self, asked: Asked, model: str) -> dict[str, str]:
        # The seed is always named: without one the service takes 0. `enhance` only when on: it reads "false" as true.
        parameters = {
            "model": model,
            "width": str(asked.order.width),
            "height": str(asked.order.height),
            "seed": str(asked.seed),
        }
        return parameters | ({"enhance": "true"} if self._enhance else {})

    @contextmanager
    def _answer(self, path: str, parameters: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Send the request; what breaks is told apart by whether the order can have arrived."""
        try:
            with self._opened().stream("GET", self._base_url + path, params=parameters) as response:
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            # Proven to lie before acceptance. Not Busy: nobody is there who would be free again soon.
            raise Broken(
                f"{NAME}: {self._base_url} cannot be reached ({self._said(error)}); check the network."
            ) from None
        except httpx.PoolTimeout:
            raise Busy(f"{NAME}: all {self._concurrency} connections were in use; allow more concurrency.") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Invalid(f"{NAME}: the address {self._base_url} cannot be used ({self._said(error)}).") from None
        except httpx.TimeoutException:
            raise UnknownOutcome(f"{NAME}: no whole picture came in time; it may still be drawing.") from None
        except httpx.HTTPError as error:
            raise UnknownOutcome(
                f"{NAME}: the connection broke before the picture was whole ({self._said(error)})."
            ) from None

    def _body(self, response: httpx.Response, started: float) -> bytes:
        """Return the whole body, within the size cap and the call's time."""
        # The body is not begun yet, so that its own time limit still takes effect.
        response.request.extensions["timeout"]["read"] = min(STALL_SECONDS, self.timeout_seconds)
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > self._max_bytes:
                raise Broken(f"{NAME}: sent more than {self._max_bytes:,} bytes for one picture; the rest was left.")
            if time.monotonic() - started > self.timeout_seconds:
                raise UnknownOutcome(f"{NAME}: the picture was not whole after {self.timeout_seconds:g} s.")
        return bytes(data)

    def _error(self, response: httpx.Response) -> ProviderError:
        """Return what an answer other than 200 means."""
        told = _told(_beginning(response))
        reason = self._said(told.get("message") or response.reason_phrase or "no reason given")
        if _is_refusal(response.status_code, told):
            return Refused(f"{NAME}: refused by its safety filter: {reason}", _categories(told))
        upstream = _upstream_status(told) if response.status_code == httpx.codes.BAD_GATEWAY else None
        if upstream in (401, 403):
            # The service's own account at a model's vendor, not our key.
            return Unauthorised(
                f"{NAME}: its vendor of this model refused it ({upstream}); name another model: {reason}"
            )
        return _meaning(upstream or response.status_code, reason, _retry_after(response.headers))

    def _said(self, words: object) -> str:
        """Return words of a stranger on one line, short, and without our key."""
        said = " ".join(str(words).split()).replace(self._key, "***") if self._key else " ".join(str(words).split())
        return said[:SAID_CHARS] or type(words).__name__

    def _opened(self) -> httpx.Client:
        with self._opening:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> httpx.Client:
        return httpx.Client(
            headers={
                "Authorization": f"Bearer {self._key}",
                "Accept": "image/*, application/json",
                # A picture is compressed already, and a compressed answer could swell.
                "Accept-Encoding": "identity",
                "User-Agent": "limner",
            },
            timeout=httpx.Timeout(self.timeout_seconds, connect=min(CONNECT_SECONDS, self.timeout_seconds)),
            limits=httpx.Limits(max_connections=self._concurrency, max_keepalive_connections=self._concurrency),
            follow_redirects=False,
            # A proxy never stands between us and this machine.
            trust_env=urlsplit(self._base_url).hostname not in _LOOPBACK,
        )


def _path(asked: Asked) -> str:
    return "/image/" + quote(asked.prompt, safe="")


def _beginning(response: httpx.Response) -> bytes:
    """Return as much of an error's body as is worth reading; one that breaks off counts as far as it came."""
    data = b""
    try:
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > MAX_ERROR_BYTES:
                break
    except httpx.HTTPError:
        pass
    return data


def _told(body: bytes) -> dict[str, Any]:
    """Return the error's own fields: {code, type, message, details}, as far as the body has them."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    error = answer.get("error", answer) if isinstance(answer, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _is_refusal(status: int, told: Mapping[str, Any]) -> bool:
    named = {told.get("type"), told.get("code")}
    return (status == 400 and "safety_error" in named) or (
        status in (400, 403, 422) and bool(named & {"content_policy_violation", "moderation_blocked"})
    )


def _categories(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the service's words for why: its categories, else the kind of error."""
    details = told.get("details")
    places = (told, details) if isinstance(details, dict) else (told,)
    named = next((place["categories"] for place in places if isinstance(place.get("categories"), list)), None)
    return tuple(map(str, named or [told.get("type") or told.get("code")]))


def _upstream_status(told: Mapping[str, Any]) -> int | None:
    """Return what a model's vendor answered to the service, which passes it on as 502."""
    details = told.get("details")
    status = details.get("upstreamStatus") if isinstance(details, dict) else None
    return status if isinstance(status, int) else None


def _meaning(status: int, reason: str, retry_after_seconds: float | None) -> ProviderError:
    """Return the error that a status stands for."""
    if status in (429, 503):
        return Busy(f"{NAME}: too busy ({status}): {reason}", retry_after_seconds)
    if status == 402:
        return OutOfCredit(f"{NAME}: the account is empty; top it up at https://enter.pollinations.ai: {reason}")
    if status in (401, 403):
        return Unauthorised(f"{NAME}: the API key was not accepted ({status}); {_KNOW_A_KEY}: {reason}")
    if status == 524:
        # The edge gave up waiting for a service that had taken the order.
        return UnknownOutcome(f"{NAME}: no answer from behind its edge ({status}); it may still be drawing.")
    if 400 <= status < 500:
        return Invalid(f"{NAME}: cannot take this order ({status}): {reason}")
    return Broken(f"{NAME}: failed ({status}): {reason}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds from now, given as seconds or as an HTTP date; None where it says neither."""
    given = headers.get("retry-after", "").strip()
    if _SECONDS.match(given):
        return float(given)
    try:
        when = email.utils.parsedate_to_datetime(given)
    except (TypeError, ValueError):
        return None
    # A date without a zone is in UTC by the standard.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
