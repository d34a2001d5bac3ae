"""Diffusers, drawn by the owners of GPUs: the same provider, without the model.

Each owner is a process of this installation (`limner/gpu/`); the one with the shortest line is asked. What they say of
themselves is asked for again once it is old. Loads no torch. A picture costs nothing, so that whatever breaks may be
asked for again, and nothing has an unknown outcome.
"""

import copy
import math
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from limner.errors import Broken, Busy, Cancelled, ProviderError
from limner.jobs import Order
from limner.providers.diffusers import refuse_what_would_be_lost
from limner.providers.diffusers.model_folder import NAME, Described, known_classes
from limner.providers.diffusers.wire import MODEL, Ordered, Status
from limner.providers.queued import object_of
from limner.providers.seam import Answer, Asked, Capabilities, Limits
from limner.web import Reply, Web, network
from limner.web.service import MAX_PICTURE_BYTES, Unusable

# How old what an owner said of itself may be, and how long it may take to say it.
FRESH_SECONDS = 1.0
LOOK_SECONDS = 5.0
# Whoever starts owners anew has them listen again within so long; one that is away for longer is not there.
RESTART_SECONDS = 60.0
# How soon one that is being started anew is asked again.
RETRY_SECONDS = 2.0

_MEND_KEY = "give it the same LIMNER_SIGNING_KEY"


class Owners:
    """Draws with a model that others have loaded; safe to use from several threads.

    addresses: one for each owner. token: what `token_of` derives. limits: None is two batches at once for each owner.
    """

    name = NAME

    def __init__(
        self,
        addresses: Sequence[str],
        token: str,
        *,
        timeout_seconds: float | None = None,
        connections: int = 3,
        limits: Limits | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds or known_classes().timeout_seconds
        self._told_limits = limits
        # What callers were last told that can be drawn.
        self._fitted_to: Capabilities | None = None
        self._owners = [_Owner(one, token, self.timeout_seconds, connections) for one in addresses]

    def __repr__(self) -> str:
        return f"Owners({', '.join(one.address for one in self._owners)})"

    @property
    def limits(self) -> Limits:
        """Two batches for each owner: one is drawn while the next waits. All others wait in the ledger's line.

        What somebody waits for need not: in an owner's own line it is before the batch that waits there.
        """
        batches = sum(one.batch for one in self._owners)
        return self._told_limits or Limits(calls_at_once=2 * batches, spare=batches)

    def estimate_usd(self, order: Order, model: str | None = None) -> float:  # noqa: ARG002 - nothing costs
        return 0.0

    def capabilities(self, model: str | None = None) -> Capabilities:  # noqa: ARG002 - there is one model
        """Return what the first owner says that ever answered; before any did, what loses nothing with any model."""
        for owner in self._owners:
            with suppress(ProviderError):
                owner.status()
                break
        self._fitted_to = self._known()
        return self._fitted_to

    def generate(self, asked: Asked) -> Answer:
        """Ask the owner with the shortest line for a picture, and the next where one is busy.

        Raises Busy, Invalid, Refused, Unauthorised, Broken or Cancelled.
        """
        if asked.stop.is_set():
            raise Cancelled(f"{NAME}: stopped before anything was asked for.")
        owners, said = self._in_turn()
        if (can := self._known()) != (self._fitted_to or can):
            raise Busy(f"{NAME}: {', '.join(can.models)} has said what it takes only now; ask again.", 0)
        refuse_what_would_be_lost(asked, asked.model or "")
        with network.deadline(self.timeout_seconds):
            for owner in owners:
                try:
                    return owner.draw(asked)
                except Busy as error:
                    said.append(error)
        raise min(said, key=_how_soon)

    def warnings(self) -> Sequence[str]:
        """Say which owners are away, or do not know us."""
        return tuple(str(error) for error in self._in_turn()[1])

    def close(self) -> None:
        for owner in self._owners:
            owner.close()

    def _known(self) -> Capabilities:
        # Whoever is away may come back with another model.
        heard = sorted(self._owners, key=lambda one: one.is_away)
        known = (one.said.capabilities for one in heard if one.said is not None)
        return next(known, replace(Described().capabilities("", steps=None, guidance=None), models=()))

    def _in_turn(self) -> tuple[list["_Owner"], list[ProviderError]]:
        """Return the owners of the one model, the shortest line first, and what is wrong with the others."""
        lines: list[tuple[bool, int, _Owner]] = []
        failed: list[ProviderError] = []
        for owner in self._owners:
            try:
                status = owner.status()
            except ProviderError as error:
                failed.append(error)
                continue
            if status.capabilities != self._known():
                failed.append(Broken(f"{NAME}: the owner at {owner.address} has another model, {status.model}."))
                continue
            lines.append((status.state != "ready", status.load + owner.asked_since, owner))
        return [owner for _, _, owner in sorted(lines, key=lambda one: one[:2])], failed


class _Owner:
    """One owner: its line as it was lately, and how it is asked.

    said: what it last said of itself. asked_since: calls made since. batch: pictures in one call of its model.
    """

    def __init__(self, address: str, token: str, seconds: float, connections: int) -> None:
        self.address = address
        self.said: Status | None = None
        self.asked_since = 0
        self._web = Web(
            NAME,
            address,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            # Whoever runs Limner named it.
            allow_private=True,
            # One more, for its status.
            connections=connections + 1,
            timeout_seconds=seconds,
        )
        self._looking = threading.Lock()
        self._looked_at = -math.inf
        self._away: ProviderError | None = None
        self._answered_at = time.monotonic()

    @property
    def batch(self) -> int:
        return self.said.batch if self.said is not None else 1

    @property
    def is_away(self) -> bool:
        return self._away is not None

    def status(self) -> Status:
        """Return what the owner says of itself; raises Busy, Unauthorised or Broken where it does not."""
        with self._looking:
            if time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._look()
            if self._away is not None or self.said is None:
                # Each caller raises one of its own.
                raise copy.copy(self._away) if self._away else Broken(f"{NAME}: {self.address} has said nothing.")
            return self.said

    def draw(self, asked: Asked) -> Answer:
        self.asked_since += 1
        try:
            with network.stopped_by(asked.stop):
                reply = self._web.send(
                    "POST", "/pictures", submits=False, body=_ordered(asked), max_bytes=MAX_PICTURE_BYTES
                )
        except Broken:
            if asked.stop.is_set():
                raise Cancelled(f"{NAME}: stopped; the owner was told by hanging up.") from None
            self._looked_at = -math.inf
            raise
        if not reply.is_fine:
            raise self._meaning(reply)
        if MODEL not in reply.headers:
            raise Unusable(f"{NAME}: at {self.address} is no owner of a GPU; mend LIMNER_DIFFUSERS_URL.")
        return Answer(reply.data, unquote(reply.headers[MODEL]), cost_usd=0.0)

    def close(self) -> None:
        self._web.close()

    def _look(self) -> None:
        """Ask for its status; what goes wrong stays in `_away`."""
        try:
            with self._web.call(LOOK_SECONDS):
                reply = self._web.send("GET", "/status", submits=False)
            if not reply.is_fine:
                raise self._meaning(reply)
            self.said, self._away, self.asked_since = Status.model_validate_json(reply.data), None, 0
            self._answered_at = time.monotonic()
        except ValidationError:
            self._away = Broken(f"{NAME}: at {self.address} is no owner of a GPU; mend LIMNER_DIFFUSERS_URL.")
        except Broken as error:
            self._away = self._restarting() or error
        except ProviderError as error:
            self._away = error
        self._looked_at = time.monotonic()

    def _restarting(self) -> Busy | None:
        """Return the error for an owner that was there lately: nothing was asked of it, and it will be back."""
        if time.monotonic() - self._answered_at > RESTART_SECONDS:
            return None
        return Busy(f"{NAME}: the owner at {self.address} is away, perhaps to be started anew.", RETRY_SECONDS)

    def _meaning(self, reply: Reply) -> ProviderError:
        told = object_of(reply)
        said, categories = told.get("said", ""), told.get("categories")
        if isinstance(categories, list) and categories:
            return self._web.refused(self._web.said(said), [str(one) for one in categories])
        return self._web.meaning(reply, said, mend_key=_MEND_KEY, submits=False)


def _ordered(asked: Asked) -> dict[str, Any]:
    # Looked at by the owner.
    return Ordered.model_construct(
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt,
        width=asked.order.width,
        height=asked.order.height,
        steps=asked.order.steps,
        guidance=asked.order.guidance,
        seed=asked.seed,
        model=asked.model,
        owner=asked.owner,
        priority=asked.priority,
        within_seconds=network.seconds_left() or 1.0,
    ).model_dump()


def _how_soon(error: ProviderError) -> float:
    """Return what tells which of several owners' answers counts: whoever is free the soonest, else whoever broke."""
    return error.retry_after_seconds or 0.0 if isinstance(error, Busy) else math.inf
