"""Diffusers draws: what it is asked for makes a difference, alike calls are drawn together, and it can be stopped.

On a model of a few megabytes with weights by chance. Left out where torch is not installed.
"""

import importlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import signature
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import BadInput, Broken, Busy, Cancelled, Invalid, Refused
from limner.fitting import fit, why_not
from limner.jobs import Adapter, Order, Reference
from limner.providers.diffusers import Diffusers
from limner.providers.diffusers.loading import row_of
from limner.providers.diffusers.model_folder import Row, known_classes
from limner.providers.diffusers.prompts import Reader
from limner.providers.seam import Answer, Asked
from limner.quality.verifying import verify

# The schedulers of diffusers read tensors in a way that numpy means to drop.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

torch = pytest.importorskip("torch", reason="torch is not installed: make local")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: make local")
tiny_models = importlib.import_module("tests.limner.providers.diffusers.tiny_models")

# Longer than CLIP's 77 tokens, which are letters here.
LONG = "a house by the sea, at night, under a full moon, seen from a hill, painted in oil on a dark ground, "


@pytest.fixture(scope="session")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_xl(tmp_path_factory.mktemp("models") / "tiny-xl")


@pytest.fixture(scope="session")
def unsafe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_checked(tmp_path_factory.mktemp("models") / "tiny-unsafe")


def ask(
    prompt: str = "a red fox",
    *,
    seed: int = 7,
    negative: str = "",
    width: int = 64,
    height: int = 64,
    steps: int = 2,
    guidance: float = 5.0,
    **more: Any,
) -> Asked:
    order = Order("chapter", prompt, negative, width=width, height=height, steps=steps, guidance=guidance)
    return Asked(order=order, prompt=prompt, negative_prompt=negative, seed=seed, **more)


def pixels(answer: Answer) -> np.ndarray:
    with Image.open(BytesIO(answer.data)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=int)


def drawn(provider: Diffusers, asked: Asked) -> np.ndarray:
    return pixels(provider.generate(asked))


# -- one picture ---------------------------------------------------------------------------------------------------


def test_a_picture_is_a_whole_png_of_the_asked_size_that_costs_nothing(xl: Path) -> None:
    provider = Diffusers(str(xl))
    asked = ask(width=96, height=64)
    answer = provider.generate(asked)
    image = verify(answer.data)
    assert (image.media_type, image.width, image.height) == ("image/png", 96, 64)
    assert (answer.model, answer.cost_usd, answer.provider_id) == ("tiny-xl", 0.0, None)
    assert provider.estimate_usd(asked.order) == 0.0


def test_the_same_seed_gives_the_same_bytes(xl: Path) -> None:
    provider = Diffusers(str(xl))
    assert provider.generate(ask()).data == provider.generate(ask()).data


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"prompt": "a blue boat"},
        {"steps": 3},
        {"guidance": 9.0},
        {"negative": "blue"},
        {"guidance": 1.0},
    ],
    ids=str,
)
def test_everything_that_is_asked_for_makes_a_difference(xl: Path, other: dict[str, Any]) -> None:
    provider = Diffusers(str(xl))
    assert np.abs(drawn(provider, ask()) - drawn(provider, ask(**other))).max() > 4


def test_the_words_after_the_77th_token_make_a_difference(xl: Path) -> None:
    provider = Diffusers(str(xl))
    fox, boat = (drawn(provider, ask(LONG + end)) for end in ("a red fox", "a blue boat"))
    assert np.abs(fox - boat).max() > 4
    fox, boat = (drawn(provider, ask(negative=LONG + end)) for end in ("a red fox", "a blue boat"))
    assert np.abs(fox - boat).max() > 4


def test_a_short_prompt_is_drawn_as_the_library_draws_it(xl: Path) -> None:
    theirs = diffusers.DiffusionPipeline.from_pretrained(str(xl), add_watermarker=False, use_safetensors=True)
    theirs.set_progress_bar_config(disable=True)
    provider = Diffusers(str(xl))
    for negative in ("", "blue"):
        image = theirs(
            prompt="a red fox",
            negative_prompt=negative or None,
            width=64,
            height=64,
            num_inference_steps=2,
            guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(7),
        ).images[0]
        ours = drawn(provider, ask(negative=negative))
        assert np.abs(ours - np.asarray(image, dtype=int)).max() <= 1


def test_attention_is_torch_s_own(xl: Path) -> None:
    provider = Diffusers(str(xl))
    provider.generate(ask())
    seen: list[Any] = []

    class Watch(torch.overrides.TorchFunctionMode):  # type: ignore[misc,name-defined]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Watch():
        provider.generate(ask())
    assert torch.nn.functional.scaled_dot_product_attention in seen
    assert torch.baddbmm not in seen


def test_an_order_is_fitted_to_the_model(xl: Path) -> None:
    provider = Diffusers(str(xl))
    order = Order("chapter", "a fox", width=100, height=70, steps=2, droppable=("size",))
    assert why_not(provider, order) is None
    fitted = fit(order, provider.capabilities())
    asked = Asked(order=fitted.order, prompt=fitted.prompt, negative_prompt="", seed=1)
    image = verify(provider.generate(asked).data)
    assert (image.width % 8, image.height % 8) == (0, 0)
    assert fitted.dropped == (f"size: {image.width}x{image.height} for 100x70",)


def test_a_size_that_the_model_cannot_make_is_invalid(xl: Path) -> None:
    with pytest.raises(Invalid, match="divisible by 8"):
        Diffusers(str(xl)).generate(ask(width=100))


def test_steps_and_guidance_that_the_owner_set_are_the_models(xl: Path) -> None:
    turbo = Diffusers(str(xl), steps=3, guidance=2.0)
    assert np.array_equal(drawn(turbo, ask(steps=9, guidance=9.0)), drawn(Diffusers(str(xl)), ask(steps=3, guidance=2)))


def test_a_picture_that_the_safety_checker_blackened_is_a_refusal(unsafe: Path) -> None:
    with pytest.raises(Refused) as told:
        Diffusers(str(unsafe)).generate(ask())
    assert told.value.categories == ("nsfw",)


# -- what would be lost --------------------------------------------------------------------------------------------


def test_what_the_model_cannot_take_is_never_left_out_in_silence(xl: Path) -> None:
    provider = Diffusers(str(xl))
    plain = ask()
    for order in (
        Order("car", "a car", references=(Reference("a" * 64),)),
        Order("car", "a car", controls=(Reference("a" * 64, "depth"),)),
        Order("avatar", "a face", adapters=(Adapter("lora", "mary"),)),
    ):
        with pytest.raises(Invalid):
            provider.generate(Asked(order=order, prompt="a car", negative_prompt="", seed=1))
    with pytest.raises(Invalid, match="has tiny-xl, not another"):
        provider.generate(Asked(order=plain.order, prompt="a", negative_prompt="", seed=1, model="another"))
    # Without guidance there is nothing to compare with.
    with pytest.raises(Invalid, match="negative prompt has no effect"):
        provider.generate(ask(negative="blue", guidance=1.0))


def test_a_prompt_that_no_text_encoder_reads_whole_is_invalid() -> None:
    reader = Reader(SimpleNamespace(components={"tokenizer": tiny_models.tokenizer()}), Row(tokens=512))
    reader.check("a red fox")
    with pytest.raises(Invalid, match="77 tokens"):
        reader.check(LONG)
    assert reader.pieces(LONG) == (LONG,)


def test_all_of_a_long_prompt_is_in_its_pieces() -> None:
    reader = Reader(SimpleNamespace(components={"tokenizer": tiny_models.tokenizer()}), Row(in_pieces=True))
    for prompt in (LONG * 3, "word " * 100, "x" * 500, "Лиса в лесу, " * 20, "", "a red fox"):
        pieces = reader.pieces(prompt)
        assert "".join("".join(pieces).split()).replace(",", "") == "".join(prompt.split()).replace(",", "")
        assert all(len(tiny_models.tokenizer()(piece).input_ids) <= 77 for piece in pieces)
    # Cut between phrases, where there are any.
    assert all(piece.split(", ")[0] in LONG.split(", ") for piece in reader.pieces(LONG))


@pytest.mark.parametrize("name", known_classes().classes)
def test_what_is_said_of_a_class_is_what_its_call_takes(name: str) -> None:
    said = known_classes().classes[name]
    call = signature(getattr(diffusers, name).__call__).parameters
    told = row_of(call)
    assert (said.scale, said.cancels) == (told.scale, told.cancels)
    assert said.negative_prompts == told.negative_prompts
    assert said.tokens == told.tokens
    assert {"prompt", "width", "height", "num_inference_steps", "generator"} <= set(call)


# -- batches -------------------------------------------------------------------------------------------------------


def all_at_once(provider: Diffusers, asked: Sequence[Asked]) -> list[Any]:
    """Ask from a thread each, all at once; return answers and errors in order."""
    together = threading.Barrier(len(asked))

    def one(wanted: Asked) -> Any:
        together.wait(30)
        try:
            return provider.generate(wanted)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(one, asked))


def test_alike_calls_are_drawn_in_fewer_and_each_as_if_it_were_alone(xl: Path) -> None:
    words = [("a red fox", ""), ("a blue boat", "fog"), (LONG, ""), (LONG + "a dog", "rain"), ("a tree", "")]
    asked = [ask(prompt, seed=seed, negative=negative) for seed, (prompt, negative) in enumerate(words, 1)]
    alone = [drawn(Diffusers(str(xl)), one) for one in asked]
    provider = Diffusers(str(xl), batch=4)
    with tiny_models.watched() as forwards:
        together = all_at_once(provider, asked)
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - pixels(other)).max() <= 1
    # Two steps each: five alone would be ten.
    assert sum(forwards.rows) == 10 and len(forwards.rows) < 10
    assert max(forwards.rows) <= 4


def test_calls_that_differ_are_not_drawn_together(xl: Path) -> None:
    with tiny_models.watched() as forwards:
        all_at_once(Diffusers(str(xl), batch=4), [ask(), ask(steps=3), ask(guidance=6.0), ask(width=72)])
    assert forwards.rows == [1] * 9


def test_a_failure_of_the_batch_reaches_each_caller(xl: Path) -> None:
    def fail(_rows: int) -> None:
        raise RuntimeError("the device was lost")

    with tiny_models.watched() as forwards:
        forwards.at_each = fail
        said = all_at_once(Diffusers(str(xl), batch=2), [ask(seed=1), ask(seed=2)])
    assert [type(one) for one in said] == [Broken, Broken] and said[0] is not said[1]
    assert "the device was lost" in str(said[0])
    assert Diffusers(str(xl)).generate(ask()).data


def test_a_batch_that_does_not_fit_into_memory_is_smaller_from_then_on(xl: Path, tmp_path: Path) -> None:
    def fail(rows: int) -> None:
        if rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    # Of its own, because what did not fit is remembered with the model.
    provider = Diffusers(str(shutil.copytree(xl, tmp_path / "model")), batch=4)
    asked = [ask(seed=seed) for seed in (1, 2, 3, 4)]
    with tiny_models.watched() as forwards:
        forwards.at_each = fail
        said = all_at_once(provider, asked)
        assert any(isinstance(one, Busy) for one in said)
        assert all(isinstance(one, Busy | Answer) for one in said)
        forwards.rows.clear()
        assert all(isinstance(one, Answer) for one in all_at_once(provider, asked))
        assert max(forwards.rows) <= 2


def test_one_picture_that_does_not_fit_into_memory_is_broken(xl: Path) -> None:
    def fail(_rows: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with tiny_models.watched() as forwards, pytest.raises(Broken, match="does not fit"):
        forwards.at_each = fail
        Diffusers(str(xl)).generate(ask())


def test_while_one_batch_is_drawn_the_next_may_gather(xl: Path) -> None:
    assert Diffusers(str(xl), batch=3).limits.calls_at_once == 6


# -- stopping ------------------------------------------------------------------------------------------------------


def test_a_call_that_is_stopped_ends_between_two_steps(xl: Path) -> None:
    provider, stop = Diffusers(str(xl)), threading.Event()
    assert provider.capabilities().cancels
    with tiny_models.watched() as forwards:
        forwards.at_each = lambda _rows: len(forwards.rows) == 3 and stop.set()
        with pytest.raises(Cancelled):
            provider.generate(ask(steps=50, stop=stop))
    assert len(forwards.rows) == 3
    assert verify(provider.generate(ask()).data)


def test_a_stop_takes_nothing_from_those_that_are_drawn_with_it(xl: Path) -> None:
    provider, stop = Diffusers(str(xl), batch=2), threading.Event()
    provider.generate(ask())
    alone = drawn(provider, ask(seed=2, steps=8))
    with tiny_models.watched() as forwards:
        forwards.at_each = lambda _rows: len(forwards.rows) == 2 and stop.set()
        gone, stays = all_at_once(provider, [ask(seed=1, steps=8, stop=stop), ask(seed=2, steps=8)])
    # The one that draws for both brings its picture all the same.
    assert isinstance(gone, Cancelled | Answer)
    assert np.abs(pixels(stays) - alone).max() <= 1


def test_a_call_takes_no_longer_than_it_may(xl: Path) -> None:
    provider = Diffusers(str(xl), timeout_seconds=0.5)
    Diffusers(str(xl)).generate(ask())
    with tiny_models.watched() as forwards, pytest.raises(Broken, match=r"no picture within 0\.5 s"):
        provider.generate(ask(steps=1000))
    assert len(forwards.rows) < 1000


# -- loading -------------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_once_for_all_providers_and_threads(
    xl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(xl, tmp_path / "model")
    loads: list[str] = []
    real = diffusers.StableDiffusionXLPipeline.from_pretrained

    def counting(*args: Any, **more: Any) -> Any:
        loads.append(args[0])
        return real(*args, **more)

    monkeypatch.setattr(diffusers.StableDiffusionXLPipeline, "from_pretrained", counting)
    monkeypatch.chdir(tmp_path)
    providers = [Diffusers(str(folder)), Diffusers("./model"), Diffusers(str(folder), batch=2)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: providers[number % 3].generate(ask(seed=number)), range(6)))
    assert len(answers) == 6 and len(loads) == 1
    providers[0].close()
    assert providers[1].generate(ask()).data
    assert len(loads) == 2


def test_a_load_that_fails_is_one_sentence_and_may_be_tried_again(xl: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xl, tmp_path / "model")
    weights = next((folder / "unet").glob("*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    provider = Diffusers(str(folder))
    said = all_at_once(provider, [ask(), ask()])
    assert [type(one) for one in said] == [Broken, Broken]
    assert str(said[0]).startswith(f"diffusers: {folder} cannot be loaded: ") and "\n" not in str(said[0])
    weights.write_bytes(whole)
    assert provider.generate(ask()).data


def test_pickles_are_never_loaded(xl: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xl, tmp_path / "model")
    provider = Diffusers(str(folder))
    # Whatever stood there when the provider was made.
    weights = next((folder / "unet").glob("*.safetensors"))
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(Broken, match="cannot be loaded"):
        provider.generate(ask())
    with pytest.raises(BadInput, match="never loaded"):
        Diffusers(str(folder))


def test_a_class_that_is_not_listed_is_asked_once_it_is_loaded(xl: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xl, tmp_path / "model")
    index = folder / "model_index.json"
    index.write_text(index.read_text("utf-8").replace("XLPipeline", "XLPAGPipeline"), "utf-8")
    provider = Diffusers(str(folder))
    assert not provider.capabilities().negative_prompts
    # What it was asked for was fitted to less than it takes.
    with pytest.raises(Busy) as told:
        provider.generate(ask())
    assert told.value.retry_after_seconds == 0
    assert provider.capabilities().negative_prompts
    assert verify(provider.generate(ask(negative="blue")).data)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("StableDiffusionXLImg2ImgPipeline", "no picture from words alone"),
        ("StableDiffusionXLControlNetPipeline", "no picture from words alone"),
        ("NobodysPipeline", "has no NobodysPipeline"),
        ("UNet2DConditionModel", "has no UNet2DConditionModel"),
    ],
)
def test_what_makes_no_picture_from_words_is_refused(xl: Path, tmp_path: Path, name: str, why: str) -> None:
    folder = shutil.copytree(xl, tmp_path / "model")
    index = folder / "model_index.json"
    index.write_text(index.read_text("utf-8").replace("StableDiffusionXLPipeline", name), "utf-8")
    with pytest.raises(Broken, match=why):
        Diffusers(str(folder)).generate(ask())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"model": "no/such/folder"}, "there is no folder"),
        ({"model": "./nothing"}, "there is no folder"),
        ({"model": "two words"}, "no folder and no model's id"),
        ({"model": ""}, "no folder and no model's id"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"dtype": "int8"}, "no dtype 'int8'"),
        ({"batch": 0}, "a batch of 0"),
        ({"steps": 0}, "0 steps draw nothing"),
        ({"revision": "main"}, "a folder has no revision"),
    ],
    ids=str,
)
def test_an_option_that_is_none_is_one_sentence(xl: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=f"^diffusers: .*{why}"):
        Diffusers(**{"model": str(xl)} | options)


def test_missing_packages_are_one_sentence(xl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(BadInput, match=r"not installed: accelerate; pip install -r requirements-local\.lock"):
        Diffusers(str(xl))


def test_a_device_that_is_not_there_is_one_sentence(xl: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(Broken, match="cannot be loaded"):
        Diffusers(str(xl), device="cuda").generate(ask())


class Hub(BaseHTTPRequestHandler):
    """A hub that has no models, and remembers what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


ONE_PROCESS = """
import json, sys
from limner.errors import ProviderError
from limner.jobs import Order
from limner.providers.diffusers import Diffusers
from limner.providers.seam import Asked
folder = sys.argv[1]
asked = Asked(Order("chapter", "a fox", width=64, height=64, steps=1), "a fox", "", 7)
provider = Diffusers(folder)
provider.capabilities()
provider.estimate_usd(asked.order)
provider.limits
told = {"before": "torch" in sys.modules}
provider.generate(asked)
print(json.dumps(told | {"after": "torch" in sys.modules}), flush=True)
sys.stdin.readline()
for provider in Diffusers("owner/name"), *[Diffusers("owner/cached")] * 2:
    try:
        print(json.dumps(provider.generate(asked).model))
    except ProviderError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


def fetched_before(model: Path, home: Path) -> None:
    """Lay a model into the hub's cache of an account as `owner/cached`."""
    place = home / ".cache" / "huggingface" / "hub" / "models--owner--cached"
    revision = "a" * 40
    shutil.copytree(model, place / "snapshots" / revision)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision, "utf-8")


def test_a_folder_never_touches_the_network_and_torch_is_loaded_by_the_first_picture(xl: Path, tmp_path: Path) -> None:
    Hub.asked = []
    fetched_before(xl, tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{hub.server_port}"
        # An account of its own, which asks this hub.
        environment = {"PATH": "", "HOME": str(tmp_path), "HF_ENDPOINT": address, "HF_HUB_DISABLE_TELEMETRY": "1"}
        command = [sys.executable, "-W", "ignore", "-c", ONE_PROCESS, str(xl)]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            by_folder = list(Hub.asked)
            said, complaints = process.communicate("\n", timeout=120)
        hub.shutdown()
    assert first, complaints
    assert json.loads(first) == {"before": False, "after": True}
    assert by_folder == []
    # The same hub is asked for an id, so that it would have seen the folder's requests.
    assert any("owner/name" in path for path in Hub.asked)
    told = [json.loads(line) for line in said.splitlines()]
    assert told[0][0] == "Broken" and told[0][1].startswith("diffusers: the hub has no model owner/name")
    # What was fetched once is drawn with, whatever the hub says today; first it says what it takes.
    assert told[1][0] == "Busy" and told[2] == "owner/cached"
