"""WITH WHAT: Prefect blocks hold settings and secrets; each opens one object of the craft.

With no block saved, each is made from the environment: the embedded default works with nothing configured.
"""

from blocks.bucket import LimnerBucket
from blocks.database import LimnerDatabase
from blocks.provider import LimnerProvider
from blocks.studio import LimnerStudio

__all__ = ["LimnerBucket", "LimnerDatabase", "LimnerProvider", "LimnerStudio"]
