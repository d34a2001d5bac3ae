"""How much judging costs beside decoding: CPU milliseconds a picture of 1024x768, and their ratio.

Run: python -m benchmarks.judging_speed
"""

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from limner.quality.gates import load_gates
from limner.quality.judging import judge
from limner.quality.verifying import examine

WIDTH, HEIGHT, ROUNDS = 1024, 768, 20


def painted() -> "Image.Image":
    """Return a sky with grain, as a diffusion model's picture compresses."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    light = np.stack([across / 4, down / 3, (across + down) / 7], axis=2)
    light += np.random.default_rng(1).normal(0, 6, light.shape)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the least CPU time of one run: what is left when neighbours are quiet."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken) * 1000


def main() -> None:
    gate = load_gates()["chapters"]
    print(f"{'':6}{'decode':>10}{'examine':>10}{'judge':>10}{'judge / decode':>18}   (CPU ms, {WIDTH}x{HEIGHT})")
    for kind in ("PNG", "JPEG", "WEBP"):
        out = io.BytesIO()
        painted().save(out, kind)
        data = out.getvalue()
        examined = examine(data)
        decoding = cpu_ms(lambda data=data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        examining = cpu_ms(lambda data=data: examine(data))
        judging = cpu_ms(lambda examined=examined: judge(examined, WIDTH, HEIGHT, gate))
        print(f"{kind:6}{decoding:10.1f}{examining:10.1f}{judging:10.1f}{judging / decoding:18.2f}")


if __name__ == "__main__":
    main()
