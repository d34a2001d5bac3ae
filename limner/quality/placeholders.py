"""Known placeholders: pictures that a provider or a web host sends where it has none.

Knows nothing of the network; the list is data in limner/data/quality/placeholders.yaml.
"""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from limner.errors import BadInput

# Of 64 bits; re-encoding and scaling turn a few, another picture turns about half.
MAX_BITS_APART = 5

_LIST = "data/quality/placeholders.yaml"


class Placeholder(BaseModel):
    """One known placeholder; `looks` is its difference hash in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    looks: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if self.sha256 is None and self.looks is None:
            raise ValueError("give its sha256 or its looks")
        return self


def load_placeholders(path: Path | None = None) -> tuple[Placeholder, ...]:
    """Return the placeholders listed at `path` (our own list by default); raises BadInput naming the file."""
    return _load(path) if path else _own()


@cache
def _own() -> tuple[Placeholder, ...]:
    return _load(Path(str(files("limner").joinpath(_LIST))))


def _load(path: Path) -> tuple[Placeholder, ...]:
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8")) or ()
        return TypeAdapter(tuple[Placeholder, ...]).validate_python(listed)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise BadInput(f"{path} is no list of placeholders: {error}") from None


def look_of(pixels: npt.NDArray[np.uint8]) -> str:
    """Return the 64-bit difference hash of RGB `pixels` (H, W, 3) as 16 hex digits."""
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes().hex()


def placeholder_of_bytes(data: bytes, known: tuple[Placeholder, ...]) -> Placeholder | None:
    """Return the known placeholder with these very bytes."""
    sha256 = hashlib.sha256(data).hexdigest()
    return next((one for one in known if one.sha256 == sha256), None)


def placeholder_of_pixels(pixels: npt.NDArray[np.uint8], known: tuple[Placeholder, ...]) -> Placeholder | None:
    """Return the known placeholder that looks like `pixels`."""
    looking = [one for one in known if one.looks]
    if not looking:
        return None
    look = int(look_of(pixels), 16)
    return next((one for one in looking if (int(one.looks or "0", 16) ^ look).bit_count() <= MAX_BITS_APART), None)
