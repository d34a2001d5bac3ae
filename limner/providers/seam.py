"""The seam between the press and whoever draws: a name, capabilities as data, and `generate`.

A provider that cannot honour an order is skipped, and the record says why; it is never quietly fed less.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from limner.jobs import Order


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can honour, as data.

    min_side, max_side: pixels. max_pixels: width times height. max_prompt: characters.
    A provider without `negative_prompts` gets them folded into the prompt, and the record says so.
    """

    models: tuple[str, ...] = ()
    seeds: bool = True
    negative_prompts: bool = True
    references: int = 0
    controls: bool = False
    cancel: bool = False
    min_side: int = 64
    max_side: int = 4096
    max_pixels: int = 4096 * 4096
    max_prompt: int = 4000
    price_usd: float = 0.0
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call's order for one provider: the seed is derived, the prompt fits the provider."""

    order: Order
    prompt: str
    negative_prompt: str
    seed: int
    model: str | None = None
    # References' bytes by artifact sha256, fetched by the press.
    references: dict[str, bytes] = field(default_factory=dict)
    # Called with the provider's own id the moment it is known, before the picture is.
    accepted: Callable[[str], None] = lambda _provider_id: None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, not yet trusted. cost_usd is None where the provider does not say."""

    data: bytes
    model: str
    revised_prompt: str | None = None
    cost_usd: float | None = None
    provider_id: str | None = None


class Provider(Protocol):
    """Whoever draws. `generate` blocks, and raises only the ProviderError family."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def timeout_seconds(self) -> float: ...

    def generate(self, asked: Asked) -> Answer: ...
