"""What a folder says of its model: what it can honour, its licence, and what is never loaded; without torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from limner.errors import BadInput
from limner.providers.diffusers.model_folder import Described, Row, check_folder, describe, known_by_its_call
from limner.providers.seam import Capabilities

XL = "StableDiffusionXLPipeline"


def folder_of(
    place: Path,
    kind: Any = XL,
    index: dict[str, Any] | None = None,
    unet: dict[str, Any] | None = None,
    transformer: dict[str, Any] | None = None,
    levels: int = 4,
    weights: str = "model.safetensors",
) -> Path:
    """Write a model's folder as far as it is read before a load."""
    name, settings = ("unet", unet or {}) if transformer is None else ("transformer", transformer)
    files = {
        "model_index.json": {"_class_name": kind, name: ["diffusers", "Any"], "vae": ["diffusers", "Any"]}
        | (index or {}),
        f"{name}/config.json": settings,
        "vae/config.json": {"block_out_channels": [64] * levels},
    }
    for path, said in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(json.dumps(said), "utf-8")
    (place / name / weights).write_bytes(b"")
    return place


def can(folder: Path, steps: int | None = None, guidance: float | None = None) -> Capabilities:
    return describe(folder).capabilities("name", steps=steps, guidance=guidance)


def test_an_xl_model_takes_everything_that_a_chapter_asks_for(tmp_path: Path) -> None:
    found = can(folder_of(tmp_path))
    assert found.models == ("name",)
    assert found.negative_prompts and found.steps and found.guidance and found.seeds and found.cancels
    assert (found.references, found.controls, found.adapters) == (0, 0, ())
    assert (found.min_side, found.max_side, found.multiple_of) == (64, 2048, 8)
    # A chapter's prompt is 300 to 500 characters long, and is read whole.
    assert found.max_prompt >= 500


@pytest.mark.parametrize(
    ("kind", "parts", "negative_prompts", "guidance", "step"),
    [
        ("FluxPipeline", {"transformer": {"guidance_embeds": True}}, False, True, 16),
        ("FluxPipeline", {"transformer": {"guidance_embeds": False}}, False, False, 16),
        ("Flux2KleinPipeline", {"transformer": {}, "index": {"is_distilled": True}}, False, False, 16),
        ("StableDiffusion3Pipeline", {"transformer": {}}, True, True, 16),
        ("StableDiffusionPipeline", {"unet": {"time_cond_proj_dim": 256}}, False, True, 8),
        ("QwenImagePipeline", {"transformer": {"guidance_embeds": False}}, True, True, 16),
        ("SomethingNewPipeline", {"transformer": {}}, False, True, 16),
        ("SanaPipeline", {"transformer": {}, "levels": 6}, True, True, 64),
    ],
)
def test_a_model_takes_what_its_class_and_its_settings_say(
    tmp_path: Path, kind: str, parts: dict[str, Any], negative_prompts: bool, guidance: bool, step: int
) -> None:
    found = can(folder_of(tmp_path, kind, **parts))
    assert (found.negative_prompts, found.guidance, found.multiple_of) == (negative_prompts, guidance, step)


def test_what_the_owner_set_is_no_order_s_to_change(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    turbo = can(folder, steps=4, guidance=0)
    assert not turbo.steps and not turbo.guidance
    # Without guidance a negative prompt has no effect; it is folded into the prompt instead.
    assert not turbo.negative_prompts
    assert can(folder, guidance=6).negative_prompts


def test_of_a_class_that_is_not_listed_its_own_call_tells_once_it_is_loaded(tmp_path: Path) -> None:
    before = describe(folder_of(tmp_path, "SomethingNewPipeline", transformer={}))
    after = known_by_its_call(before, Row(tokens=512, scale="", negative_prompts=True))
    found = after.capabilities("name", steps=None, guidance=None)
    assert before.max_prompt < found.max_prompt
    assert found.negative_prompts and not found.guidance
    listed = describe(folder_of(tmp_path / "xl"))
    assert known_by_its_call(listed, Row(tokens=1)) == listed


def test_of_a_model_of_the_hub_nothing_is_promised_before_it_is_loaded() -> None:
    found = Described().capabilities("owner/name", steps=None, guidance=None)
    assert not found.negative_prompts
    assert found.max_prompt <= 77 * 4 and found.multiple_of == 16


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\nA model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: stability-community\n---\n", "stability-community"),
        ("---\ntags: [a]\n---\n", ""),
        ("---\nlicense: [\n---\n", ""),
        ("No front matter", ""),
        (None, ""),
    ],
)
def test_the_licence_is_the_model_card_s(tmp_path: Path, card: str | None, licence: str) -> None:
    folder = folder_of(tmp_path)
    if card is not None:
        (folder / "README.md").write_text(card, "utf-8")
    assert describe(folder).licence == licence


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^diffusers: there is no folder .*none; name the folder of a model"):
        check_folder(tmp_path / "none")


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match=r"has no model_index\.json"):
        check_folder(tmp_path)


@pytest.mark.parametrize("weights", ["diffusion_pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickles_are_refused_before_anything_is_loaded(tmp_path: Path, weights: str) -> None:
    with pytest.raises(BadInput, match="unet as pickles"):
        check_folder(folder_of(tmp_path, weights=weights))
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    check_folder(tmp_path)


@pytest.mark.parametrize("kind", [["pipeline", "MyPipeline"], None, 7])
def test_code_that_a_model_brings_along_is_never_run(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(BadInput, match="code of a model is never run"):
        check_folder(folder_of(tmp_path, kind))


def test_an_index_that_is_no_json_is_one_sentence(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "model_index.json").write_text("{", "utf-8")
    with pytest.raises(BadInput):
        check_folder(folder)


def test_nothing_of_torch_is_loaded_to_know_what_a_model_takes(tmp_path: Path) -> None:
    program = (
        "import sys; from limner.providers.diffusers import Diffusers; "
        "from limner.providers.diffusers.model_folder import describe; from pathlib import Path; "
        "describe(Path(sys.argv[1])).capabilities('name', steps=None, guidance=None); "
        "print([name for name in ('torch', 'diffusers', 'transformers', 'huggingface_hub') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(folder_of(tmp_path))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
