"""The provider block: who draws, with which key and model."""

from typing import ClassVar, Self

from pydantic import Field, SecretStr

from blocks.block import LimnerBlock
from limner.providers.opening import Kind, Wiring, limits_of, open_provider, wirings_of, with_token
from limner.providers.seam import Provider
from limner.settings import Settings


class LimnerProvider(LimnerBlock):
    """One provider of pictures."""

    _block_type_name: ClassVar[str] = "Limner Provider"
    _block_type_slug: ClassVar[str] = "limner-provider"
    _description: ClassVar[str] = "Who draws for Limner: the offline sketch, a service with its key, or a local model."

    kind: Kind = Field(default="sketch", title="Kind")
    key: SecretStr | None = Field(
        default=None, title="API key", description="Of diffusers' owners: empty is this installation's token."
    )
    base_url: str = Field(
        default="",
        title="Address",
        description="Empty is the service's own; of diffusers, the owners of its GPUs, separated by commas.",
    )
    model: str = Field(
        default="", title="Model", description="Empty is the provider's default; of diffusers, a folder."
    )
    quality: str = Field(default="", title="Quality", description="Of openai: auto, low, medium, high.")
    enhance: bool = Field(default=False, title="Enhance prompts", description="Of pollinations.")
    price_usd: float | None = Field(
        default=None, ge=0, le=100, title="Price, USD", description="Of a picture, by pollinations; empty: its table."
    )
    batch: int = Field(default=1, ge=1, le=64, title="Batch", description="Pictures a call, of diffusers.")
    steps: int | None = Field(
        default=None, ge=1, le=1000, title="Steps", description="The only ones that a model of diffusers draws with."
    )
    guidance: float | None = Field(
        default=None, ge=0, le=100, title="Guidance", description="The only scale that a model of diffusers draws with."
    )
    calls_at_once: int | None = Field(
        default=None, ge=0, le=1000, title="Calls at once", description="Over all processes; 0: any. Name both limits."
    )
    calls_a_minute: float | None = Field(
        default=None, ge=0, title="Calls a minute", description="Over all processes; 0: any. Name both limits."
    )
    timeout_seconds: float | None = Field(
        default=None, gt=0, le=3600, title="Timeout", description="Of one call, in seconds; empty is the provider's."
    )
    allow_private: bool = Field(
        default=False, title="Private addresses", description="It may be on this machine, or in a private network."
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:  # noqa: ARG003 - the sketch needs nothing
        return cls(kind="sketch")

    def wiring(self) -> Wiring:
        return Wiring(
            kind=self.kind,
            key=self.key,
            base_url=self.base_url,
            model=self.model,
            quality=self.quality,
            enhance=self.enhance,
            price_usd=self.price_usd,
            batch=self.batch,
            steps=self.steps,
            guidance=self.guidance,
            limits=limits_of(self.calls_at_once, self.calls_a_minute),
            timeout_seconds=self.timeout_seconds,
            allow_private=self.allow_private,
        )

    @classmethod
    async def opened(cls, names: list[str], settings: Settings, connections: int) -> dict[str, Provider]:
        """Open the blocks of these names, or, where there are none, every provider that the environment turns on."""
        blocks = {name: (await cls.named(name, settings)).wiring() for name in names}
        wirings = {name: with_token(one, settings) for name, one in blocks.items()} or wirings_of(settings)
        return {name: open_provider(one, connections) for name, one in wirings.items()}
