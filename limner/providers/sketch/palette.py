"""Colours for one picture: the sky's light by time of day, the genre's treatment, materials, and what words name.

Knows nothing of shapes. Palettes are data; the seed chooses among them, and a reference picture may give its own.
"""

import colorsys
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import cv2
import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict

from limner.providers.sketch.canvas import Bytes, Colour, brightness, generator, mix, multiply, rgb, scale
from limner.providers.sketch.scene import Scene

_PICTURE_COLOURS = 5


class Sky(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    zenith: str
    middle: str
    horizon: str
    light: str
    ambient: str
    haze: str


class Genre(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    saturation: float
    contrast: float
    light: float
    tint: str
    amount: float
    ink: float
    paper: str
    accents: list[str]


class Season(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    grass: str
    far: str
    leaves: list[str]
    soil: str
    bark: str


class Palettes(BaseModel):
    """palettes.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    skies: dict[str, list[Sky]]
    genres: dict[str, Genre]
    seasons: dict[str, Season]
    materials: dict[str, str]
    colours: dict[str, str]
    skins: list[str]
    hairs: list[str]
    furs: dict[str, str]


@lru_cache(maxsize=1)
def palettes() -> Palettes:
    text = (resources.files("limner") / "data" / "sketch" / "palettes.yaml").read_text("utf-8")
    return Palettes.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one picture. `time` is the time of day that was settled on."""

    time: str
    zenith: Colour
    middle: Colour
    horizon: Colour
    light: Colour
    ambient: Colour
    haze: Colour
    grass: Colour
    far: Colour
    leaves: tuple[Colour, ...]
    soil: Colour
    bark: Colour
    accents: tuple[Colour, ...]
    genre: Genre

    @property
    def is_dark(self) -> bool:
        return self.time in ("night", "dusk", "space") or brightness(self.ambient) < 0.5

    def lit(self, colour: Colour, depth: float = 0.0) -> Colour:
        """Return a local colour in this picture's light; depth 0 (near) to 1 (lost in the haze)."""
        return mix(multiply(colour, self.ambient), self.haze, depth)

    def of(self, material: str, depth: float = 0.0) -> Colour:
        """Return a material's colour in this picture's light."""
        return self.lit(rgb(palettes().materials[material]), depth)

    def accent(self, number: int) -> Colour:
        return self.accents[number % len(self.accents)]

    @property
    def ink(self) -> Colour:
        """The colour of lines and of the nearest silhouettes: never black, always of this light."""
        return mix(scale(multiply(self.zenith, self.ambient), 0.35), (22, 18, 28), 0.55)


def named(colour: str) -> Colour:
    """Return the colour of a colour word's meaning."""
    return rgb(palettes().colours[colour])


def choose_palette(scene: Scene, seed: str) -> Palette:
    """Return the palette of a scene: the seed chooses among the skies of its time and shifts them a little."""
    rng = generator(seed, "palette")
    time = settled_time(scene, seed)
    skies = palettes().skies[time]
    sky = skies[int(rng.integers(len(skies)))]
    genre = palettes().genres[scene.genre]
    season = palettes().seasons[settled_season(scene, rng)]
    accents = [rgb(one) for one in genre.accents]
    first = int(rng.integers(len(accents)))
    warm = float(rng.uniform(-0.02, 0.02))
    shifted = {
        name: _hue(rgb(getattr(sky, name)), warm)
        for name in ("zenith", "middle", "horizon", "light", "ambient", "haze")
    }
    return Palette(
        time=time,
        **_with_words(shifted, scene),
        grass=_hue(rgb(season.grass), warm * 2),
        far=rgb(season.far),
        leaves=tuple(_hue(rgb(one), warm * 2) for one in season.leaves),
        soil=rgb(season.soil),
        bark=rgb(season.bark),
        accents=tuple(accents[first:] + accents[:first]),
        genre=genre,
    )


def _with_words(sky: dict[str, Colour], scene: Scene) -> dict[str, Colour]:
    """Let a colour that the words give to the sky be seen in it."""
    if "sky" not in scene.colours:
        return sky
    colour = named(scene.colours["sky"])
    return sky | {"middle": mix(sky["middle"], colour, 0.5), "horizon": mix(sky["horizon"], colour, 0.4)}


def settled_time(scene: Scene, seed: str) -> str:
    """Return the time of day: what the words say, else what the weather, the mood and the genre suggest."""
    if scene.has("spaceship", "planet") and not scene.has("desert", "forest", "sea"):
        return "space"
    if scene.time:
        return "storm" if "storm" in scene.weathers and scene.time in ("day", "dawn") else scene.time
    if "storm" in scene.weathers:
        return "storm"
    if scene.has("rain", "snow", "fog", "smoke"):
        return "dusk" if scene.genre in ("horror", "detective") else "overcast"
    return _guessed_time(scene, seed)


_GUESSES = {
    "horror": ("night", "dusk", "night", "storm", "sunset"),
    "detective": ("night", "night", "dusk"),
    "romance": ("sunset", "dawn", "day"),
    "science fiction": ("dusk", "night", "sunset"),
    "fantasy": ("sunset", "day", "dawn", "dusk"),
    "children's": ("day", "day", "dawn"),
}


def _guessed_time(scene: Scene, seed: str) -> str:
    guesses = _GUESSES.get(scene.genre, ("day", "dawn", "sunset", "day", "overcast"))
    if "bright" in scene.moods:
        guesses = ("day", "day", "dawn")
    elif "dark" in scene.moods:
        guesses = ("dusk", "night", "storm")
    return guesses[int(generator(seed, "time").integers(len(guesses)))]


def settled_season(scene: Scene, rng: np.random.Generator) -> str:
    pick = ("summer", "summer", "spring", "autumn")[int(rng.integers(4))]
    if scene.season:
        return scene.season
    if "desert" in scene.places:
        return "desert"
    if "steppe" in scene.places:
        return "steppe"
    if scene.genre == "horror":
        return "autumn" if pick == "spring" else pick
    return "summer" if scene.has("flower", "garden") else pick


def _hue(colour: Colour, turn: float) -> Colour:
    h, s, v = colorsys.rgb_to_hsv(colour[0] / 255, colour[1] / 255, colour[2] / 255)
    r, g, b = colorsys.hsv_to_rgb((h + turn) % 1.0, s, v)
    return r * 255, g * 255, b * 255


def dominant_colours(picture: Bytes) -> list[Colour]:
    """Return a picture's main colours, darkest first: medians of equal shares of its pixels by brightness."""
    small = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float64)
    order = np.argsort(small @ np.array([0.3, 0.59, 0.11]), kind="stable")
    shares = np.array_split(small[order], _PICTURE_COLOURS)
    return [(float(r), float(g), float(b)) for r, g, b in (np.median(share, axis=0) for share in shares)]


def leaning_on(palette: Palette, picture: Bytes) -> Palette:
    """Return the palette drawn from a reference picture's colours, keeping this one's order of light and dark."""
    dark, low, mid, high, light = dominant_colours(picture)
    night = palette.is_dark
    return replace(
        palette,
        zenith=mix(palette.zenith, low if night else mid, 0.75),
        middle=mix(palette.middle, mid if night else high, 0.75),
        horizon=mix(palette.horizon, light, 0.75),
        haze=mix(palette.haze, high if not night else mid, 0.7),
        ambient=mix(palette.ambient, scale(mix(light, (255, 255, 255), 0.35), 1.05), 0.5),
        grass=mix(palette.grass, mid, 0.6),
        far=mix(palette.far, high, 0.6),
        leaves=tuple(mix(leaf, low, 0.6) for leaf in palette.leaves),
        soil=mix(palette.soil, low, 0.6),
        accents=(mid, light, low, high, dark),
    )
