"""Ask a Limner for pictures from another app: submit, follow, fetch the reply.

Speaks HTTP with a gateway; knows nothing of what stands behind it.
"""

from limner_client.answers import Counts, Links, Picture, Reply, Standing, State
from limner_client.clients import AsyncLimner, Limner
from limner_client.errors import (
    KeyTaken,
    LimnerClientError,
    NotFound,
    Refused,
    StillRunning,
    Unauthorised,
    Unavailable,
)

__all__ = [
    "AsyncLimner",
    "Counts",
    "KeyTaken",
    "Limner",
    "LimnerClientError",
    "Links",
    "NotFound",
    "Picture",
    "Refused",
    "Reply",
    "Standing",
    "State",
    "StillRunning",
    "Unauthorised",
    "Unavailable",
]
