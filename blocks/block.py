"""What Limner's blocks have in common: unknown fields are refused, and a missing block is the environment's."""

from typing import Self

from prefect.blocks.core import Block
from pydantic import ConfigDict

from limner.errors import BadInput
from limner.settings import Settings

DEFAULT = "default"


class LimnerBlock(Block):
    """A block that can also be made from the environment."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        raise NotImplementedError

    @classmethod
    async def named(cls, name: str, settings: Settings) -> Self:
        """Return the saved block, or, for `default` where none is saved, the environment's; raises BadInput."""
        try:
            return await cls.aload(name)
        except ValueError as error:
            if "Unable to find block document" not in str(error):
                raise
        if name == DEFAULT:
            return cls.from_settings(settings)
        raise BadInput(
            f"There is no block {cls.get_block_type_slug()}/{name}; save it (Prefect UI, Blocks) or use `default`."
        )
