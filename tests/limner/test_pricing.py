"""What pictures cost before they are asked for."""

from dataclasses import dataclass

from limner.jobs import Adapter, Order
from limner.pricing import by_provider, price_usd
from limner.providers.seam import Answer, Asked, Capabilities, Limits

PLAIN = Order(kind="chapter", prompt="a castle", width=512, height=512)
LARGE = Order(kind="chapter", prompt="a castle", width=2048, height=2048)
OF_ANNA = Order(kind="chapter", prompt="anna", width=512, height=512, adapters=(Adapter("lora", "anna"),))


@dataclass
class Priced:
    """A provider with a price a megapixel, and another model for finetunes that costs a dollar."""

    name: str
    usd: float
    max_side: int = 4096
    timeout_seconds: float = 1.0
    limits = Limits()

    def model_for(self, order: Order, model: str | None = None) -> str:
        return model or ("lora" if order.adapters else "plain")

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(max_side=self.max_side, adapters=("lora",) if model == "lora" else ())

    def estimate_usd(self, order: Order, model: str | None = None) -> float:
        return 1.0 if model == "lora" else self.usd * order.width * order.height / 1024**2

    def generate(self, asked: Asked) -> Answer:
        raise NotImplementedError


def test_the_price_is_that_of_the_first_who_can() -> None:
    small, any_size = Priced("small", 0.4, max_side=1024), Priced("any", 0.8)
    assert price_usd([small, any_size], PLAIN, None) == 0.1
    assert price_usd([small, any_size], LARGE, None) == 3.2
    assert price_usd([small], LARGE, None) == 0.0, "nobody is asked"


def test_the_model_that_the_order_needs_is_the_one_that_is_priced() -> None:
    assert price_usd([Priced("one", 0.4)], OF_ANNA, None) == 1.0
    assert price_usd([Priced("one", 0.4)], OF_ANNA, "plain") == 0.0, "by name, that model loads none"


def test_each_provider_is_estimated_for_all_that_it_can_make() -> None:
    found = by_provider({"small": Priced("small", 0.4, 1024), "any": Priced("any", 0.8)}, [PLAIN, LARGE, PLAIN])
    assert (found["small"].pictures, found["small"].usd) == (2, 0.2)
    assert found["small"].why_not == "it makes sides of 64 to 1024 px, not 2048x2048"
    assert (found["any"].pictures, found["any"].usd, found["any"].why_not) == (3, 3.6, "")


def test_words_that_are_too_long_for_a_provider_do_not_stop_the_estimate_of_all_others() -> None:
    wordy = Order(kind="chapter", prompt="a castle " * 600, width=512, height=512)
    assert price_usd([Priced("one", 0.4)], wordy, None) == 0.1, "what it refuses is said of that picture alone"
    assert by_provider({"one": Priced("one", 0.4)}, [PLAIN, wordy])["one"].usd == 0.2
