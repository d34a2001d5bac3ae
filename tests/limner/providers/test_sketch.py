"""Sketch: the same order gives the same bytes, other words give another picture, and every picture passes for one."""

import hashlib
import itertools
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from limner.errors import Invalid
from limner.jobs import Order, Reference
from limner.providers.seam import Asked, Provider
from limner.providers.sketch import Sketch
from limner.providers.sketch.finish import decoded
from limner.providers.sketch.scene import first_name, read_scene
from limner.providers.sketch.structure import line_map

STYLE = (
    "detailed architecture, environmental design, landscape, fantasy art, magical atmosphere, mystical lighting, "
    "enchanted, epic, magical, otherworldly, detailed fantasy illustration, concept art, wide shot, establishing shot, "
    "environmental, intricate details, atmospheric perspective"
)
PORTRAIT = "character portrait, detailed features, expressive, dark gothic, horror aesthetic, character focus"


def ask(
    prompt: str,
    seed: int = 7,
    width: int = 512,
    height: int = 384,
    negative: str = "",
    references: tuple[bytes, ...] = (),
    controls: tuple[bytes, ...] = (),
) -> Asked:
    carried = {hashlib.sha256(one).hexdigest(): one for one in (*references, *controls)}
    order = Order(
        kind="chapter",
        prompt=prompt,
        negative_prompt=negative,
        width=width,
        height=height,
        references=tuple(Reference(hashlib.sha256(one).hexdigest()) for one in references),
        controls=tuple(Reference(hashlib.sha256(one).hexdigest(), "control") for one in controls),
    )
    return Asked(order=order, prompt=prompt, negative_prompt=negative, seed=seed, references=carried)


def drawn(asked: Asked) -> np.ndarray:
    pixels = decoded(Sketch().generate(asked).data)
    assert pixels is not None
    return pixels


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How far two pictures of one size are apart, blurred so that grain does not count: mean levels of 255."""
    small = [cv2.resize(each, (48, 48), interpolation=cv2.INTER_AREA).astype(float) for each in (one, other)]
    return float(np.abs(small[0] - small[1]).mean())


def test_is_a_provider_that_costs_nothing() -> None:
    sketch: Provider = Sketch()
    assert (sketch.name, sketch.capabilities().licence) == ("sketch", "CC0-1.0")
    assert sketch.capabilities().seeds and sketch.capabilities().controls and sketch.capabilities().negative_prompts


def test_the_same_order_gives_the_same_bytes() -> None:
    asked = ask(f"A castle on a hill by a lake at night with fog, {STYLE}")
    first = Sketch().generate(asked)
    Sketch().generate(ask("Something else drawn in between"))
    again = Sketch().generate(asked)
    assert first.data == again.data
    assert first.model == "sketch-1"


@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (512, 2048), (1280, 768), (768, 1024), (4096, 64), (333, 517)], ids=str
)
def test_draws_every_kind_at_any_size(width: int, height: int) -> None:
    prompts = ["A church in a village", "A long hall of doors", "A bottle", "A smiling girl", "Fog in the forest"]
    kinds = ["landscape", "landscape", "object focus", "character portrait", "mood lighting"]
    for prompt, kind in zip(prompts, kinds, strict=True):
        picture = drawn(ask(f"{prompt}, {kind}", width=width, height=height))
        assert picture.shape == (height, width, 3)


@pytest.mark.parametrize("size", [(63, 512), (512, 4097), (0, 0)], ids=str)
def test_refuses_a_size_out_of_range(size: tuple[int, int]) -> None:
    with pytest.raises(Invalid, match="64 to 4096"):
        Sketch().generate(ask("A castle", width=size[0], height=size[1]))


def test_different_words_and_different_seeds_give_visibly_different_pictures() -> None:
    words = [
        "A castle by a lake at night",
        "A desert at noon",
        "A corridor with doors",
        "A ship in a storm",
        "A forest",
    ]
    pictures = [drawn(ask(f"{one}, {STYLE}")) for one in words]
    pictures.append(drawn(ask(f"{words[0]}, {STYLE}", seed=8)))
    distances = [apart(one, other) for one, other in itertools.combinations(pictures, 2)]
    assert min(distances) > 8


@pytest.mark.parametrize(
    "prompt",
    [
        f"The steppe at night, the young moon, mist, {STYLE}",
        f"A garden of bright flowers and cool fountains, {STYLE}",
        f"Falling down a very deep well with cupboards and book-shelves, {STYLE}",
        f"Khoma Brut the philosopher, {PORTRAIT}",
        "A tiny golden key on a glass table, object focus, still life, fantasy art",
        "A dark street in the rain, detailed architecture, noir style, film noir",
        "Fire raged, mood lighting, atmospheric effects, ambiance, dark gothic",
        "Words that name nothing known at all",
    ],
)
def test_a_picture_is_neither_uniform_nor_flat_nor_clipped(prompt: str) -> None:
    answer = Sketch().generate(ask(prompt, width=1024, height=768))
    picture = decoded(answer.data)
    assert picture is not None
    assert 10_000 < len(answer.data) < 3_000_000
    assert picture.reshape(-1, 3).std(axis=0).max() >= 20
    blocks = picture[:768, :1024, 1].reshape(96, 8, 128, 8).transpose(0, 2, 1, 3).reshape(-1, 64)
    assert (blocks.max(axis=1) == blocks.min(axis=1)).mean() < 0.01
    assert ((picture == 0) | (picture == 255)).mean() < 0.1


def test_style_words_do_not_decide_what_is_seen() -> None:
    scene = read_scene(f"A tiny golden key, {STYLE}, forest light, castle")
    assert scene.things == ("key",)
    assert scene.places == ()
    assert scene.genre == "fantasy"


def test_several_things_of_one_description_appear_together() -> None:
    scene = read_scene(f"A castle on a hill by a lake at night with fog and a moon, {STYLE}")
    assert scene.places == ("castle", "hill", "lake", "moon")
    assert (scene.time, scene.weathers, scene.kind) == ("night", ("fog",), "landscape")


@pytest.mark.parametrize(
    ("description", "indoors"),
    [
        ("She found herself in a long, low hall, lit up by a row of lamps. There were doors all round the hall", True),
        ("In the middle of the church, before the icons, stood the black coffin among candles", True),
        ("The wooden church with three domes stood at the edge of the village", False),
        ("A cottage with a door and a window in a snowy forest", False),
    ],
)
def test_tells_a_room_from_the_open_air(description: str, indoors: bool) -> None:
    assert read_scene(f"{description}, {STYLE}").kind == ("interior" if indoors else "landscape")


def test_figures_of_speech_show_nothing() -> None:
    scene = read_scene(f"burning with curiosity, she ran across beds of flowers, very well, {STYLE}")
    assert "fire" not in scene.weathers
    assert not scene.rooms and not scene.furnishings


def test_negative_words_are_left_out() -> None:
    prompt = f"A castle with trees by a lake in the fog, {STYLE}"
    scene = read_scene(prompt, "blurry, text, lake, fog")
    assert "castle" in scene.places and "lake" not in scene.places and scene.weathers == ()
    assert apart(drawn(ask(prompt)), drawn(ask(prompt, negative="lake, fog"))) > 4


def test_words_taken_back_are_not_drawn() -> None:
    assert read_scene("A garden without trees and no fountain").places == ("garden",)


def test_colour_words_belong_to_what_they_describe() -> None:
    scene = read_scene("A woman with red hair in a green dress and grey eyes, character portrait")
    assert dict(scene.colours) == {"hair": "red", "clothes": "green", "eyes": "grey"}


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("The philosopher Khoma Brut in a robe", "Khoma"),
        ("TOK123 man in a coat", "TOK123"),
        ("Alice began to get very tired", "Alice"),
        ("An old man with a beard", ""),
    ],
)
def test_finds_whose_face_it_is(description: str, name: str) -> None:
    assert first_name(description) == name


def test_the_same_name_keeps_its_face_under_other_seeds() -> None:
    from limner.providers.sketch.canvas import Canvas
    from limner.providers.sketch.easel import Easel
    from limner.providers.sketch.palette import choose_palette
    from limner.providers.sketch.portrait import face_of

    def face(prompt: str, seed: str) -> object:
        scene = read_scene(prompt)
        return face_of(Easel(Canvas(64, 64, seed), choose_palette(scene, seed), scene))

    khoma = [face(f"Khoma, a man by the sea, {PORTRAIT}", "1"), face(f"A man called Khoma in a coat, {PORTRAIT}", "2")]
    assert khoma[0] == khoma[1]
    assert khoma[0] != face(f"Spirid, a man in a coat, {PORTRAIT}", "1")


def test_a_reference_gives_its_colours() -> None:
    prompt = f"Hills under the sky, {STYLE}"
    red, blue = (np.full((60, 80, 3), 0, np.uint8) for _ in range(2))
    red[:] = np.linspace(40, 230, 60)[:, None, None] * np.array([0.2, 0.3, 1.0])
    blue[:] = np.linspace(40, 230, 60)[:, None, None] * np.array([1.0, 0.3, 0.2])
    warm, cold = (drawn(ask(prompt, references=(png(one),))).reshape(-1, 3).mean(axis=0) for one in (red, blue))
    assert warm[0] - warm[2] > cold[0] - cold[2] + 60


def test_a_control_map_becomes_inked_structure() -> None:
    control = np.zeros((384, 512, 3), np.uint8)
    cv2.rectangle(control, (150, 120), (360, 300), (255, 255, 255), 3)
    data = png(control)
    prompt = f"A field under the sky, {STYLE}"
    with_map, without = drawn(ask(prompt, controls=(data,))), drawn(ask(prompt))
    on_lines = cv2.erode(line_map(control, 512, 384), np.ones((2, 2), np.uint8)) > 0
    assert with_map[on_lines].mean() < without[on_lines].mean() - 30
    assert with_map[on_lines].mean() < 90


def test_an_undecodable_reference_is_refused() -> None:
    with pytest.raises(Invalid, match="no picture"):
        Sketch().generate(ask("A castle", references=(b"this is no picture",)))


def test_a_reference_that_did_not_come_along_is_refused() -> None:
    asked = ask("A castle", references=(png(np.zeros((8, 8, 3), np.uint8)),))
    asked.references.clear()
    with pytest.raises(Invalid, match="did not come"):
        Sketch().generate(asked)


def test_an_empty_prompt_still_gives_a_picture() -> None:
    assert drawn(ask("")).std() > 10


def test_another_process_draws_the_same_bytes() -> None:
    prompt = f"A town by the river in the rain, with a crowd and a white horse, {STYLE}"
    program = (
        "import hashlib; from limner.jobs import Order; from limner.providers.seam import Asked;"
        "from limner.providers.sketch import Sketch; import sys, cv2; cv2.setNumThreads(1); p = sys.argv[1];"
        "o = Order(kind='chapter', prompt=p, width=512, height=384);"
        "print(hashlib.sha256(Sketch().generate(Asked(o, p, '', 7)).data).hexdigest())"
    )
    hash_seeds = {**os.environ, "PYTHONHASHSEED": "4711"}
    said = subprocess.run(
        [sys.executable, "-c", program, prompt], env=hash_seeds, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == hashlib.sha256(Sketch().generate(ask(prompt)).data).hexdigest()
