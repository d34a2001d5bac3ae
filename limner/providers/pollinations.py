"""Pollinations: one GET to gen.pollinations.ai for one picture.

Knows this service's requests and answers. Knows nothing of retries, limits or who is asked next: those are the chain's.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ConfigDict

from limner.errors import Invalid, ProviderError, Unauthorised
from limner.jobs import Order
from limner.providers.seam import Answer, Asked, Capabilities, Limits
from limner.web import Reply, Web
from limner.web.service import MAX_PICTURE_BYTES, check_key

NAME = "pollinations"

_MEND_KEY = "set POLLINATIONS_API_KEY"


class Prices(BaseModel):
    """USD a picture at most, by model, as they were on a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    models: dict[str, float]
    others: float


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
    prices: Prices


@cache
def contract() -> Contract:
    text = resources.files("limner").joinpath("data/providers/pollinations.yaml").read_text("utf-8")
    return Contract.model_validate(yaml.safe_load(text))


class Pollinations:
    """Draws with one of Pollinations' models; safe to use from several threads, until `close`.

    timeout_seconds: for a whole call. connections: kept at most. enhance: let the service rewrite the prompt.
    price_usd: of one picture, as your account has it. limits: `Limits()` is without limit. What is None is as the
    service's data says. allow_private: also a server of your own.

        Pollinations("sk_...")
        Pollinations("sk_...", model="zimage", enhance=True, connections=8, limits=Limits(calls_a_minute=60))
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str | None = None,
        model: str | None = None,
        enhance: bool = False,
        timeout_seconds: float | None = None,
        connections: int = 3,
        price_usd: float | None = None,
        limits: Limits | None = None,
        allow_private: bool = False,
        max_bytes: int = MAX_PICTURE_BYTES,
    ) -> None:
        told = contract()
        self.timeout_seconds = timeout_seconds or told.timeout_seconds
        self.limits = Limits(calls_a_minute=told.calls_a_minute) if limits is None else limits
        self._has_key = bool(check_key(NAME, key, _MEND_KEY))
        self._model = model or told.model
        self._enhance = enhance
        self._price_usd = price_usd
        self._max_bytes = max_bytes
        self._web = Web(
            NAME,
            base_url or told.base_url,
            headers={"Authorization": f"Bearer {key}", "Accept": "image/*, application/json"},
            secrets=(key,),
            allow_private=allow_private,
            connections=connections,
            timeout_seconds=self.timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"Pollinations({self._web.base_url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        return NAME

    def estimate_usd(self, order: Order, model: str | None = None) -> float:  # noqa: ARG002 - whatever the order
        prices = contract().prices
        listed = prices.models.get(model or self._model, prices.others)
        return listed if self._price_usd is None else self._price_usd

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
        path = "/image/" + quote(asked.prompt, safe="")
        with self._web.call():
            told = self._parameters(asked, model)
            reply = self._web.send("GET", path, submits=True, params=told, max_bytes=self._max_bytes)
        if not reply.is_fine:
            raise self._error(reply)
        return Answer(reply.data, model, provider_id=self._web.masked(reply.headers.get("x-request-id", "")) or None)

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._web.close()

    def _refuse_what_would_be_lost(self, asked: Asked) -> None:
        if not self._has_key:
            raise Unauthorised(f"{NAME}: no API key; {_MEND_KEY}.")
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

    def _error(self, reply: Reply) -> ProviderError:
        """Return what an answer without a picture means."""
        told = _told(reply.json())
        reason = self._web.said(told.get("message") or "no reason given")
        # A vendor's own answer is passed on as a 502; what it was stands in the details.
        upstream = _upstream_status(told) if reply.status == 502 else None
        if _is_refusal(upstream or reply.status, told):
            return self._web.refused(f"refused by its safety filter: {reason}", _categories(told))
        if upstream in (401, 403):
            # The service's own account at a model's vendor, not our key.
            return Unauthorised(
                f"{NAME}: its vendor of this model refused it ({upstream}); name another model: {reason}"
            )
        return self._web.meaning(replace(reply, status=upstream or reply.status), reason, mend_key=_MEND_KEY)


def _told(answer: Any) -> dict[str, Any]:
    """Return the error's own fields: {code, type, message, details}, as far as the answer has them."""
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
    """Return what a model's vendor answered to the service, where it says so."""
    details = told.get("details")
    status = details.get("upstreamStatus") if isinstance(details, dict) else None
    return status if isinstance(status, int) and 400 <= status < 600 else None
