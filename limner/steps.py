"""The press's steps by name, and a hook that ends the process at one of them.

`LIMNER_DIE_AT=store:3` ends the process by SIGKILL when the step `store` is reached for the third time: the crash
tests hold the press to its promises with it. Without the setting, reaching a step costs one comparison.
"""

import os
import signal
import threading
from typing import Literal, get_args

from limner.errors import BadInput

Step = Literal["plan", "find", "claim", "reserve", "intent", "call", "verify", "judge", "store", "record", "report"]
STEPS: tuple[Step, ...] = get_args(Step)


class Fuse:
    """Counts how often one step was reached, and ends the process at the given count."""

    def __init__(self, step: str, at: int) -> None:
        self._step = step
        self._left = at
        self._lock = threading.Lock()

    def reach(self, step: Step) -> None:
        if step != self._step:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def fuse_from(die_at: str | None) -> Fuse | None:
    """Return the fuse that `step:count` describes; raises BadInput for another form or an unknown step."""
    if not die_at:
        return None
    step, _, count = die_at.partition(":")
    if step not in STEPS or not (count or "1").isdigit():
        raise BadInput(f"LIMNER_DIE_AT={die_at} is no step of the press; write one of {', '.join(STEPS)}, then :count.")
    return Fuse(step, int(count or 1))
