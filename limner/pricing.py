"""What pictures cost before they are asked for: each provider's own estimate of the order as it can take it.

Pure: providers and orders in, dollars out. Knows nothing of budgets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from limner.fitting import why_not, without_words
from limner.jobs import Order
from limner.providers.seam import Provider, model_for


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a provider would take for the pictures that it can make. why_not: of the first that it cannot."""

    pictures: int
    usd: float
    why_not: str = ""


def estimate_usd(provider: Provider, order: Order, model: str | None) -> float:
    """Return what one call costs at most, as far as the provider's price table knows."""
    chosen = model_for(provider, order, model)
    return provider.estimate_usd(without_words(order, provider.capabilities(chosen)), chosen)


def price_usd(chain: Sequence[Provider], order: Order, model: str | None) -> float:
    """Return what an order costs at the first provider of the chain that can honour it; nothing where none can."""
    able = (one for one in chain if why_not(one, order, model) is None)
    return next((estimate_usd(one, order, model) for one in able), 0.0)


def by_provider(
    providers: Mapping[str, Provider], orders: Iterable[Order], model: str | None = None
) -> dict[str, Estimate]:
    """Return what each provider would take if it alone made all that it can of the orders."""
    asked = list(orders)
    return {name: _by_one(provider, asked, model) for name, provider in providers.items()}


def _by_one(provider: Provider, orders: Sequence[Order], model: str | None) -> Estimate:
    reasons = [why_not(provider, order, model) for order in orders]
    able = [order for order, reason in zip(orders, reasons, strict=True) if reason is None]
    usd = sum(estimate_usd(provider, order, model) for order in able)
    return Estimate(len(able), round(usd, 6), next(filter(None, reasons), ""))
