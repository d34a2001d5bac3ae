"""The Pollinations provider against the stand-in: each answer of the service has one meaning."""

import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from PIL import Image

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Invalid,
    OutOfCredit,
    ProviderError,
    Refused,
    Unauthorised,
    UnknownOutcome,
)
from limner.jobs import Order, Reference
from limner.providers.pollinations import Pollinations, contract
from limner.providers.seam import Answer, Asked, Limits
from tests.standins.pollinations import MODELS, Running, running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(calls=tmp_path_factory.mktemp("standin") / "calls.jsonl") as standin:
        yield standin


@pytest.fixture
def standin(service: Running) -> Iterator[Running]:
    yield service
    service.fail()
    service.be_slow(0)


@pytest.fixture
def provider(standin: Running) -> Iterator[Pollinations]:
    opened = Pollinations(standin.key, base_url=standin.url, allow_private=True, timeout_seconds=5)
    yield opened
    opened.close()


def asked(prompt: str = "a castle", seed: int = 7, **fields: Any) -> Asked:
    order = Order(kind="chapter", prompt=prompt, width=320, height=256)
    return Asked(**{"order": order, "prompt": prompt, "negative_prompt": "", "seed": seed, **fields})


def failing(provider: Pollinations, standin: Running, what: str, **more: Any) -> ProviderError:
    """Return the error that a fault becomes."""
    standin.fail({"what": what, **more})
    with pytest.raises(ProviderError) as caught:
        provider.generate(asked())
    return caught.value


def test_a_picture_of_the_asked_size_comes_back(provider: Pollinations) -> None:
    answer = provider.generate(asked())
    assert Image.open(io.BytesIO(answer.data)).size == (320, 256)
    assert len(answer.data) > 10_000
    assert (answer.model, answer.cost_usd) == ("flux", None)
    assert answer.provider_id is not None


def test_the_service_is_told_prompt_seed_size_and_model_whatever_the_letters(
    provider: Pollinations, standin: Running
) -> None:
    prompt = "Вій, 100% / half? #1 & ../.. =+ “виш” 🏰"
    provider.generate(asked(prompt, seed=2**31 - 1, model="zimage"))
    # One segment of the address, whatever slashes the prompt has.
    assert standin.events("start")[-1]["target"].split("?")[0].count("/") == 2
    read = standin.events("read")[-1]
    assert (read["prompt"], read["seed"], read["model"]) == (prompt, 2**31 - 1, "zimage")
    assert (read["width"], read["height"], read["enhance"]) == (320, 256, False)


def test_the_prompt_is_enhanced_only_when_asked(standin: Running) -> None:
    enhancing = Pollinations(standin.key, base_url=standin.url, allow_private=True, enhance=True)
    enhancing.generate(asked())
    enhancing.close()
    assert standin.events("read")[-1]["enhance"] is True


def test_the_longest_prompt_that_is_promised_goes_through(provider: Pollinations, standin: Running) -> None:
    prompt = "щ" * provider.capabilities().max_prompt
    provider.generate(asked(prompt))
    assert standin.events("read")[-1]["prompt"] == prompt


def test_another_prompt_or_seed_gives_other_bytes_and_the_same_gives_the_same(provider: Pollinations) -> None:
    one, again, seed, prompt = (
        provider.generate(order).data for order in (asked(), asked(), asked(seed=8), asked("a village"))
    )
    assert one == again
    assert len({one, seed, prompt}) == 3


@pytest.mark.parametrize(
    ("what", "more", "error"),
    [
        ("500", {}, Broken),
        ("503", {}, Busy),
        ("429", {}, Busy),
        ("402", {}, OutOfCredit),
        ("401", {}, Unauthorised),
        ("403", {}, Unauthorised),
        ("404", {}, Invalid),
        ("422", {}, Invalid),
        ("530", {}, Broken),
        ("524", {}, UnknownOutcome),
        ("302", {}, Broken),
        ("safety", {}, Refused),
        ("policy", {}, Refused),
        ("vendor", {"upstream": 429}, Busy),
        ("vendor", {"upstream": 401}, Unauthorised),
        ("vendor", {"upstream": 404}, Invalid),
        ("vendor", {"upstream": 500}, Broken),
        ("vendor", {"upstream": 200}, Broken),
        ("vendor", {"upstream": "teapot"}, Broken),
        ("truncated", {}, UnknownOutcome),
        ("reset", {}, UnknownOutcome),
        ("hang up", {}, UnknownOutcome),
    ],
)
def test_each_answer_has_one_meaning(
    provider: Pollinations, standin: Running, what: str, more: dict[str, Any], error: type[ProviderError]
) -> None:
    said = failing(provider, standin, what, **more)
    assert type(said) is error
    assert str(said).startswith("pollinations: ")
    standin.fail()
    assert provider.generate(asked()).data


def test_a_call_is_never_repeated_here(provider: Pollinations, standin: Running) -> None:
    before = standin.counts()["calls"]
    for what in ("500", "503", "429", "hang up", "reset"):
        failing(provider, standin, what)
    assert standin.counts()["calls"] - before == 5


def test_a_throttle_says_for_how_long(provider: Pollinations, standin: Running) -> None:
    said = failing(provider, standin, "429", retry_after="17")
    assert isinstance(said, Busy)
    assert said.retry_after_seconds == 17
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    said = failing(provider, standin, "503", retry_after=in_a_minute)
    assert isinstance(said, Busy)
    assert said.retry_after_seconds == pytest.approx(60, abs=3)


@pytest.mark.parametrize("given", [None, "soon", "-5", "nan"])
def test_a_throttle_that_says_nothing_sensible_leaves_the_wait_to_the_chain(
    provider: Pollinations, standin: Running, given: str | None
) -> None:
    said = failing(provider, standin, "429", retry_after=given)
    assert isinstance(said, Busy)
    assert said.retry_after_seconds is None


def test_a_refusal_carries_the_services_categories(provider: Pollinations, standin: Running) -> None:
    safety, policy = (failing(provider, standin, what) for what in ("safety", "policy"))
    assert isinstance(safety, Refused)
    assert isinstance(policy, Refused)
    assert (safety.categories, policy.categories) == (("violence",), ("content_policy_violation",))


def test_a_wrong_parameter_is_invalid(provider: Pollinations) -> None:
    with pytest.raises(Invalid, match="cannot take this order"):
        provider.generate(asked(model="no-such-model"))


@pytest.mark.parametrize("what", ["html", "json", "short", "plain"])
def test_what_is_no_whole_picture_is_handed_on_for_others_to_judge(
    provider: Pollinations, standin: Running, what: str
) -> None:
    standin.fail({"what": what})
    assert isinstance(provider.generate(asked()), Answer)


def test_a_huge_answer_is_left_when_the_cap_is_reached(standin: Running) -> None:
    provider = Pollinations(standin.key, base_url=standin.url, allow_private=True, max_bytes=1_000_000)
    said = failing(provider, standin, "huge")
    provider.close()
    assert isinstance(said, Broken)
    assert "more than 1,000,000 bytes" in str(said)


@pytest.mark.parametrize("what", ["slow", "stall"])
def test_no_call_takes_longer_than_its_time(standin: Running, what: str) -> None:
    provider = Pollinations(standin.key, base_url=standin.url, allow_private=True, timeout_seconds=0.4)
    standin.fail({"what": what, "seconds": 30})
    started = time.monotonic()
    with pytest.raises(UnknownOutcome):
        provider.generate(asked(f"a {what} castle"))
    provider.close()
    assert time.monotonic() - started < 2


def test_a_second_identical_request_joins_the_first(standin: Running) -> None:
    hasty = Pollinations(standin.key, base_url=standin.url, allow_private=True, timeout_seconds=0.2)
    patient = Pollinations(standin.key, base_url=standin.url, allow_private=True)
    standin.be_slow(0.6)
    before = standin.counts()["generations"]
    with pytest.raises(UnknownOutcome):
        hasty.generate(asked("a joined castle"))
    patient.generate(asked("a joined castle"))
    for one in (hasty, patient):
        one.close()
    assert standin.counts()["generations"] - before == 1


def test_a_service_that_is_not_there_is_broken_before_acceptance() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        provider = Pollinations("sk_x", base_url=f"http://127.0.0.1:{held.getsockname()[1]}", allow_private=True)
        with pytest.raises(Broken, match="cannot be reached"):
            provider.generate(asked())
    provider.close()


def test_a_wrong_key_is_unauthorised_and_a_missing_one_never_leaves_the_house(standin: Running) -> None:
    wrong, missing = (Pollinations(key, base_url=standin.url, allow_private=True) for key in ("sk_wrong", ""))
    with pytest.raises(Unauthorised, match="not accepted"):
        wrong.generate(asked())
    before = standin.counts()["calls"]
    with pytest.raises(Unauthorised, match="no API key; set POLLINATIONS_API_KEY"):
        missing.generate(asked())
    wrong.close()
    assert standin.counts()["calls"] == before


def test_the_key_is_in_no_address_no_error_no_log_and_no_repr(
    standin: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = Pollinations(standin.key, base_url=standin.url, allow_private=True)
    said = failing(provider, standin, "echo")
    provider.close()
    assert "The key Bearer *** may not use this model." in str(said)
    for place in (repr(provider), repr(said), caplog.text, standin.events("start")[-1]["target"]):
        assert standin.key not in place


@pytest.mark.parametrize("key", ["sk_two words", "sk_line\n", "sk_ключ"])
def test_a_key_that_no_header_takes_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(BadInput, match="set POLLINATIONS_API_KEY anew") as caught:
        Pollinations(key)
    assert key.strip() not in str(caught.value)


def test_nothing_is_quietly_left_out(provider: Pollinations, standin: Running) -> None:
    before = standin.counts()["calls"]
    with pytest.raises(Invalid, match="fold it into the prompt"):
        provider.generate(asked(negative_prompt="blurry"))
    with pytest.raises(Invalid, match="no references"):
        provider.generate(asked(references={"a" * 64: b"bytes"}))
    with pytest.raises(Invalid, match="no references or control images"):
        order = Order(kind="car", prompt="a car", controls=(Reference("a" * 64, "depth"),))
        provider.generate(asked(order=order))
    assert standin.counts()["calls"] == before


def test_calls_at_once_share_the_pool() -> None:
    pictures: list[bytes] = []
    with running(latency=0.2) as standin:
        provider = Pollinations(standin.key, base_url=standin.url, allow_private=True, connections=8)
        threads = [
            threading.Thread(target=lambda n=n: pictures.append(provider.generate(asked(f"crowd {n}")).data))
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        provider.close()
        counts = standin.counts()
    assert [counts[what] for what in ("calls", "generations", "failed", "most_at_once")] == [16, 16, 0, 8]
    assert len(set(pictures)) == 16


def test_it_opens_again_after_it_was_closed(provider: Pollinations) -> None:
    provider.generate(asked())
    provider.close()
    provider.close()
    assert provider.generate(asked()).data


def test_its_data_says_what_it_can(provider: Pollinations) -> None:
    told = provider.capabilities()
    assert (told.models, set(contract().models)) == ((), set(MODELS)), "the service has more than the list"
    assert (told.references, told.negative_prompts, told.seeds) == (0, False, True)
    assert (provider.timeout_seconds, contract().timeout_seconds) == (5, 120)


def test_its_limit_is_the_datas_unless_another_or_none_is_told() -> None:
    told = [Pollinations("sk_x", limits=limits).limits for limits in (None, Limits(), Limits(calls_a_minute=60))]
    assert [one.calls_a_minute for one in told] == [contract().calls_a_minute, None, 60]


def test_a_picture_is_priced_by_its_model_and_an_account_may_say_otherwise() -> None:
    prices = contract().prices
    assert set(prices.models) == set(contract().models) and prices.others >= max(prices.models.values())
    order = asked().order
    assert Pollinations("sk").estimate_usd(order) == prices.models["flux"] > 0
    assert Pollinations("sk").estimate_usd(order, "of-tomorrow") == prices.others
    assert Pollinations("sk", price_usd=0.0).estimate_usd(order) == 0.0
