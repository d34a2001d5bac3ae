"""An order that lives at a service under an id: asked after, cancelled, and its picture fetched.

    submitted -> accepted under an id -> looked at until it has ended -> its picture fetched

Knows how long to wait, and that what is broken now leaves the order where it is: whoever has the id can ask later.
Knows no service; how an order is looked at and cancelled is handed in. Nothing in here can be paid for.
"""

import base64
import binascii
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from limner.errors import Broken, Cancelled, Unfinished
from limner.providers.seam import Asked
from limner.web import Reply, Web, network
from limner.web.service import MAX_JSON_BYTES, passes

# One look that takes longer is made anew.
LOOK_SECONDS = 20.0
# A service is asked to stop for so long, and then given so long to say that it did; a run that is stopped waits little
# longer.
ASK_TO_STOP_SECONDS = 5.0
STOP_SECONDS = 15.0

_DATA_URI = re.compile(r"data:image/[a-z.+-]+;base64,", re.IGNORECASE)

T = TypeVar("T")


def refuse_if_unwanted(name: str, asked: Asked) -> None:
    """Raise Cancelled where nobody wants the picture before it was ordered."""
    if asked.stop.is_set() and asked.provider_id is None:
        raise Cancelled(f"{name}: was stopped before anything was ordered.")


class Errand:
    """One accepted order, and how it is asked after within the call's time.

    id: names the order at its service for ever after. is_new: was accepted in this very call. is_stopping: the service
    was asked to stop.
    """

    def __init__(self, web: Web, id: str, asked: Asked, poll_seconds: float) -> None:  # noqa: A002
        self.id = id
        self.is_new = asked.provider_id is None
        self.is_stopping = False
        self._web = web
        self._stop = asked.stop
        self._poll_seconds = poll_seconds

    def ask(
        self, method: str, url: str, *, will_pass: Callable[[Reply], bool] = passes, max_bytes: int = MAX_JSON_BYTES
    ) -> Reply:
        """Ask the service what may be asked again, until it answers.

        will_pass: whether an answer is waited out. Raises Unfinished where none came in time, or the key is refused.
        """

        def once() -> Reply:
            with self._web.call(LOOK_SECONDS):
                return self._web.send(method, url, submits=False, max_bytes=max_bytes)

        try:
            reply = self._patiently(once, will_pass)
        except Broken as error:
            raise self._web.unfinished(self.id, str(error)) from None
        if reply.status in (401, 402, 403):
            raise self._web.unfinished(self.id, f"the API key was not accepted ({reply.status})")
        return reply

    def until_ended(self, look: Callable[[], T | None], cancel: Callable[[], object]) -> T:
        """Look until the order has ended, and return what `look` makes of that.

        look: None while it is drawing; raises ProviderError where it ended without a picture. cancel: asks the service
        to stop. Once `stop` is set the order is cancelled; one that was done before is returned all the same.
        """
        try:
            while not self._stop.is_set():
                if (ended := look()) is not None:
                    return ended
                self._pause()
        except Unfinished:
            if not self._stop.is_set():
                raise
        return self._until_stopped(look, cancel)

    def fetch(self, url: str) -> bytes:
        """Return the bytes of the picture that the order became.

        Raises Broken where they cannot be had any more, and Unfinished where they cannot be had yet.
        """
        if _DATA_URI.match(url):
            return self._written_out(url)
        reply = self._patiently(lambda: self._web.download(url), lambda one: passes(one) or _is_page(one))
        if not reply.is_fine:
            raise self.lost(f"it is not where it was said to be ({reply.status})")
        return reply.data

    def lost(self, why: object) -> Broken:
        """Return the error for a picture that was drawn, or may have been, and is not to be had."""
        return Broken(f"{self._web.name}: has no picture for {self.id}: {self._web.said(why)}.", may_be_paid=True)

    def _until_stopped(self, look: Callable[[], T | None], cancel: Callable[[], object]) -> T:
        self.is_stopping = True
        # Never set: from here on only the clock ends the waiting.
        self._stop = threading.Event()
        with self._web.call(STOP_SECONDS):
            # Whether it was heard or not, the order may have ended in the meantime.
            with suppress(Unfinished), self._web.call(ASK_TO_STOP_SECONDS):
                cancel()
            while (ended := look()) is None:
                self._pause("it was asked to stop and does not say that it did")
            return ended

    def _patiently(self, ask: Callable[[], Reply], will_pass: Callable[[Reply], bool]) -> Reply:
        return self._web.patiently(
            ask, accepted_as=self.id, stop=self._stop, poll_seconds=self._poll_seconds, will_pass=will_pass
        )

    def _pause(self, why: str = "it is still drawing") -> None:
        """Wait until the next look; raises Unfinished where there is no time for one."""
        left = network.seconds_left()
        if left is not None and left <= self._poll_seconds:
            raise self._web.unfinished(self.id, why)
        self._stop.wait(self._poll_seconds)

    def _written_out(self, url: str) -> bytes:
        """Return a picture that the answer itself holds."""
        try:
            return base64.b64decode(url.partition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            raise self.lost("its picture is not readable") from None


def object_of(reply: Reply) -> dict[str, Any]:
    """Return what an answer says, as far as it is a JSON object."""
    told = reply.json()
    return told if isinstance(told, dict) else {}


def _is_page(reply: Reply) -> bool:
    """Say whether something that is in the picture's way answered: a page, or words."""
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    return reply.is_fine and (media_type.startswith("text/") or media_type == "application/json")
