"""Orders that live at a stand-in under an id: queued, then running, then done; or cancelled.

Knows no service and no HTTP.
"""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.standins.serving import Fault

State = Literal["queued", "running", "done", "cancelled"]


@dataclass
class Order:
    """One accepted order. seconds: how long it takes, the first half of them in the queue. fault: what it met.

    Three faults are of every queue: "queued" never leaves it, "running" leaves it at once and is never done, and "deaf"
    goes on drawing though it was cancelled.
    """

    model: str
    inputs: dict[str, Any]
    seconds: float
    fault: Fault | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    accepted_at: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    ran: bool = False

    @property
    def what(self) -> str:
        return self.fault.what if self.fault else ""

    @property
    def prompt(self) -> str:
        return str(self.inputs.get("prompt", ""))

    def state(self) -> State:
        passed = time.monotonic() - self.accepted_at
        if self.cancelled:
            return "cancelled"
        if self.what == "queued" or (passed < self.seconds / 2 and self.what != "running"):
            return "queued"
        self.ran = True
        return "done" if passed >= self.seconds and self.what != "running" else "running"

    def cancel(self) -> bool:
        """Stop it where that is possible; say whether it was still to be stopped."""
        state = self.state()
        self.cancelled = self.cancelled or (state in ("queued", "running") and self.what != "deaf")
        return state in ("queued", "running")


def finish(orders: Iterable[Order]) -> None:
    """Let orders be done now, but for those whose fault is that they never are."""
    for order in orders:
        order.seconds = 0.0
