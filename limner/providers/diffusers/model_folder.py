"""What a model's folder says of the model, before anything of it is loaded.

Reads JSON, YAML and names of files. Knows nothing of torch, nor of how a picture is drawn.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from limner.errors import BadInput
from limner.providers.seam import Capabilities

NAME = "diffusers"
INDEX = "model_index.json"

# What every pipeline that is not known yet takes: the step of a FLUX-like model, 2 latents of 8 pixels.
_ANY_STEP = 16
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


class Row(BaseModel):
    """What a pipeline's class says: a row of diffusers.yaml. Its defaults lose nothing with any class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = 77
    in_pieces: bool = False
    negative_prompts: bool = True
    negative_above: float = 1.0
    cancels: bool = True
    scale: str = "guidance_scale"
    guided_if: str = ""


class Classes(BaseModel):
    """The schema of diffusers.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_seconds: float
    min_side: int
    max_side: int
    characters_a_token: int
    characters_in_pieces: int
    classes: dict[str, Row]


@cache
def known_classes() -> Classes:
    text = resources.files("limner").joinpath("data/providers/diffusers.yaml").read_text("utf-8")
    return Classes.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Described:
    """A model as far as it is known. class_name: empty where nothing is. side_step: pixels; both sides are multiples.

    guided: a guidance scale has an effect. row: what the class says, `None` for one that is not listed.
    """

    class_name: str = ""
    row: Row | None = None
    guided: bool = True
    distilled: bool = False
    side_step: int = _ANY_STEP
    licence: str = ""

    @property
    def said(self) -> Row:
        """What its class says; of a class that is not listed, what loses nothing with any."""
        return self.row or Row(negative_prompts=False)

    @property
    def negative_prompts(self) -> bool:
        return self.said.negative_prompts and not self.distilled

    def capabilities(self, name: str, *, steps: int | None, guidance: float | None) -> Capabilities:
        """Return what the model can honour. steps, guidance: what its owner set, which no order changes."""
        known = known_classes()
        weak = guidance is not None and guidance <= self.said.negative_above
        return Capabilities(
            models=(name,),
            negative_prompts=self.negative_prompts and not weak,
            steps=steps is None,
            guidance=guidance is None and self.guided,
            cancels=self.said.cancels,
            min_side=known.min_side,
            max_side=known.max_side,
            max_pixels=known.max_side**2,
            multiple_of=self.side_step,
            max_prompt=self.max_prompt,
            licence=self.licence,
        )

    @property
    def max_prompt(self) -> int:
        known = known_classes()
        return known.characters_in_pieces if self.said.in_pieces else self.said.tokens * known.characters_a_token


def check_folder(folder: Path) -> None:
    """Raise BadInput for a folder that holds no model we would load; looks at names of files only."""
    if not folder.is_dir():
        raise BadInput(f"{NAME}: there is no folder {folder}; name the folder of a model, or its id on the hub.")
    if not (folder / INDEX).is_file():
        raise BadInput(
            f"{NAME}: {folder} has no {INDEX}; name a folder that diffusers saved (save_pretrained), not one file."
        )
    describe(folder)
    if pickled := [name for name in _json(folder / INDEX) if _has_only_pickles(folder / name)]:
        raise BadInput(
            f"{NAME}: {folder} has {', '.join(pickled)} as pickles, which can run code and are never loaded; "
            "save the model as safetensors."
        )


def describe(folder: Path) -> Described:
    """Return what the folder says; raises BadInput where its index is none, or names a class of its own code."""
    index = _json(folder / INDEX)
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        raise BadInput(f"{NAME}: {folder / INDEX} names no pipeline of the library; code of a model is never run.")
    row = known_classes().classes.get(class_name)
    settings = _json(folder / "transformer" / "config.json") | _json(folder / "unet" / "config.json")
    # A distilled model has its guidance within: a scale, or a negative prompt, would have no effect.
    distilled = bool(index.get("is_distilled"))
    return Described(
        class_name=class_name,
        row=row,
        guided=not distilled and _is_guided(row or Row(), settings),
        distilled=distilled or settings.get("time_cond_proj_dim") is not None,
        side_step=_side_step(folder),
        licence=_licence(folder / "README.md"),
    )


def known_by_its_call(described: Described, row: Row) -> Described:
    """Return a model of a class that is not listed, now that its own call said what it takes."""
    if described.row is not None:
        return described
    return replace(described, row=row, guided=described.guided and bool(row.scale))


def _is_guided(row: Row, settings: Mapping[str, Any]) -> bool:
    return bool(row.scale) and (not row.guided_if or bool(settings.get(row.guided_if)))


def _has_only_pickles(component: Path) -> bool:
    kinds = {file.suffix for file in component.iterdir()} if component.is_dir() else set()
    return bool(kinds & _PICKLES) and ".safetensors" not in kinds


def _side_step(folder: Path) -> int:
    """Return what both sides must be a multiple of: one latent of the VAE; transformers read them two by two."""
    vae = _json(folder / "vae" / "config.json")
    levels = vae.get("block_out_channels") or vae.get("encoder_block_out_channels")
    if not isinstance(levels, list):
        return _ANY_STEP
    latent = 1 << (len(levels) - 1)
    return max(8, latent if (folder / "unet").is_dir() else 2 * latent)


def _licence(card: Path) -> str:
    """Return the licence that a model card names in its front matter; empty where it names none."""
    try:
        _, front, _ = card.read_text("utf-8").split("---\n", 2)
        said = yaml.safe_load(front)
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    if not isinstance(said, dict):
        return ""
    named = said.get("license_name") if said.get("license") == "other" else said.get("license")
    return str(named or "")


def _json(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; empty where there is none."""
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
