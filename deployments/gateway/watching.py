"""Waiting for news of requests: one look a moment for all who wait, however many they are."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from deployments.gateway.answering import Refusal
from deployments.gateway.desk import Desk
from deployments.gateway.standing import Seen, look

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25

# Each holds a connection; some are left for those who only ask.
MOST_WAITING = 192


class Watch:
    """Looks at what somebody waits for, again and again, and tells them; looks at nothing while nobody waits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._awaited: Counter[str] = Counter()
        self._latest: dict[str, Seen] = {}
        self._news = asyncio.Condition()
        self._somebody = asyncio.Event()

    async def until(self, request_id: str, is_enough: Callable[[Seen], bool], seconds: float) -> Seen | None:
        """Return a request once it stands as asked, or how it stood last when the time is over.

        Raises Refusal where too many wait already.
        """
        if self._awaited.total() >= MOST_WAITING:
            raise Refusal(503, "Too many wait for news at the moment; ask again without waiting.")
        self._awaited[request_id] += 1
        self._somebody.set()
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: request_id in self._latest and is_enough(self._latest[request_id]))
        except TimeoutError:
            pass
        finally:
            latest = self._latest.get(request_id)
            self._awaited[request_id] -= 1
            if not self._awaited[request_id]:
                del self._awaited[request_id]
                self._latest.pop(request_id, None)
        return latest

    async def run(self) -> None:
        """Look for as long as the gateway is up."""
        while True:
            await self._somebody.wait()
            try:
                seen = await look(self._desk, list(self._awaited))
            except Exception:
                # Whatever it is: whoever waits is told how it stood last, and the next look may be a better one.
                log.warning("Looking for news of requests failed.", exc_info=True)
                seen = {}
            async with self._news:
                self._latest.update({one: found for one, found in seen.items() if one in self._awaited})
                self._news.notify_all()
            if not self._awaited:
                self._somebody.clear()
            await asyncio.sleep(_LOOK_SECONDS)
