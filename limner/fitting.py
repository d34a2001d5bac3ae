"""What an order becomes for one provider: fitted to what it can do, or not at all, with the reason.

Pure: capabilities and an order in, values out. Only what the order declares as droppable is dropped, and each thing
that is dropped or changed is named, for the record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from limner.jobs import Order
from limner.planners.prompts import fit_prompt, fold_negative
from limner.providers.seam import Capabilities, Provider, model_for


@dataclass(frozen=True, slots=True)
class Fitted:
    """An order as one provider can honour it, the words it is sent, and what was dropped or changed for that."""

    order: Order
    prompt: str
    negative_prompt: str
    dropped: tuple[str, ...]


def why_not(provider: Provider, order: Order, model: str | None = None) -> str | None:
    """Say why a provider cannot honour an order with a model (None: with one of its choice), or None when it can."""
    chosen = model_for(provider, order, model)
    return fault_of(order, provider.capabilities(chosen), model)


def no_such_model(providers: Mapping[str, Provider], model: str | None) -> str | None:
    """Say that none of these providers has a model, and which they have; None where one has it, or takes any."""
    known = {name: one.capabilities(model).models for name, one in providers.items()}
    if not model or not known or any(not models or model in models for models in known.values()):
        return None
    listed = "; ".join(f"{name} has {', '.join(models)}" for name, models in known.items())
    return f"There is no model {model!r} to be had: {listed}. Name one of these, or another provider."


def fault_of(order: Order, can: Capabilities, model: str | None = None) -> str | None:
    """Say what of an order is beyond these capabilities, or None."""
    faults = {
        f"it has no model {model}": bool(model and can.models) and model not in can.models,
        _size_fault(order, can): _nearest_size(order, can) is None,
        f"it takes {can.references} references, not {len(order.references)}": (
            len(order.references) > can.references and "references" not in order.droppable
        ),
        f"it takes {can.controls} control images, not {len(order.controls)}": (
            len(order.controls) > can.controls and "controls" not in order.droppable
        ),
        f"it loads no {_unknown_adapters(order, can)}": (
            bool(_unknown_adapters(order, can)) and "adapters" not in order.droppable
        ),
        "it takes no seed": not can.seeds and "seed" not in order.droppable,
        "it takes no number of steps": not can.steps and "steps" not in order.droppable,
        "it takes no guidance scale": not can.guidance and "guidance" not in order.droppable,
    }
    return next((reason for reason, holds in faults.items() if holds), None)


def fit(order: Order, can: Capabilities, protected: str = "") -> Fitted:
    """Return the order as a provider takes it that `fault_of` had nothing against.

    protected: words of the prompt that stay whole when it has to be cut to the provider's length.
    """
    fitted = without_words(order, can)
    width, height = fitted.width, fitted.height
    words = order.prompt if can.negative_prompts else fold_negative(order.prompt, order.negative_prompt)
    prompt = fit_prompt(words, protected, can.max_prompt)
    said = {
        f"size: {width}x{height} for {order.width}x{order.height}": (width, height) != (order.width, order.height),
        "references": len(fitted.references) < len(order.references),
        "controls": len(fitted.controls) < len(order.controls),
        "adapters": len(fitted.adapters) < len(order.adapters),
        "seed": not can.seeds,
        "steps": not can.steps,
        "guidance": not can.guidance,
        "negative prompt folded into the prompt": bool(order.negative_prompt) and not can.negative_prompts,
        "end of the prompt": prompt != words,
    }
    dropped = tuple(what for what, holds in said.items() if holds)
    return Fitted(fitted, prompt, order.negative_prompt if can.negative_prompts else "", dropped)


def without_words(order: Order, can: Capabilities) -> Order:
    """Return the order as a provider takes it, but for its words: these may be too long for it."""
    width, height = _nearest_size(order, can) or (order.width, order.height)
    return replace(
        order,
        width=width,
        height=height,
        references=order.references[: can.references],
        controls=order.controls[: can.controls],
        adapters=tuple(one for one in order.adapters if one.kind in can.adapters),
    )


def _unknown_adapters(order: Order, can: Capabilities) -> str:
    return ", ".join(dict.fromkeys(one.kind for one in order.adapters if one.kind not in can.adapters))


def _size_fault(order: Order, can: Capabilities) -> str:
    asked = f"not {order.width}x{order.height}"
    if can.sizes:
        return f"it makes {', '.join(f'{width}x{height}' for width, height in can.sizes)}, {asked}"
    if can.multiple_of > 1:
        return f"it makes sides of {can.min_side} to {can.max_side} px in steps of {can.multiple_of}, {asked}"
    return f"it makes sides of {can.min_side} to {can.max_side} px, {asked}"


def _nearest_size(order: Order, can: Capabilities) -> tuple[int, int] | None:
    """Return the asked size where the provider makes it, else the nearest it makes where the size is droppable."""
    asked = (order.width, order.height)
    if _makes(can, *asked):
        return asked
    if "size" not in order.droppable:
        return None
    ratio = order.width / order.height
    # The shape counts before the size: a picture can be scaled, a wrong shape cannot be mended.
    near = [size for size in can.sizes or _scaled(order, can) if can.sizes or _makes(can, *size)]
    return min(
        near, key=lambda size: (round(_times(size[0] / size[1], ratio), 2), abs(size[0] - asked[0])), default=None
    )


def _makes(can: Capabilities, width: int, height: int) -> bool:
    if can.sizes:
        return (width, height) in can.sizes
    return (
        can.min_side <= min(width, height)
        and max(width, height) <= can.max_side
        and can.min_pixels <= width * height <= can.max_pixels
        and max(width, height) <= can.max_ratio * min(width, height)
        and width % can.multiple_of == height % can.multiple_of == 0
    )


def _scaled(order: Order, can: Capabilities) -> list[tuple[int, int]]:
    """Return the sizes a provider may make that have nearly the order's shape."""
    step = can.multiple_of
    widths = range(-(-can.min_side // step) * step, can.max_side + 1, step if step > 1 else 8)
    ratio = order.width / order.height
    return [(width, max(step, round(width / ratio / step) * step)) for width in widths]


def _times(one: float, other: float) -> float:
    return max(one, other) / min(one, other)
