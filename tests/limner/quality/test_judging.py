"""The gate's verdicts: good pictures keep their hundred points, each fault is found by its own check and no other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limner.errors import BadInput
from limner.jobs import Image, Verdict
from limner.quality.gates import Gate, load_gates
from limner.quality.judging import judge, judge_unreadable, level_of
from limner.quality.verifying import Examined, examine
from tests.limner.quality.painted import FAULTY, GOOD, HEIGHT, WIDTH, Pixels, encoded, gradient, photograph

ARTIFACTS = {"has_no_banding", "has_no_seams", "has_no_dead_blocks", "has_no_clipped_channels", "has_no_burnt_in_text"}

# What a test is not about; the flat drawings are small files.
ANY_SIZE = replace(load_gates()["chapters"], min_bytes=0)


def judged(pixels: Pixels, gate: Gate = ANY_SIZE, kind: str = "PNG", **settings: int) -> Verdict:
    return judge(examine(encoded(pixels, kind, **settings)), WIDTH, HEIGHT, gate)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_good_picture_keeps_all_its_points(name: str, kind: str) -> None:
    verdict = judged(GOOD[name], kind=kind)

    assert verdict.issues == ()
    assert (verdict.score, verdict.level, verdict.accepted) == (100, "excellent", True)


@pytest.mark.parametrize("seed", range(20, 32))
def test_no_photograph_is_taken_for_a_faulty_one(seed: int) -> None:
    assert judged(photograph(seed)).issues == ()


@pytest.mark.parametrize("name", FAULTY)
def test_each_artifact_is_found_by_its_own_check_alone(name: str) -> None:
    check, pixels = FAULTY[name]

    verdict = judged(pixels)

    assert verdict.issues == (check,)
    assert (verdict.score, verdict.level, verdict.accepted) == (80, "good", True)


def test_several_artifacts_cost_their_points_once() -> None:
    pixels = FAULTY["four tiles"][1].copy()
    pixels[320:384, 480:544] = 0

    verdict = judged(pixels)

    assert set(verdict.issues) == {"has_no_seams", "has_no_dead_blocks"}
    assert verdict.score == 80


def test_every_check_is_listed_with_what_it_measured() -> None:
    verdict = judged(photograph())

    named = {finding.check: finding.measured for finding in verdict.findings}
    assert named["is_the_asked_size"] == "1024x768"
    assert named["is_large_enough_a_file"] == len(encoded(photograph()))
    assert set(named) == ARTIFACTS | {
        "is_readable",
        "is_large_enough_a_file",
        "is_small_enough_a_file",
        "is_large_enough",
        "is_the_asked_size",
        "is_not_uniform",
    }


def test_a_small_file_loses_fifty_points() -> None:
    data = encoded(photograph()[:256, :256], "JPEG", quality=40)

    verdict = judge(examine(data), 256, 256, load_gates()["chapters"])

    assert len(data) < 10_000
    assert verdict.issues == ("is_large_enough_a_file",)
    assert (verdict.score, verdict.level, verdict.accepted) == (50, "acceptable", True)


def test_a_large_file_loses_ten_points() -> None:
    verdict = judged(photograph(), replace(ANY_SIZE, max_bytes=100_000))

    assert verdict.issues == ("is_small_enough_a_file",)
    assert (verdict.score, verdict.level) == (90, "excellent")


def test_a_small_picture_of_the_wrong_size_loses_for_both() -> None:
    verdict = judged(photograph()[:200, :200])

    assert verdict.issues == ("is_large_enough", "is_the_asked_size")
    assert (verdict.score, verdict.level, verdict.accepted) == (55, "acceptable", True)


@pytest.mark.parametrize(("width", "holds"), [(WIDTH - 50, True), (WIDTH - 51, False)])
def test_fifty_pixels_off_the_asked_size_are_allowed(width: int, holds: bool) -> None:
    verdict = judged(photograph()[:, :width])

    assert ("is_the_asked_size" not in verdict.issues) is holds
    assert verdict.score == (100 if holds else 85)


def plain() -> Pixels:
    """One colour with a little grain: every channel's deviation is 10."""
    rng = np.random.default_rng(1)
    return np.clip(rng.normal((120, 110, 100), 10, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def test_a_uniform_picture_is_rejected_with_sixty_points() -> None:
    verdict = judged(plain())

    assert verdict.issues == ("is_not_uniform",)
    assert (verdict.score, verdict.level, verdict.accepted) == (60, "poor", False)


def test_a_gate_may_allow_a_plain_picture() -> None:
    verdict = judged(plain(), replace(ANY_SIZE, plain_allowed=True))

    assert verdict.issues == ("is_not_uniform",)
    assert (verdict.score, verdict.level, verdict.accepted) == (60, "acceptable", True)


def test_one_lively_channel_is_enough_not_to_be_uniform() -> None:
    pixels = plain()
    pixels[: HEIGHT // 2, :, 0] -= 60

    assert "is_not_uniform" not in judged(pixels).issues


def test_below_fifty_points_a_picture_is_rejected() -> None:
    data = encoded(photograph()[:256, :256], "JPEG", quality=40)

    verdict = judge(examine(data), 1024, 768, load_gates()["chapters"])

    assert verdict.issues == ("is_large_enough_a_file", "is_the_asked_size")
    assert (verdict.score, verdict.level, verdict.accepted) == (35, "poor", False)


def test_the_bands_that_strong_compression_makes_are_found() -> None:
    assert judged(gradient(), kind="JPEG", quality=30).issues == ("has_no_banding",)


def test_what_cannot_be_read_is_rejected_with_its_reason() -> None:
    verdict = judge_unreadable("The PNG is cut short.", load_gates()["chapters"])

    assert (verdict.score, verdict.level, verdict.accepted) == (40, "poor", False)
    assert verdict.findings[0].measured == "The PNG is cut short."
    assert verdict.findings[0].hard


@pytest.mark.parametrize(
    ("score", "level"),
    [(100, "excellent"), (90, "excellent"), (89, "good"), (70, "good"), (50, "acceptable"), (49, "poor")],
)
def test_levels_begin_where_the_contract_says(score: int, level: str) -> None:
    assert level_of(score) == level


@pytest.mark.parametrize("check", ["max_banded", "max_seams", "max_dead_blocks", "max_clipped", "max_glyphs"])
def test_every_artifact_threshold_is_a_setting(check: str) -> None:
    lenient = replace(ANY_SIZE, **{check: 10_000})
    image = Image(b"", "image/png", "png", WIDTH, HEIGHT)
    verdicts = [judge(Examined(image, pixels), WIDTH, HEIGHT, lenient) for _, pixels in FAULTY.values()]

    forgiven = [verdict for verdict in verdicts if verdict.score == 100]
    assert 2 <= len(forgiven) <= 3


def test_the_gates_are_named_and_the_default_holds_the_contracts_numbers() -> None:
    gates = load_gates()

    assert all(gate.name == name for name, gate in gates.items())
    assert gates["chapters"] == Gate()
    assert gates["title-cards"].plain_allowed


@pytest.mark.parametrize(
    "text", ["- a list", "chapters: {no_such_setting: 1}", "chapters: {min_bytes: many}", "a: [", ""]
)
def test_a_wrong_file_of_gates_is_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(BadInput, match=r"gates\.yaml is no file of gates"):
        load_gates(tmp_path / "gates.yaml")


@pytest.mark.parametrize("side", [1, 2, 7, 8, 17, 31, 64])
def test_tiny_and_thin_pictures_are_judged_without_falling_over(side: int) -> None:
    for pixels in (photograph()[:side, :side], photograph()[:side], photograph()[:, :side]):
        if pixels.shape[:2] == (1, 1):
            continue
        data = encoded(np.ascontiguousarray(pixels))
        assert judge(examine(data), WIDTH, HEIGHT, ANY_SIZE).score <= 85
