"""The provider block: who draws, with which key."""

from collections.abc import Callable
from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, SecretStr

from blocks.block import LimnerBlock
from limner.errors import BadInput
from limner.providers.seam import Provider
from limner.settings import Settings

Kind = Literal["sketch", "pollinations"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class LimnerProvider(LimnerBlock):
    """One provider of pictures."""

    _block_type_name: ClassVar[str] = "Limner Provider"
    _block_type_slug: ClassVar[str] = "limner-provider"
    _description: ClassVar[str] = "Who draws for Limner: the offline sketch, or a service with its key."

    kind: Kind = Field(default="sketch", title="Kind")
    key: SecretStr | None = Field(default=None, title="API key")
    base_url: str = Field(default="", title="Address", description="Empty is the service's own.")
    model: str = Field(default="", title="Model", description="Empty is the provider's default.")
    enhance: bool = Field(default=False, title="Enhance prompts", description="Where the provider can.")
    timeout_seconds: float = Field(default=120, gt=0, le=3600, title="Timeout", description="Of one call, in seconds.")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:  # noqa: ARG003 - the sketch needs nothing
        return cls(kind="sketch")

    @classmethod
    def all_from_settings(cls, settings: Settings) -> dict[str, Self]:
        """Return every provider that the environment configures; `sketch` needs nothing."""
        found = {"sketch": cls(kind="sketch")}
        if settings.pollinations_key is not None:
            found["pollinations"] = cls(
                kind="pollinations", key=settings.pollinations_key, base_url=settings.pollinations_url
            )
        return found

    def open(self, concurrency: int) -> Provider:
        """Return the provider, for that many calls at once; raises BadInput when it lacks its key."""
        return _OPENERS[self.kind](self, concurrency)

    def secret(self) -> str:
        if self.key is None:
            raise BadInput(
                f"{self.kind} has no API key; save one in its block limner-provider, or set "
                f"{self.kind.upper()}_API_KEY."
            )
        return self.key.get_secret_value()


def _sketch(_block: LimnerProvider, _concurrency: int) -> Provider:
    from limner.providers.sketch import Sketch  # noqa: PLC0415

    return Sketch()


def _pollinations(block: LimnerProvider, concurrency: int) -> Provider:
    from limner.providers.pollinations import Pollinations  # noqa: PLC0415

    return Pollinations(
        block.secret(),
        base_url=block.base_url or None,
        model=block.model or None,
        enhance=block.enhance,
        timeout_seconds=block.timeout_seconds,
        concurrency=concurrency,
    )


_OPENERS: dict[Kind, Callable[[LimnerProvider, int], Provider]] = {"sketch": _sketch, "pollinations": _pollinations}
