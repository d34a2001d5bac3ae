"""One service on the web, as every provider of pictures speaks to it.

Knows what a failure of HTTP means (was the order taken or not?), the caps on what comes back, and how to keep a key out
of every sentence. Knows nothing of any one service, nor of who is asked next. Never repeats what could be paid for.
"""

import email.utils
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, sleep_using_event, wait_exponential_jitter

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Invalid,
    OutOfCredit,
    ProviderError,
    Refused,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)
from limner.web import bodies, network
from limner.web.bodies import TooLarge
from limner.web.masking import Mask
from limner.web.network import ForbiddenAddress

MAX_PICTURE_BYTES = 40 * 1024 * 1024
MAX_JSON_BYTES = 4 * 1024 * 1024
CONNECT_SECONDS = 10.0
STALL_SECONDS = 10.0
MAX_REDIRECTS = 3
SAID_CHARS = 300
MAX_CATEGORIES = 8

_SECONDS = re.compile(r"^[0-9]{1,9}(?:\.[0-9]+)?$")
# A proxy never stands between us and this machine.
_NEVER_PROXIED: dict[str, httpx.BaseTransport | None] = dict.fromkeys(
    ("all://localhost", "all://127.0.0.1", "all://[::1]")
)
_MEND_ADDRESS = "Set LIMNER_ALLOW_PRIVATE_ADDRESSES=true if it is a server of your own."
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: its status, its headers, its body."""

    status: int
    headers: httpx.Headers
    data: bytes

    @property
    def is_fine(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after_seconds(self) -> float | None:
        return retry_after_seconds(self.headers)

    def json(self) -> Any:
        """Return the body as JSON; None where it is none."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return None


class Unusable(Broken):
    """What came, or where it is said to lie, is of no use, and would be none the next time either."""


class Web:
    """HTTP to one service; safe to use from several threads, until `close`.

    name: of the provider, the first word of every sentence. headers: of every request to the service, the key's among
    them. secrets: in no sentence, and in no request that goes elsewhere. allow_private: also addresses of this machine
    and of private networks, for a server of one's own. connections: kept at most. stall_seconds: a body that stops for
    so long in its middle does not come any more.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        headers: Mapping[str, str],
        secrets: tuple[str, ...] = (),
        allow_private: bool = False,
        connections: int = 3,
        timeout_seconds: float = 120.0,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.timeout_seconds = timeout_seconds
        self._headers = dict(headers)
        self._mask = Mask(secrets)
        self._stall_seconds = min(stall_seconds, timeout_seconds)
        self._allow_private = allow_private
        self._connections = connections
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None

    @property
    def client(self) -> httpx.Client:
        """The client itself, guarded, for a library that wants one. Its bodies are capped by the picture's size."""
        with self._opening:
            if self._client is None:
                self._client = self._open()
            return self._client

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    @contextmanager
    def call(self, seconds: float | None = None) -> Iterator[None]:
        """One call of the provider: nothing in it outlasts its time, `timeout_seconds` where not given."""
        with network.deadline(seconds or self.timeout_seconds):
            yield

    def send(
        self,
        method: str,
        url: str,
        *,
        submits: bool,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        max_bytes: int = MAX_JSON_BYTES,
        with_key: bool = True,
    ) -> Reply:
        """Send one request and return its whole answer, whatever its status; follows no redirect.

        url: a path below the base address, or a whole address; the key goes to the service itself only. submits: says
        that the service may take an order by it, so that what breaks afterwards has an unknown outcome; else it is
        Broken, and may be repeated. body: JSON. Raises ProviderError where no whole answer came.
        """
        with self.call(), self._in_our_words(submits):
            request = self.client.build_request(
                method,
                self._address(url, with_key),
                params=params,
                headers=headers,
                json=body,
                timeout=self._timeout(),
                extensions={"max_bytes": max_bytes},
            )
            if not with_key:
                self._forget_secrets(request)
            self._check(request.url)
            response = self.client.send(request, follow_redirects=False)
            return Reply(response.status_code, response.headers, response.content)

    @contextmanager
    def lent(self, url: str, *, submits: bool) -> Iterator[httpx.Client]:
        """Lend the client to a service's own library for one request; what breaks in it is said as `send` does.

        url, submits: as `send` takes them. The library has to let the client's own errors through.
        """
        with self.call(), self._in_our_words(submits):
            self._check(httpx.URL(self._address(url, with_key=True)))
            yield self.client

    def patiently(
        self,
        ask: Callable[[], Reply],
        *,
        accepted_as: str,
        stop: threading.Event,
        poll_seconds: float = 1.0,
        will_pass: Callable[[Reply], bool] | None = None,
    ) -> Reply:
        """Repeat what costs nothing (a look at an accepted order) until it is answered or the call's time ends.

        Waits out broken connections, and answers that `will_pass`, throttles and 5xx where not given. Raises Unfinished
        at the deadline, and Broken for what will not change; returns any other answer. When `stop` is set it is not
        repeated any more.
        """

        def once() -> Reply:
            reply = ask()
            if (will_pass or passes)(reply):
                raise Busy(f"{self.name}: {reply.status}", reply.retry_after_seconds)
            return reply

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after_seconds if isinstance(error, Busy) else None
            return max(
                asked or 0.0, wait_exponential_jitter(multiplier=poll_seconds, max=10, jitter=poll_seconds)(state)
            )

        def is_late(state: RetryCallState) -> bool:
            left = network.seconds_left()
            return stop.is_set() or (left is not None and left <= state.upcoming_sleep)

        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, (Broken, Busy)) and type(error) is not Unusable),
            wait=pause,
            stop=is_late,
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        try:
            return retrying(once)
        except Unusable as error:
            raise Broken(str(error), may_be_paid=True) from None
        except (Broken, Busy) as error:
            raise self.unfinished(accepted_as, str(error)) from None

    def unfinished(self, accepted_as: str, why: str = "it is still drawing") -> Unfinished:
        """Return the error for an order that has an id and no end yet."""
        return Unfinished(
            f"{self.name}: took the order as {accepted_as} and gave no picture in time ({self.said(why)}); "
            "run the same request again to fetch it."
        )

    def download(self, url: str, max_bytes: int = MAX_PICTURE_BYTES) -> Reply:
        """Fetch a picture that lies elsewhere, without our key; each address on the way is checked.

        Raises Broken, also for an address that must not be asked.
        """
        for _ in range(MAX_REDIRECTS + 1):
            with self._in_our_words(submits=False):
                if httpx.URL(url).scheme not in ("http", "https"):
                    raise Unusable(f"{self.name}: gave an address that is no web address; nothing was fetched.")
            reply = self.send("GET", url, submits=False, with_key=False, max_bytes=max_bytes)
            if reply.status not in _REDIRECTS:
                return reply
            with self._in_our_words(submits=False):
                url = urljoin(url, reply.headers.get("location", ""))
        raise Unusable(f"{self.name}: sent us on more than {MAX_REDIRECTS} times; nothing was fetched.")

    def said(self, words: object) -> str:
        """Return words of a stranger on one line, short, without our secrets and without what moves a terminal."""
        said = " ".join("".join(char if char.isprintable() else " " for char in str(words)).split())
        return self.masked(said)[:SAID_CHARS] or type(words).__name__

    def masked(self, words: str) -> str:
        """Return words of a stranger as they are, without our secrets: what is kept and not part of a sentence."""
        return self._mask.masked(words)

    def refused(self, why: str, categories: Sequence[str], *, may_be_paid: bool = False) -> Refused:
        """Return the error for an order that the service's policy does not allow, with its own words for why.

        why: a sentence without the name. categories: as the service calls them, shown behind it.
        """
        named = tuple(self.said(one) for one in categories[:MAX_CATEGORIES])
        shown = f" [{', '.join(named)}]" if named else ""
        return Refused(f"{self.name}: {why}{shown}", named, may_be_paid=may_be_paid)

    def meaning(self, reply: Reply, reason: object, *, mend_key: str, submits: bool = True) -> ProviderError:
        """Return the error that a status stands for, where a service does not say it better itself.

        mend_key: what to do about a key that is not accepted.
        """
        status, said = reply.status, self.said(reason)
        if status in (429, 503):
            return Busy(f"{self.name}: too busy ({status}): {said}", reply.retry_after_seconds)
        if status == 402:
            return OutOfCredit(f"{self.name}: the account is empty; top it up: {said}")
        if status in (401, 403):
            return Unauthorised(f"{self.name}: the API key was not accepted ({status}); {mend_key}: {said}")
        if status in (408, 504, 524) and submits:
            # Whoever stands in front gave up waiting for a service that had taken the order.
            return UnknownOutcome(f"{self.name}: no answer from behind its edge ({status}); it may still be drawing.")
        if 400 <= status < 500:
            return Invalid(f"{self.name}: cannot take this order ({status}): {said}")
        return Broken(f"{self.name}: failed ({status}): {said}")

    def _address(self, url: str, with_key: bool) -> str:
        if url.startswith("/"):
            return self.base_url + url
        if with_key and _origin(url) != _origin(self.base_url):
            raise Unusable(f"{self.name}: gave an address that is not its own ({self.said(url)}); the key stays here.")
        return url

    def _timeout(self) -> httpx.Timeout:
        left = network.seconds_left()
        whole = self.timeout_seconds if left is None else min(left, self.timeout_seconds)
        return httpx.Timeout(whole, connect=min(CONNECT_SECONDS, whole))

    def _forget_secrets(self, request: httpx.Request) -> None:
        for name, value in list(request.headers.items()):
            if name in ("authorization", "cookie") or self._mask.hides(value):
                del request.headers[name]

    def _check(self, url: httpx.URL) -> None:
        """Refuse an address that a proxy would connect to for us; without one, connecting checks it."""
        if self.client._transport_for_url(url) is self.client._transport:
            return
        with suppress(OSError):  # a name that only the proxy knows
            network.check_host(url.host, url.port or 443, allow_private=self._allow_private)

    @contextmanager
    def _in_our_words(self, submits: bool) -> Iterator[None]:
        """Tell what breaks apart by whether the order can have arrived."""
        try:
            yield
        except ForbiddenAddress as error:
            mend = "" if self._allow_private else f" {_MEND_ADDRESS}"
            # An order that nobody may be sent says nothing of how the service is.
            kind = Invalid if submits else Unusable
            raise kind(f"{self.name}: {self.said(error)}; nothing was sent there.{mend}") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            # Proven to lie before acceptance. Not Busy: nobody is there who would be free again soon.
            raise Broken(f"{self.name}: cannot be reached ({self.said(error)}); check the network.") from None
        except httpx.PoolTimeout:
            raise Busy(f"{self.name}: all {self._connections} connections were in use.") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError, OverflowError) as error:
            # Nothing was sent. An address of the service's own making is no fault of the order.
            kind = Invalid if submits else Unusable
            raise kind(f"{self.name}: the request cannot be sent ({self.said(error)}).") from None
        except TooLarge as error:
            raise Unusable(f"{self.name}: {error}; the rest was left.", may_be_paid=submits) from None
        except httpx.TimeoutException:
            raise self._broke(submits, "no whole answer came in time") from None
        except httpx.HTTPError as error:
            raise self._broke(submits, f"the connection broke ({self.said(error)})") from None

    def _broke(self, submits: bool, why: str) -> ProviderError:
        if submits:
            return UnknownOutcome(f"{self.name}: {why}; it may still be drawing.")
        return Broken(f"{self.name}: {why}.")

    def _open(self) -> httpx.Client:
        client = httpx.Client(
            # A picture is compressed already, and a compressed answer could swell.
            headers={"User-Agent": "limner", "Accept-Encoding": "identity", **self._headers},
            timeout=httpx.Timeout(self.timeout_seconds, connect=min(CONNECT_SECONDS, self.timeout_seconds)),
            limits=httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections),
            follow_redirects=False,
            mounts=_NEVER_PROXIED,
            event_hooks={"response": [self._cap_body]},
        )
        return network.guard(client, allow_private=self._allow_private)

    def _cap_body(self, response: httpx.Response) -> None:
        # Nothing of the body is read yet, so that its own time limit still takes effect.
        response.request.extensions["timeout"]["read"] = self._stall_seconds
        # Of base64, for a library that asks by itself.
        bodies.cap(response, response.request.extensions.get("max_bytes", MAX_PICTURE_BYTES * 3 // 2))


def passes(reply: Reply) -> bool:
    """Say whether the same question may well be answered later: a throttle, or a server in trouble."""
    return reply.status == httpx.codes.TOO_MANY_REQUESTS or reply.status >= 500


def _origin(url: str) -> tuple[str, str, int | None]:
    told = httpx.URL(url)
    return told.scheme, told.host, told.port


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds from now, given as seconds or as an HTTP date; None where it says neither."""
    given = headers.get("retry-after", "").strip()
    if _SECONDS.match(given):
        return float(given)
    try:
        when = email.utils.parsedate_to_datetime(given)
    except (TypeError, ValueError, OverflowError):
        return None
    # A date without a zone is in UTC by the standard.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def check_key(name: str, key: str, mend_key: str) -> str:
    """Return an API key that can be sent; raises BadInput, because the HTTP library's own complaint would repeat it."""
    if not key.isascii() or any(char.isspace() or not char.isprintable() for char in key):
        raise BadInput(f"{name}: the API key has spaces or letters that no key has; {mend_key} anew.")
    return key
