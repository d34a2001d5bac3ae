"""What OpenAI's image models take and cost: the schema of openai.yaml, and the sums that follow from it.

Knows nothing of HTTP, orders or answers but the tokens that the service counts.
"""

import re
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

_DATED = re.compile(r"-\d{4}-\d\d-\d\d$")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sizes(_Data):
    """What a family makes, in the words of the capabilities."""

    multiple_of: int = 1
    min_side: int = 64
    max_side: int = 4096
    min_pixels: int = 0
    max_pixels: int = 4096 * 4096
    max_ratio: float = 64.0
    sizes: tuple[tuple[int, int], ...] = ()


class ByAxis(_Data):
    """Tokens of a picture by a formula. axis: cells along the long side, by quality."""

    axis: dict[str, int]
    plus_pixels: int
    cell_pixels: int

    def tokens(self, quality: str, width: int, height: int) -> int:
        """Return the tokens of a picture; of the dearest quality where that one is not known."""
        cells = self.axis.get(quality, max(self.axis.values()))
        # Half a cell counts as one.
        short = (2 * cells * min(width, height) + max(width, height)) // (2 * max(width, height))
        return -(-cells * short * (self.plus_pixels + width * height) // self.cell_pixels)


class ByTable(_Data):
    """Tokens of a picture as published, by quality and size."""

    table: dict[str, dict[str, int]]

    def tokens(self, quality: str, width: int, height: int) -> int:
        """Return the tokens of a picture; of the dearest quality or size where that one is not known."""
        dearest = max(self.table.values(), key=lambda row: max(row.values()))
        row = self.table.get(quality, dearest)
        return row.get(f"{width}x{height}", max(row.values()))


class Besides(_Data):
    """What an endpoint is sent besides what all models take. moderation: whether the provider's own is."""

    background: str | None = None
    moderation: bool = False
    input_fidelity: Literal["high", "low"] | None = None


Tokens = Annotated[int, Field(ge=0, le=10_000_000, strict=True)]


class Split(BaseModel):
    """Tokens of one direction, by what they stand for."""

    text_tokens: Tokens
    image_tokens: Tokens


class Incoming(Split):
    """Of these, some may have been met before, and cost less."""

    cached_tokens_details: Split | None = None


class Usage(BaseModel):
    """What one call took, as the service counts it. Where it does not split the output, all of that is the picture."""

    input_tokens_details: Incoming
    output_tokens: Tokens
    output_tokens_details: Split | None = None

    @property
    def output(self) -> Split:
        return self.output_tokens_details or Split(text_tokens=0, image_tokens=self.output_tokens)

    @property
    def cached(self) -> Split:
        return self.input_tokens_details.cached_tokens_details or Split(text_tokens=0, image_tokens=0)


class Prices(_Data):
    """US dollars for a million tokens."""

    text_in: float
    text_cached: float
    image_in: float
    image_cached: float
    image_out: float
    text_out: float = 0.0

    def usd(self, usage: Usage) -> float:
        into, cached, out = usage.input_tokens_details, usage.cached, usage.output
        millionths = (
            max(0, into.text_tokens - cached.text_tokens) * self.text_in
            + cached.text_tokens * self.text_cached
            + max(0, into.image_tokens - cached.image_tokens) * self.image_in
            + cached.image_tokens * self.image_cached
            + out.image_tokens * self.image_out
            + out.text_tokens * self.text_out
        )
        return millionths / 1_000_000


class Family(_Data):
    """Models that take the same parameters at the same prices."""

    models: tuple[str, ...]
    sizes: Sizes
    qualities: tuple[str, ...]
    generate: Besides
    edit: Besides
    max_references: int
    reference_tokens: int
    output: ByAxis | ByTable
    prices: Prices


class Meanings(_Data):
    """Codes and types of errors, by what they mean."""

    refused: frozenset[str]
    out_of_credit: frozenset[str]
    busy: frozenset[str]
    invalid: frozenset[str]


class Contract(_Data):
    """The schema of openai.yaml."""

    base_url: str
    model: str
    quality: str
    output_format: str
    output_formats: tuple[str, ...]
    moderations: tuple[str, ...]
    max_prompt: int
    timeout_seconds: float
    calls_a_minute: float
    licence: str
    stem: str
    families: tuple[Family, ...]
    prices_read_on: date
    prices_from: str
    shutdowns: dict[str, date]
    warn_days: int
    meanings: Meanings

    def family(self, model: str) -> Family | None:
        """Return the family of a model; the newest for a name that is newer than the data, None for a stranger's."""
        bare = _DATED.sub("", model)
        known = next((one for one in self.families if bare in one.models), None)
        is_newer = model.startswith(self.stem) and bare not in self.shutdowns
        return known or (self.families[0] if is_newer else None)

    def shutdown(self, model: str, today: date) -> date | None:
        """Return the day a model goes or went, as far as the data know and it is worth a word today."""
        day = self.shutdowns.get(model) or self.shutdowns.get(_DATED.sub("", model))
        return day if day is not None and day - today <= timedelta(days=self.warn_days) else None


@cache
def contract() -> Contract:
    text = resources.files("limner").joinpath("data/providers/openai.yaml").read_text("utf-8")
    return Contract.model_validate(yaml.safe_load(text))
