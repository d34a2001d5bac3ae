"""The seam between the press and whoever draws: a name, capabilities as data, and `generate`.

A provider that cannot honour an order is skipped, and the record says why; it is never quietly fed less. What an
order becomes for one provider is worked out in `limner/fitting.py`.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from limner.jobs import Order


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can honour with one of its models, as data.

    models: the names it takes; empty takes any. references, controls: how many at most. adapters: which kinds of
    finetunes it loads. min_side, max_side: pixels; min_pixels, max_pixels: width times height; max_ratio: the long side
    over the short; multiple_of: of either side. sizes: where not empty, the only ones. max_prompt: characters.
    A provider without `negative_prompts` gets them folded into the prompt, and the record says so.
    cancels: stops what it has accepted when `Asked.stop` is set. resumes: takes `Asked.provider_id`.
    """

    models: tuple[str, ...] = ()
    seeds: bool = True
    negative_prompts: bool = True
    steps: bool = True
    guidance: bool = True
    references: int = 0
    controls: int = 0
    adapters: tuple[str, ...] = ()
    cancels: bool = False
    resumes: bool = False
    min_side: int = 64
    max_side: int = 4096
    min_pixels: int = 0
    max_pixels: int = 4096 * 4096
    max_ratio: float = 64.0
    multiple_of: int = 1
    sizes: tuple[tuple[int, int], ...] = ()
    max_prompt: int = 4000
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service allows, over all processes together; None is without limit.

    spare: calls beyond calls_at_once, for what somebody waits for; of a provider that lets those go first by itself.
    """

    calls_at_once: int | None = None
    calls_a_minute: float | None = None
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One call's order, as this provider can honour it: what it had to drop is gone, and noted by the press.

    The seed is derived, the prompt fits. references: bytes by artifact sha256, of references and controls.
    provider_id: an order that was accepted under this id before; it is polled and never submitted again.
    accepted: to be called with the provider's own id the moment it is known, before the picture is.
    owner, priority: for whom, and how soon (1 is first), where a provider has a queue of its own.
    stop: set when nobody wants the picture any more; a provider that `cancels` then does, and raises Cancelled.
    """

    order: Order
    prompt: str
    negative_prompt: str
    seed: int
    model: str | None = None
    references: dict[str, bytes] = field(default_factory=dict)
    provider_id: str | None = None
    accepted: Callable[[str], None] = lambda _provider_id: None
    stop: threading.Event = field(default_factory=threading.Event)
    owner: str = ""
    priority: int = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, not yet trusted. cost_usd is None where it cannot be known: the estimate then stands."""

    data: bytes
    model: str
    revised_prompt: str | None = None
    cost_usd: float | None = None
    provider_id: str | None = None


class Provider(Protocol):
    """Whoever draws. `generate` blocks, is called from several threads, and raises only the ProviderError family."""

    @property
    def name(self) -> str: ...

    @property
    def timeout_seconds(self) -> float:
        """How long a whole call may take, with everything in it."""
        ...

    @property
    def limits(self) -> Limits: ...

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Return what it can do with a model of its own; None is its default."""
        ...

    def estimate_usd(self, order: Order, model: str | None = None) -> float:
        """Return what one call for the order costs at most, as far as a price table knows; 0 is free."""
        ...

    def generate(self, asked: Asked) -> Answer: ...


@runtime_checkable
class ChoosesModel(Protocol):
    """A provider whose model follows from what an order leans on, where the caller names none."""

    def model_for(self, order: Order, model: str | None = None) -> str: ...


def model_for(provider: Provider, order: Order, model: str | None) -> str | None:
    """Return the model that a provider would draw an order with; None is its default."""
    return provider.model_for(order, model) if isinstance(provider, ChoosesModel) else model


@runtime_checkable
class Checked(Protocol):
    """A provider that can look ahead: a model about to be shut down, a key that does not fit."""

    def warnings(self) -> Sequence[str]:
        """Return what whoever starts it should know, each a sentence; asks the service, and never raises."""
        ...
