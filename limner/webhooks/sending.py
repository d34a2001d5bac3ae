"""One message to one receiver: where it may be, what the message is signed with, what the receiver answered.

Signed as Standard Webhooks says (webhook-id, webhook-timestamp, webhook-signature v1). Knows nothing of the outbox.
"""

import base64
import json
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from limner.errors import BadInput
from limner.signing import derived_key
from limner.web import ForbiddenAddress, Web, network
from limner.web.service import retry_after_seconds

TIMEOUT_SECONDS = 15.0

_MOST_URL_CHARS = 2000
_LOOK_UP_SECONDS = 5.0
_GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered: its status, and when it wants to be asked again, where it said so."""

    status: int
    retry_after_seconds: float | None = None

    @property
    def is_fine(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether it wants nothing any more, ever."""
        return self.status == _GONE

    def __str__(self) -> str:
        more = ", and redirects are not followed" if 300 <= self.status < 400 else ""
        return f"the receiver answered {self.status}{more}"


def secret_of(key: bytes, webhook_id: str) -> str:
    """Return what a webhook's messages are signed with, as its receiver is told it; `key` is the installation's."""
    return "whsec_" + base64.b64encode(derived_key(key, "webhook", webhook_id)).decode()


def check_url(url: str, *, allow_private: bool) -> str:
    """Return the address of a receiver that may be asked; raises BadInput, which repeats no password.

    A name is looked up here for whoever mistyped it, and again whenever a message is sent.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, half a bracket
        host, port = "", None
    if not host or port == 0 or len(url) > _MOST_URL_CHARS or not url.isprintable() or " " in url:
        raise BadInput("A webhook is told at an https address; give one like https://app.example.org/limner.")
    if "@" in parts.netloc or parts.fragment:
        raise BadInput("A webhook's address has no user, password or #; what signs its messages is its secret.")
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise BadInput(
            f"A webhook's address begins with https, not with {parts.scheme}; "
            "for a receiver of your own, set LIMNER_ALLOW_PRIVATE_ADDRESSES=true."
        )
    # A name that nobody knows may be known to the proxy that will be asked, or tomorrow.
    with suppress(OSError), network.deadline(_LOOK_UP_SECONDS):
        try:
            network.check_host(host, port or 443, allow_private=allow_private)
        except ForbiddenAddress as error:
            mend = "give a public one" + ("" if allow_private else ", or set LIMNER_ALLOW_PRIVATE_ADDRESSES=true")
            raise BadInput(f"Nothing is sent there: {error}; {mend}.") from None
    return url


def send(
    url: str,
    secret: str,
    message_id: str,
    body: Mapping[str, Any],
    *,
    allow_private: bool,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Send a message and return the answer, of which only the head is read; follows no redirect.

    Raises ProviderError where none came in time, or the address must not be asked.
    """
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = _signed(secret, message_id, data)
    # The address may carry the receiver's own secret in its path or query: sentences name its host only.
    name = urlsplit(url).hostname or "the receiver"
    receiver = Web(name, url, headers={}, allow_private=allow_private, connections=1, timeout_seconds=timeout_seconds)
    with (
        closing(receiver),
        receiver.lent(url, submits=False) as client,
        client.stream("POST", url, content=data, headers=headers) as response,
    ):
        return Answer(response.status_code, retry_after_seconds(response.headers))


def _signed(secret: str, message_id: str, data: bytes) -> dict[str, str]:
    from standardwebhooks.webhooks import Webhook  # noqa: PLC0415 - only where something is sent

    now = datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, data.decode()),
    }
