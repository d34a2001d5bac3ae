"""Replicate: an order becomes a prediction, and is asked after under its id until its picture is there.

Knows the predictions API and what its errors mean; what each model takes and costs is data. It speaks HTTP itself,
because the service's own client returns nothing for a prediction that still runs, breaks on one that was aborted, and
drops the wish to wait. Knows nothing of retries, limits or who is asked next: those are the chain's.

Outputs are deleted an hour after they came: a prediction that is asked after too late has drawn for nothing.
"""

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Cancelled,
    Invalid,
    ProviderError,
    Unauthorised,
    UnknownOutcome,
)
from limner.jobs import Order
from limner.providers.inputs import Data, Model, inputs_for
from limner.providers.queued import Errand, object_of, refuse_if_unwanted
from limner.providers.seam import Answer, Asked, Capabilities, Limits
from limner.web import Reply, Web
from limner.web.service import MAX_PICTURE_BYTES, check_key

NAME = "replicate"

# A prediction repeats its inputs, a reference in base64 among them.
MAX_PREDICTION_BYTES = MAX_PICTURE_BYTES
# The longest that the service holds a request open.
MAX_WAIT_SECONDS = 60

_MEND_KEY = "set REPLICATE_API_TOKEN"
_ID = re.compile(r"[\w-]{1,128}", re.ASCII)
# "Your rate limit resets in ~30s.", "Expected available in 1 second."
_RESETS = re.compile(r"\bin ~?(\d+(?:\.\d+)?) ?s(?:ec(?:onds?)?)?\b")


class Listed(Model):
    """One model, and its pinned version; an official one has none and is always the newest."""

    version: str = ""


class Contract(Data):
    """The schema of replicate.yaml."""

    base_url: str
    model: str
    timeout_seconds: float
    poll_seconds: float
    cancel_after_seconds: int
    calls_a_minute: float
    max_inline_bytes: int
    refusal_words: tuple[str, ...]
    models: dict[str, Listed]


@cache
def contract() -> Contract:
    text = resources.files("limner").joinpath("data/providers/replicate.yaml").read_text("utf-8")
    return Contract.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a finished prediction says of its picture. seconds: how long it ran, as it was said."""

    url: str
    seconds: object


class Replicate:
    """Draws with a model of Replicate; safe to use from several threads, until `close`.

    timeout_seconds: for a whole call. connections: kept at most. limits: None is what the service's data says.
    poll_seconds: between two looks at an accepted order. wait_seconds: how long the service may hold the order's own
    request open; 0 lets it answer at once, so that its id is known before anything can break. cancel_after_seconds:
    when the service gives up by itself. allow_private: also a server of your own.

        Replicate("r8_...")
        Replicate("r8_...", model="stability-ai/sdxl", limits=Limits(calls_a_minute=6))
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
        wait_seconds: int = 0,
        cancel_after_seconds: int | None = None,
    ) -> None:
        told = contract()
        self._has_key = bool(check_key(NAME, key, _MEND_KEY))
        self._model = model or told.model
        if self._model not in told.models:
            raise BadInput(f"{NAME}: no model {self._model} is known; name one of {', '.join(told.models)}.")
        self.limits = Limits(calls_a_minute=told.calls_a_minute) if limits is None else limits
        self.timeout_seconds = timeout_seconds or told.timeout_seconds
        self._poll_seconds = poll_seconds or told.poll_seconds
        self._wishes = {"Cancel-After": f"{cancel_after_seconds or told.cancel_after_seconds}s"}
        # Half the call is left for the picture itself, and for the case that it was not enough.
        if (wait := min(wait_seconds, MAX_WAIT_SECONDS, int(self.timeout_seconds / 2))) > 0:
            self._wishes["Prefer"] = f"wait={wait}"
        self._web = Web(
            NAME,
            base_url or told.base_url,
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json, image/*"},
            secrets=(key,),
            allow_private=allow_private,
            connections=connections,
            timeout_seconds=self.timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"Replicate({self._web.base_url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        return NAME

    def capabilities(self, model: str | None = None) -> Capabilities:
        can = self._data(model).capabilities()
        return replace(can, models=tuple(contract().models), cancels=True, resumes=True)

    def estimate_usd(self, order: Order, model: str | None = None) -> float:
        return self._data(model).price.estimate_usd(order)

    def generate(self, asked: Asked) -> Answer:
        """Order a picture, or ask after the one that was ordered before, and return its bytes as they came.

        Raises the ProviderError family: UnknownOutcome where the service may have taken the order and said no id,
        Unfinished where it has an id and no end yet.
        """
        model = asked.model or self._model
        with self._web.call():
            prediction = self._again(asked) if asked.provider_id else self._submit(asked, model)
            errand = Errand(self._web, prediction["id"], asked, self._poll_seconds)
            path = f"/v1/predictions/{errand.id}"
            drawn = self._read(errand, model, prediction) or errand.until_ended(
                lambda: self._look(errand, model, path), lambda: errand.ask("POST", f"{path}/cancel")
            )
            data = errand.fetch(drawn.url)
        return Answer(data, model, cost_usd=self._cost_usd(model, drawn), provider_id=errand.id)

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._web.close()

    def _data(self, model: str | None) -> Listed:
        models = contract().models
        return models.get(model or self._model, models[self._model])

    def _cost_usd(self, model: str, drawn: Drawn) -> float | None:
        price = self._data(model).price
        return price.of_units(drawn.seconds) if price.per == "second" else price.of_units(1)

    # -- the order: submitted, or found again by its id --

    def _submit(self, asked: Asked, model: str) -> dict[str, Any]:
        """Return the prediction as it was taken, with its id."""
        if not self._has_key:
            raise Unauthorised(f"{NAME}: no API key; {_MEND_KEY}.")
        if model not in contract().models:
            raise Invalid(f"{NAME}: no model {model} is known; name one of {', '.join(contract().models)}.")
        refuse_if_unwanted(NAME, asked)
        told = self._data(model)
        body: dict[str, Any] = {"input": inputs_for(NAME, told, asked, contract().max_inline_bytes)}
        path = f"/v1/models/{model}/predictions"
        if told.version:
            path, body = "/v1/predictions", {"version": told.version, **body}
        reply = self._web.send(
            "POST", path, submits=True, headers=self._wishes, body=body, max_bytes=MAX_PREDICTION_BYTES
        )
        if not reply.is_fine:
            raise self._not_taken(reply)
        prediction = object_of(reply)
        id = prediction.get("id")  # noqa: A001
        if not isinstance(id, str) or not _ID.fullmatch(id):
            raise UnknownOutcome(f"{NAME}: answered without the id of the order; it may be drawing.")
        asked.accepted(id)
        return prediction

    def _again(self, asked: Asked) -> dict[str, Any]:
        if not self._has_key:
            raise self._web.unfinished(str(asked.provider_id), f"no API key; {_MEND_KEY}")
        if not _ID.fullmatch(asked.provider_id or ""):
            raise Invalid(f"{NAME}: {self._web.said(asked.provider_id)} is no id of an order there.", may_be_paid=True)
        return {"id": asked.provider_id}

    # -- what its answers mean --

    def _look(self, errand: Errand, model: str, path: str) -> Drawn | None:
        reply = errand.ask("GET", path, max_bytes=MAX_PREDICTION_BYTES)
        if reply.status == 404 and errand.is_new:
            return None  # what was taken a moment ago
        if not reply.is_fine:
            raise errand.lost(f"it does not know of it any more ({reply.status})")
        return self._read(errand, model, object_of(reply))

    def _read(self, errand: Errand, model: str, prediction: dict[str, Any]) -> Drawn | None:
        """Return the picture's address where a prediction has ended with one; None where it has not ended."""
        ran = _ran(prediction)
        match prediction.get("status"):
            case "succeeded":
                return self._drawn(errand, prediction)
            case "failed":
                raise self._failed(errand, str(prediction.get("error") or "no reason given"), model)
            case "canceled" | "aborted" if errand.is_stopping:
                raise Cancelled(f"{NAME}: stopped {errand.id}, as it was asked to.", may_be_paid=ran)
            case "canceled" | "aborted":
                raise Broken(f"{NAME}: {errand.id} was cancelled there, or waited too long.", may_be_paid=ran)
            case _:
                return None

    def _drawn(self, errand: Errand, prediction: dict[str, Any]) -> Drawn:
        output, metrics = prediction.get("output"), prediction.get("metrics")
        url = output[0] if isinstance(output, list) and output else output
        if not isinstance(url, str) or not url:
            is_late = bool(prediction.get("data_removed"))
            raise errand.lost("its output is deleted, as every output after an hour" if is_late else "it has no output")
        return Drawn(url, metrics.get("predict_time") if isinstance(metrics, dict) else None)

    def _failed(self, errand: Errand, said: str, model: str) -> ProviderError:
        """Return what it means that a prediction ended without a picture; a machine's time is paid for all the same."""
        if _is_refusal(said):
            return self._web.refused(f"refused for what it shows: {self._web.said(said)}", ("nsfw",), may_be_paid=True)
        paid = self._data(model).price.per == "second"
        return Broken(f"{NAME}: {errand.id} failed: {self._web.said(said)}", may_be_paid=paid)

    def _not_taken(self, reply: Reply) -> ProviderError:
        told = object_of(reply)
        said = str(told.get("detail") or told.get("title") or "no reason given")
        if reply.status == 429:
            return Busy(f"{NAME}: too busy (429): {self._web.said(said)}", _seconds_until_free(reply, said))
        if 400 <= reply.status < 500 and _is_refusal(said):
            return self._web.refused(f"refused for what it shows: {self._web.said(said)}", ("nsfw",))
        return self._web.meaning(reply, said, mend_key=_MEND_KEY)


def _ran(prediction: dict[str, Any]) -> bool:
    """Say whether a prediction got as far as a machine: what never started is not charged."""
    return bool(prediction.get("started_at")) and prediction.get("status") != "aborted"


def _is_refusal(said: str) -> bool:
    return any(words in said.lower() for words in contract().refusal_words)


def _seconds_until_free(reply: Reply, said: str) -> float | None:
    """Return how long to wait: as the header says, else as the body says in a field or in its sentence."""
    if reply.retry_after_seconds is not None:
        return reply.retry_after_seconds
    field = object_of(reply).get("retry_after")
    if isinstance(field, (int, float)) and not isinstance(field, bool) and 0 <= field < 86_400:
        return float(field)
    found = _RESETS.search(said)
    return float(found[1]) if found else None
