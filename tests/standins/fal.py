"""A stand-in for queue.fal.run on loopback: the queue and three apps as they are documented, with faults on demand.

    python -m tests.standins.fal --port 0 --latency 2 --calls calls.jsonl

serves POST /{app}, GET /{owner}/{app}/requests/{id}[/status], PUT .../cancel, and results under /files/; what else it
can do stands in `tests/standins/serving.py`. Its own event is "read": an order's app, body and headers. Its own faults
are those of `REFUSED` (the order is not taken), of `ENDS` (it is taken, and ends so), those of `orders.py`, and:

| fault | what it does |
|---|---|
| nsfw | a picture that is marked |
| no picture | done, with no picture in the answer |
| gone | done, and the picture is not where it is said to be |
| lies elsewhere | done, and the picture is said to be at `location` |
| inline | the picture stands in the answer itself |
| odd units | what was billed is said in words |
| elsewhere | the order's addresses are those of another host |
| no id | the order is taken, and its id is not said |
| forgets | once it was cancelled, the order is not known any more |

As at the service, a body is looked at when its order is run, not when it is taken. A picture's bytes follow from
prompt, seed and size.
"""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator

from tests.standins import serving
from tests.standins.orders import Order, finish
from tests.standins.serving import KEY, Call, Fault, Reply, Running, Service

__all__ = ["KEY", "Running", "running"]

SPECIFIED = json.loads((Path(__file__).parent / "openapi" / "fal.json").read_text("utf-8"))
APPS: dict[str, Any] = SPECIFIED["apps"]

SIZES = {
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

_REQUEST = re.compile(r"/(?:[\w.-]+/)+requests/(?P<id>[\w-]+)(?P<what>/status|/cancel)?")

Headers = dict[str, str]


def validation(kind: str, said: str) -> dict[str, Any]:
    """Return the shape of what a model says."""
    return {"detail": [{"loc": ["body", "prompt"], "msg": said, "type": kind, "url": f"https://docs.fal.ai/#{kind}"}]}


_POLICY = validation("content_policy_violation", "The content could not be processed because it contained material.")

# In place of an order that is taken: status, body.
REFUSED: dict[str, tuple[int, Any]] = {
    "locked": (403, {"detail": "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard."}),
    "top up": (403, {"detail": "User is locked. Reason: TOP_UP."}),
    "admin lock": (403, {"detail": "User is locked. Reason: Admin lock. Please contact support@fal.ai"}),
    "policy at once": (422, _POLICY),
}

# What an order ends with in place of a picture: status, body, headers.
ENDS: dict[str, tuple[int, Any, Headers]] = {
    "policy": (422, _POLICY, {"X-Fal-Retryable": "false"}),
    "invalid": (422, validation("value_error", "Input should be less than 50"), {"X-Fal-Retryable": "false"}),
    "unlucky": (422, validation("no_media_generated", "The model drew nothing."), {"X-Fal-Retryable": "true"}),
    "needs retry": (400, {"detail": "Try again."}, {"X-Fal-Needs-Retry": "1"}),
    "unmarked": (400, {"detail": "Something is wrong with it."}, {}),
    "runner": (
        503,
        {"detail": "The runner disconnected.", "error_type": "runner_disconnected"},
        {"X-Fal-Error-Type": "runner_disconnected"},
    ),
    "hopeless": (500, validation("internal_server_error", "Out of luck."), {"X-Fal-Retryable": "false"}),
}

_CANCELLED = {"detail": "Request was cancelled by the client", "error_type": "client_cancelled"}


class Fal(Service):
    """The service."""

    name = "fal"
    key_scheme = "Key "

    def __init__(self, *told: Any, **more: Any) -> None:
        super().__init__(*told, **more)
        self.orders: dict[str, Order] = {}

    def finish(self) -> None:
        finish(self.orders.values())

    def kind(self, call: Call) -> str:
        # The other host is this very server: what it is shown is counted.
        self.counts["elsewhere"] += call.headers.get("host") != urlsplit(self.url).netloc
        found = _REQUEST.fullmatch(call.path)
        if found is None:
            return "submit" if call.method == "POST" else "other"
        is_cancel = call.method == "PUT" and found["what"] == "/cancel"
        return "cancel" if is_cancel else "poll" if call.method == "GET" and found["what"] != "/cancel" else "other"

    def words(self, call: Call) -> str:
        if call.kind == "submit":
            return str(call.json().get("prompt", ""))
        found = _REQUEST.fullmatch(call.path)
        name = found["id"] if found else call.path.rpartition("/")[2].partition(".")[0]
        return self.orders[name].prompt if name in self.orders else ""

    def own_fault(self, fault: Fault, call: Call) -> Reply | None:
        if fault.what not in REFUSED:
            return None
        status, body = REFUSED[fault.what]
        return Reply.of_json(body, status)

    async def answer(self, call: Call) -> Reply:
        if call.kind == "submit":
            return self._submit(call)
        found = _REQUEST.fullmatch(call.path)
        order = self.orders.get(found["id"]) if found else None
        if call.kind == "other" or found is None or order is None:
            return self.error(404, "Request not found")
        if call.kind == "cancel":
            return self._cancel(order)
        return self._status(order) if found["what"] == "/status" else self._result(order)

    def _submit(self, call: Call) -> Reply:
        app = call.path.removeprefix("/")
        if app not in APPS:
            return self.error(404, f"Application '{app}' not found")
        order = Order(app, call.json(), self.seconds(call), call.fault)
        self.orders[order.id] = order
        self.counts["generations"] += 1
        self.note("read", call.number, app=app, body=order.inputs, headers=dict(call.headers), id=order.id)
        if order.what == "no id":
            return Reply.of_json({"status": "IN_QUEUE", "request_id": None})
        # They name the owner and the app, and nothing below it.
        base = self.url.replace("127.0.0.1", "localhost") if order.what == "elsewhere" else self.url
        response = f"{base}/{'/'.join(app.split('/')[:2])}/requests/{order.id}"
        urls = {"response_url": response, "status_url": f"{response}/status", "cancel_url": f"{response}/cancel"}
        return Reply.of_json({"status": "IN_QUEUE", "request_id": order.id, "queue_position": 0, **urls})

    def _status(self, order: Order) -> Reply:
        state = order.state()
        if state in ("queued", "running"):
            place = {"status": "IN_QUEUE", "queue_position": 0} if state == "queued" else {"status": "IN_PROGRESS"}
            return Reply.of_json({**place, "logs": None}, 202)
        told: dict[str, Any] = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": order.seconds}}
        if state == "cancelled":
            told |= {"error": _CANCELLED["detail"], "error_type": "client_cancelled"}
        elif order.what == "runner":
            told |= {"error": ENDS["runner"][1]["detail"], "error_type": "runner_disconnected"}
        return Reply.of_json(told)

    def _cancel(self, order: Order) -> Reply:
        if not order.cancel():
            return Reply.of_json({"status": "ALREADY_COMPLETED"}, 400)
        self.counts["cancelled"] += order.cancelled
        if order.what == "forgets":
            del self.orders[order.id]
        return Reply.of_json({"status": "CANCELLATION_REQUESTED"}, 202)

    def _result(self, order: Order) -> Reply:
        state = order.state()
        if state == "cancelled":
            return Reply.of_json(_CANCELLED, 499, **{"X-Fal-Error-Type": "client_cancelled"})
        if state != "done":
            return self.error(400, "Request is still in progress")
        if order.what in ENDS:
            status, body, headers = ENDS[order.what]
            return Reply.of_json(body, status, **headers)
        if unfit := self._unfit(order):
            return unfit
        return self._drawn(order)

    def _unfit(self, order: Order) -> Reply | None:
        schema = {**APPS[order.model], "$defs": SPECIFIED["$defs"]}
        detail = [
            {"loc": ["body", *error.path], "msg": error.message[:200], "type": str(error.validator)}
            for error in Draft202012Validator(schema).iter_errors(order.inputs)
        ]
        return Reply.of_json({"detail": detail}, 422, **{"X-Fal-Retryable": "false"}) if detail else None

    def _drawn(self, order: Order) -> Reply:
        given = order.inputs
        size = given.get("image_size", {})
        width, height = SIZES[given.get("aspect_ratio", "16:9")] if not size else (size["width"], size["height"])
        kind = given.get("output_format", "jpeg")
        data = self.draw(Call(0, "", "", {}, b"", fault=order.fault), order.prompt, given["seed"], width, height, kind)
        url = self.keep_file(data, f"{order.id}.{kind}", f"image/{kind}")
        if order.what == "gone":
            del self.files[f"{order.id}.{kind}"]
        if order.what == "lies elsewhere" and order.fault:
            url = order.fault.location
        if order.what == "inline":
            url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        picture = {"url": url, "width": width, "height": height, "content_type": f"image/{kind}"}
        told = {
            "images": [] if order.what == "no picture" else [picture],
            "seed": given["seed"],
            "prompt": order.prompt,
            "has_nsfw_concepts": [order.what == "nsfw"],
            "timings": {},
        }
        units = "some" if order.what == "odd units" else str(-(-width * height // 1_000_000) if size else 1)
        return Reply.of_json(told, **{"x-fal-request-id": order.id, "x-fal-billable-units": units})


@contextmanager
def running(
    latency: float = 0.0, *, port: int = 0, key: str = KEY, calls: Path | None = None, sizes: Sequence[str] = ()
) -> Iterator[Running]:
    """Run a stand-in in a process of its own; it ends with the block, and also when we are killed."""
    with serving.running(__name__, latency, port=port, key=key, calls=calls, sizes=sizes) as standin:
        yield standin


if __name__ == "__main__":
    serving.main(Fal, __doc__)
