import pytest

from limner.errors import BadInput
from limner.tiers import load_tiers, tier


def test_local_is_unlimited() -> None:
    assert (tier("local").pictures_a_month, tier("local").budget_usd_a_month) == (None, None)


def test_every_other_tier_is_limited_and_a_dearer_one_allows_more() -> None:
    pictures = [tier(name).pictures_a_month for name in ("free", "premium", "ultimate")]
    budgets = [tier(name).budget_usd_a_month for name in ("free", "premium", "ultimate")]
    assert all(pictures)
    assert pictures == sorted(pictures, key=lambda number: number or 0)
    assert budgets == sorted(budgets, key=lambda number: number or 0)


def test_the_chains_are_those_of_the_contract() -> None:
    assert tier("free").chain == ("pollinations", "diffusers")
    for name in ("premium", "ultimate", "local"):
        assert tier(name).chain == ("openai", "fal", "replicate", "pollinations")


def test_a_paying_owner_is_served_before_a_free_one() -> None:
    assert tier("ultimate").priority < tier("premium").priority < tier("free").priority


def test_an_unknown_tier_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="no tier 'gold'; tiers: free, premium, ultimate, local"):
        tier("gold")


def test_nobody_can_change_the_tiers() -> None:
    with pytest.raises(TypeError):
        load_tiers()["gold"] = tier("free")  # type: ignore[index]
