"""What every painter stands before: the canvas, the palette and the scene of one picture."""

from dataclasses import dataclass

import numpy as np

from limner.providers.sketch.canvas import Canvas
from limner.providers.sketch.palette import Palette
from limner.providers.sketch.scene import Scene


@dataclass(frozen=True, slots=True)
class Easel:
    """horizon: where a layout hint puts it, as a share of the height from the top; None leaves it to the painter."""

    canvas: Canvas
    palette: Palette
    scene: Scene
    horizon: float | None = None

    @property
    def w(self) -> int:
        return self.canvas.width

    @property
    def h(self) -> int:
        return self.canvas.height

    @property
    def u(self) -> float:
        return self.canvas.u

    def rng(self, *purpose: object) -> np.random.Generator:
        return self.canvas.rng(*purpose)
