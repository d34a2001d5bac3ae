"""The deliverer: brings what the outbox holds to its receivers, until it is told to stop.

Each webhook has one message under way here at a time, so that a slow receiver holds up nobody but itself. Several
deliverers may run. A message may arrive twice, under the same id, and never gets lost.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from limner.errors import DiskFull, ProviderError, Unreachable
from limner.ledger import outbox
from limner.ledger.notices import Notices
from limner.ledger.opening import Ledger
from limner.ledger.outbox import Taken
from limner.settings import Settings
from limner.signing import signing_key
from limner.webhooks.sending import TIMEOUT_SECONDS, Answer, secret_of, send

T = TypeVar("T")

log = logging.getLogger(__name__)

_MINUTE, _HOUR = 60.0, 3600.0

# Seconds before the second try, the third, and so on, as Standard Webhooks recommends; after the last one it is dead.
SCHEDULE = (
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
# Later by up to this part of it, so that what failed together is not tried together.
JITTER = 0.1
LONGEST_SECONDS = 24 * _HOUR

# Messages under way at once; those that failed before may not take the room of all others.
HANDS = 16
HANDS_FOR_RETRIES = 8

# Longer than any try, the look-up of a name and the settling included.
LEASE_SECONDS = 60.0

# How often it looks whatever it heard.
POLL_SECONDS = 3.0

# Who is told to stop waits so long for what is under way; the rest is sent again after its lease.
_REST_SECONDS = 3.0


def deliver_until(
    ledger: Ledger,
    settings: Settings,
    stop: threading.Event,
    *,
    schedule: Sequence[float] = SCHEDULE,
    timeout_seconds: float = TIMEOUT_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Deliver whatever is due, until `stop` is set; rides out a ledger that is away."""
    deliverer = _Deliverer(ledger, settings, schedule, timeout_seconds)
    notices = Notices(ledger, outbox.CHANNEL, lambda _said: deliverer.wake.set())
    try:
        while not stop.is_set():
            # Heard by now or not, what is due is seen below.
            notices.listen()
            deliverer.wake.clear()
            deliverer.start_what_is_due()
            _wait(deliverer.wake, stop, poll_seconds)
    finally:
        notices.close()
        deliverer.rest(_REST_SECONDS)


def ping(settings: Settings, webhook_id: str, url: str) -> Answer:
    """Send a `ping`, which stands in no outbox, and return what the receiver answered; raises ProviderError."""
    body = {"type": "ping", "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "data": {}}
    secret = secret_of(signing_key(settings), webhook_id)
    return send(url, secret, f"msg_{uuid4().hex}", body, allow_private=settings.allow_private_addresses)


def pause_seconds(schedule: Sequence[float], tries: int, answer: Answer | None) -> float | None:
    """Return how long to wait after so many tries; None after the last one.

    A receiver that asked for more gets it, up to a day.
    """
    if tries > len(schedule):
        return None
    asked = (answer.retry_after_seconds if answer else None) or 0.0
    pause = max(schedule[tries - 1], min(asked, LONGEST_SECONDS))
    return pause * random.uniform(1, 1 + JITTER)  # noqa: S311 - nobody's secret


class _Deliverer:
    """What is under way: a webhook, and the thread that has its message."""

    def __init__(self, ledger: Ledger, settings: Settings, schedule: Sequence[float], timeout_seconds: float) -> None:
        self.wake = threading.Event()
        self._ledger = ledger
        self._key = signing_key(settings)
        self._allow_private = settings.allow_private_addresses
        self._schedule = schedule
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}
        self._retries = 0

    def start_what_is_due(self) -> None:
        """Start as many deliveries as there are hands and messages due."""
        while (taken := self._take()) is not None:
            hand = threading.Thread(target=self._deliver, args=(taken,), name="limner-webhook", daemon=True)
            with self._lock:
                self._busy[taken.webhook_id] = hand
                self._retries += taken.tries > 1
            hand.start()

    def rest(self, seconds: float) -> None:
        """Wait for what is under way, together no longer than that."""
        with self._lock:
            hands = list(self._busy.values())
        for hand in hands:
            hand.join(seconds / len(hands))

    def _take(self) -> Taken | None:
        with self._lock:
            busy, again = list(self._busy), self._retries < HANDS_FOR_RETRIES
        if len(busy) >= HANDS:
            return None
        return self._told(lambda connection: outbox.take(connection, busy, again=again, lease_seconds=LEASE_SECONDS))

    def _deliver(self, taken: Taken) -> None:
        try:
            self._told(self._ending(taken))
        finally:
            with self._lock:
                del self._busy[taken.webhook_id]
                self._retries -= taken.tries > 1
            self.wake.set()

    def _ending(self, taken: Taken) -> Callable[[Connection], object]:
        """Try it, and return what the ledger is to be told of that."""
        if taken.is_removed:
            return lambda connection: outbox.give_up(connection, taken, outbox.REMOVED)
        answer, reason = self._answer(taken)
        if answer is not None and answer.is_fine:
            return lambda connection: outbox.delivered(connection, taken)
        if answer is not None and answer.is_gone:
            log.warning("Webhook %s is removed: %s", taken.webhook_id, reason)
            return lambda connection: outbox.remove(connection, taken.webhook_id, reason)
        pause = pause_seconds(self._schedule, taken.tries, answer)
        if pause is None:
            log.warning("%s was not delivered after %s tries: %s", taken.id, taken.tries, reason)
            return lambda connection: outbox.give_up(connection, taken, reason)
        log.info("%s is tried again in %.0f s: %s", taken.id, pause, reason)
        return lambda connection: outbox.try_later(connection, taken, pause, reason)

    def _answer(self, taken: Taken) -> tuple[Answer | None, str]:
        secret = secret_of(self._key, taken.webhook_id)
        try:
            answer = send(
                taken.url,
                secret,
                taken.id,
                taken.body,
                allow_private=self._allow_private,
                timeout_seconds=self._timeout_seconds,
            )
        except ProviderError as error:
            return None, str(error)
        except Exception as error:
            # Whatever it is counts as a try, or it would be made for ever.
            log.exception("%s could not be sent", taken.id)
            return None, f"it could not be sent ({type(error).__name__})"
        return answer, str(answer)

    def _told(self, work: Callable[[Connection], T]) -> T | None:
        """Ask the ledger; where it is away, the lease ends and the message is sent again."""
        try:
            return self._ledger.run(work, patience_seconds=0)
        except (Unreachable, DiskFull) as error:
            log.warning("%s Webhooks wait.", error)
            return None


def _wait(wake: threading.Event, stop: threading.Event, seconds: float) -> None:
    """Wait for the one, look for the other."""
    left = seconds
    while left > 0 and not stop.is_set() and not wake.wait(min(left, 0.2)):
        left -= 0.2
