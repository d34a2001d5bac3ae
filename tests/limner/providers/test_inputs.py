"""Models as data: a file that says nonsense is refused, and a bill that does is not believed."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from limner.jobs import Order
from limner.providers.inputs import Model, Price

PRICE: dict[str, Any] = {"usd": 0.05, "per": "picture", "as_of": "2026-11-20", "source": "https://example.com"}
SIDES: dict[str, Any] = {"least": 64, "most": 2048, "max_pixels": 2048 * 2048}
SHAPE: dict[str, Any] = {"width": 1024, "height": 768, "inputs": {"aspect_ratio": "4:3"}}


def model(**fields: Any) -> Model:
    return Model.model_validate({"max_prompt": 500, "price": PRICE, "licence": "MIT", **fields})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "either shapes or sides"),
        ({"shapes": [SHAPE], "sides": SIDES}, "either shapes or sides"),
        ({"sides": SIDES, "promt": "text"}, "promt"),
        ({"sides": SIDES, "price": {**PRICE, "per": "second"}}, "seconds go with a price per second"),
        ({"sides": SIDES, "price": {**PRICE, "seconds": 3}}, "seconds go with a price per second"),
        ({"sides": SIDES, "price": {**PRICE, "usd": -1}}, "usd"),
        ({"sides": SIDES, "price": {"usd": 1, "per": "picture", "source": "hearsay"}}, "as_of"),
    ],
)
def test_a_model_that_cannot_be_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        model(**fields)


def test_what_a_model_has_no_input_for_is_no_capability() -> None:
    can = model(shapes=[SHAPE], seed="").capabilities()
    assert (can.seeds, can.negative_prompts, can.steps, can.guidance) == (False, False, False, False)
    assert (can.references, can.controls, can.adapters, can.sizes) == (0, 0, (), ((1024, 768),))
    free = model(sides=SIDES, steps={"input": "steps", "least": 1, "most": 9}).capabilities()
    assert (free.seeds, free.steps, free.sizes, free.max_side) == (True, True, (), 2048)


@pytest.mark.parametrize(
    ("price", "usd"),
    [
        (PRICE, 0.05),
        ({**PRICE, "per": "megapixel"}, 0.10),
        ({**PRICE, "per": "second", "seconds": 2, "seconds_a_step": 0.1}, 0.25),
    ],
)
def test_a_picture_costs_by_itself_by_its_pixels_or_by_its_time(price: dict[str, Any], usd: float) -> None:
    order = Order("chapter", "a castle", width=1024, height=1024, steps=30)
    assert Price.model_validate(price).estimate_usd(order) == pytest.approx(usd)


@pytest.mark.parametrize("units", [None, "", "many", "nan", "inf", -1, math.nan, [1], {}, b"1"])
def test_units_that_are_no_number_cost_nothing_that_is_known(units: object) -> None:
    assert Price.model_validate(PRICE).of_units(units) is None


@pytest.mark.parametrize("units", [2, "2", 2.0])
def test_units_cost_their_price(units: object) -> None:
    assert Price.model_validate(PRICE).of_units(units) == pytest.approx(0.10)
