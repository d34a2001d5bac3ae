"""A stand-in for api.replicate.com on loopback: the predictions API as it is documented, with faults on demand.

    python -m tests.standins.replicate --port 0 --latency 2 --calls calls.jsonl

serves POST /v1/predictions and /v1/models/{owner}/{name}/predictions, GET /v1/predictions/{id}, POST .../cancel, and
outputs under /files/; what else it can do stands in `tests/standins/serving.py`. Its own event is "read": an order's
path, body and headers. Its own faults are those of `REFUSED` (the order is not taken), of `FAILED` (it is taken, and
fails so), those of `orders.py`, and:

| fault | what it does |
|---|---|
| canceled, aborted | the prediction is cancelled, and not by whoever ordered it; before it ran, where aborted |
| expired | done more than an hour ago: the output is deleted |
| no output | done, with no output in the answer |
| gone | done, and the picture is not where it is said to be |
| lies elsewhere | done, and the picture is said to be at `location` |
| inline | the picture stands in the answer itself |
| odd metrics | how long it ran is said in words |
| no id | the order is taken, and its id is not said |

A picture's bytes follow from prompt, seed and size.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.standins import serving
from tests.standins.orders import Order, finish
from tests.standins.serving import KEY, Call, Fault, Reply, Running, Service

__all__ = ["KEY", "Running", "running"]

SPECIFIED = json.loads((Path(__file__).parent / "openapi" / "replicate.json").read_text("utf-8"))
MODELS: dict[str, Any] = SPECIFIED["models"]
VERSIONS = {"7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc": "stability-ai/sdxl"}

# Of flux-schnell at one megapixel; at a quarter each side is half as long.
SMALL = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "3:4": (896, 1152),
    "4:3": (1152, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}
LARGE = {
    "21:9": (3136, 1344),
    "16:9": (2752, 1536),
    "4:3": (2368, 1792),
    "3:2": (2496, 1664),
    "1:1": (2048, 2048),
    "2:3": (1664, 2496),
    "3:4": (1792, 2368),
    "9:16": (1536, 2752),
    "9:21": (1344, 3136),
}

_PREDICTION = re.compile(r"/v1/predictions/(?P<id>[\w-]+)(?P<cancel>/cancel)?")
_MODEL = re.compile(r"/v1/models/(?P<model>[\w.-]+/[\w.-]+)/predictions")

_REDUCED = (
    "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a burst "
    "of 1 requests while you have less than $5.0 in credit."
)
_SENSITIVE = "The input or output was flagged as sensitive. Please try again with different inputs. (E005) (uIJ6l3ruRD)"

# In place of an order that is taken: status, body.
REFUSED: dict[str, tuple[int, Any]] = {
    "resets": (429, {"detail": "Request was throttled. Your rate limit resets in ~30s."}),
    "expected": (429, {"detail": "Request was throttled. Expected available in 1 second."}),
    "reduced": (429, {"detail": f"{_REDUCED} Your rate limit resets in ~9s.", "status": 429, "retry_after": 10}),
    "reduced, in words": (429, {"detail": f"{_REDUCED} Your rate limit resets in ~9s."}),
    "throttled": (429, {"detail": "Request was throttled."}),
    "credit": (
        402,
        {
            "title": "Insufficient credit",
            "detail": "You have insufficient credit to run this model. Go to https://replicate.com/account/billing.",
            "status": 402,
        },
    ),
    "sensitive at once": (422, {"title": "Unprocessable", "detail": _SENSITIVE, "status": 422}),
}

# What a prediction fails with.
FAILED = {
    "nsfw": "All generated images contained NSFW content. Try running it again with a different prompt.",
    "sensitive": _SENSITIVE,
    "failed": "CUDA out of memory. Tried to allocate 2.00 GiB",
    "interrupted": "Prediction interrupted; please retry (code: PA)",
}

_STATUS = {"queued": "starting", "running": "processing", "done": "succeeded", "cancelled": "canceled"}


class Replicate(Service):
    """The service."""

    name = "replicate"

    def __init__(self, *told: Any, **more: Any) -> None:
        super().__init__(*told, **more)
        self.orders: dict[str, Order] = {}

    def finish(self) -> None:
        finish(self.orders.values())

    def kind(self, call: Call) -> str:
        found = _PREDICTION.fullmatch(call.path)
        if found is None:
            is_order = call.path == "/v1/predictions" or bool(_MODEL.fullmatch(call.path))
            return "submit" if is_order and call.method == "POST" else "other"
        return {"GET": "poll", "POST": "cancel"}.get(call.method, "other")

    def words(self, call: Call) -> str:
        if call.kind == "submit":
            return str(call.json().get("input", {}).get("prompt", ""))
        found = _PREDICTION.fullmatch(call.path)
        name = found["id"] if found else call.path.rpartition("/")[2].partition(".")[0]
        return self.orders[name].prompt if name in self.orders else ""

    def error(self, status: int, message: str = "") -> Reply:
        """Return a problem as RFC 7807 has it, as far as the service does."""
        titles = {401: "Unauthenticated", 404: "Not found"}
        said = {401: "You did not pass a valid authentication token", 404: "The requested resource was not found"}
        told = {"title": titles.get(status, "Error"), "detail": message or said.get(status, "Oops."), "status": status}
        return Reply.of_json(told, status)

    def own_fault(self, fault: Fault, call: Call) -> Reply | None:
        if fault.what not in REFUSED:
            return None
        status, body = REFUSED[fault.what]
        return Reply.of_json(body, status, **({"Retry-After": fault.retry_after} if fault.retry_after else {}))

    async def answer(self, call: Call) -> Reply:
        if call.kind == "submit":
            return await self._submit(call)
        found = _PREDICTION.fullmatch(call.path)
        order = self.orders.get(found["id"]) if found else None
        if call.kind == "other" or order is None:
            return self.error(404)
        if call.kind == "cancel":
            order.cancel()
            self.counts["cancelled"] += order.cancelled
        return Reply.of_json(self._prediction(order))

    async def _submit(self, call: Call) -> Reply:
        body = call.json()
        found = _MODEL.fullmatch(call.path)
        model = found["model"] if found else VERSIONS.get(str(body.get("version")), "")
        if model not in MODELS or (found is None) != (model in VERSIONS.values()):
            return self.error(404)
        if unfit := self._unfit(model, body):
            return unfit
        order = Order(model, body["input"], self.seconds(call), call.fault, id=f"p{call.number}x{time.time_ns()}")
        self.orders[order.id] = order
        self.counts["generations"] += 1
        self.note("read", call.number, path=call.path, body=body, headers=dict(call.headers), id=order.id)
        waits = re.fullmatch(r"wait=(\d+)", call.headers.get("prefer", ""))
        if waits:
            await asyncio.sleep(min(order.seconds, float(waits[1])))
        told = self._prediction(order)
        return Reply.of_json({**told, "id": None} if order.what == "no id" else told, 201)

    def _unfit(self, model: str, body: Any) -> Reply | None:
        schema = {**SPECIFIED["create"], "$defs": SPECIFIED["$defs"]}
        schema = {**schema, "properties": {**schema["properties"], "input": MODELS[model]}}
        fields = [
            {"type": str(error.validator), "field": ".".join(map(str, error.path)), "description": error.message[:200]}
            for error in Draft202012Validator(schema).iter_errors(body)
        ]
        if not fields:
            return None
        said = "\n".join(f"- {one['field']}: {one['description']}" for one in fields)
        told = {"title": "Input validation failed", "detail": said, "status": 422, "invalid_fields": fields}
        return Reply.of_json(told, 422)

    def _prediction(self, order: Order) -> dict[str, Any]:
        state = order.state()
        status, error = _STATUS[state], None
        if state == "done" and order.what in FAILED:
            status, error = "failed", FAILED[order.what]
        if order.what in ("canceled", "aborted"):
            status = order.what
        is_late = order.what == "expired"
        seconds: object = "a while" if order.what == "odd metrics" else order.seconds + 2.5
        return {
            "id": order.id,
            "model": order.model,
            "version": "hidden",
            "input": {} if is_late else order.inputs,
            "output": self._output(order) if status == "succeeded" and not is_late else None,
            "data_removed": is_late,
            "error": error,
            "logs": "",
            "status": status,
            "created_at": "2026-11-20T10:00:00.000Z",
            "started_at": "2026-11-20T10:00:01.000Z" if order.ran or order.what == "canceled" else None,
            "metrics": {"predict_time": seconds} if status == "succeeded" else {},
            "urls": {name: f"{self.url}/v1/predictions/{order.id}{end}" for name, end in _URLS.items()},
        }

    def _output(self, order: Order) -> Any:
        if order.what == "no output":
            return None
        given = order.inputs
        width, height = self._size(order)
        kind = "png" if given.get("output_format", "png") == "png" else "jpeg"
        seed = given.get("seed", 0)
        data = self.draw(Call(0, "", "", {}, b"", fault=order.fault), order.prompt, seed, width, height, kind)
        url = self.keep_file(data, f"{order.id}.{kind}", f"image/{kind}")
        if order.what == "gone":
            del self.files[f"{order.id}.{kind}"]
        if order.what == "lies elsewhere" and order.fault:
            url = order.fault.location
        if order.what == "inline":
            url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        # A model that makes one picture names it, one that makes several lists them.
        return url if order.model.endswith("ultra") else [url]

    def _size(self, order: Order) -> tuple[int, int]:
        given = order.inputs
        if "aspect_ratio" not in given:
            return given.get("width", 1024), given.get("height", 1024)
        width, height = (LARGE if order.model.endswith("ultra") else SMALL)[given["aspect_ratio"]]
        return (width // 2, height // 2) if given.get("megapixels") == "0.25" else (width, height)


_URLS = {"get": "", "cancel": "/cancel"}


@contextmanager
def running(
    latency: float = 0.0, *, port: int = 0, key: str = KEY, calls: Path | None = None, sizes: Sequence[str] = ()
) -> Iterator[Running]:
    """Run a stand-in in a process of its own; it ends with the block, and also when we are killed."""
    with serving.running(__name__, latency, port=port, key=key, calls=calls, sizes=sizes) as standin:
        yield standin


if __name__ == "__main__":
    serving.main(Replicate, __doc__)
