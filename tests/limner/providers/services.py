"""Every provider that speaks to a service, as the contract suite meets it: its stand-in, how it is opened, its ways.

A provider to add is one entry here; where services differ by nature, they differ in these data and nowhere else.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from limner.fitting import fit, why_not
from limner.jobs import Order
from limner.providers.fal import Fal
from limner.providers.openai import OpenAI
from limner.providers.pollinations import Pollinations
from limner.providers.replicate import Replicate
from limner.providers.seam import Asked, Limits, Provider
from tests.standins import fal, openai, pollinations, replicate
from tests.standins.serving import Running

# How a picture is handed over: as the answer to the order, inside its JSON, or at an address that is polled for.
Way = Literal["bytes", "json", "address"]
Fault = Mapping[str, Any]


class Closing(Provider, Protocol):
    """A provider that keeps connections."""

    def close(self) -> None: ...


FROM_HERE = {"allow_private": True, "limits": Limits()}


@dataclass(frozen=True)
class Refusal:
    """One way in which a policy says no: the stand-in's word for it, why, and whether it may be charged."""

    what: str
    categories: tuple[str, ...]
    may_be_paid: bool = False


@dataclass(frozen=True)
class Service:
    """One service.

    open_at: opens the provider against an address with a key. order: small, and within what its default takes.
    refuses, is_empty: what its stand-in does when its policy says no, and when the account is empty; each may happen
    in several ways. variable: holds a real key. path: of the stand-in's address. more, live: what the provider is
    opened with besides, here and against the real service.
    """

    name: str
    way: Way
    run: Callable[..., AbstractContextManager[Running]]
    open_at: Callable[..., Closing]
    order: Order
    refuses: tuple[Refusal, ...]
    is_empty: tuple[Fault, ...]
    variable: str
    path: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    live: Mapping[str, Any] = field(default_factory=dict)

    def open(self, standin: Running, key: str | None = None, **more: Any) -> Closing:
        """Open the provider against its stand-in."""
        told = {**FROM_HERE, "timeout_seconds": 10.0, **self.more, **more}
        return self.open_at(standin.key if key is None else key, base_url=standin.url + self.path, **told)

    def asked(self, provider: Provider, prompt: str = "a castle", **more: Any) -> Asked:
        """Return a call for the service's order, fitted as the press fits it."""
        assert why_not(provider, self.order) is None
        fitted = fit(self.order, provider.capabilities())
        return Asked(order=fitted.order, prompt=prompt, negative_prompt="", seed=7, **more)


_POLICY = ("content_policy_violation",)


def _order(width: int, height: int) -> Order:
    every = ("seed", "steps", "guidance")
    return Order(kind="chapter", prompt="a castle", width=width, height=height, droppable=every)


SERVICES = (
    Service(
        "pollinations",
        way="bytes",
        run=pollinations.running,
        open_at=Pollinations,
        order=_order(320, 256),
        refuses=(Refusal("safety", ("violence",)), Refusal("policy", _POLICY)),
        is_empty=({"what": "402"},),
        variable="POLLINATIONS_API_KEY",
    ),
    Service(
        "openai",
        way="json",
        run=openai.running,
        open_at=OpenAI,
        order=_order(1024, 640),
        refuses=(
            Refusal("moderation", ("violence", "gore")),
            Refusal("moderation after", ("sexual",), may_be_paid=True),
            Refusal("policy", _POLICY),
        ),
        is_empty=({"what": "quota"}, {"what": "credit"}, {"what": "hard limit"}),
        variable="OPENAI_API_KEY",
        path="/v1",
        more={"output_format": "jpeg"},
        live={"quality": "low"},
    ),
    Service(
        "fal",
        way="address",
        run=fal.running,
        open_at=Fal,
        order=_order(256, 256),
        refuses=(
            Refusal("policy at once", _POLICY),
            Refusal("policy", _POLICY, may_be_paid=True),
            Refusal("nsfw", ("nsfw",), may_be_paid=True),
        ),
        is_empty=({"what": "locked"}, {"what": "402"}),
        variable="FAL_KEY",
        more={"model": "fal-ai/flux-lora", "poll_seconds": 0.02},
        live={"model": "fal-ai/flux-lora"},
    ),
    Service(
        "replicate",
        way="address",
        run=replicate.running,
        open_at=Replicate,
        order=_order(512, 512),
        refuses=(Refusal("nsfw", ("nsfw",), may_be_paid=True),),
        is_empty=({"what": "402"},),
        variable="REPLICATE_API_TOKEN",
        more={"poll_seconds": 0.02},
    ),
)
