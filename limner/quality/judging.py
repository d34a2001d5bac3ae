"""Judging: is a verified picture good enough for its kind of work?

Knows nothing of files, providers or retries. Starts at 100, every failed check takes its points, a hard fault
refuses whatever the score. The thresholds are the gate's.
"""

from collections.abc import Iterator

from limner.jobs import Finding, Level, Verdict
from limner.quality import artifacts
from limner.quality.gates import Gate
from limner.quality.verifying import Examined

_LEVELS: tuple[tuple[int, Level], ...] = ((90, "excellent"), (70, "good"), (50, "acceptable"))


def judge(examined: Examined, width: int, height: int, gate: Gate) -> Verdict:
    """Return the verdict on a picture that was asked for at width x height pixels; every check is listed."""
    findings = (
        *_of_the_file(examined, gate),
        *_of_the_size(examined, width, height, gate),
        _is_not_uniform(examined, gate),
        *_of_artifacts(examined, gate),
    )
    return _verdict(gate, (Finding("is_readable", True), *findings))


def judge_unreadable(reason: str, gate: Gate) -> Verdict:
    """Return the verdict on bytes that `examine` refused; `reason` is its sentence."""
    return _verdict(gate, (Finding("is_readable", False, reason, gate.unreadable_points, hard=True),))


def level_of(score: int) -> Level:
    """Return the level of a score: 90 excellent, 70 good, 50 acceptable, below that poor."""
    return next((level for floor, level in _LEVELS if score >= floor), "poor")


def _verdict(gate: Gate, findings: tuple[Finding, ...]) -> Verdict:
    score = max(0, 100 - sum(one.points for one in findings))
    hard = any(one.hard for one in findings)
    level: Level = "poor" if hard else level_of(score)
    return Verdict(gate.name, score, level, score >= gate.accept_score and not hard, findings)


def _finding(check: str, passed: bool, measured: float | str, points: int, hard: bool = False) -> Finding:
    return Finding(check, passed, measured, 0 if passed else points, hard and not passed)


def _of_the_file(examined: Examined, gate: Gate) -> Iterator[Finding]:
    size = len(examined.image.data)
    yield _finding("is_large_enough_a_file", size >= gate.min_bytes, size, gate.min_bytes_points)
    yield _finding("is_small_enough_a_file", size <= gate.max_bytes, size, gate.max_bytes_points)


def _of_the_size(examined: Examined, width: int, height: int, gate: Gate) -> Iterator[Finding]:
    has, shown = examined.image, f"{examined.image.width}x{examined.image.height}"
    yield _finding("is_large_enough", min(has.width, has.height) >= gate.min_side, shown, gate.min_side_points)
    off = max(abs(has.width - width), abs(has.height - height))
    yield _finding("is_the_asked_size", off <= gate.size_tolerance, shown, gate.size_points)


def _is_not_uniform(examined: Examined, gate: Gate) -> Finding:
    deviation = artifacts.widest_deviation(examined.pixels)
    passed = deviation >= gate.uniform_deviation
    return _finding("is_not_uniform", passed, round(deviation, 1), gate.uniform_points, hard=not gate.plain_allowed)


def _of_artifacts(examined: Examined, gate: Gate) -> Iterator[Finding]:
    """Yield the checks for visible artifacts; the first that fails carries the points of all."""
    grey = artifacts.grey_of(examined.pixels)
    measured: tuple[tuple[str, float, float], ...] = (
        ("has_no_banding", round(artifacts.banded_share(examined.pixels), 3), gate.max_banded),
        ("has_no_seams", artifacts.seams(grey), gate.max_seams),
        ("has_no_dead_blocks", artifacts.dead_blocks(examined.pixels, grey), gate.max_dead_blocks),
        ("has_no_clipped_channels", round(artifacts.clipped_share(examined.pixels), 3), gate.max_clipped),
        ("has_no_burnt_in_text", artifacts.glyphs_in_a_line(grey), gate.max_glyphs),
    )
    points = gate.artifact_points
    for check, value, limit in measured:
        yield _finding(check, value <= limit, value, points)
        points = points if value <= limit else 0
