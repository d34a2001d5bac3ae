"""What an order becomes for a model whose inputs are data: which of its fields goes under which name, in which range.

Knows no service, no HTTP and no model: those of a service stand in its data file. Nothing that an order asks for is
left out in silence; what a model has no input for is refused.
"""

import base64
import math
from dataclasses import replace
from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from limner.errors import Invalid
from limner.jobs import Adapter, Order
from limner.providers.seam import Asked, Capabilities

# Of decimal pixels: what is rounded up is then never too little.
MEGAPIXEL = 1_000_000

Inputs = dict[str, JsonValue]

_MEDIA_TYPES = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


class Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Data):
    """An input for one of an order's numbers, and its range there."""

    input: str
    least: float
    most: float


class Shape(Data):
    """One of the only sizes that a model makes, and how it is asked for."""

    width: int
    height: int
    inputs: Inputs


class Sides(Data):
    """A size in pixels. inside: the input that holds `width` and `height`; empty where they stand among the others."""

    least: int
    most: int
    multiple_of: int = 1
    max_pixels: int
    inside: str = ""


class Loading(Data):
    """How finetunes of one kind are loaded. of, weight: inputs. listed_under: of any number; empty takes one only."""

    of: str
    weight: str
    least: float
    most: float
    listed_under: str = ""


class Price(Data):
    """What a model costs, as published. seconds, seconds_a_step: at most, where seconds are what is paid for."""

    usd: float = Field(ge=0)
    per: Literal["picture", "megapixel", "second"]
    seconds: float = Field(default=0.0, ge=0)
    seconds_a_step: float = Field(default=0.0, ge=0)
    as_of: date
    source: str

    @model_validator(mode="after")
    def _knows_its_seconds(self) -> Self:
        if (self.per == "second") != (self.seconds + self.seconds_a_step > 0):
            raise ValueError("seconds go with a price per second, and with no other")
        return self

    def estimate_usd(self, order: Order) -> float:
        """Return what one picture costs at most; megapixels are rounded up, as services bill them."""
        megapixels = -(-order.width * order.height // MEGAPIXEL)
        seconds = self.seconds + self.seconds_a_step * order.steps
        return self.usd * {"picture": 1, "megapixel": megapixels, "second": seconds}[self.per]

    def of_units(self, units: object) -> float | None:
        """Return what so many pictures, megapixels or seconds cost; None for what is no such number."""
        try:
            number = float(str(units)) if isinstance(units, (str, int, float)) else math.nan
        except ValueError:
            return None
        return self.usd * number if math.isfinite(number) and number >= 0 else None


class Model(Data):
    """What one model takes, under which names, and what it costs.

    The inputs are named by what goes into them; empty or missing where the model has none. fixed: sent as they are.
    with_reference: sent beside a reference. needs_adapter: whether it draws nothing without one.
    """

    prompt: str = "prompt"
    max_prompt: int
    negative_prompt: str = ""
    seed: str = "seed"
    steps: Number | None = None
    guidance: Number | None = None
    shapes: tuple[Shape, ...] = ()
    sides: Sides | None = None
    reference: str = ""
    with_reference: Inputs = {}
    adapters: dict[str, Loading] = {}
    needs_adapter: bool = False
    fixed: Inputs = {}
    price: Price
    licence: str

    @model_validator(mode="after")
    def _has_one_way_to_a_size(self) -> Self:
        if bool(self.shapes) == bool(self.sides):
            raise ValueError("a model has either shapes or sides")
        return self

    def capabilities(self) -> Capabilities:
        can = Capabilities(
            seeds=bool(self.seed),
            negative_prompts=bool(self.negative_prompt),
            steps=self.steps is not None,
            guidance=self.guidance is not None,
            references=1 if self.reference else 0,
            adapters=tuple(self.adapters),
            max_prompt=self.max_prompt,
            licence=self.licence,
        )
        if self.sides is None:
            return replace(can, sizes=tuple((one.width, one.height) for one in self.shapes))
        return replace(
            can,
            min_side=self.sides.least,
            max_side=self.sides.most,
            max_pixels=self.sides.max_pixels,
            multiple_of=self.sides.multiple_of,
        )


def inputs_for(name: str, model: Model, asked: Asked, max_inline_bytes: int) -> Inputs:
    """Return what a model is sent for an order; raises Invalid for what it has no input for.

    name: of the provider, for the sentence. max_inline_bytes: how large a reference may be inside the request.
    """
    _refuse_what_would_be_lost(name, model, asked)
    inputs: Inputs = {**model.fixed, model.prompt: asked.prompt, **_size(name, model, asked.order)}
    if model.seed:
        inputs[model.seed] = asked.seed
    if asked.negative_prompt:
        inputs[model.negative_prompt] = asked.negative_prompt
    if model.steps is not None:
        inputs[model.steps.input] = _within(name, "steps", asked.order.steps, model.steps)
    if model.guidance is not None:
        inputs[model.guidance.input] = _within(name, "guidance", asked.order.guidance, model.guidance)
    if asked.order.references:
        inputs |= {**model.with_reference, model.reference: _inline(name, asked, max_inline_bytes)}
    return inputs | _adapters(name, model, asked.order)


def _refuse_what_would_be_lost(name: str, model: Model, asked: Asked) -> None:
    order = asked.order
    kinds = [one.kind for one in order.adapters]
    lost = {
        "control images": bool(order.controls),
        "reference": bool(order.references) and not model.reference,
        "more than one reference": len(order.references) > 1,
        "negative prompt": bool(asked.negative_prompt) and not model.negative_prompt,
        " and ".join(dict.fromkeys(kinds)): not set(kinds) <= set(model.adapters),
        "more than one finetune": any(
            kinds.count(kind) > 1 and not loading.listed_under for kind, loading in model.adapters.items()
        ),
    }
    if what := next((what for what, is_lost in lost.items() if is_lost), None):
        raise Invalid(f"{name}: this model takes no {what}; name another model or provider.")
    if model.needs_adapter and not kinds:
        raise Invalid(f"{name}: this model draws only with {' or '.join(model.adapters)}; name another model.")


def _size(name: str, model: Model, order: Order) -> Inputs:
    if model.sides is None:
        made = {(one.width, one.height): one.inputs for one in model.shapes}
        if (order.width, order.height) not in made:
            raise Invalid(f"{name}: this model makes no {order.width}x{order.height}; name another size or model.")
        return made[order.width, order.height]
    size: Inputs = {"width": order.width, "height": order.height}
    return {model.sides.inside: size} if model.sides.inside else size


def _within(name: str, what: str, value: float, number: Number) -> float:
    if not number.least <= value <= number.most:
        raise Invalid(f"{name}: this model takes {number.least:g} to {number.most:g} for {what}, not {value:g}.")
    return value


def _inline(name: str, asked: Asked, max_bytes: int) -> str:
    """Return the reference as a `data:` address, which no service has to fetch from us."""
    data = asked.references.get(asked.order.references[0].of, b"")
    media_type = next((kind for beginning, kind in _MEDIA_TYPES if data.startswith(beginning)), None)
    if media_type is None:
        raise Invalid(f"{name}: the reference is no PNG, JPEG or WebP; give another.")
    if len(data) > max_bytes:
        raise Invalid(f"{name}: the reference has {len(data):,} bytes and it takes {max_bytes:,}; give a smaller one.")
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _adapters(name: str, model: Model, order: Order) -> Inputs:
    inputs: Inputs = {}
    for kind, loading in model.adapters.items():
        loaded = [_loaded(name, loading, one) for one in order.adapters if one.kind == kind]
        if loading.listed_under:
            inputs |= {loading.listed_under: [*loaded]} if loaded else {}
        else:
            inputs |= loaded[0] if loaded else {}
    return inputs


def _loaded(name: str, loading: Loading, one: Adapter) -> Inputs:
    weight = Number(input=loading.weight, least=loading.least, most=loading.most)
    return {loading.of: one.of, loading.weight: _within(name, f"the weight of a {one.kind}", one.weight, weight)}
