"""Registering Limner's blocks with a Prefect API: their types, and default documents from the environment."""

from blocks.block import DEFAULT, LimnerBlock
from blocks.bucket import LimnerBucket
from blocks.database import LimnerDatabase
from blocks.provider import LimnerProvider
from blocks.studio import LimnerStudio

BLOCKS: tuple[type[LimnerBlock], ...] = (LimnerBucket, LimnerDatabase, LimnerProvider, LimnerStudio)


async def register_blocks() -> list[str]:
    """Register every type of block, so that a person can fill one in; return their slugs.

    Documents are not saved: one that is missing is the environment's, and follows it when it changes.
    """
    for block in BLOCKS:
        await block.aregister_type_and_schema()
    return [f"{block.get_block_type_slug()}/{DEFAULT}" for block in BLOCKS]
