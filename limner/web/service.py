"""One service on the web, as every provider of pictures speaks to it.

Knows what a failure of HTTP means (was the order taken or not?), the caps on what comes back, and how to keep a key out
of every sentence. Knows nothing of any one service, nor of who is asked next. Never repeats what could be paid for.
"""

import email.utils
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, wait_exponential_jitter

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Invalid,
    OutOfCredit,
    ProviderError,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)
from limner.web import network
from limner.web.network import ForbiddenAddress

MAX_PICTURE_BYTES = 40 * 1024 * 1024
MAX_JSON_BYTES = 4 * 1024 * 1024
# An error that says more than this is cut; what a service adds is its upstream's page.
MAX_ERROR_BYTES = 64 * 1024
CONNECT_SECONDS = 10.0
# A body that stops this long in its middle does not come any more.
STALL_SECONDS = 10.0
MAX_REDIRECTS = 3
SAID_CHARS = 300

_SECONDS = re.compile(r"^[0-9]{1,9}(?:\.[0-9]+)?$")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


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


class Web:
    """HTTP to one service; safe to use from several threads, until `close`.

    name: of the provider, the first word of every sentence. secrets: never repeated in one. allow_private: also
    addresses of this machine and of private networks, for a stand-in. connections: kept at most.
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
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.timeout_seconds = timeout_seconds
        self._headers = dict(headers)
        self._secrets = tuple(one for one in secrets if one)
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

        url: a path below the base address, or a whole address. submits: says that the service may take an order by it,
        so that what breaks afterwards has an unknown outcome; else it is Broken, and may be repeated. body: JSON.
        Raises ProviderError where no whole answer came.
        """
        with self._in_our_words(submits):
            request = self.client.build_request(
                method,
                self._address(url),
                params=params,
                headers=headers,
                json=body,
                extensions={"max_bytes": max_bytes},
            )
            if not with_key:
                request.headers.pop("authorization", None)
            self._check(request.url)
            response = self.client.send(request, follow_redirects=False)
            return Reply(response.status_code, response.headers, response.content)

    def patiently(
        self, ask: Callable[[], Reply], *, accepted_as: str, stop: threading.Event, poll_seconds: float = 1.0
    ) -> Reply:
        """Repeat what costs nothing (a look at an accepted order) until it is answered or the call's time ends.

        Waits out broken connections, throttles and 5xx. Raises Unfinished at the deadline; returns any other answer.
        When `stop` is set it is not repeated any more.
        """

        def once() -> Reply:
            reply = ask()
            if reply.status == httpx.codes.TOO_MANY_REQUESTS or reply.status >= 500:
                raise Busy(f"{self.name}: {reply.status}", reply.retry_after_seconds)
            return reply

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after_seconds if isinstance(error, Busy) else None
            return max(asked or 0.0, wait_exponential_jitter(initial=poll_seconds, max=10)(state))

        def is_late(state: RetryCallState) -> bool:
            left = network.seconds_left()
            return stop.is_set() or (left is not None and left <= state.upcoming_sleep)

        retrying = Retrying(
            retry=retry_if_exception_type((Broken, Busy)),
            wait=pause,
            stop=is_late,
            sleep=sleep_using_event(stop),
            reraise=True,
        )
        try:
            return retrying(once)
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
            if urlsplit(url).scheme not in ("http", "https"):
                raise Broken(f"{self.name}: gave an address that is no web address; nothing was fetched.")
            reply = self.send("GET", url, submits=False, with_key=False, max_bytes=max_bytes)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            url = urljoin(url, reply.headers.get("location", ""))
        raise Broken(f"{self.name}: sent us on more than {MAX_REDIRECTS} times; nothing was fetched.")

    def said(self, words: object) -> str:
        """Return words of a stranger on one line, short, and without our secrets."""
        said = " ".join(str(words).split())
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return said[:SAID_CHARS] or type(words).__name__

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

    def _address(self, url: str) -> str:
        return url if urlsplit(url).scheme else self.base_url + url

    def _check(self, url: httpx.URL) -> None:
        """Refuse an address that a proxy would connect to for us; without one, connecting checks it."""
        if self._allow_private or self.client._transport_for_url(url) is self.client._transport:
            return
        with suppress(OSError):  # a name that only the proxy can resolve
            network.check_host(url.host, url.port or 443)

    @contextmanager
    def _in_our_words(self, submits: bool) -> Iterator[None]:
        """Tell what breaks apart by whether the order can have arrived."""
        try:
            yield
        except ForbiddenAddress as error:
            raise Broken(
                f"{self.name}: {self.said(error)}; nothing was sent there. "
                "Set LIMNER_ALLOW_PRIVATE_ADDRESSES=true if it is a server of your own."
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            # Proven to lie before acceptance. Not Busy: nobody is there who would be free again soon.
            raise Broken(f"{self.name}: cannot be reached ({self.said(error)}); check the network.") from None
        except httpx.PoolTimeout:
            raise Busy(f"{self.name}: all {self._connections} connections were in use.") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Invalid(f"{self.name}: the address cannot be used ({self.said(error)}).") from None
        except TooLarge as error:
            raise Broken(f"{self.name}: {error}; the rest was left.", may_be_paid=submits) from None
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
            # A proxy never stands between us and this machine.
            trust_env=urlsplit(self.base_url).hostname not in _LOOPBACK,
            event_hooks={"response": [self._cap_body]},
        )
        return network.guard(client, allow_private=self._allow_private)

    def _cap_body(self, response: httpx.Response) -> None:
        """Cap a body before its first byte is read: its size, its stalls, and no swelling."""
        response.request.extensions["timeout"]["read"] = min(STALL_SECONDS, self.timeout_seconds)
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise TooLarge("sent a compressed answer that was not asked for")
        most = response.request.extensions.get("max_bytes", MAX_PICTURE_BYTES * 3 // 2)
        response.stream = _Capped(response.stream, most, is_error=response.is_error)


class TooLarge(Exception):
    """A body that is larger than anything we asked for."""


class _Capped(httpx.SyncByteStream):
    """A body up to a size: an error's is cut there, any other's is refused."""

    def __init__(self, stream: Any, max_bytes: int, *, is_error: bool) -> None:
        self._stream = stream
        self._max_bytes = min(max_bytes, MAX_ERROR_BYTES) if is_error else max_bytes
        self._is_error = is_error

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for chunk in self._stream:
            seen += len(chunk)
            if seen > self._max_bytes:
                if self._is_error:
                    return
                raise TooLarge(f"sent more than {self._max_bytes:,} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
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


def check_key(name: str, key: str, mend_key: str) -> str:
    """Return an API key that can be sent; raises BadInput, because the HTTP library's own complaint would repeat it."""
    if not key.isascii() or any(char.isspace() or not char.isprintable() for char in key):
        raise BadInput(f"{name}: the API key has spaces or letters that no key has; {mend_key} anew.")
    return key
