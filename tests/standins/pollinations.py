"""A stand-in for gen.pollinations.ai on loopback: the documented API, with faults on demand.

    python -m tests.standins.pollinations --port 0 --latency 2 --calls calls.jsonl

serves GET /image/{prompt}; what else it can do stands in `tests/standins/serving.py`. Its own faults are "safety",
"policy" and "vendor" (502 with `upstream`). Its own event is "read": what the schema made of a call.

Identical requests share one generation, as the service documents; a picture's bytes follow from prompt, seed and size.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.standins import serving
from tests.standins.pictures import MEDIA_TYPES
from tests.standins.serving import KEY, Call, Fault, Reply, Running, Service, base_picture, picture, plain_picture

__all__ = ["KEY", "MODELS", "Running", "base_picture", "picture", "plain_picture", "running"]

MODELS = ("flux", "zimage", "klein", "kontext", "seedream5", "gptimage", "nanobanana", "nanobanana-pro")
MAX_SEED = 2**31 - 1


def refusal(status: int, code: str, message: str, **more: Any) -> Reply:
    """Return the service's own shape of an error."""
    error = {"code": code, "message": message, "timestamp": datetime.now(UTC).isoformat(), **more}
    return Reply(status, json.dumps({"status": status, "success": False, "error": error}).encode())


CODES = {
    400: ("BAD_REQUEST", "Something was wrong with the input data, check the details for more info."),
    401: ("UNAUTHORIZED", "Authentication required. Please provide an API key via Authorization header."),
    402: ("PAYMENT_REQUIRED", "Insufficient pollen balance or API key budget exhausted."),
    403: ("FORBIDDEN", "Access denied! You don't have the required permissions for this resource or model."),
    404: ("NOT_FOUND", "Oh no, there's nothing here."),
    422: ("UNPROCESSABLE_ENTITY", "Your request looks good, but some required fields are missing or invalid."),
    429: ("RATE_LIMITED", "You're making requests too quickly. Please slow down a bit."),
    500: ("INTERNAL_ERROR", "Oh snap, something went wrong on our end. We're on it!"),
    503: ("SERVICE_UNAVAILABLE", "We're temporarily down for maintenance. Sorry about that!"),
}


@dataclass(frozen=True)
class Asked:
    """One request for a picture, as the real schema reads it."""

    prompt: str
    model: str
    width: int
    height: int
    seed: int
    enhance: bool

    @classmethod
    def read(cls, call: Call) -> "Asked":
        """Raise ValueError that names the parameter which the schema refuses."""
        said = call.query
        model = said.get("model") or "flux"
        if model not in MODELS and "/" not in model:
            raise ValueError("model")
        return cls(
            prompt=unquote(call.path.removeprefix("/image/")),
            model=model,
            width=whole(said, "width", 1024, 0, 1 << 20),
            height=whole(said, "height", 1024, 0, 1 << 20),
            seed=whole(said, "seed", 0, -1, MAX_SEED),
            # The schema coerces: any text that is not empty is true, "false" too.
            enhance=bool(said.get("enhance")),
        )


def whole(said: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    try:
        value = int(said.get(name, default))
    except ValueError:
        raise ValueError(name) from None
    if not least <= value <= most:
        raise ValueError(name)
    return value


class Pollinations(Service):
    """The service: pictures in progress are shared by identical requests."""

    name = "pollinations"

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self._ready: dict[str, asyncio.Event] = {}

    def kind(self, call: Call) -> str:
        return "submit" if call.method == "GET" and call.path.startswith("/image/") else "other"

    def words(self, call: Call) -> str:
        return unquote(call.path.removeprefix("/image/"))

    def error(self, status: int, message: str = "") -> Reply:
        code, said = CODES.get(status, ("UNKNOWN_ERROR", "UNKNOWN_ERROR"))
        return refusal(status, code, message or said)

    def own_fault(self, fault: Fault, call: Call) -> Reply | None:
        if fault.what == "safety":
            return refusal(400, *CODES[400], type="safety_error", categories=["violence"])
        if fault.what == "policy":
            return refusal(422, "content_policy_violation", "The prompt was refused by the model's content policy.")
        if fault.what == "vendor":
            details = {"name": "UpstreamError", "upstreamStatus": fault.upstream, "upstreamHost": "vendor.example"}
            return refusal(502, "BAD_GATEWAY", "We couldn't reach our backend services.", details=details)
        return None

    async def answer(self, call: Call) -> Reply:
        if call.kind != "submit":
            return self.error(404)
        try:
            asked = Asked.read(call)
        except ValueError as error:
            details = {"name": "ValidationError", "formErrors": [], "fieldErrors": {str(error): ["Invalid input"]}}
            return refusal(400, *CODES[400], details=details)
        self.note("read", call.number, **vars(asked))
        await self._drawn(call)
        data = self.draw(call, asked.prompt, asked.seed, asked.width, asked.height)
        media_type = MEDIA_TYPES.get(call.fault.what if call.fault else "", "image/jpeg")
        return Reply(body=data, media_type=media_type, more={"x-request-id": f"standin-{call.number}"})

    async def _drawn(self, call: Call) -> None:
        """Wait until the picture is ready: a second identical request joins the first."""
        if call.target not in self._ready:
            self.counts["generations"] += 1
            self._ready[call.target] = ready = asyncio.Event()
            asyncio.get_running_loop().call_later(self.seconds(call), ready.set)
        await self._ready[call.target].wait()

    def finish(self) -> None:
        for ready in self._ready.values():
            ready.set()


@contextmanager
def running(
    latency: float = 0.0, *, port: int = 0, key: str = KEY, calls: Path | None = None, sizes: Sequence[str] = ()
) -> Iterator[Running]:
    """Run a stand-in in a process of its own; it ends with the block, and also when we are killed."""
    with serving.running("tests.standins.pollinations", latency, port=port, key=key, calls=calls, sizes=sizes) as told:
        yield told


if __name__ == "__main__":
    serving.main(Pollinations, __doc__)
