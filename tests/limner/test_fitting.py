"""What an order becomes for a provider: fitted with every drop named, or not at all with the reason."""

from dataclasses import replace

import pytest

from limner.fitting import fault_of, fit
from limner.jobs import Adapter, Order, Reference
from limner.providers.seam import Capabilities

ALL = Capabilities(references=4, controls=4, adapters=("lora",))
ORDER = Order(
    kind="chapter",
    prompt="a castle, at night",
    negative_prompt="fog",
    width=1024,
    height=768,
    references=(Reference("a" * 64), Reference("b" * 64)),
    controls=(Reference("c" * 64, "canny"),),
    adapters=(Adapter("lora", "anna.safetensors"),),
)

# What a provider lacks, the reason, the field that may be droppable, and how its drop is named.
LACKS = [
    ({"references": 1}, "it takes 1 references, not 2", "references", "references"),
    ({"controls": 0}, "it takes 0 control images, not 1", "controls", "controls"),
    ({"adapters": ()}, "it loads no lora", "adapters", "adapters"),
    ({"seeds": False}, "it takes no seed", "seed", "seed"),
    ({"steps": False}, "it takes no number of steps", "steps", "steps"),
    ({"guidance": False}, "it takes no guidance scale", "guidance", "guidance"),
    ({"max_side": 512}, "it makes sides of 64 to 512 px, not 1024x768", "size", "size: 512x384 for 1024x768"),
    ({"sizes": ((1024, 1024),)}, "it makes 1024x1024, not 1024x768", "size", "size: 1024x1024 for 1024x768"),
]


@pytest.mark.parametrize(("lacks", "reason", "field", "drop"), LACKS, ids=[one[1] for one in LACKS])
def test_what_a_provider_lacks_is_a_reason_or_a_named_drop(
    lacks: dict[str, object], reason: str, field: str, drop: str
) -> None:
    can = replace(ALL, **lacks)  # type: ignore[arg-type]
    assert fault_of(ORDER, can) == reason
    droppable = replace(ORDER, droppable=(field,))
    assert fault_of(droppable, can) is None
    assert fit(droppable, can).dropped == (drop,)


def test_what_it_can_do_is_left_as_it_is() -> None:
    assert fault_of(ORDER, ALL) is None
    fitted = fit(ORDER, ALL)
    assert (fitted.order, fitted.prompt, fitted.negative_prompt) == (ORDER, ORDER.prompt, "fog")
    assert fitted.dropped == ()


def test_a_dropped_reference_leaves_the_first_and_the_order_itself_stays() -> None:
    fitted = fit(replace(ORDER, droppable=("references",)), replace(ALL, references=1))
    assert fitted.order.references == ORDER.references[:1]


def test_a_negative_prompt_is_folded_where_there_is_none_and_that_is_named() -> None:
    fitted = fit(ORDER, replace(ALL, negative_prompts=False))
    assert (fitted.prompt, fitted.negative_prompt) == ("a castle, at night, avoiding: fog", "")
    assert fitted.dropped == ("negative prompt folded into the prompt",)


def test_a_cut_prompt_is_named_and_its_own_words_stay() -> None:
    fitted = fit(replace(ORDER, prompt="a castle, one, two, three"), replace(ALL, max_prompt=14), "a castle")
    assert (fitted.prompt, fitted.dropped) == ("a castle, one", ("end of the prompt",))


def test_a_model_that_a_provider_does_not_have_is_a_reason_and_an_open_list_takes_any() -> None:
    assert fault_of(ORDER, replace(ALL, models=("flux",)), "sdxl") == "it has no model sdxl"
    assert fault_of(ORDER, replace(ALL, models=("flux",)), "flux") is None
    assert fault_of(ORDER, ALL, "sdxl") is None


@pytest.mark.parametrize(
    ("asked", "can", "nearest"),
    [
        ((1024, 768), {"multiple_of": 48}, (960, 720)),
        ((1280, 768), {"sizes": ((1024, 1024), (1536, 1024), (1024, 1536))}, (1536, 1024)),
        ((512, 512), {"min_pixels": 655_360, "multiple_of": 16}, (816, 816)),
        ((2048, 512), {"max_ratio": 3.0, "multiple_of": 16}, None),
    ],
)
def test_the_nearest_size_keeps_the_shape_before_the_size(
    asked: tuple[int, int], can: dict[str, object], nearest: tuple[int, int] | None
) -> None:
    order = replace(ORDER, width=asked[0], height=asked[1], droppable=("size",))
    able = replace(ALL, **can)  # type: ignore[arg-type]
    if nearest is None:
        assert "not 2048x512" in (fault_of(order, able) or "")
        return
    fitted = fit(order, able).order
    assert (fitted.width, fitted.height) == nearest
