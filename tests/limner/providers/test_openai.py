"""The OpenAI provider against the stand-in: what each model is sent, what each answer means, and what it costs."""

import hashlib
import io
import itertools
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from PIL import Image

from limner.errors import (
    BadImage,
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
from limner.fitting import fault_of, fit
from limner.jobs import Adapter, Order, Reference
from limner.providers.openai import OpenAI
from limner.providers.openai.contract import contract
from limner.providers.seam import Answer, Asked, Checked, Limits
from limner.quality.verifying import verify
from tests.standins.openai import ERRORS, SPECIFIED, Running, Unfit, running
from tests.standins.openai import fit as fit_to_model
from tests.standins.pictures import base_picture

# The smallest that the newer models make.
SIZE = (1024, 640)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(calls=tmp_path_factory.mktemp("standin") / "calls.jsonl") as standin:
        yield standin


@pytest.fixture
def standin(service: Running) -> Iterator[Running]:
    yield service
    service.fail()
    service.be_slow(0)


def opened(standin: Running, **options: Any) -> OpenAI:
    told = {"base_url": f"{standin.url}/v1", "allow_private": True, "timeout_seconds": 5, "output_format": "jpeg"}
    return OpenAI(options.pop("key", standin.key), **{**told, **options})


@pytest.fixture
def provider(standin: Running) -> Iterator[OpenAI]:
    one = opened(standin)
    yield one
    one.close()


def asked(prompt: str = "a castle", size: tuple[int, int] = SIZE, model: str | None = None, **fields: Any) -> Asked:
    order = Order(kind="chapter", prompt=prompt, width=size[0], height=size[1], **fields)
    return Asked(order=order, prompt=prompt, negative_prompt="", seed=7, model=model)


def asked_with(pictures: list[bytes], **more: Any) -> Asked:
    """Return an order that leans on pictures."""
    hashes = [hashlib.sha256(one).hexdigest() for one in pictures]
    told = asked(references=tuple(map(Reference, hashes)), **more)
    return Asked(told.order, told.prompt, "", 7, told.model, dict(zip(hashes, pictures, strict=True)))


def failing(provider: OpenAI, standin: Running, what: str, **more: Any) -> ProviderError:
    """Return the error that a fault becomes."""
    standin.fail({"what": what, **more})
    with pytest.raises(ProviderError) as caught:
        provider.generate(asked())
    return caught.value


def sent(standin: Running) -> dict[str, Any]:
    """Return the fields that the service read last."""
    return dict(standin.events("read")[-1]["fields"])


# -- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_of_the_asked_size_and_kind_comes_back(standin: Running, kind: str) -> None:
    provider = opened(standin, output_format=kind)
    answer = provider.generate(asked())
    provider.close()
    image = verify(answer.data)
    assert ((image.width, image.height), image.media_type) == (SIZE, f"image/{kind}")
    assert answer.model == contract().model
    assert answer.provider_id is not None


def test_the_service_is_told_all_that_matters_whatever_the_letters(provider: OpenAI, standin: Running) -> None:
    prompt = 'Вій, 100% / "half"? #1 & ../.. =+ “виш” 🏰\n\\'
    provider.generate(asked(prompt))
    assert standin.events("read")[-1]["path"] == "/v1/images/generations"
    assert sent(standin) == {
        "prompt": prompt,
        "model": "gpt-image-2.6-flare",
        "n": 1,
        "size": "1024x640",
        "quality": "medium",
        "output_format": "jpeg",
        "background": "opaque",
    }


def test_an_order_with_references_is_an_edit_that_carries_them_in_order(provider: OpenAI, standin: Running) -> None:
    pictures = [base_picture(64, 48, "png"), base_picture(48, 64)]
    webp = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 99, 199)).save(webp, "WEBP")
    pictures.append(webp.getvalue())
    provider.generate(asked_with(pictures, prompt="вона ж, збоку"))
    told = sent(standin)
    assert standin.events("read")[-1]["path"] == "/v1/images/edits"
    assert [one["sha256"] for one in told.pop("image")] == [hashlib.sha256(one).hexdigest() for one in pictures]
    assert told == {
        "prompt": "вона ж, збоку",
        "model": "gpt-image-2.6-flare",
        "n": 1,
        "size": "1024x640",
        "quality": "medium",
        "output_format": "jpeg",
        "background": "opaque",
    }


def test_sixteen_references_go_and_a_seventeenth_does_not(provider: OpenAI, standin: Running) -> None:
    pictures = [base_picture(32 + n, 32) for n in range(17)]
    provider.generate(asked_with(pictures[:16]))
    assert len(sent(standin)["image"]) == 16
    assert fault_of(asked_with(pictures).order, provider.capabilities()) == "it takes 16 references, not 17"
    with pytest.raises(Invalid, match="takes 16 references, not 17"):
        provider.generate(asked_with(pictures))


def test_a_reference_of_a_kind_that_the_service_does_not_take_never_leaves(provider: OpenAI, standin: Running) -> None:
    before = standin.counts()["calls"]
    with pytest.raises(Invalid, match="reference 2 is no PNG, JPEG or WebP"):
        provider.generate(asked_with([base_picture(32, 32), b"GIF89a..."]))
    assert standin.counts()["calls"] == before


def test_another_prompt_or_reference_gives_other_bytes_and_the_same_gives_the_same(provider: OpenAI) -> None:
    car, face = base_picture(64, 48), base_picture(48, 64)
    orders = (asked(), asked(), asked("a village"), asked_with([car]), asked_with([face]))
    one, again, *others = (provider.generate(order).data for order in orders)
    assert one == again
    assert len({one, *others}) == 4


@pytest.mark.parametrize(
    ("model", "with_references", "more"),
    [
        ("gpt-image-2.6-sunburst", False, {"background": "opaque", "moderation": "low"}),
        ("gpt-image-2.6-sunburst", True, {"background": "opaque"}),
        ("gpt-image-2.5-flare-2026-09-08", True, {"background": "opaque"}),
        ("gpt-image-2", False, {"background": "opaque", "moderation": "low"}),
        ("gpt-image-2-2026-04-21", True, {"background": "opaque"}),
        ("gpt-image-1.5", True, {"background": "opaque", "input_fidelity": "high"}),
        ("gpt-image-1-mini", True, {"background": "opaque"}),
        ("chatgpt-image-latest", False, {"background": "opaque", "moderation": "low"}),
    ],
)
def test_each_model_is_sent_what_it_takes(
    standin: Running, model: str, with_references: bool, more: dict[str, str]
) -> None:
    provider = opened(standin, model=model, moderation="low")
    size = (1024, 1024)
    provider.generate(asked_with([base_picture(64, 48)], size=size) if with_references else asked(size=size))
    provider.close()
    told = sent(standin)
    everyones = {"prompt", "model", "n", "size", "quality", "output_format", "image"}
    assert (told["model"], told["size"]) == (model, "1024x1024")
    assert {name: value for name, value in told.items() if name not in everyones} == more


@pytest.mark.parametrize("quality", ["auto", "low", "high", "max"])
def test_the_quality_is_the_settings_own(standin: Running, quality: str) -> None:
    provider = opened(standin, quality=quality)
    provider.generate(asked())
    provider.close()
    assert sent(standin)["quality"] == quality


def test_a_quality_that_the_asked_model_lacks_is_not_quietly_changed(standin: Running) -> None:
    provider = opened(standin, quality="max")
    before = standin.counts()["calls"]
    with pytest.raises(Invalid, match="gpt-image-2 has no quality max"):
        provider.generate(asked(model="gpt-image-2"))
    provider.close()
    assert standin.counts()["calls"] == before


def test_nothing_is_quietly_left_out(provider: OpenAI, standin: Running) -> None:
    before = standin.counts()["calls"]
    order = asked().order
    with pytest.raises(Invalid, match="fold it into the prompt"):
        provider.generate(Asked(order, order.prompt, "blurry", 7))
    with pytest.raises(Invalid, match="no control images or adapters"):
        provider.generate(asked(controls=(Reference("a" * 64, "depth"),)))
    with pytest.raises(Invalid, match="no control images or adapters"):
        provider.generate(asked(adapters=(Adapter("lora", "somewhere"),)))
    assert standin.counts()["calls"] == before


def test_letters_that_no_text_can_carry_are_refused_before_anything_is_sent(provider: OpenAI, standin: Running) -> None:
    before = standin.counts()["calls"]
    with pytest.raises(Invalid, match="cannot be sent"):
        provider.generate(asked("half a \ud800 letter"))
    assert standin.counts()["calls"] == before


def test_the_account_is_the_settings_own_whatever_the_environment_says(
    standin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-of-somebody")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://203.0.113.1/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-of-somebody")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-of-somebody")
    provider = opened(standin)
    provider.generate(asked())
    provider.close()
    assert list(standin.events("read")[-1]["headers"]) == ["user-agent"]


# -- what it can, by model --------------------------------------------------------------------------------------------


def test_its_data_says_what_it_can(provider: OpenAI) -> None:
    can = provider.capabilities()
    assert (can.seeds, can.negative_prompts, can.steps, can.guidance) == (False, False, False, False)
    assert (can.references, can.controls, can.adapters, can.cancels, can.resumes) == (16, 0, (), False, False)
    assert (can.max_prompt, can.multiple_of, can.sizes) == (32000, 16, ())
    assert provider.capabilities("gpt-image-1.5").sizes == ((1024, 1024), (1536, 1024), (1024, 1536))


def test_what_an_order_cannot_keep_is_dropped_by_name() -> None:
    can = OpenAI("sk-x").capabilities()
    order = Order("chapter", "a castle", "blurry", 1000, 700, droppable=("seed", "steps", "guidance", "size"))
    assert fault_of(order, can) is None
    assert fit(order, can).dropped == (
        "size: 1008x704 for 1000x700",
        "seed",
        "steps",
        "guidance",
        "negative prompt folded into the prompt",
    )
    assert fault_of(Order("chapter", "a castle", width=1024, height=640), can) == "it takes no seed"


@pytest.mark.parametrize("model", ["gpt-image-2.6-flare", "gpt-image-2", "gpt-image-1.5"])
def test_it_claims_just_the_sizes_that_the_service_takes(model: str) -> None:
    sides = (464, 480, 496, 640, 624, 1024, 1030, 1424, 1440, 1536, 1600, 2160, 2176, 3824, 3840, 3856)
    can = OpenAI("sk-x").capabilities(model)
    for size in itertools.product(sides, sides):
        order = asked(size=size, droppable=("seed", "steps", "guidance")).order
        takes = True
        try:
            fit_to_model(model, {}, *size)
        except Unfit:
            takes = False
        assert (fault_of(order, can, model) is None) == takes, size


def test_a_size_that_the_service_does_not_take_is_invalid(provider: OpenAI) -> None:
    with pytest.raises(Invalid, match=r"cannot take this order \(400\): Invalid size '1030x1024'"):
        provider.generate(asked(size=(1030, 1024)))


def test_a_dated_or_a_newer_model_is_taken_and_a_strangers_is_not(provider: OpenAI) -> None:
    order = asked(droppable=("seed", "steps", "guidance")).order
    for model in ("gpt-image-2-2026-04-21", "gpt-image-2.6-flare", "gpt-image-3-nova"):
        assert fault_of(order, provider.capabilities(model), model) is None
    for model in ("gpt-image-1", "dall-e-3", "flux"):
        assert fault_of(order, provider.capabilities(model), model) == f"it has no model {model}"


def test_settings_that_no_call_could_use_are_refused_at_once() -> None:
    with pytest.raises(BadInput, match="no model 'dall-e-3' that draws; name another model, such as gpt-image"):
        OpenAI("sk-x", model="dall-e-3")
    with pytest.raises(BadInput, match="'max' is no quality of gpt-image-2; give one of auto, low, medium, high"):
        OpenAI("sk-x", model="gpt-image-2", quality="max")
    with pytest.raises(BadInput, match="'gif' is no output format; give one of png, jpeg, webp"):
        OpenAI("sk-x", output_format="gif")
    with pytest.raises(BadInput, match="'off' is no moderation; give one of auto, low"):
        OpenAI("sk-x", moderation="off")


def test_the_default_model_is_of_the_newest_family_and_not_about_to_go() -> None:
    told = contract()
    assert told.family(told.model) == told.families[0]
    assert told.model not in told.shutdowns


def test_its_limits_are_the_settings_own() -> None:
    assert OpenAI("sk-x").limits == Limits(calls_a_minute=5)
    assert OpenAI("sk-x", limits=Limits(4, 20)).limits == Limits(4, 20)


def test_the_schema_of_the_stand_in_names_nothing_that_the_services_own_types_do_not() -> None:
    from openai.types.image_edit_params import ImageEditParamsNonStreaming
    from openai.types.image_generate_params import ImageGenerateParamsNonStreaming

    assert set(SPECIFIED["generations"]["properties"]) <= set(ImageGenerateParamsNonStreaming.__annotations__)
    assert set(SPECIFIED["edits"]["properties"]) <= set(ImageEditParamsNonStreaming.__annotations__)


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_what_the_service_counted_is_what_it_cost(provider: OpenAI) -> None:
    # 2 tokens of text at $5, then 1,024 of a reference at $8 too, and 955 of the picture at $30 a million.
    assert provider.generate(asked()).cost_usd == pytest.approx((2 * 5 + 956 * 30) / 1e6)
    assert provider.generate(asked_with([base_picture(64, 48)])).cost_usd == pytest.approx(
        (2 * 5 + 1024 * 8 + 956 * 30) / 1e6
    )


@pytest.mark.parametrize("model", ["gpt-image-2.6-flare", "gpt-image-1.5", "gpt-image-1-mini"])
@pytest.mark.parametrize("quality", ["auto", "low", "medium", "high"])
def test_no_picture_costs_more_than_was_estimated(standin: Running, model: str, quality: str) -> None:
    provider = opened(standin, model=model, quality=quality)
    for order in (asked(size=(1024, 1024)), asked_with([base_picture(64, 48)], size=(1536, 1024), prompt="дім " * 99)):
        cost = provider.generate(order).cost_usd
        assert cost is not None
        assert 0 < cost <= provider.estimate_usd(order.order)
    provider.close()


def test_the_formula_gives_the_published_counts() -> None:
    family = contract().family("gpt-image-2")
    assert family is not None
    count = family.output.tokens
    assert [count(quality, 1024, 1024) for quality in ("low", "medium", "high")] == [196, 1756, 7024]
    assert [count("high", *size) for size in ((1536, 1024), (1024, 1536), (1792, 1024), (3584, 2048))] == [
        5488,
        5488,
        5063,
        12329,
    ]


def test_an_estimate_is_the_most_that_the_table_knows() -> None:
    square = Order("chapter", "a" * 936, width=1024, height=1024)
    medium, high, auto = (
        OpenAI("sk-x", model="gpt-image-2", quality=one).estimate_usd(square) for one in ("medium", "high", "auto")
    )
    assert medium == pytest.approx((1000 * 5 + 1756 * 30) / 1e6)
    assert auto == high == pytest.approx((1000 * 5 + 7024 * 30) / 1e6)
    leaning = Order("car", "a" * 936, width=1024, height=1024, references=(Reference("a" * 64), Reference("b" * 64)))
    two = OpenAI("sk-x", model="gpt-image-2", quality="medium").estimate_usd(leaning)
    assert two - medium == pytest.approx(2 * 1536 * 8 / 1e6)
    mini = OpenAI("sk-x").estimate_usd(square, "gpt-image-1-mini")
    assert mini == pytest.approx((1000 * 2 + 1056 * 8) / 1e6)


def test_a_picture_is_dearer_the_better_and_the_more_the_longer_its_words() -> None:
    words, more = Order("chapter", "a castle"), Order("chapter", "a castle, дуже старий", negative_prompt="blurry")
    prices = [OpenAI("sk-x", quality=one).estimate_usd(words) for one in ("low", "medium", "high", "max", "auto")]
    assert prices == sorted(prices)
    assert OpenAI("sk-x").estimate_usd(more) > OpenAI("sk-x").estimate_usd(words)


@pytest.mark.parametrize(
    "what",
    ["no usage", "usage of words", "usage as text", "usage below nothing", "usage without end", "usage not split"],
)
def test_a_count_that_cannot_be_read_costs_no_picture(provider: OpenAI, standin: Running, what: str) -> None:
    standin.fail({"what": what})
    answer = provider.generate(asked())
    assert answer.cost_usd is None
    assert verify(answer.data).width == SIZE[0]


def test_an_output_that_is_not_split_is_all_picture(provider: OpenAI, standin: Running) -> None:
    whole = provider.generate(asked()).cost_usd
    standin.fail({"what": "usage in brief"})
    assert provider.generate(asked()).cost_usd == whole


def test_words_that_a_model_wrote_and_what_it_had_met_before_have_prices_of_their_own(
    provider: OpenAI, standin: Running
) -> None:
    def cost(what: str, model: str) -> float | None:
        standin.fail({"what": what})
        return provider.generate(asked("a dear castle", model=model)).cost_usd

    # 3 tokens of the prompt, then 1,000 of text: at $10 a million, or for nothing.
    assert cost("usage of planning", "gpt-image-2") == pytest.approx((3 * 5 + 1000 * 10) / 1e6)
    assert cost("usage of planning", "gpt-image-2.6-flare") == pytest.approx(3 * 5 / 1e6)
    met = (2000 * 5 + 1000 * 1.25 + 4000 * 8 + 1000 * 2) / 1e6
    assert cost("usage met before", "gpt-image-2") == pytest.approx(met)


# -- what each answer means -------------------------------------------------------------------------------------------

MEANINGS = {
    "moderation": Refused,
    "moderation after": Refused,
    "moderation in words": Refused,
    "policy": Refused,
    "quota": OutOfCredit,
    "credit": OutOfCredit,
    "organization spend": OutOfCredit,
    "project spend": OutOfCredit,
    "organization usage": OutOfCredit,
    "hard limit": OutOfCredit,
    "rate": Busy,
    "slow down": Busy,
    "overloaded": Busy,
    "no access": Invalid,
    "country": Unauthorised,
    "scope": Unauthorised,
}


def test_every_documented_error_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ERRORS)


@pytest.mark.parametrize(("what", "error"), MEANINGS.items())
def test_each_documented_error_has_one_meaning(
    provider: OpenAI, standin: Running, what: str, error: type[ProviderError]
) -> None:
    said = failing(provider, standin, what)
    assert type(said) is error
    assert str(said).startswith("openai: ")
    assert said.may_be_paid == (what == "moderation after")


@pytest.mark.parametrize("field", ["code", "type"])
def test_what_the_data_call_an_error_counts_more_than_its_status(
    provider: OpenAI, standin: Running, field: str
) -> None:
    means = contract().meanings
    kinds = {Refused: means.refused, OutOfCredit: means.out_of_credit, Busy: means.busy, Invalid: means.invalid}
    for kind, names in kinds.items():
        for name in names:
            assert type(failing(provider, standin, "418", body={"error": {field: name}})) is kind


@pytest.mark.parametrize(
    ("what", "error", "may_be_paid"),
    [
        ("400", Invalid, False),
        ("401", Unauthorised, False),
        ("402", OutOfCredit, False),
        ("403", Unauthorised, False),
        ("404", Invalid, False),
        ("413", Invalid, False),
        ("429", Busy, False),
        ("500", Broken, False),
        ("502", Broken, False),
        ("503", Busy, False),
        ("504", UnknownOutcome, True),
        ("524", UnknownOutcome, True),
        ("redirect", Broken, False),
        ("html", Broken, True),
        ("json", Broken, True),
        ("bad base64", Broken, True),
        ("half base64", Broken, True),
        ("an address", Broken, True),
        ("no picture", Broken, True),
        ("gzip", Broken, True),
        ("truncated", UnknownOutcome, True),
        ("reset", UnknownOutcome, True),
        ("hang up", UnknownOutcome, True),
    ],
)
def test_each_answer_has_one_meaning(
    provider: OpenAI, standin: Running, what: str, error: type[ProviderError], may_be_paid: bool
) -> None:
    said = failing(provider, standin, what)
    assert isinstance(said, error)
    assert (str(said).startswith("openai: "), said.may_be_paid) == (True, may_be_paid)
    standin.fail()
    assert provider.generate(asked()).data


def test_bodies_of_any_shape_have_a_meaning(provider: OpenAI, standin: Running) -> None:
    for body in ("overloaded", ["overloaded"], {"error": "overloaded"}, {"error": ["no"]}, {"error": {"code": [1]}}, 7):
        assert isinstance(failing(provider, standin, "500", body=body), Broken)
    for body in ([], {}, {"data": {}}, {"data": [None]}, {"data": [{"b64_json": 7}]}, "data", None, 7):
        assert isinstance(failing(provider, standin, "json", body=body), Broken)


def test_a_call_is_never_repeated_here(provider: OpenAI, standin: Running) -> None:
    before = standin.counts()["calls"]
    for what in ("500", "503", "429", "rate ms", "hang up", "reset", "401"):
        failing(provider, standin, what)
    assert standin.counts()["calls"] - before == 7


def test_a_throttle_says_for_how_long(provider: OpenAI, standin: Running) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    said = [
        failing(provider, standin, "rate", retry_after="17"),
        failing(provider, standin, "overloaded", retry_after=in_a_minute),
        # The service's own header is finer than the standard's.
        failing(provider, standin, "rate ms", seconds=0.25, retry_after="17"),
    ]
    waits = [one.retry_after_seconds for one in said if isinstance(one, Busy)]
    assert waits == [17, pytest.approx(60, abs=3), 0.25]
    backwards = failing(provider, standin, "rate ms", seconds=-1)
    assert isinstance(backwards, Busy)
    assert backwards.retry_after_seconds is None


@pytest.mark.parametrize("given", [None, "soon", "-5", "nan"])
def test_a_throttle_that_says_nothing_sensible_leaves_the_wait_to_the_chain(
    provider: OpenAI, standin: Running, given: str | None
) -> None:
    said = failing(provider, standin, "rate", retry_after=given)
    assert isinstance(said, Busy)
    assert said.retry_after_seconds is None


@pytest.mark.parametrize(
    ("what", "categories"),
    [
        ("moderation", ("violence", "gore")),
        ("moderation in words", ("violence", "self-harm")),
        ("policy", ("content_policy_violation",)),
    ],
)
def test_a_refusal_carries_the_services_categories(
    provider: OpenAI, standin: Running, what: str, categories: tuple[str, ...]
) -> None:
    said = failing(provider, standin, what)
    assert isinstance(said, Refused)
    assert said.categories == categories


def test_a_model_that_is_gone_is_no_fault_of_the_key(standin: Running) -> None:
    standin.fail({"what": "404", "body": {"error": {"code": "model_not_found", "message": "It does not exist."}}})
    provider = opened(standin)
    with pytest.raises(Invalid, match=r"cannot take this order \(404\): It does not exist"):
        provider.generate(asked())
    provider.close()


def test_broken_lines_in_base64_are_still_the_picture(provider: OpenAI, standin: Running) -> None:
    whole = provider.generate(asked()).data
    standin.fail({"what": "broken lines"})
    assert provider.generate(asked()).data == whole


def test_what_is_no_whole_picture_is_handed_on_for_others_to_judge(provider: OpenAI, standin: Running) -> None:
    for what in ("plain", "gif", "pdf", "svg", "page"):
        standin.fail({"what": what})
        answer = provider.generate(asked())
        assert isinstance(answer, Answer)
        assert answer.cost_usd is not None
        with pytest.raises(BadImage):
            verify(answer.data)


def test_a_prompt_that_was_revised_is_told(provider: OpenAI, standin: Running) -> None:
    assert provider.generate(asked()).revised_prompt is None
    standin.fail({"what": "revised"})
    assert provider.generate(asked()).revised_prompt == "A castle, in oil."


# -- time, connections, addresses, keys -------------------------------------------------------------------------------


def test_a_huge_answer_is_left_when_the_cap_is_reached(standin: Running) -> None:
    provider = opened(standin, timeout_seconds=60)
    said = failing(provider, standin, "huge")
    provider.close()
    assert isinstance(said, Broken)
    assert ("more than 62,914,560 bytes" in str(said), said.may_be_paid) == (True, True)


@pytest.mark.parametrize(("what", "seconds"), [("slow", 30), ("stall", 30), ("trickle", 0.05), ("trickle head", 0.05)])
def test_no_call_takes_longer_than_its_time(standin: Running, what: str, seconds: float) -> None:
    provider = opened(standin, timeout_seconds=0.4)
    standin.fail({"what": what, "seconds": seconds})
    started = time.monotonic()
    with pytest.raises(UnknownOutcome):
        provider.generate(asked())
    provider.close()
    assert time.monotonic() - started < 2


def test_a_service_that_is_not_there_is_broken_before_acceptance() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        provider = OpenAI("sk-x", base_url=f"http://127.0.0.1:{held.getsockname()[1]}/v1", allow_private=True)
        with pytest.raises(Broken, match="cannot be reached") as caught:
            provider.generate(asked())
        assert provider.warnings() == ()
    provider.close()
    assert not caught.value.may_be_paid


def test_an_address_of_this_machine_is_not_asked_unless_allowed(standin: Running) -> None:
    before = standin.counts()["calls"]
    provider = opened(standin, allow_private=False)
    with pytest.raises(Invalid, match="no address of the open Internet; nothing was sent there"):
        provider.generate(asked())
    assert provider.warnings() == ()
    provider.close()
    assert standin.counts()["calls"] == before


def test_a_wrong_key_is_unauthorised_and_a_missing_one_never_leaves_the_house(standin: Running) -> None:
    wrong, missing = (opened(standin, key=key) for key in ("sk-wrong", ""))
    with pytest.raises(Unauthorised, match=r"not accepted \(401\); set OPENAI_API_KEY"):
        wrong.generate(asked())
    before = standin.counts()["calls"]
    with pytest.raises(Unauthorised, match="no API key; set OPENAI_API_KEY"):
        missing.generate(asked())
    assert missing.warnings() == ()
    wrong.close()
    assert standin.counts()["calls"] == before


def test_the_key_is_in_no_address_no_error_no_log_and_no_repr(
    standin: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = opened(standin)
    said = failing(provider, standin, "echo")
    provider.warnings()
    provider.close()
    assert "The key Bearer *** may not use this model." in str(said)
    for place in (repr(provider), repr(said), caplog.text, standin.events("start")[-1]["target"]):
        assert standin.key not in place


@pytest.mark.parametrize("key", ["sk_two words", "sk_line\n", "sk_ключ"])
def test_a_key_that_no_header_takes_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(BadInput, match="set OPENAI_API_KEY anew") as caught:
        OpenAI(key)
    assert key.strip() not in str(caught.value)


def test_calls_at_once_share_the_pool(standin: Running) -> None:
    standin.be_slow(0.1)
    provider = opened(standin, connections=4)
    pictures: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: pictures.append(provider.generate(asked(f"crowd {n}")).data))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    provider.close()
    assert len(set(pictures)) == 8


def test_it_opens_again_after_it_was_closed(provider: OpenAI) -> None:
    provider.generate(asked())
    provider.close()
    provider.close()
    assert provider.generate(asked()).data


def test_its_library_is_not_loaded_before_the_first_call() -> None:
    import subprocess

    program = "import sys; from limner.providers.openai import OpenAI; OpenAI('sk-x'); print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- the look ahead ---------------------------------------------------------------------------------------------------


def test_a_living_model_and_a_good_key_are_worth_no_word(provider: OpenAI) -> None:
    assert isinstance(provider, Checked)
    assert provider.warnings() == ()


@pytest.mark.parametrize("model", ["gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest"])
def test_a_model_about_to_go_is_told_with_its_day_and_what_to_do(standin: Running, model: str) -> None:
    provider = opened(standin, model=model)
    said = provider.warnings()
    provider.close()
    assert said == (f"openai: {model} shuts down on 2026-12-01; name another model, such as gpt-image-2.6-flare.",)


def test_a_day_that_only_the_service_knows_is_told(provider: OpenAI, standin: Running) -> None:
    standin.fail({"what": "json", "where": "model", "body": {"id": "x", "shutdown_date": "2041-05-06"}})
    (said,) = provider.warnings()
    assert said == "openai: gpt-image-2.6-flare shuts down on 2041-05-06; name another model."


def test_a_wrong_key_and_a_model_that_is_gone_are_told_at_once(standin: Running) -> None:
    wrong, gone = opened(standin, key="sk-wrong"), opened(standin, model="gpt-image-3-nova")
    assert wrong.warnings() == (
        "openai: the API key was not accepted; set OPENAI_API_KEY: Incorrect API key provided: sk_s****.",
    )
    assert gone.warnings() == (
        "openai: gpt-image-3-nova is not there for this key; name another model, such as gpt-image-2.6-flare.",
    )
    for one in (wrong, gone):
        one.close()


@pytest.mark.parametrize("what", ["scope", "500", "html", "json", "hang up", "429", "huge"])
def test_a_look_that_fails_is_worth_no_word(provider: OpenAI, standin: Running, what: str) -> None:
    standin.fail({"what": what, "where": "model"})
    assert provider.warnings() == ()


@pytest.mark.parametrize("given", ["soon", 20261201, None, ""])
def test_a_day_that_is_none_is_worth_no_word(provider: OpenAI, standin: Running, given: Any) -> None:
    standin.fail({"what": "json", "where": "model", "body": {"id": "x", "shutdown_date": given}})
    assert provider.warnings() == ()


def test_a_look_keeps_to_its_time(standin: Running) -> None:
    provider = opened(standin, timeout_seconds=0.3)
    standin.fail({"what": "slow", "where": "model", "seconds": 30})
    started = time.monotonic()
    assert provider.warnings() == ()
    provider.close()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("model", "today", "known"),
    [
        ("gpt-image-1.5", date(2026, 10, 1), None),
        ("gpt-image-1.5", date(2026, 10, 2), date(2026, 12, 1)),
        ("gpt-image-1.5-2025-12-16", date(2026, 11, 30), date(2026, 12, 1)),
        ("gpt-image-1.5", date(2027, 5, 1), date(2026, 12, 1)),
        ("gpt-image-2.6-flare", date(2026, 11, 20), None),
    ],
)
def test_the_data_know_which_models_go_and_say_so_in_time(model: str, today: date, known: date | None) -> None:
    assert contract().shutdown(model, today) == known
