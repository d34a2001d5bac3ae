"""Make the README's pictures: run the demo in a home of its own, and scale down what it made.

`make pictures` runs it. Writes docs/pictures/*.webp: six pictures, and a strip of all twenty.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from deployments.commands.showing import requests
from deployments.running import run
from limner.settings import read_settings

FOLDER = Path(__file__).parent / "pictures"

# Which of the demo's pictures lead the README: the book's place in the demo, and the picture's in its plan.
LEADING = ((0, 1), (0, 5), (0, 7), (1, 1), (1, 5), (1, 4))

# All six are this high, so that they stand in even rows; the widest is then some 480 px wide.
HEIGHT = 288
STRIP_HEIGHT, STRIP_WIDTH, GAP = 110, 960, 4
MAX_BYTES = 60_000


def main() -> None:
    """Run the demo's two requests, then write the pictures."""
    with tempfile.TemporaryDirectory(prefix="limner-") as home:
        os.environ["LIMNER_HOME"] = home
        reports = run(read_settings(), requests(), bar=True, title="The README's pictures").reports
        chapters = [[_opened(one) for one in report["pictures"]] for report in reports]
    FOLDER.mkdir(exist_ok=True)
    for number, (book, picture) in enumerate(LEADING, start=1):
        _save(_scaled(chapters[book][picture], HEIGHT), FOLDER / f"{number}.webp")
    _save(_strip([one for chapter in chapters for one in chapter]), FOLDER / "strip.webp")


def _opened(picture: dict[str, Any]) -> Image.Image:
    with Image.open(picture["path"]) as opened:
        return opened.convert("RGB")


def _scaled(picture: Image.Image, height: int) -> Image.Image:
    return picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.LANCZOS)


def _strip(pictures: list[Image.Image]) -> Image.Image:
    """Return the pictures side by side, in as many rows as they need, each row as wide as the strip."""
    rows: list[list[Image.Image]] = [[]]
    for picture in (_scaled(one, STRIP_HEIGHT) for one in pictures):
        if sum(one.width + GAP for one in rows[-1]) + picture.width > STRIP_WIDTH:
            rows.append([])
        rows[-1].append(picture)
    strip = Image.new("RGB", (STRIP_WIDTH, len(rows) * (STRIP_HEIGHT + GAP) - GAP), "white")
    for line, row in enumerate(rows):
        left = (STRIP_WIDTH - sum(one.width + GAP for one in row) + GAP) // 2
        for picture in row:
            strip.paste(picture, (left, line * (STRIP_HEIGHT + GAP)))
            left += picture.width + GAP
    return strip


def _save(picture: Image.Image, path: Path) -> None:
    """Write a WebP of the best quality that keeps to MAX_BYTES."""
    for quality in range(90, 20, -5):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size <= MAX_BYTES:
            break
    print(f"{path.name}: {picture.width}x{picture.height}, {path.stat().st_size // 1000} kB")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
