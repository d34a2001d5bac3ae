"""fal: an order joins the queue of one of its apps, and is asked after under its id until its picture is there.

Knows the queue's requests and answers, and what its errors mean; what each app takes and costs is data. It speaks HTTP
itself, because the service's own client reads its hosts at import, takes https only and repeats up to ten times.
Knows nothing of retries, limits or who is asked next: those are the chain's.

The queue does repeat by itself what breaks inside it (`x-fal-no-retry` would forbid it): it goes on under the same id,
and what broke is never billed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from limner.errors import (
    BadInput,
    Broken,
    Cancelled,
    Invalid,
    OutOfCredit,
    ProviderError,
    Unauthorised,
    UnknownOutcome,
)
from limner.jobs import Order
from limner.providers.inputs import Data, Model, inputs_for
from limner.providers.queued import Errand, object_of, refuse_if_unwanted
from limner.providers.seam import Answer, Asked, Capabilities, Limits
from limner.web import Reply, Web
from limner.web.service import check_key, passes

NAME = "fal"

_MEND_KEY = "set FAL_KEY"
# Of an order: owner, app and request, as in its addresses.
_ID = re.compile(r"(?:\w[\w.-]*/){2,}requests/[\w-]+", re.ASCII)


class Contract(Data):
    """The schema of fal.yaml."""

    base_url: str
    model: str
    model_for_adapter: dict[str, str]
    timeout_seconds: float
    poll_seconds: float
    max_inline_bytes: int
    out_of_credit: tuple[str, ...]
    models: dict[str, Model]


@cache
def contract() -> Contract:
    text = resources.files("limner").joinpath("data/providers/fal.yaml").read_text("utf-8")
    return Contract.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Place:
    """Where an accepted order stands. id: its path at the queue, from which every address of it can be made again."""

    id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a finished order says of its picture. units: what was billed, as it was said; None where it was not."""

    url: str
    units: str | None


class Fal:
    """Draws with an app of fal; safe to use from several threads, until `close`.

    model: the app for orders that need no other. An order with a finetune goes to the app that loads its kind, as
    `model_for` says; one that names a model goes to that. timeout_seconds: for a whole call. connections: kept at most.
    limits: None is what the service's data says. poll_seconds: between two looks at an accepted order. allow_private:
    also a server of your own.

        Fal("key-id:secret")
        Fal("key-id:secret", model="fal-ai/flux-lora", limits=Limits(calls_at_once=2))
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str | None = None,
        model: str | None = None,
        timeout_seconds: float | None = None,
        connections: int = 3,
        limits: Limits | None = None,
        allow_private: bool = False,
        poll_seconds: float | None = None,
    ) -> None:
        told = contract()
        self._has_key = bool(check_key(NAME, key, _MEND_KEY))
        self._model = model or told.model
        if self._model not in told.models:
            raise BadInput(f"{NAME}: no app {self._model} is known; name one of {', '.join(told.models)}.")
        # What is too much for an account waits in the queue, and is not turned away.
        self.limits = limits or Limits()
        self.timeout_seconds = timeout_seconds or told.timeout_seconds
        self._poll_seconds = poll_seconds or told.poll_seconds
        self._web = Web(
            NAME,
            base_url or told.base_url,
            headers={"Authorization": f"Key {key}", "Accept": "application/json, image/*"},
            # A key is an id and a secret; the secret alone is one too.
            secrets=(key, key.partition(":")[2]),
            allow_private=allow_private,
            connections=connections,
            timeout_seconds=self.timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"Fal({self._web.base_url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        return NAME

    def model_for(self, order: Order, model: str | None = None) -> str:
        """Return the app that an order goes to: the named one, else its finetune's, else the default."""
        if model:
            return model
        kinds = [one.kind for one in order.adapters if one.kind not in contract().models[self._model].adapters]
        return contract().model_for_adapter.get(kinds[0], self._model) if kinds else self._model

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Return what an app can do. Without a name: what the default can, and which finetunes some app loads."""
        told = contract()
        can = replace(self._data(model).capabilities(), models=tuple(told.models), cancels=True, resumes=True)
        if model is None:
            can = replace(can, adapters=tuple(dict.fromkeys((*can.adapters, *told.model_for_adapter))))
        return can

    def estimate_usd(self, order: Order, model: str | None = None) -> float:
        return self._data(self.model_for(order, model)).price.estimate_usd(order)

    def generate(self, asked: Asked) -> Answer:
        """Order a picture, or ask after the one that was ordered before, and return its bytes as they came.

        Raises the ProviderError family: UnknownOutcome where the queue may have taken the order and said no id,
        Unfinished where it has an id and no end yet.
        """
        model = self.model_for(asked.order, asked.model)
        with self._web.call():
            place = self._place_again(asked) if asked.provider_id else self._submit(asked, model)
            errand = Errand(self._web, place.id, asked, self._poll_seconds)
            drawn = errand.until_ended(lambda: self._look(errand, place), lambda: errand.ask("PUT", place.cancel_url))
            data = errand.fetch(drawn.url)
        return Answer(data, model, cost_usd=self._data(model).price.of_units(drawn.units), provider_id=place.id)

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._web.close()

    def _data(self, model: str | None) -> Model:
        models = contract().models
        return models.get(model or self._model, models[self._model])

    # -- the order: submitted, or found again by its id --

    def _submit(self, asked: Asked, model: str) -> Place:
        if not self._has_key:
            raise Unauthorised(f"{NAME}: no API key; {_MEND_KEY}.")
        if model not in contract().models:
            raise Invalid(f"{NAME}: no app {model} is known; name one of {', '.join(contract().models)}.")
        refuse_if_unwanted(NAME, asked)
        body = inputs_for(NAME, self._data(model), asked, contract().max_inline_bytes)
        reply = self._web.send("POST", f"/{model}", submits=True, body=body)
        if not reply.is_fine:
            raise self._not_taken(reply)
        place = self._place(reply, model)
        asked.accepted(place.id)
        return place

    def _place(self, reply: Reply, model: str) -> Place:
        """Return where the queue says that the order stands; its addresses only where they are its own."""
        told = object_of(reply)
        request = told.get("request_id")
        urls = {name: str(told.get(name)) for name in ("status_url", "response_url", "cancel_url")}
        known = self._place_of(f"{'/'.join(model.split('/')[:2])}/requests/{request}")
        if not isinstance(request, str) or not _ID.fullmatch(known.id):
            raise UnknownOutcome(f"{NAME}: answered without the id of the order; it may be drawing.")
        # The key goes to the queue's own addresses and to no other.
        if not all(url.startswith(f"{self._web.base_url}/") for url in urls.values()):
            return known
        path = urls["response_url"].removeprefix(f"{self._web.base_url}/")
        is_its_own = bool(_ID.fullmatch(path)) and path.endswith(f"/{request}")
        return Place(path if is_its_own else known.id, **urls)

    def _place_again(self, asked: Asked) -> Place:
        if not self._has_key:
            raise self._web.unfinished(str(asked.provider_id), f"no API key; {_MEND_KEY}")
        if not _ID.fullmatch(asked.provider_id or ""):
            raise Invalid(f"{NAME}: {self._web.said(asked.provider_id)} is no id of an order there.", may_be_paid=True)
        return self._place_of(str(asked.provider_id))

    def _place_of(self, id: str) -> Place:  # noqa: A002
        return Place(id, f"/{id}/status", f"/{id}", f"/{id}/cancel")

    # -- what its answers mean --

    def _look(self, errand: Errand, place: Place) -> Drawn | None:
        """Return the picture's address once the order has ended with one; None while it has not ended."""
        reply = errand.ask("GET", place.status_url)
        if reply.status == 404 and errand.is_new and not errand.is_stopping:
            return None  # what was taken a moment ago
        if not reply.is_fine:
            raise self._gone(errand, reply)
        told = object_of(reply)
        if told.get("status") != "COMPLETED":
            return None
        if told.get("error_type") == "client_cancelled":
            raise self._stopped(errand)
        ended = errand.ask("GET", place.response_url, will_pass=lambda one: _will_pass(one, told))
        return self._drawn(errand, ended) if ended.is_fine else self._failed(errand, ended)

    def _drawn(self, errand: Errand, reply: Reply) -> Drawn:
        told = object_of(reply)
        flags = told.get("has_nsfw_concepts")
        if isinstance(flags, list) and any(flag is True for flag in flags):
            raise self._web.refused(f"drew {errand.id} and found it not safe for work", ("nsfw",), may_be_paid=True)
        images = told.get("images")
        first = images[0] if isinstance(images, list) and images else None
        url = first.get("url") if isinstance(first, dict) else None
        if not isinstance(url, str):
            raise errand.lost("it says that it is done, and names no picture")
        return Drawn(url, reply.headers.get("x-fal-billable-units"))

    def _failed(self, errand: Errand, reply: Reply) -> Drawn:
        """Raise what it means that an order ended without a picture. 5xx is not billed, anything else may be."""
        types, said = _error(reply)
        paid = reply.status < 500
        if "client_cancelled" in types:
            raise self._stopped(errand)
        if reply.status in (404, 410) and not types:
            raise self._gone(errand, reply)
        if "content_policy_violation" in types:
            raise self._web.refused(f"refused by its content policy: {self._web.said(said)}", types, may_be_paid=paid)
        if _is_worth_another_try(reply):
            raise Broken(f"{NAME}: failed ({reply.status}): {self._web.said(said)}", may_be_paid=paid)
        raise Invalid(f"{NAME}: cannot take this order ({reply.status}): {self._web.said(said)}", may_be_paid=paid)

    def _not_taken(self, reply: Reply) -> ProviderError:
        """Return what it means that the queue did not take an order."""
        types, said = _error(reply)
        if "content_policy_violation" in types:
            return self._web.refused(f"refused by its content policy: {self._web.said(said)}", types)
        if reply.status == 403 and any(words in said.lower() for words in contract().out_of_credit):
            return OutOfCredit(f"{NAME}: the account is empty; top it up: {self._web.said(said)}")
        return self._web.meaning(reply, said, mend_key=_MEND_KEY)

    def _gone(self, errand: Errand, reply: Reply) -> ProviderError:
        if errand.is_stopping and reply.status in (404, 410):
            return self._stopped(errand)  # what left the queue is no longer known there
        return errand.lost(f"it does not know of it any more ({reply.status})")

    def _stopped(self, errand: Errand) -> ProviderError:
        # Only what was drawn is billed.
        if errand.is_stopping:
            return Cancelled(f"{NAME}: stopped {errand.id}, as it was asked to.")
        return Broken(f"{NAME}: {errand.id} was cancelled there, and not by us.")


def _will_pass(reply: Reply, status: Mapping[str, Any]) -> bool:
    """Say whether an answer in the place of a result is waited out: none that the order itself ended with."""
    is_the_end = bool(status.get("error") or status.get("error_type")) or any(
        name in reply.headers for name in ("x-fal-error-type", "x-fal-retryable", "x-fal-needs-retry")
    )
    # A page at 200, or an object of another kind, is somebody else's answer.
    return (passes(reply) and not is_the_end) or (reply.is_fine and "images" not in object_of(reply))


def _is_worth_another_try(reply: Reply) -> bool:
    said = [reply.headers.get(name, "").strip().lower() for name in ("x-fal-retryable", "x-fal-needs-retry")]
    named = next((one in ("true", "1") for one in said if one), None)
    return reply.status >= 500 if named is None else named


def _error(reply: Reply) -> tuple[tuple[str, ...], str]:
    """Return an error's machine-readable types and its words, from either of the service's two shapes."""
    told = object_of(reply)
    detail = told.get("detail")
    errors = [one for one in detail if isinstance(one, dict)] if isinstance(detail, list) else []
    types = [str(one["type"]) for one in errors if one.get("type")]
    types += [str(one) for one in (told.get("error_type"), reply.headers.get("x-fal-error-type")) if one]
    said = "; ".join(str(one.get("msg", "")) for one in errors) or (detail if isinstance(detail, str) else "")
    return tuple(dict.fromkeys(types)), said or ", ".join(types) or "no reason given"
