"""Tiers: what an owner's subscription allows, and whom it lets us ask.

Knows the data file and nothing of owners, counters, or which providers are configured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from limner.errors import BadInput

# A batch that nobody waits for is served this much later: after whoever waits for theirs, of any tier.
BATCH_STEP = 100


class Allowance(BaseModel):
    """The schema of a row of tiers.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures_a_month: int | None = Field(ge=0)
    budget_usd_a_month: float | None = Field(ge=0)
    chain: tuple[str, ...] = Field(min_length=1)
    priority: int = Field(ge=1, lt=BATCH_STEP)


@dataclass(frozen=True, slots=True)
class Tier:
    """What a subscription allows in a calendar month; None is without limit.

    chain: names of providers to ask in turn; those that are not configured are skipped. priority: 1 is served first.
    """

    name: str
    pictures_a_month: int | None
    budget_usd_a_month: float | None
    chain: tuple[str, ...]
    priority: int

    def call_priority(self, *, is_interactive: bool) -> int:
        """Return how soon a batch's calls are made: 1 is first."""
        return self.priority if is_interactive else self.priority + BATCH_STEP


@cache
def load_tiers() -> Mapping[str, Tier]:
    """Return the tiers by name, in the order of the data file."""
    text = resources.files("limner").joinpath("data/tiers.yaml").read_text("utf-8")
    rows = TypeAdapter(dict[str, Allowance]).validate_python(yaml.safe_load(text))
    return MappingProxyType({name: Tier(name, **row.model_dump()) for name, row in rows.items()})


def tier(name: str) -> Tier:
    """Return a tier by its name; raises BadInput that lists the known ones."""
    tiers = load_tiers()
    if name not in tiers:
        raise BadInput(f"There is no tier {name!r}; tiers: {', '.join(tiers)}.")
    return tiers[name]
