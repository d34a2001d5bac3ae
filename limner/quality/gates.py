"""Gates: what each kind of work asks of a picture, as data.

Knows nothing of how anything is measured; each setting belongs to the check of the same name in judging.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from limner.errors import BadInput

_FILE = "data/quality/gates.yaml"


@dataclass(frozen=True)
class Gate:
    """Thresholds and points of every check. Shares are of the picture's pixels, 0 to 1; points are taken off 100.

    min_bytes, max_bytes: of the file. min_side: pixels. size_tolerance: pixels either way, per side.
    uniform_deviation: standard deviation, of 255, that at least one channel must reach.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str = "chapters"
    accept_score: int = 50

    min_bytes: int = 10_000
    min_bytes_points: int = 50
    max_bytes: int = 10_000_000
    max_bytes_points: int = 10
    min_side: int = 256
    min_side_points: int = 30
    size_tolerance: int = 50
    size_points: int = 15
    uniform_deviation: float = 20.0
    uniform_points: int = 40
    # A title card or a minimalist scene may be plain: it loses the points but is not refused for it.
    plain_allowed: bool = False
    unreadable_points: int = 60

    # Visible artifacts cost their points once, however many of them there are.
    artifact_points: int = 20
    # Share of the picture that lies in stairs of flat bands.
    max_banded: float = 0.2
    # Straight cuts through the whole picture, at even distances.
    max_seams: int = 0
    # Blocks that a broken decoder left in one colour, on its 8-pixel grid.
    max_dead_blocks: int = 0
    # Share where a colour ran into the end of its channel while the others went on.
    max_clipped: float = 0.4
    # Letter-like marks in one line at the foot of the picture.
    max_glyphs: int = 11


def load_gates(path: Path | None = None) -> dict[str, Gate]:
    """Return the gates in the file at `path` (our own by default) by name; raises BadInput naming the file."""
    return dict(_own()) if path is None else _load(path)


@cache
def _own() -> dict[str, Gate]:
    return _load(Path(str(files("limner").joinpath(_FILE))))


def _load(path: Path) -> dict[str, Gate]:
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
        named = {name: {**(settings or {}), "name": name} for name, settings in listed.items()}
        return TypeAdapter(dict[str, Gate]).validate_python(named)
    except (OSError, yaml.YAMLError, ValidationError, AttributeError, TypeError) as error:
        raise BadInput(f"{path} is no file of gates: {error}") from None
