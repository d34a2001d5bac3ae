"""Models of a few megabytes with weights by chance, saved as diffusers saves them: real pipelines that draw noise.

Every part that a new model begins with at zero is filled, so that words, guidance and steps make a difference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)
from transformers.utils import logging as transformers_logging

# Threads that wait for each other in a spin take seconds for what takes milliseconds, where others want the cores too.
torch.set_num_threads(1)
transformers_logging.disable_progress_bar()

CARD = "---\nlicense: apache-2.0\ntags: [tiny]\n---\n# A tiny model\n"


def save_xl(folder: Path, *, wide: bool = False) -> Path:
    """Save a small sibling of SDXL: two text encoders, cross attention, a VAE of one halving.

    wide: of three halvings, so that a picture of a megapixel takes a second.
    """
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    pipeline = StableDiffusionXLPipeline(
        unet=unet,
        vae=_vae([8, 8, 16, 16], groups=8) if wide else _vae([32, 64]),
        scheduler=_scheduler(),
        text_encoder=CLIPTextModel(_text()),
        text_encoder_2=CLIPTextModelWithProjection(_text()),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        add_watermarker=False,
    )
    return _saved(pipeline, folder)


def save_checked(folder: Path) -> Path:
    """Save a small sibling of SD 1.5 whose safety checker finds every picture unsafe."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
    )
    small = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 1}
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(text_config=small, vision_config=small | {"image_size": 30, "patch_size": 10}, projection_dim=16)
    )
    pipeline = StableDiffusionPipeline(
        unet=unet,
        vae=_vae([32, 64]),
        scheduler=_scheduler(),
        text_encoder=CLIPTextModel(_text()),
        tokenizer=tokenizer(),
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30}),
    )
    _fill(checker)
    # Below any likeness, so that every concept is found in every picture.
    checker.concept_embeds_weights.data.fill_(-2.0)
    checker.special_care_embeds_weights.data.fill_(-2.0)
    return _saved(pipeline, folder)


def _saved(pipeline: Any, folder: Path) -> Path:
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            _fill(part)
    pipeline.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").write_text(CARD, "utf-8")
    return folder


def _fill(part: torch.nn.Module) -> None:
    for name, weights in part.named_parameters():
        if not weights.data.any():
            weights.data.normal_(0, 0.1)
        # Untrained, a model hardly listens to its words.
        if "attn2" in name:
            weights.data.mul_(4)


def _vae(channels: list[int], groups: int = 32) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=channels,
        norm_num_groups=groups,
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels),
        latent_channels=4,
    )


def _scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        steps_offset=1,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
    )


def _text() -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=3,
        hidden_act="gelu",
        projection_dim=32,
        vocab_size=514,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def tokenizer() -> CLIPTokenizer:
    """Return CLIP's tokenizer with a word for each byte and none longer: a token is a letter."""
    letters = _letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=77)


def _letters() -> list[str]:
    """Return a letter for each of the 256 bytes, as byte-level tokenizers write them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(other))]


class Forwards:
    """What passes the model's UNet: pictures per step. at_each is called before it."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.at_each: Any = lambda _rows: None


@contextmanager
def watched() -> Iterator[Forwards]:
    """Watch every UNet of this process from within torch."""
    forwards = Forwards()

    def look(module: Any, args: Sequence[Any]) -> None:
        if isinstance(module, UNet2DConditionModel):
            # Each picture passes twice: with its words, and without.
            rows = args[0].shape[0] // 2
            forwards.rows.append(rows)
            forwards.at_each(rows)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield forwards
    finally:
        hook.remove()
