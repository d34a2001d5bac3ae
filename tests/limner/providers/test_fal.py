"""The fal provider against the stand-in: an order lives in the queue, and each answer there has one meaning."""

import base64
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Cancelled,
    Invalid,
    OutOfCredit,
    ProviderError,
    Refused,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)
from limner.fitting import fault_of, fit
from limner.jobs import Adapter, Order, Reference
from limner.providers.fal import Fal, contract
from limner.providers.seam import Asked, Limits
from tests.standins.fal import APPS, SIZES, Running, running
from tests.standins.pictures import picture

ULTRA, FINETUNED, LORA = "fal-ai/flux-pro/v1.1-ultra", "fal-ai/flux-pro/v1.1-ultra-finetuned", "fal-ai/flux-lora"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(calls=tmp_path_factory.mktemp("standin") / "calls.jsonl", sizes=["256x256"]) as standin:
        yield standin


@pytest.fixture
def standin(service: Running) -> Iterator[Running]:
    yield service
    service.fail()
    service.be_slow(0)


Opening = Callable[..., Fal]


@pytest.fixture
def another(standin: Running) -> Iterator[Opening]:
    """Open a provider that draws small pictures, as a process of its own would."""
    opened: list[Fal] = []

    def opening(**more: Any) -> Fal:
        told = {"model": LORA, "timeout_seconds": 5, "poll_seconds": 0.05, "allow_private": True, "connections": 8}
        opened.append(Fal(standin.key, base_url=standin.url, **{**told, **more}))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()


@pytest.fixture
def provider(another: Opening) -> Fal:
    return another()


def order(prompt: str = "a castle", **fields: Any) -> Order:
    return Order(**{"kind": "avatar", "prompt": prompt, "width": 256, "height": 256, "guidance": 3.5, **fields})


def asked(prompt: str = "a castle", seed: int = 7, *, of: Order | None = None, **fields: Any) -> Asked:
    return Asked(**{"order": of or order(prompt), "prompt": prompt, "negative_prompt": "", "seed": seed, **fields})


def failing(provider: Fal, what: Asked | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        provider.generate(what or asked())
    return caught.value


def sent(standin: Running) -> Any:
    return standin.events("read")[-1]


def stopped_when_accepted() -> Asked:
    """Return an order that nobody wants any more as soon as it is taken."""
    stop = threading.Event()
    return asked(stop=stop, accepted=lambda _id: stop.set())


# -- a picture ---------------------------------------------------------------------------------------------------------


def test_a_picture_of_the_asked_size_comes_back_and_its_id_is_known_before_it(provider: Fal, standin: Running) -> None:
    said: list[tuple[str, int]] = []
    before = standin.counts()
    answer = provider.generate(asked(accepted=lambda told: said.append((told, standin.counts()["poll"]))))
    assert Image.open(io.BytesIO(answer.data)).size == (256, 256)
    assert answer.data == picture("a castle", 7, 256, 256)
    assert said == [(answer.provider_id, before["poll"])], "told once, and before anything else was asked"
    assert answer.provider_id == f"fal-ai/flux-lora/requests/{sent(standin)['id']}"
    assert answer.model == LORA


def test_it_costs_what_the_service_says_that_it_billed(provider: Fal, standin: Running) -> None:
    assert provider.generate(asked()).cost_usd == pytest.approx(0.035)
    standin.fail({"what": "odd units"})
    answer = provider.generate(asked())
    assert (answer.cost_usd, len(answer.data) > 1000) == (None, True), "an odd bill never loses a picture"


def test_the_ultra_app_is_asked_by_ratio_and_its_tolerance_is_a_word(another: Opening, standin: Running) -> None:
    provider = another(model=None, timeout_seconds=30)
    data = picture("a face", 1, 64, 64)
    one = order("a castle", width=2048, height=2048, references=(Reference("f00d"),))
    answer = provider.generate(asked(of=one, seed=2**31 - 1, references={"f00d": data}))
    read = sent(standin)
    assert (read["app"], answer.model, answer.cost_usd) == (ULTRA, ULTRA, 0.06)
    assert read["body"].pop("image_url") == f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    assert read["body"] == {
        "prompt": "a castle",
        "seed": 2**31 - 1,
        "aspect_ratio": "1:1",
        "safety_tolerance": "2",
        "image_prompt_strength": 0.1,
        "output_format": "jpeg",
        "num_images": 1,
        "enhance_prompt": False,
        "raw": False,
    }
    assert Image.open(io.BytesIO(answer.data)).size == (2048, 2048)


def test_an_order_with_finetunes_goes_to_the_app_that_loads_them(another: Opening, standin: Running) -> None:
    provider = another(model=None, timeout_seconds=30)
    tuned = order(width=2048, height=2048, adapters=(Adapter("finetune", "ada-123", 1.2),))
    provider.generate(asked(of=tuned))
    assert sent(standin)["app"] == FINETUNED
    assert (sent(standin)["body"]["finetune_id"], sent(standin)["body"]["finetune_strength"]) == ("ada-123", 1.2)
    loras = (Adapter("lora", "https://example.com/ada.safetensors", 0.9), Adapter("lora", "someone/inks", 0.4))
    answer = provider.generate(asked(of=order(steps=20, adapters=loras)))
    read = sent(standin)
    assert (read["app"], answer.model) == (LORA, LORA)
    assert read["body"]["loras"] == [
        {"path": "https://example.com/ada.safetensors", "scale": 0.9},
        {"path": "someone/inks", "scale": 0.4},
    ]
    assert read["body"]["image_size"] == {"width": 256, "height": 256}
    assert (read["body"]["num_inference_steps"], read["body"]["guidance_scale"]) == (20, 3.5)


def test_several_threads_get_each_its_own_picture(provider: Fal, standin: Running) -> None:
    standin.be_slow(0.2)
    got: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: got.update({seed: provider.generate(asked(seed=seed)).data}))
        for seed in range(1, 9)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert got == {seed: picture("a castle", seed, 256, 256) for seed in range(1, 9)}


def test_a_picture_that_stands_in_the_answer_itself_is_taken_from_there(provider: Fal, standin: Running) -> None:
    standin.fail({"what": "inline"})
    assert provider.generate(asked()).data == picture("a castle", 7, 256, 256)


def test_it_opens_again_after_it_was_closed(provider: Fal) -> None:
    provider.generate(asked())
    provider.close()
    assert provider.generate(asked()).data


# -- what is said instead ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "error", "may_be_paid"),
    [
        ("401", Unauthorised, False),
        ("admin lock", Unauthorised, False),
        ("locked", OutOfCredit, False),
        ("top up", OutOfCredit, False),
        ("402", OutOfCredit, False),
        ("404", Invalid, False),
        ("422", Invalid, False),
        ("policy at once", Refused, False),
        ("429", Busy, False),
        ("503", Busy, False),
        ("500", Broken, False),
        ("302", Broken, False),
        ("504", UnknownOutcome, True),
        ("html", UnknownOutcome, True),
        ("json", UnknownOutcome, True),
        ("no id", UnknownOutcome, True),
        ("truncated", UnknownOutcome, True),
        ("reset", UnknownOutcome, True),
        ("hang up", UnknownOutcome, True),
        # Of the order's end.
        ("policy", Refused, True),
        ("nsfw", Refused, True),
        ("invalid", Invalid, True),
        ("unlucky", Broken, True),
        ("needs retry", Broken, True),
        ("unmarked", Invalid, True),
        ("runner", Broken, False),
        ("hopeless", Invalid, False),
        ("no picture", Broken, True),
        ("gone", Broken, True),
    ],
)
def test_each_answer_has_one_meaning_and_nothing_is_ordered_twice(
    provider: Fal, standin: Running, what: str, error: type[ProviderError], may_be_paid: bool
) -> None:
    before = standin.counts()["submit"]
    standin.fail({"what": what})
    said = failing(provider)
    assert (type(said), said.may_be_paid) == (error, may_be_paid), said
    assert str(said).startswith("fal: ")
    assert standin.counts()["submit"] == before + 1
    standin.fail()
    assert provider.generate(asked()).data


def test_a_refusal_says_why_and_a_throttle_how_long(provider: Fal, standin: Running) -> None:
    standin.fail({"what": "nsfw"})
    assert isinstance(said := failing(provider), Refused) and said.categories == ("nsfw",)
    standin.fail({"what": "policy"})
    assert isinstance(said := failing(provider), Refused) and said.categories == ("content_policy_violation",)
    standin.fail({"what": "429", "retry_after": "3"})
    assert isinstance(throttled := failing(provider), Busy) and throttled.retry_after_seconds == 3


def test_the_key_is_in_no_sentence_and_shown_to_nobody_else(
    provider: Fal, standin: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    standin.fail({"what": "echo"})
    said = failing(provider)
    assert isinstance(said, Unauthorised) and standin.key not in f"{said!r} {provider!r} {caplog.text}"
    assert "Key ***" in str(said)
    standin.fail()
    provider.generate(asked())
    assert sent(standin)["headers"]["authorization"] == f"Key {standin.key}"
    assert standin.counts()["keys_on_files"] == 0


def test_the_secret_half_of_a_key_is_in_no_sentence_either() -> None:
    with running(key="id:5e5ame-open") as whole:
        whole.fail({"what": "400", "body": {"detail": "The secret 5e5ame-open is no good."}})
        provider = Fal(whole.key, base_url=whole.url, model=LORA, allow_private=True)
        said = failing(provider)
        provider.close()
    assert "The secret *** is no good." in str(said)


def test_addresses_of_another_host_are_not_followed(provider: Fal, standin: Running) -> None:
    standin.fail({"what": "elsewhere"})
    answer = provider.generate(asked())
    assert answer.data and answer.provider_id == f"fal-ai/flux-lora/requests/{sent(standin)['id']}"
    assert standin.counts()["elsewhere"] == 0


def test_a_key_or_an_app_that_cannot_be_is_said_before_anything_is_asked(standin: Running) -> None:
    with pytest.raises(Unauthorised, match=r"^fal: no API key; set FAL_KEY\.$"):
        Fal("", base_url=standin.url).generate(asked())
    with pytest.raises(BadInput) as caught:
        Fal("key with spaces")
    assert "key with spaces" not in str(caught.value)
    with pytest.raises(BadInput, match="no app fal-ai/sora is known"):
        Fal("key", model="fal-ai/sora")
    with pytest.raises(Invalid, match="no app fal-ai/sora is known"):
        Fal("key").generate(asked(model="fal-ai/sora"))


@pytest.mark.parametrize(
    ("model", "what", "said"),
    [
        (LORA, asked(negative_prompt="rain"), "takes no negative prompt"),
        (LORA, asked(of=order(controls=(Reference("c"),))), "takes no control images"),
        (LORA, asked(of=order(references=(Reference("r"),))), "takes no reference"),
        (LORA, asked(of=order(steps=51)), "takes 1 to 50 for steps, not 51"),
        (LORA, asked(of=order(adapters=(Adapter("lora", "x", 4.5),))), "for the weight of a lora, not 4.5"),
        (None, asked(of=order()), "makes no 256x256"),
        (None, asked(of=order(adapters=(Adapter("lora", "x"), Adapter("finetune", "y")))), "takes no lora and finetu"),
        (
            None,
            asked(of=order(width=2048, height=2048, adapters=(Adapter("finetune", "x"), Adapter("finetune", "y")))),
            "takes no more than one finetune",
        ),
        (FINETUNED, asked(of=order(width=2048, height=2048)), "draws only with finetune"),
        (ULTRA, asked(of=order(width=2048, height=2048, references=(Reference("r"),))), "is no PNG, JPEG or WebP"),
    ],
)
def test_what_an_app_has_no_input_for_is_refused_and_never_ordered(
    another: Opening, standin: Running, model: str | None, what: Asked, said: str
) -> None:
    before, provider = standin.counts()["submit"], another(model=None)
    with pytest.raises(Invalid, match=said):
        provider.generate(Asked(**{**fields(what), "model": model}))
    assert standin.counts()["submit"] == before


def fields(what: Asked) -> dict[str, Any]:
    return {name: getattr(what, name) for name in Asked.__slots__}


def test_a_reference_is_sent_up_to_a_size(another: Opening, standin: Running) -> None:
    one = order(width=2048, height=2048, references=(Reference("f00d"),))
    heavy = b"\x89PNG" + bytes(contract().max_inline_bytes)
    with pytest.raises(Invalid, match="8,000,004 bytes and it takes 8,000,000"):
        another(model=None).generate(asked(of=one, references={"f00d": heavy}))


# -- waiting, and coming back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["500", "503", "429", "html", "json", "reset", "hang up", "truncated"])
def test_what_breaks_while_it_is_asked_after_is_waited_out(provider: Fal, standin: Running, what: str) -> None:
    before = standin.counts()["submit"]
    standin.fail({"what": what, "where": "poll", "times": 1}, {"what": what, "where": "poll", "times": 1, "after": 1})
    assert provider.generate(asked()).data
    assert standin.counts()["submit"] == before + 1


def test_an_order_that_is_not_known_yet_is_asked_after_again(provider: Fal, standin: Running) -> None:
    standin.fail({"what": "404", "where": "poll", "times": 2})
    assert provider.generate(asked()).data


@pytest.mark.parametrize("what", ["500", "401", "403", "302", "huge", "html"])
def test_an_order_that_cannot_be_asked_after_stays_under_its_id(another: Opening, standin: Running, what: str) -> None:
    standin.fail({"what": what, "where": "poll", "megabytes": 5, "location": "/elsewhere"})
    ids: list[str] = []
    said = failing(another(timeout_seconds=1), asked(accepted=ids.append))
    if what == "302":
        assert type(said) is Broken and said.may_be_paid
        return
    assert isinstance(said, Unfinished) and ids[0] in str(said), said


def test_a_picture_that_was_not_done_in_time_is_fetched_later_by_its_id(another: Opening, standin: Running) -> None:
    standin.be_slow(1.5)
    ids: list[str] = []
    first = another(timeout_seconds=0.7)
    assert isinstance(failing(first, asked("a keep", accepted=ids.append)), Unfinished)
    before, again = standin.counts()["submit"], another()
    answer = again.generate(asked("a keep", provider_id=ids[0], accepted=ids.append))
    assert answer.data == picture("a keep", 7, 256, 256)
    assert (standin.counts()["submit"], ids) == (before, [answer.provider_id])


def test_an_id_that_the_service_does_not_know_has_no_picture(provider: Fal, standin: Running) -> None:
    before = standin.counts()["submit"]
    said = failing(provider, asked(provider_id="fal-ai/flux-lora/requests/0-0"))
    assert type(said) is Broken and said.may_be_paid
    for odd in ("http://example.com/a/b/requests/1", "../../a/requests/1", "1", "a/b/requests/1?x"):
        assert type(failing(provider, asked(provider_id=odd))) is Invalid
    assert isinstance(failing(Fal(""), asked(provider_id="fal-ai/flux-lora/requests/0-0")), Unfinished)
    assert standin.counts()["submit"] == before


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [{"what": "queued"}, {"what": "running"}, {"what": "forgets"}, {"what": "slow", "seconds": 600}]
)
def test_an_order_that_nobody_wants_any_more_is_cancelled_at_the_service(
    provider: Fal, standin: Running, how: dict[str, Any]
) -> None:
    standin.be_slow(600 if how["what"] == "forgets" else 0)
    before = standin.counts()["cancelled"]
    standin.fail(how)
    said = failing(provider, stopped_when_accepted())
    assert (type(said), said.may_be_paid) == (Cancelled, False)
    assert standin.counts()["cancelled"] == before + 1


def test_an_order_is_cancelled_while_it_is_asked_after(provider: Fal, standin: Running) -> None:
    standin.fail({"what": "queued"})
    stop, polls = threading.Event(), standin.counts()["poll"]
    ended: list[ProviderError] = []
    waiting = threading.Thread(target=lambda: ended.append(failing(provider, asked(stop=stop))))
    waiting.start()
    while standin.counts()["poll"] < polls + 2:
        time.sleep(0.02)
    stop.set()
    waiting.join()
    assert type(ended[0]) is Cancelled


def test_a_picture_that_comes_all_the_same_is_kept(provider: Fal, standin: Running) -> None:
    assert provider.generate(stopped_when_accepted()).data, "it was done before it could be cancelled"
    standin.fail({"what": "deaf"})
    standin.be_slow(0.5)
    assert provider.generate(stopped_when_accepted()).data, "its app does not listen"


def test_a_stop_that_is_not_confirmed_leaves_the_order_under_its_id(another: Opening, standin: Running) -> None:
    standin.fail({"what": "500", "where": "cancel"}, {"what": "queued"})
    said = failing(another(timeout_seconds=1), stopped_when_accepted())
    assert isinstance(said, Unfinished)


def test_what_is_not_wanted_before_it_is_ordered_is_not_ordered(provider: Fal, standin: Running) -> None:
    before, stop = standin.counts()["submit"], threading.Event()
    stop.set()
    assert type(failing(provider, asked(stop=stop))) is Cancelled
    assert standin.counts()["submit"] == before


def test_an_order_found_again_is_cancelled_too(another: Opening, standin: Running) -> None:
    standin.fail({"what": "queued"})
    ids: list[str] = []
    failing(another(timeout_seconds=0.5), asked(accepted=ids.append))
    stop = threading.Event()
    stop.set()
    assert type(failing(another(), asked(provider_id=ids[0], stop=stop))) is Cancelled


# -- the picture itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["500", "429", "html", "reset", "truncated", "hang up"])
def test_a_picture_is_fetched_again_when_that_broke(provider: Fal, standin: Running, what: str) -> None:
    before = standin.counts()["submit"]
    standin.fail({"what": what, "where": "file", "times": 1})
    assert provider.generate(asked()).data == picture("a castle", 7, 256, 256)
    assert standin.counts()["submit"] == before + 1


def test_a_picture_that_cannot_be_fetched_now_is_fetched_later(another: Opening, standin: Running) -> None:
    standin.fail({"what": "503", "where": "file"})
    ids: list[str] = []
    assert isinstance(failing(another(timeout_seconds=1), asked(accepted=ids.append)), Unfinished)
    standin.fail()
    assert another().generate(asked(provider_id=ids[0])).data == picture("a castle", 7, 256, 256)


@pytest.mark.parametrize(
    "fault",
    [
        # What a cloud tells its own machines.
        {"what": "redirect", "where": "file"},
        {"what": "lies elsewhere"},
        {"what": "redirect", "where": "file", "location": "file:///etc/passwd"},
        {"what": "redirect", "where": "file", "location": "/files/round-and-round"},
        {"what": "huge", "where": "file", "megabytes": 41},
        {"what": "403", "where": "file"},
        {"what": "lies elsewhere", "location": "file:///etc/passwd"},
        {"what": "lies elsewhere", "location": "picture.jpeg"},
        {"what": "lies elsewhere", "location": "data:image/png;base64,%%%"},
    ],
)
def test_a_picture_that_will_never_come_is_broken_and_may_be_paid(
    provider: Fal, standin: Running, fault: dict[str, Any]
) -> None:
    standin.fail(fault)
    said = failing(provider)
    assert (type(said), said.may_be_paid) == (Broken, True), said


def test_addresses_of_this_machine_are_not_asked_unless_allowed(another: Opening, standin: Running) -> None:
    said = failing(another(allow_private=False))
    assert isinstance(said, Invalid) and "no address of the open Internet" in str(said)


# -- data --------------------------------------------------------------------------------------------------------------


def test_each_app_says_what_it_can(another: Opening, standin: Running) -> None:
    provider = another(model=None)
    ultra, tuned, lora = (provider.capabilities(name) for name in (ULTRA, FINETUNED, LORA))
    assert set(ultra.models) == set(APPS) and ultra.cancels and ultra.resumes
    assert (ultra.adapters, tuned.adapters, lora.adapters) == ((), ("finetune",), ("lora",))
    assert (ultra.references, tuned.references, lora.references) == (1, 1, 0)
    assert (ultra.steps, ultra.guidance, lora.steps, lora.guidance) == (False, False, True, True)
    assert ultra.sizes == tuned.sizes == tuple(SIZES.values())
    assert all(abs(width * height / 4_190_000 - 1) < 0.02 for width, height in ultra.sizes)
    # Without a name it is the default app, and whichever loads a finetune.
    assert provider.capabilities().adapters == ("finetune", "lora")
    assert provider.capabilities().sizes == ultra.sizes


def test_an_order_goes_to_the_app_it_names_or_needs() -> None:
    provider = Fal("key")
    lora, tuned = order(adapters=(Adapter("lora", "x"),)), order(adapters=(Adapter("finetune", "x"),))
    assert [provider.model_for(one) for one in (order(), lora, tuned)] == [ULTRA, LORA, FINETUNED]
    assert provider.model_for(lora, ULTRA) == ULTRA
    assert [Fal("key", model=LORA).model_for(one) for one in (order(), lora, tuned)] == [LORA, LORA, FINETUNED]


def test_a_chapters_picture_is_fitted_to_the_nearest_shape_and_the_record_says_so() -> None:
    provider = Fal("key")
    chapter = Order("chapter", "a castle", droppable=("steps", "guidance", "seed", "size"))
    assert fault_of(chapter, provider.capabilities()) is None
    fitted = fit(chapter, provider.capabilities())
    assert (fitted.order.width, fitted.order.height) == (2368, 1792)
    assert fitted.dropped == ("size: 2368x1792 for 1024x768", "steps", "guidance")


def test_the_estimate_follows_the_price_of_the_app_that_an_order_needs() -> None:
    provider = Fal("key")
    assert provider.estimate_usd(order(width=2048, height=2048)) == 0.06
    assert provider.estimate_usd(order(adapters=(Adapter("finetune", "x"),))) == 0.07
    lora = order(width=1024, height=768, adapters=(Adapter("lora", "x"),))
    assert provider.estimate_usd(lora) == pytest.approx(0.035)
    assert provider.estimate_usd(order(width=1024, height=1024), LORA) == pytest.approx(0.07)
    assert all(model.price.source.startswith("https://") for model in contract().models.values())


def test_limits_are_none_unless_they_are_told() -> None:
    assert Fal("key").limits == Limits()
    assert Fal("key", limits=Limits(calls_at_once=2)).limits == Limits(2)
    assert (Fal("key").timeout_seconds, Fal("key", timeout_seconds=9).timeout_seconds) == (300, 9)
