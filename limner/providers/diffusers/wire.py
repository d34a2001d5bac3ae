"""What goes over the wire between the owner of a GPU and those who want pictures of it.

| asked | answered |
|---|---|
| POST /pictures, an `Ordered` | a PNG, with the headers MODEL and BATCH; or `said` and `categories` |
| GET /status | a `Status` |
| GET /ready | 200 once the model is loaded and warm, else 503 |
| GET /health | 200 |

The first two are for whoever shows the token. Loads neither a model nor a library of HTTP.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from limner.errors import BadInput, Busy, Cancelled, Invalid, Refused
from limner.jobs import MAX_SEED
from limner.providers.seam import Capabilities
from limner.settings import Settings
from limner.signing import derived_key, signing_key

MODEL = "x-limner-model"
BATCH = "x-limner-batch"

# Any other error is 500. Whichever it is, nothing was paid for, and no outcome is unknown.
STATUSES: Mapping[type[Exception], int] = {
    BadInput: 400,
    Invalid: 400,
    Refused: 422,
    Cancelled: 409,
    Busy: 429,
}

State = Literal["loading", "warming up", "ready", "leaving", "failed"]


class Ordered(BaseModel):
    """One picture. model: None is whichever there is. priority: 1 is drawn first. within_seconds: from now."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    prompt: str = Field(min_length=1, max_length=20_000)
    negative_prompt: str = Field(default="", max_length=20_000)
    width: int = Field(ge=1, le=16_384)
    height: int = Field(ge=1, le=16_384)
    steps: int = Field(default=30, ge=1, le=1000)
    guidance: float = Field(default=7.5, ge=0, le=100)
    seed: int = Field(ge=1, le=MAX_SEED)
    model: str | None = Field(default=None, max_length=1000)
    owner: str = Field(default="", max_length=1000)
    priority: int = Field(default=100, ge=1, le=1_000_000)
    within_seconds: float = Field(default=600, gt=0, le=86_400)


class Status(BaseModel):
    """How an owner is doing. room: how many may wait. waiting: by priority. loads: of models, since it was started."""

    model_config = ConfigDict(frozen=True)

    state: State
    model: str
    device: str
    batch: int = Field(ge=1)
    capabilities: Capabilities
    room: int
    waiting: dict[int, int]
    drawing: int
    drawn: int
    batches: int
    loads: int
    seconds_a_batch: float
    up_seconds: float
    memory_bytes: dict[str, int]

    @property
    def load(self) -> int:
        """How many pictures are before the next one that comes."""
        return sum(self.waiting.values()) + self.drawing


def token_of(settings: Settings) -> str:
    """Return what callers of this installation's owners show: whoever has the signing key can draw."""
    return derived_key(signing_key(settings), "gpu-owner").hex()
