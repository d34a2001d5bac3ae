"""The Replicate provider against the stand-in: an order lives as a prediction, and each answer has one meaning."""

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
from limner.providers.replicate import Replicate, contract
from limner.providers.seam import Asked, Limits
from tests.standins.pictures import picture
from tests.standins.replicate import LARGE, MODELS, SMALL, VERSIONS, Running, running

SCHNELL, ULTRA, SDXL = "black-forest-labs/flux-schnell", "black-forest-labs/flux-1.1-pro-ultra", "stability-ai/sdxl"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(calls=tmp_path_factory.mktemp("standin") / "calls.jsonl", sizes=["256x256"]) as standin:
        yield standin


@pytest.fixture
def standin(service: Running) -> Iterator[Running]:
    yield service
    service.fail()
    service.be_slow(0)


Opening = Callable[..., Replicate]


@pytest.fixture
def another(standin: Running) -> Iterator[Opening]:
    """Open a provider that draws small pictures, as a process of its own would."""
    opened: list[Replicate] = []

    def opening(**more: Any) -> Replicate:
        told = {"model": SDXL, "timeout_seconds": 5, "poll_seconds": 0.05, "allow_private": True, "connections": 8}
        opened.append(Replicate(standin.key, base_url=standin.url, **{**told, **more}))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()


@pytest.fixture
def provider(another: Opening) -> Replicate:
    return another()


def order(prompt: str = "a castle", **fields: Any) -> Order:
    return Order(**{"kind": "chapter", "prompt": prompt, "width": 256, "height": 256, **fields})


def asked(prompt: str = "a castle", seed: int = 7, *, of: Order | None = None, **fields: Any) -> Asked:
    return Asked(**{"order": of or order(prompt), "prompt": prompt, "negative_prompt": "", "seed": seed, **fields})


def failing(provider: Replicate, what: Asked | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        provider.generate(what or asked())
    return caught.value


def sent(standin: Running) -> Any:
    return standin.events("read")[-1]


def drawn(prompt: str = "a castle", seed: int = 7) -> bytes:
    return picture(prompt, seed, 256, 256, "png")


def stopped_when_accepted() -> Asked:
    """Return an order that nobody wants any more as soon as it is taken."""
    stop = threading.Event()
    return asked(stop=stop, accepted=lambda _id: stop.set())


# -- a picture ---------------------------------------------------------------------------------------------------------


def test_a_picture_of_the_asked_size_comes_back_and_its_id_is_known_before_it(
    provider: Replicate, standin: Running
) -> None:
    standin.be_slow(0.1)
    said: list[tuple[str, int]] = []
    before = standin.counts()
    answer = provider.generate(asked(accepted=lambda told: said.append((told, standin.counts()["poll"]))))
    assert Image.open(io.BytesIO(answer.data)).size == (256, 256)
    assert answer.data == drawn()
    assert said == [(answer.provider_id, before["poll"])], "told once, and before anything else was asked"
    assert (answer.provider_id, answer.model) == (sent(standin)["id"], SDXL)


def test_sdxl_runs_in_a_pinned_version_with_all_that_an_order_asks_for(provider: Replicate, standin: Running) -> None:
    provider.generate(asked(of=order(steps=30, guidance=8.5), negative_prompt="rain"))
    read = sent(standin)
    assert read["path"] == "/v1/predictions"
    assert VERSIONS[read["body"]["version"]] == SDXL
    assert read["body"]["input"] == {
        "prompt": "a castle",
        "negative_prompt": "rain",
        "width": 256,
        "height": 256,
        "num_inference_steps": 30,
        "guidance_scale": 8.5,
        "seed": 7,
        "scheduler": "K_EULER",
        "refine": "no_refiner",
        "num_outputs": 1,
    }


def test_an_official_model_is_asked_by_its_name_and_draws_the_same_for_a_seed(
    another: Opening, standin: Running
) -> None:
    answer = another(model=None).generate(asked(of=order(width=768, height=320)))
    read = sent(standin)
    assert (read["path"], answer.model) == (f"/v1/models/{SCHNELL}/predictions", SCHNELL)
    assert read["body"] == {
        "input": {
            "prompt": "a castle",
            "seed": 7,
            "aspect_ratio": "21:9",
            "megapixels": "0.25",
            "num_outputs": 1,
            "num_inference_steps": 4,
            "go_fast": False,
            "output_format": "png",
        }
    }
    assert Image.open(io.BytesIO(answer.data)).size == (768, 320)
    assert answer.cost_usd == 0.003


def test_ultra_takes_a_reference_and_names_one_output(another: Opening, standin: Running) -> None:
    data = picture("a face", 1, 64, 64)
    one = order(width=2048, height=2048, references=(Reference("f00d"),))
    answer = another(timeout_seconds=30).generate(asked(of=one, model=ULTRA, references={"f00d": data}))
    read = sent(standin)["body"]["input"]
    assert read.pop("image_prompt") == f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    assert read == {
        "prompt": "a castle",
        "seed": 7,
        "aspect_ratio": "1:1",
        "image_prompt_strength": 0.1,
        "safety_tolerance": 2,
        "output_format": "jpg",
        "raw": False,
    }
    assert (answer.model, answer.cost_usd) == (ULTRA, 0.06)


def test_a_model_by_the_second_costs_as_long_as_it_ran(provider: Replicate, standin: Running) -> None:
    assert provider.generate(asked()).cost_usd == pytest.approx(2.5 * 0.000975)
    standin.fail({"what": "odd metrics"})
    answer = provider.generate(asked())
    assert (answer.cost_usd, answer.data) == (None, drawn()), "an odd bill never loses a picture"


def test_the_order_is_answered_at_once_unless_it_is_told_to_wait(another: Opening, standin: Running) -> None:
    another().generate(asked())
    assert "prefer" not in sent(standin)["headers"], "its id is known before anything can break"
    assert sent(standin)["headers"]["cancel-after"] == "1800s"
    standin.be_slow(0.3)
    before = standin.counts()["poll"]
    answer = another(wait_seconds=600, cancel_after_seconds=60).generate(asked())
    assert (standin.counts()["poll"], answer.data) == (before, drawn()), "its first answer held the picture"
    # Never longer than half of the call.
    assert (sent(standin)["headers"]["prefer"], sent(standin)["headers"]["cancel-after"]) == ("wait=2", "60s")


def test_several_threads_get_each_its_own_picture(provider: Replicate, standin: Running) -> None:
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
    assert got == {seed: drawn(seed=seed) for seed in range(1, 9)}


def test_a_picture_that_stands_in_the_answer_itself_is_taken_from_there(provider: Replicate, standin: Running) -> None:
    standin.fail({"what": "inline"})
    assert provider.generate(asked()).data == drawn()


# -- what is said instead ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "error", "may_be_paid"),
    [
        ("401", Unauthorised, False),
        ("403", Unauthorised, False),
        ("402", OutOfCredit, False),
        ("credit", OutOfCredit, False),
        ("404", Invalid, False),
        ("422", Invalid, False),
        ("sensitive at once", Refused, False),
        ("429", Busy, False),
        ("throttled", Busy, False),
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
        # Of the prediction's end; time on a machine is paid for whatever comes of it.
        ("nsfw", Refused, True),
        ("sensitive", Refused, True),
        ("failed", Broken, True),
        ("interrupted", Broken, True),
        ("canceled", Broken, True),
        ("aborted", Broken, False),
        ("no output", Broken, True),
        ("expired", Broken, True),
        ("gone", Broken, True),
    ],
)
def test_each_answer_has_one_meaning_and_nothing_is_ordered_twice(
    provider: Replicate, standin: Running, what: str, error: type[ProviderError], may_be_paid: bool
) -> None:
    before = standin.counts()["submit"]
    standin.fail({"what": what})
    said = failing(provider)
    assert (type(said), said.may_be_paid) == (error, may_be_paid), said
    assert str(said).startswith("replicate: ")
    assert standin.counts()["submit"] == before + 1
    standin.fail()
    assert provider.generate(asked()).data


def test_a_prediction_that_is_paid_by_the_picture_costs_nothing_when_it_fails(
    another: Opening, standin: Running
) -> None:
    standin.fail({"what": "failed"})
    said = failing(another(model=SCHNELL), asked(of=order(width=512, height=512)))
    assert (type(said), said.may_be_paid) == (Broken, False)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"what": "resets"}, 30),
        ({"what": "expected"}, 1),
        ({"what": "reduced"}, 10),
        ({"what": "reduced, in words"}, 9),
        ({"what": "resets", "retry_after": "7"}, 7),
        ({"what": "throttled"}, None),
    ],
)
def test_a_throttle_says_how_long_in_a_header_a_field_or_a_sentence(
    provider: Replicate, standin: Running, fault: dict[str, Any], seconds: float | None
) -> None:
    standin.fail(fault)
    said = failing(provider)
    assert isinstance(said, Busy) and said.retry_after_seconds == seconds


def test_the_key_is_in_no_sentence_and_shown_to_nobody_else(
    provider: Replicate, standin: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    standin.fail({"what": "echo"})
    said = failing(provider)
    assert isinstance(said, Unauthorised) and standin.key not in f"{said!r} {provider!r} {caplog.text}"
    assert "Bearer ***" in str(said)
    standin.fail()
    provider.generate(asked())
    assert sent(standin)["headers"]["authorization"] == f"Bearer {standin.key}"
    assert standin.counts()["keys_on_files"] == 0


def test_a_key_or_a_model_that_cannot_be_is_said_before_anything_is_asked(standin: Running) -> None:
    with pytest.raises(Unauthorised, match=r"^replicate: no API key; set REPLICATE_API_TOKEN\.$"):
        Replicate("", base_url=standin.url).generate(asked())
    with pytest.raises(BadInput) as caught:
        Replicate("key with spaces")
    assert "key with spaces" not in str(caught.value)
    with pytest.raises(BadInput, match="no model someone/else is known"):
        Replicate("key", model="someone/else")
    with pytest.raises(Invalid, match="no model someone/else is known"):
        Replicate("key").generate(asked(model="someone/else"))


@pytest.mark.parametrize(
    ("model", "what", "said"),
    [
        (SCHNELL, asked(of=order(width=512, height=512), negative_prompt="rain"), "takes no negative prompt"),
        (SCHNELL, asked(of=order()), "makes no 256x256"),
        (SDXL, asked(of=order(controls=(Reference("c"),))), "takes no control images"),
        (SDXL, asked(of=order(references=(Reference("r"),))), "takes no reference"),
        (SDXL, asked(of=order(steps=501)), "takes 1 to 500 for steps, not 501"),
        (SDXL, asked(of=order(guidance=0.5)), "for guidance, not 0.5"),
        (SDXL, asked(of=order(adapters=(Adapter("lora", "x"),))), "takes no lora"),
    ],
)
def test_what_a_model_has_no_input_for_is_refused_and_never_ordered(
    another: Opening, standin: Running, model: str, what: Asked, said: str
) -> None:
    before = standin.counts()["submit"]
    with pytest.raises(Invalid, match=said):
        another(model=model).generate(what)
    assert standin.counts()["submit"] == before


# -- waiting, and coming back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["500", "429", "404", "html", "json", "reset", "hang up", "truncated"])
def test_what_breaks_while_it_is_asked_after_is_waited_out(provider: Replicate, standin: Running, what: str) -> None:
    standin.be_slow(0.1)
    before = standin.counts()["submit"]
    standin.fail({"what": what, "where": "poll", "times": 2})
    assert provider.generate(asked()).data == drawn()
    assert standin.counts()["submit"] == before + 1


@pytest.mark.parametrize("what", ["500", "401", "402", "404", "html"])
def test_an_order_that_cannot_be_asked_after_stays_under_its_id(another: Opening, standin: Running, what: str) -> None:
    standin.be_slow(0.1)
    standin.fail({"what": what, "where": "poll"})
    ids: list[str] = []
    said = failing(another(timeout_seconds=0.5), asked(accepted=ids.append))
    assert isinstance(said, Unfinished) and ids[0] in str(said), said


def test_a_picture_that_was_not_done_in_time_is_fetched_later_by_its_id(another: Opening, standin: Running) -> None:
    standin.be_slow(1.5)
    ids: list[str] = []
    assert isinstance(failing(another(timeout_seconds=0.7), asked("a keep", accepted=ids.append)), Unfinished)
    before = standin.counts()["submit"]
    answer = another().generate(asked("a keep", provider_id=ids[0], accepted=ids.append))
    assert answer.data == drawn("a keep")
    assert (standin.counts()["submit"], ids) == (before, [answer.provider_id])


def test_a_prediction_whose_output_is_deleted_has_drawn_for_nothing(another: Opening, standin: Running) -> None:
    standin.fail({"what": "expired"})
    standin.be_slow(0.6)
    ids: list[str] = []
    assert isinstance(failing(another(timeout_seconds=0.3), asked(accepted=ids.append)), Unfinished)
    said = failing(another(), asked(provider_id=ids[0]))
    assert (type(said), said.may_be_paid) == (Broken, True)
    assert "its output is deleted" in str(said)


def test_an_id_that_the_service_does_not_know_has_no_picture(provider: Replicate, standin: Running) -> None:
    before = standin.counts()["submit"]
    said = failing(provider, asked(provider_id="gone0"))
    assert type(said) is Broken and said.may_be_paid
    for odd in ("../models", "p1/cancel", "p 1"):
        assert type(failing(provider, asked(provider_id=odd))) is Invalid
    assert isinstance(failing(Replicate(""), asked(provider_id="p1")), Unfinished)
    assert standin.counts()["submit"] == before


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"what": "queued"}, {"what": "slow", "seconds": 600}])
def test_an_order_that_nobody_wants_any_more_is_cancelled_at_the_service(
    provider: Replicate, standin: Running, how: dict[str, Any]
) -> None:
    before = standin.counts()["cancelled"]
    standin.fail(how)
    said = failing(provider, stopped_when_accepted())
    assert (type(said), said.may_be_paid) == (Cancelled, False), "it never ran"
    assert standin.counts()["cancelled"] == before + 1


def test_an_order_that_is_cancelled_while_it_runs_may_be_paid(provider: Replicate, standin: Running) -> None:
    standin.fail({"what": "running"})
    said = failing(provider, stopped_when_accepted())
    assert (type(said), said.may_be_paid) == (Cancelled, True)


def test_an_order_is_cancelled_while_it_is_asked_after(provider: Replicate, standin: Running) -> None:
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


def test_a_picture_that_comes_all_the_same_is_kept(provider: Replicate, standin: Running) -> None:
    assert provider.generate(stopped_when_accepted()).data, "it was done before it could be cancelled"
    standin.fail({"what": "deaf"})
    standin.be_slow(0.5)
    assert provider.generate(stopped_when_accepted()).data, "nobody listens"


def test_a_stop_that_is_not_confirmed_leaves_the_order_under_its_id(another: Opening, standin: Running) -> None:
    standin.fail({"what": "500", "where": "cancel"}, {"what": "queued"})
    assert isinstance(failing(another(timeout_seconds=1), stopped_when_accepted()), Unfinished)


def test_what_is_not_wanted_before_it_is_ordered_is_not_ordered(provider: Replicate, standin: Running) -> None:
    before, stop = standin.counts()["submit"], threading.Event()
    stop.set()
    assert type(failing(provider, asked(stop=stop))) is Cancelled
    assert standin.counts()["submit"] == before


# -- the picture itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["500", "html", "reset", "truncated"])
def test_a_picture_is_fetched_again_when_that_broke(provider: Replicate, standin: Running, what: str) -> None:
    before = standin.counts()["submit"]
    standin.fail({"what": what, "where": "file", "times": 1})
    assert provider.generate(asked()).data == drawn()
    assert standin.counts()["submit"] == before + 1


def test_a_picture_that_cannot_be_fetched_now_is_fetched_later(another: Opening, standin: Running) -> None:
    standin.fail({"what": "503", "where": "file"})
    ids: list[str] = []
    assert isinstance(failing(another(timeout_seconds=1), asked(accepted=ids.append)), Unfinished)
    standin.fail()
    assert another().generate(asked(provider_id=ids[0])).data == drawn()


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
        {"what": "lies elsewhere", "location": "picture.png"},
    ],
)
def test_a_picture_that_will_never_come_is_broken_and_may_be_paid(
    provider: Replicate, standin: Running, fault: dict[str, Any]
) -> None:
    standin.fail(fault)
    said = failing(provider)
    assert (type(said), said.may_be_paid) == (Broken, True), said


# -- data --------------------------------------------------------------------------------------------------------------


def test_each_model_says_what_it_can() -> None:
    provider = Replicate("key")
    schnell, ultra, sdxl = (provider.capabilities(name) for name in (SCHNELL, ULTRA, SDXL))
    assert provider.capabilities() == schnell
    assert set(schnell.models) == set(MODELS) and schnell.cancels and schnell.resumes
    assert (sdxl.negative_prompts, sdxl.steps, sdxl.guidance, sdxl.multiple_of) == (True, True, True, 8)
    assert (schnell.negative_prompts, schnell.steps, schnell.guidance) == (False, False, False)
    assert (schnell.references, ultra.references, sdxl.references) == (0, 1, 0)
    assert set(ultra.sizes) == set(LARGE.values())
    halves = {(width // 2, height // 2) for width, height in SMALL.values()}
    assert set(schnell.sizes) == {*SMALL.values(), *halves}


def test_a_chapters_picture_is_fitted_to_the_nearest_shape_and_the_record_says_so() -> None:
    provider = Replicate("key")
    chapter = Order("chapter", "a castle", droppable=("steps", "guidance", "seed", "size"))
    assert fault_of(chapter, provider.capabilities()) is None
    fitted = fit(chapter, provider.capabilities())
    assert (fitted.order.width, fitted.order.height) == (1152, 896)
    assert fitted.dropped == ("size: 1152x896 for 1024x768", "steps", "guidance")
    assert fit(chapter, provider.capabilities(SDXL)).dropped == ()


def test_the_estimate_follows_the_price_of_the_model() -> None:
    provider = Replicate("key")
    assert provider.estimate_usd(order()) == 0.003
    assert provider.estimate_usd(order(), ULTRA) == 0.06
    assert provider.estimate_usd(order(steps=50), SDXL) == pytest.approx(0.000975 * 14)
    assert provider.estimate_usd(order(steps=100), SDXL) > provider.estimate_usd(order(steps=50), SDXL)
    assert all(model.price.source.startswith("https://") for model in contract().models.values())


def test_limits_are_the_services_own_unless_they_are_told() -> None:
    assert Replicate("key").limits == Limits(calls_a_minute=600)
    assert Replicate("key", limits=Limits(calls_a_minute=6)).limits == Limits(calls_a_minute=6)
    assert Replicate("key", limits=Limits()).limits == Limits()
