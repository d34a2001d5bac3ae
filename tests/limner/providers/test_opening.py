"""Which providers there are, and what turns them on."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from limner.errors import BadInput
from limner.providers.opening import KINDS, VARIABLES, Wiring, limits_of, open_provider, wirings_of
from limner.providers.seam import Limits
from limner.settings import read_settings
from limner.tiers import load_tiers


@pytest.fixture(autouse=True)
def _nothing_is_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def test_only_the_sketch_needs_nothing() -> None:
    assert list(wirings_of(read_settings())) == ["sketch"]


@pytest.mark.parametrize("kind", VARIABLES)
def test_each_is_turned_on_by_its_own_variable_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES[kind], "told")  # type: ignore[index]
    assert sorted(wirings_of(read_settings())) == sorted(["sketch", kind])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("sketch", "diffusers")])
def test_a_service_is_opened_as_it_is_wired_and_never_shows_its_key(kind: str) -> None:
    wiring = Wiring(kind, SecretStr("id:s3cret"), limits=Limits(2, 30), timeout_seconds=7)  # type: ignore[arg-type]
    provider = open_provider(wiring, 4)
    assert (provider.name, provider.limits, provider.timeout_seconds) == (kind, Limits(2, 30), 7)
    assert "s3cret" not in repr(provider) + repr(wiring)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("sketch", "diffusers")])
def test_a_service_without_its_key_says_where_it_goes(kind: str) -> None:
    with pytest.raises(BadInput, match=f"{kind} has no API key; .* set {VARIABLES[kind]}"):  # type: ignore[index]
        open_provider(Wiring(kind), 1)  # type: ignore[arg-type]


def test_zero_is_without_limit_and_nothing_told_is_the_providers_own() -> None:
    assert (limits_of(None, None), limits_of(0, None), limits_of(3, 0)) == (None, Limits(), Limits(3))


def test_the_limits_of_the_data_are_those_of_the_specification() -> None:
    told = {kind: open_provider(Wiring(kind, SecretStr("k")), 1) for kind in ("openai", "pollinations")}  # type: ignore[arg-type]
    assert told["openai"].limits.calls_a_minute == 5
    assert (told["pollinations"].limits.calls_a_minute, told["pollinations"].timeout_seconds) == (10, 120)


def test_the_chains_of_the_tiers_name_providers_that_there_are() -> None:
    assert {name for tier in load_tiers().values() for name in tier.chain} <= set(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("sketch", "diffusers")])
def test_a_key_never_goes_over_plain_http_but_to_a_server_of_ones_own(kind: str) -> None:
    plain = Wiring(kind, SecretStr("k"), base_url="http://api.example.org/v1")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="is no https address; give one, or"):
        open_provider(plain, 1)
    assert open_provider(replace(plain, allow_private=True), 1).name == kind


@pytest.mark.parametrize(
    ("address", "private", "said"),
    [
        ("nonsense", True, "fal: 'nonsense' is no http or https address"),
        ("https://limner:s3cret@api.example.org", False, "fal: an address is http://host:port/path or https, without"),
        (
            "https://10.0.0.8/v1",
            False,
            "is no address of the open Internet; give one, or, for a server of your own, set",
        ),
        ("https://[::1]:8443", False, "is no address of the open Internet; give one, or"),
        ("http://169.254.169.254", True, "is no address of the open Internet; give another"),
    ],
)
def test_an_address_that_nobody_may_be_asked_at_is_refused_before_anything_is_made(
    address: str, private: bool, said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        open_provider(Wiring("fal", SecretStr("k"), base_url=address, allow_private=private), 1)
    assert said in str(refused.value) and "s3cret" not in str(refused.value)


def test_a_name_is_looked_up_only_when_it_is_asked() -> None:
    assert open_provider(Wiring("fal", SecretStr("k"), base_url="https://nowhere.example"), 1).name == "fal"
