"""Visible artifacts, measured: banding, seams, dead blocks, clipped channels, burnt-in text.

Knows nothing of scores or thresholds of gates. Every measure is conservative: a drawing of flat shapes, a photograph's
grain and a gradient with grain measure nothing. `grey` is uint8 (H, W), `pixels` RGB uint8 (H, W, 3).
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.intp]

# Banding: a band is flat for this long, and the next is this many grey levels away. Less is not seen, more is drawn.
_BAND_LONG, _STEP_LOW, _STEP_HIGH = 4, 3, 24
# A step may take this many pixels.
_STEP_LONG = 3
# So many steps in a row, all up or all down, are a stair.
_STAIR = 4

# Seams: the share of a line's pixels that jump, and how far into the picture a cut must lie (a frame is none).
_SEAM_SHARE, _SEAM_MARGIN, _SEAM_LEAP = 0.6, 0.06, 4
# Tiles are multiples of this many pixels.
_TILE = 64

# Dead blocks: cells of the 8-pixel grid; larger areas are taken for drawn ones.
_CELL, _DEAD_CELLS_WIDE, _DEAD_SPREAD = 8, 16, 2
# Strong compression leaves flat blocks too, but close to what surrounds them.
_DEAD_EDGE, _DEAD_EDGE_SHARE, _RING_DEVIATION = 20, 0.85, 4.0

# Text: burnt-in letters are nearly white or nearly black.
_LIGHT, _DARK = 236, 18


def grey_of(pixels: Pixels) -> Grey:
    """Return the luma of `pixels`."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def widest_deviation(pixels: Pixels) -> float:
    """Return the largest standard deviation among the channels, 0 to 127.5."""
    return float(cv2.meanStdDev(pixels)[1].max())


def banded_share(pixels: Pixels) -> float:
    """Return the share of the picture, 0 to 1, that lies in stairs of flat bands.

    Green alone is looked at: it carries most of the light, and in grey the stairs of three channels blur together.
    """
    small = _halved(np.asarray(cv2.extractChannel(pixels, 1), dtype=np.uint8))
    return max(_stairs_along(small[::4]), _stairs_along(np.ascontiguousarray(small.T[::4])))


def _halved(grey: Grey) -> Grey:
    height, width = grey.shape
    half = cv2.resize(grey, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    return np.asarray(half, dtype=np.uint8)


def _stairs_along(lines: Grey) -> float:
    """Return the share of `lines` (n, length) that is bands of stairs: flat, a small step, flat, another."""
    if lines.shape[1] < 2 * _BAND_LONG:
        return 0.0
    starts, ends = _bands(lines)
    if len(starts) < _STAIR:
        return 0.0
    flat = lines.ravel().astype(np.int16)
    levels = flat[(starts + ends) // 2]
    steps = np.diff(levels)
    near = (starts[1:] - ends[:-1] <= _STEP_LONG) & (starts[1:] // lines.shape[1] == starts[:-1] // lines.shape[1])
    small = near & (np.abs(steps) >= _STEP_LOW) & (np.abs(steps) <= _STEP_HIGH)
    return float((ends - starts + 1)[_in_stairs(np.where(small, steps, 0))].sum() / lines.size)


def _bands(lines: Grey) -> tuple[Whole, Whole]:
    """Return where flat bands start and end (inclusive) in the flattened lines: no step above 1, no drift above 1."""
    flat = lines.ravel().astype(np.int16)
    breaks = np.abs(np.diff(flat)) > 1
    breaks[lines.shape[1] - 1 :: lines.shape[1]] = True
    cuts = np.flatnonzero(breaks)
    starts, ends = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [flat.size - 1]))
    long = (ends - starts + 1 >= _BAND_LONG) & (np.abs(flat[ends] - flat[starts]) <= 1)
    return starts[long], ends[long]


def _in_stairs(steps: npt.NDArray[np.int16]) -> Flags:
    """Say of each band whether it belongs to `_STAIR` steps in a row that go the same way by a like amount."""
    goes_on = (steps[1:] * steps[:-1] > 0) & (np.abs(np.abs(steps[1:]) - np.abs(steps[:-1])) <= 3)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], goes_on, [False])).astype(np.int8)))
    inside = np.zeros(len(steps) + 1, dtype=np.bool_)
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        # `last - first` links join one step more, and steps join one band more.
        if last - first + 1 >= _STAIR:
            inside[first : last + 2] = True
    return inside


def seams(grey: Grey) -> int:
    """Return how many straight cuts run through the whole picture in a way that only tiles make.

    One line alone may be a horizon or a door; cuts count where they divide the sides evenly, two at least.
    """
    upright = _cuts(grey[::4])
    level = _cuts(np.ascontiguousarray(grey[:, ::4].T))
    even = [len(cuts) for cuts, side in ((upright, grey.shape[1]), (level, grey.shape[0])) if _divides(cuts, side)]
    return sum(even) if sum(even) >= 2 else 0


def _cuts(lines: Grey) -> Whole:
    """Return the columns of `lines` (n, length) that most lines jump at while they are calm on both sides."""
    if lines.shape[1] < 32:
        return np.zeros(0, dtype=np.intp)
    leaps = cv2.absdiff(lines[:, 1:], lines[:, :-1])
    beside = cv2.addWeighted(leaps[:, :-2], 1.0, leaps[:, 2:], 1.0, _SEAM_LEAP)
    share = (leaps[:, 1:-1] > beside).mean(axis=0)
    margin = int(lines.shape[1] * _SEAM_MARGIN)
    found: Whole = np.flatnonzero(share >= _SEAM_SHARE) + 2
    inner: Whole = found[(found > margin) & (found < lines.shape[1] - margin)]
    return inner


def _divides(cuts: Whole, side: int) -> bool:
    """Say whether `cuts` lie at even distances from the edge on: equal parts, or tiles of a usual size and a rest."""
    if not len(cuts):
        return False
    period, count = cuts[0], len(cuts) + 1
    even = bool((np.abs(cuts - period * np.arange(1, count)) <= 2).all())
    return even and (abs(period - side / count) <= 2 or (period % _TILE == 0 and period * count >= side))


def dead_blocks(pixels: Pixels, grey: Grey) -> int:
    """Return how many blocks of one colour sit on the decoder's 8-pixel grid, cut hard out of a textured picture."""
    height, width = (side // _CELL * _CELL for side in grey.shape)
    if height < 3 * _CELL or width < 3 * _CELL:
        return 0
    grid = grey[:height, :width]
    flat = _flat_cells(grid)
    _, _, stats, _ = cv2.connectedComponentsWithStats(flat.astype(np.uint8), connectivity=4)
    blocks = [block for block in stats[1:] if _is_block(block)]
    return sum(_is_cut_out(pixels[:height, :width], block) for block in blocks) + _is_filled_below(grey)


def _flat_cells(grid: Grey) -> Flags:
    """Say of each 8x8 cell whether it is one colour, give or take what compression rounds."""
    cell = np.ones((_CELL, _CELL), np.uint8)
    # Anchored at its corner, the kernel covers exactly the cell that begins at each eighth pixel.
    highest = cv2.dilate(grid, cell, anchor=(0, 0))[::_CELL, ::_CELL]
    lowest = cv2.erode(grid, cell, anchor=(0, 0))[::_CELL, ::_CELL]
    flat: Flags = cv2.subtract(highest, lowest) <= _DEAD_SPREAD
    return flat


def _is_block(block: npt.NDArray[np.int32]) -> bool:
    """Say whether a connected area of flat cells is a full rectangle of a decoder's size."""
    _, _, wide, high, area = block
    return bool(area == wide * high and max(wide, high) <= _DEAD_CELLS_WIDE)


def _is_cut_out(pixels: Pixels, block: npt.NDArray[np.int32]) -> bool:
    """Say whether everything just outside the block is unlike it, and textured."""
    left, top, wide, high = (int(part) * _CELL for part in block[:4])
    right, bottom = left + wide, top + high
    if left == 0 or top == 0 or right == pixels.shape[1] or bottom == pixels.shape[0]:
        return False
    above, below = pixels[top - 1, left:right], pixels[bottom, left:right]
    sides = (above, below, pixels[top:bottom, left - 1], pixels[top:bottom, right])
    # Most flat cells fade into their neighbours: the first side settles it.
    if not all(_is_unlike(side, pixels[top, left]) for side in sides):
        return False
    return float(np.concatenate(sides).std(axis=0).max()) > _RING_DEVIATION


def _is_unlike(side: Pixels, colour: npt.NDArray[np.uint8]) -> bool:
    apart = np.abs(side.astype(np.int16) - colour).max(axis=1)
    return bool(np.count_nonzero(apart > _DEAD_EDGE) >= _DEAD_EDGE_SHARE * len(apart))


def _is_filled_below(grey: Grey) -> bool:
    """Say whether the foot is the even middle grey that JPEG decoders fill lost rows with."""
    foot = grey[-16:]
    return bool((np.abs(foot.astype(np.int16) - 128) <= 1).all())


def clipped_share(pixels: Pixels) -> float:
    """Return the largest share, over channels and ends, where a channel stands at its end while the others still move.

    Pure white and pure black are colours, and so is a flat area of one bright paint; a channel that never moves is 1.0.
    """
    small = _sampled(pixels)
    channels = cv2.split(small)
    if _has_a_dead_channel(small):
        return 1.0
    low, high = (fold(fold(channels[0], channels[1]), channels[2]) for fold in (cv2.min, cv2.max))
    burnt = max(_share_of_moving(small, (one >= 254) & (low <= 200)) for one in channels)
    drowned = max(_share_of_moving(small, (one <= 1) & (high >= 96)) for one in channels)
    return max(burnt, drowned)


def _sampled(pixels: Pixels) -> Pixels:
    """Return every fourth pixel of every fourth row, untouched: an average would move values off the ends."""
    return np.ascontiguousarray(pixels[::4, ::4])


def _has_a_dead_channel(small: Pixels) -> bool:
    deviations = np.sort(cv2.meanStdDev(small)[1].ravel())
    return bool(deviations[0] < 0.5 and deviations[1] > 12)


def _share_of_moving(small: Pixels, clipped: Flags) -> float:
    """Return the share of `clipped` pixels, or 0 where they are one flat colour: that is paint, not light."""
    share = float(np.count_nonzero(clipped) / clipped.size)
    if share < 0.05:
        return share
    return share if float(cv2.meanStdDev(small, mask=clipped.astype(np.uint8))[1].max()) >= 12 else 0.0


def glyphs_in_a_line(grey: Grey) -> int:
    """Return how many letter-like marks stand in one line in the lowest quarter of the picture."""
    foot = grey[grey.shape[0] * 3 // 4 :]
    return max(_longest_line(foot > _LIGHT, grey.shape[0]), _longest_line(foot < _DARK, grey.shape[0]))


def _longest_line(marks: Flags, picture_height: int) -> int:
    # Letters cover little; where next to nothing or a third is marked, there is nothing to count.
    if not 0.002 <= np.count_nonzero(marks) / marks.size <= 0.35:
        return 0
    # Marks that do not touch take four pixels each; where 16 bits can number them all, they are faster.
    kind = cv2.CV_16U if marks.size < 4 * 2**16 - 4 * sum(marks.shape) else cv2.CV_32S
    _, _, stats, _ = cv2.connectedComponentsWithStats(marks.astype(np.uint8), connectivity=8, ltype=kind)
    _, _, wide, high, area = stats[1:].T
    letter = (high >= 8) & (high <= picture_height // 12) & (wide >= 2) & (wide <= 2 * high)
    letter &= (area >= 0.15 * wide * high) & (area <= 0.95 * wide * high)
    letters = stats[1:][letter]
    return max((_letters_on(letters, base) for base in np.unique(letters[:, 1] + letters[:, 3])), default=0)


def _letters_on(letters: npt.NDArray[np.int32], base: int) -> int:
    """Return how many `letters` stand on the line `base`, close together, like in height and unlike in width."""
    left, top, wide, high, _ = letters.T
    on = np.abs(top + high - base) <= 1
    on &= (high > 0.55 * np.median(high[on])) & (high < 1.8 * np.median(high[on]))
    order = np.argsort(left[on])
    gaps = left[on][order][1:] - (left + wide)[on][order][:-1]
    together = int((gaps <= 2 * np.median(high[on])).sum()) + 1
    varied = len(np.unique(wide[on])) >= 4 and float(wide[on].std()) >= 0.1 * float(wide[on].mean())
    return together if varied else 0
