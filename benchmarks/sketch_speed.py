"""How fast sketch draws: ms a picture at 1024x768 on one core, and its ratio to encoding noise of that size as PNG.

Both are measured in the same run, in turns, as processor time; the fastest of the rounds counts. Prints one object.
"""

import json
import time
from collections.abc import Callable

import cv2
import numpy as np

from limner.jobs import Order
from limner.providers.seam import Asked
from limner.providers.sketch import Sketch

ROUNDS = 3
WIDTH, HEIGHT = 1024, 768

PROMPTS = {
    "landscape": "A castle on a hill by a lake at night with fog and a moon, landscape, fantasy art",
    "garden": "A garden of bright flowers and cool fountains, landscape, fantasy art",
    "mountains": "Snowy mountains above a waterfall and a river, landscape, adventure",
    "street": "A dark city street in the rain at night, landscape, noir style",
    "interior": "A library with tall bookshelves, a fireplace and candles, landscape, timeless",
    "portrait": "Alice, a girl with fair hair in a blue dress, character portrait, fantasy art",
    "object": "A tiny golden key on a glass table, object focus, fantasy art",
    "atmosphere": "Fog between the trees at twilight, mood lighting, dark gothic",
}


def main() -> None:
    cv2.setNumThreads(1)
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    sketch = Sketch()
    milliseconds = {}
    encoding = fastest(lambda: cv2.imencode(".png", noise))
    for name, prompt in PROMPTS.items():
        order = Order(kind="chapter", prompt=prompt, width=WIDTH, height=HEIGHT)
        asked = Asked(order=order, prompt=prompt, negative_prompt="", seed=7)
        milliseconds[name] = fastest(lambda asked=asked: sketch.generate(asked))
        encoding = min(encoding, fastest(lambda: cv2.imencode(".png", noise)))
    mean = sum(milliseconds.values()) / len(milliseconds)
    print(
        json.dumps(
            {
                "ms_a_picture": {name: round(ms) for name, ms in milliseconds.items()},
                "mean_ms": round(mean),
                "slowest_ms": round(max(milliseconds.values())),
                "png_of_noise_ms": round(encoding),
                "ratio_to_png_of_noise": round(mean / encoding, 2),
            }
        )
    )


def fastest(work: Callable[[], object]) -> float:
    """Return the processor time of the fastest round, in ms; a first round warms up."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times) * 1000


if __name__ == "__main__":
    main()
