"""Sketch: the offline, deterministic illustrator. No key, no network, no model; the same order gives the same bytes.

Reads a prompt into a scene, chooses a palette, paints in a gouache-and-ink manner, and answers a PNG.
"""

from dataclasses import dataclass

from limner.jobs import Order
from limner.providers.seam import Answer, Asked, Capabilities, Limits

MODEL = "sketch-1"

_CAPABILITIES = Capabilities(
    models=(MODEL,),
    seeds=True,
    negative_prompts=True,
    references=4,
    controls=4,
    min_side=64,
    max_side=4096,
    max_pixels=4096 * 4096,
    max_prompt=8000,
    licence="CC0-1.0",
)


@dataclass(frozen=True, slots=True)
class Sketch:
    """The provider: `generate` raises Invalid for a size out of range or a reference that is no picture."""

    timeout_seconds: float = 120.0

    @property
    def name(self) -> str:
        return "sketch"

    @property
    def limits(self) -> Limits:
        return Limits()

    def capabilities(self, model: str | None = None) -> Capabilities:  # noqa: ARG002 - there is one model
        return _CAPABILITIES

    def estimate_usd(self, order: Order, model: str | None = None) -> float:  # noqa: ARG002 - nothing costs
        return 0.0

    def generate(self, asked: Asked) -> Answer:
        # OpenCV and numpy load only where a picture is made.
        from limner.providers.sketch.illustrate import illustrate  # noqa: PLC0415 - see above

        return Answer(data=illustrate(asked), model=MODEL, cost_usd=0.0)
