"""A stand-in for api.openai.com on loopback: the Images API as it is documented, with faults on demand.

    python -m tests.standins.openai --port 0 --calls calls.jsonl

serves POST /v1/images/generations (JSON), POST /v1/images/edits (a form) and GET /v1/models/{model}; what else it can
do stands in `tests/standins/serving.py`. Each body is held to the published schema (`openapi/openai.json`), then to
what the model takes. Its own event is "read": the fields of a body, a file as its media type, size and sha256, and the
headers that name an account. Its own faults are those of `ERRORS`, "rate ms" (a throttle for `seconds`, by the
service's own header), and those of `SPOILED`, which spoil a good answer.

A picture's bytes follow from prompt, references and size. Nothing has a seed here.
"""

import asyncio
import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tests.standins import serving
from tests.standins.serving import KEY, Call, Fault, Reply, Running, Service

__all__ = ["KEY", "Running", "running"]

SPECIFIED = json.loads((Path(__file__).parent / "openapi" / "openai.json").read_text("utf-8"))

# Models that go, or went, as the service announced it.
GOING = {"gpt-image-1.5": "2026-12-01", "gpt-image-1-mini": "2026-12-01", "chatgpt-image-latest": "2026-12-01"}
GONE = ("dall-e-2", "dall-e-3", "gpt-image-1")
# Models of three sizes; the others take any within limits.
OLD = ("gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest")
THREE = ("1024x1024", "1536x1024", "1024x1536")

_NAME, _FILE, _KIND = (
    re.compile(one) for one in (r'[; ]name="([^"]+)"', r'filename="(.+?)"', r"(?i)content-type: *(\S+)")
)

_SAFETY = "Your request was rejected by the safety system."
_QUOTA = "You exceeded your current quota, please check your plan and billing details."

# Each is (status, code, type, message, more fields).
ERRORS: dict[str, tuple[int, str | None, str, str, dict[str, Any]]] = {
    "moderation": (
        400,
        "moderation_blocked",
        "image_generation_user_error",
        _SAFETY,
        {"moderation_details": {"moderation_stage": "input", "categories": ["violence", "gore"]}},
    ),
    "moderation after": (
        400,
        "moderation_blocked",
        "image_generation_user_error",
        _SAFETY,
        {"moderation_details": {"moderation_stage": "output", "categories": ["sexual"]}},
    ),
    "moderation in words": (
        400,
        "moderation_blocked",
        "image_generation_user_error",
        f"{_SAFETY} safety_violations=[violence, self-harm].",
        {},
    ),
    "policy": (400, "content_policy_violation", "invalid_request_error", _SAFETY, {}),
    "quota": (429, "insufficient_quota", "insufficient_quota", _QUOTA, {}),
    "credit": (429, "credit_balance_exhausted", "insufficient_quota", _QUOTA, {}),
    "organization spend": (429, "organization_spend_limit_exceeded", "insufficient_quota", _QUOTA, {}),
    "project spend": (429, "project_spend_limit_exceeded", "insufficient_quota", _QUOTA, {}),
    "organization usage": (429, "organization_usage_limit_exceeded", "insufficient_quota", _QUOTA, {}),
    "hard limit": (
        400,
        "billing_hard_limit_reached",
        "invalid_request_error",
        "Billing hard limit has been reached",
        {},
    ),
    "rate": (429, "rate_limit_exceeded", "requests", "Rate limit reached for images per minute. Limit: 5/1min.", {}),
    "slow down": (429, "slow_down", "rate_limit_error", "Slow down.", {}),
    "overloaded": (503, "server_is_overloaded", "service_unavailable_error", "The server is overloaded.", {}),
    "no access": (403, "model_not_found", "invalid_request_error", "Project does not have access to the model.", {}),
    "country": (403, "unsupported_country_region_territory", "request_forbidden", "Country not supported.", {}),
    "scope": (403, None, "invalid_request_error", "Missing scopes: api.model.read.", {}),
}

CODES = {
    400: (None, "invalid_request_error", "Your request is not valid."),
    401: (
        "invalid_api_key",
        "invalid_request_error",
        "Incorrect API key provided: sk_s****.",
    ),
    404: (None, "invalid_request_error", "Unknown request URL. Please check the URL for typos."),
    429: ("rate_limit_exceeded", "requests", "Rate limit reached for requests."),
    500: ("server_error", "server_error", "The server had an error while processing your request. Sorry about that!"),
    503: ("service_unavailable", "service_unavailable_error", "The service is unavailable."),
}

NOTHING = {"text_tokens": 0, "image_tokens": 0}
MET = {"text_tokens": 3000, "image_tokens": 5000, "cached_tokens_details": {"text_tokens": 1000, "image_tokens": 1000}}

# What spoils the answer to an order that was drawn and is paid for.
SPOILED: dict[str, Any] = {
    "no usage": lambda answer: answer | {"usage": None},
    "usage of words": lambda answer: answer | {"usage": answer["usage"] | {"output_tokens": "many"}},
    "usage as text": lambda answer: answer | {"usage": answer["usage"] | {"output_tokens": "955"}},
    "usage below nothing": lambda answer: answer | {"usage": answer["usage"] | {"output_tokens": -5}},
    "usage without end": lambda answer: answer | {"usage": answer["usage"] | {"output_tokens": 10**18}},
    "usage not split": lambda answer: answer | {"usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}},
    "usage in brief": lambda answer: (
        answer | {"usage": {name: told for name, told in answer["usage"].items() if name != "output_tokens_details"}}
    ),
    "usage of planning": lambda answer: (
        answer | {"usage": answer["usage"] | {"output_tokens_details": {"text_tokens": 1000, "image_tokens": 0}}}
    ),
    "usage met before": lambda answer: (
        answer | {"usage": answer["usage"] | {"input_tokens_details": MET, "output_tokens_details": NOTHING}}
    ),
    "bad base64": lambda answer: answer | {"data": [{"b64_json": "****" + answer["data"][0]["b64_json"]}]},
    "half base64": lambda answer: answer | {"data": [{"b64_json": answer["data"][0]["b64_json"][:-3]}]},
    "broken lines": lambda answer: answer | {"data": [{"b64_json": lines(answer["data"][0]["b64_json"])}]},
    "an address": lambda answer: answer | {"data": [{"url": "https://example.com/picture.png"}]},
    "no picture": lambda answer: answer | {"data": []},
    "revised": lambda answer: answer | {"data": [answer["data"][0] | {"revised_prompt": "A castle, in oil."}]},
}


def lines(text: str) -> str:
    return "\n".join(text[at : at + 76] for at in range(0, len(text), 76))


def refusal(status: int, code: str | None, kind: str, message: str, param: str | None = None, **more: Any) -> Reply:
    """Return the service's own shape of an error."""
    return Reply.of_json({"error": {"message": message, "type": kind, "param": param, "code": code, **more}}, status)


class Unfit(Exception):
    """A body that the service refuses; `reply` says why."""

    def __init__(self, param: str | None, message: str, code: str | None = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.reply = refusal(status, code, "invalid_request_error", message, param)


def form(call: Call) -> dict[str, Any]:
    """Return a form's fields as the schema sees them: a file by its media type and size, a number as one."""
    fields: dict[str, Any] = {}
    for head, data in parts(call):
        name, is_file, kind = (_found(what, head) for what in (_NAME, _FILE, _KIND))
        if not is_file:
            fields[name] = int(data) if data.isdigit() else data.decode()
            continue
        told = {"media_type": kind, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        # Several of a name come with brackets after it.
        fields[name.removesuffix("[]")] = [*fields.get("image", []), told] if name.startswith("image") else told
    return fields


def _found(what: re.Pattern[str], head: str) -> str:
    found = what.search(head)
    return found[1] if found else ""


def parts(call: Call) -> Iterator[tuple[str, bytes]]:
    """Yield each part's header lines and data."""
    boundary = call.headers.get("content-type", "").partition("boundary=")[2].strip('"')
    if not boundary:
        raise Unfit(None, "You must provide a multipart/form-data body.")
    for part in call.body.split(b"--" + boundary.encode())[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        yield head.decode(), data.removesuffix(b"\r\n")


@dataclass(frozen=True)
class Order:
    """One order, as the service reads it."""

    fields: Mapping[str, Any]
    width: int
    height: int

    @classmethod
    def read(cls, call: Call) -> "Order":
        """Raise Unfit for what the schema or the model does not take."""
        endpoint = call.path.rpartition("/")[2]
        fields = call.json() if endpoint == "generations" else form(call)
        told = best_match(
            Draft202012Validator({**SPECIFIED[endpoint], "$defs": SPECIFIED["$defs"]}).iter_errors(fields)
        )
        if told is not None:
            raise Unfit(".".join(map(str, told.path)) or None, told.message)
        model, size = fields.get("model", "gpt-image-1"), fields.get("size", "auto")
        if model in GONE:
            raise Unfit("model", f"The model '{model}' does not exist.", "model_not_found", 404)
        width, height = map(int, ("1024x1024" if size == "auto" else size).split("x"))
        fit(model, fields, width, height)
        return cls(fields, width, height)

    @property
    def words(self) -> str:
        """What the picture's bytes follow from besides its size."""
        return "\0".join([self.fields["prompt"], *(one["sha256"] for one in self.fields.get("image", []))])


def fit(model: str, fields: Mapping[str, Any], width: int, height: int) -> None:
    """Raise Unfit for what the model does not take."""
    if model.startswith(OLD):
        if f"{width}x{height}" not in THREE:
            raise Unfit("size", f"Invalid size '{width}x{height}'. Supported sizes are {', '.join(THREE)}.")
    elif width % 16 or height % 16 or max(width, height) > min(3840, 3 * min(width, height)):
        raise Unfit("size", f"Invalid size '{width}x{height}': sides are multiples of 16, at most 3:1 and 3840.")
    elif not 655_360 <= width * height <= 8_294_400:
        raise Unfit("size", f"Invalid size '{width}x{height}': not within 655360 to 8294400 pixels.")
    if fields.get("quality") in ("xhigh", "max") and not model.startswith(("gpt-image-2.5", "gpt-image-2.6")):
        raise Unfit("quality", f"Invalid quality '{fields['quality']}' for model '{model}'.")
    fidelity = fields.get("input_fidelity")
    if fidelity and not (model.startswith("gpt-image-1.5") or (model == "gpt-image-1-mini" and fidelity == "low")):
        raise Unfit(
            "input_fidelity",
            f"The model '{model}' does not support the 'input_fidelity' parameter.",
            "invalid_input_fidelity_model",
        )


def usage(order: Order) -> dict[str, Any]:
    """Return the tokens of an order, counted about as the service does."""
    model, quality = order.fields.get("model", "gpt-image-1"), order.fields.get("quality", "auto")
    text = max(1, len(order.fields["prompt"]) // 4)
    references = len(order.fields.get("image", []))
    if model.startswith(OLD):
        # Two tiles of each, and what goes on top for its details; the picture as the old price list had it.
        images = references * (323 + (4160 if order.fields.get("input_fidelity") == "high" else 0))
        out = {"low": 272, "high": 4160}.get(quality, 1056) * order.width * order.height // 1024**2
    else:
        images = references * 1024
        cells = {"low": 16, "high": 96, "xhigh": 96, "max": 96}.get(quality, 48)
        rows = round(cells * min(order.width, order.height) / max(order.width, order.height))
        out = -(-cells * rows * (2_000_000 + order.width * order.height) // 4_000_000)
    return {
        "input_tokens": text + images,
        "input_tokens_details": {"text_tokens": text, "image_tokens": images},
        "output_tokens": out,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": out},
        "total_tokens": text + images + out,
    }


class OpenAI(Service):
    """The service."""

    name = "openai"
    keyed = ("submit", "model")

    def kind(self, call: Call) -> str:
        if call.method == "POST" and call.path in ("/v1/images/generations", "/v1/images/edits"):
            return "submit"
        return "model" if call.method == "GET" and call.path.startswith("/v1/models/") else "other"

    def words(self, call: Call) -> str:
        if call.kind == "model":
            return call.path.rpartition("/")[2]
        try:
            return str((call.json() if call.path.endswith("generations") else form(call)).get("prompt", ""))
        except Unfit:
            return ""

    def error(self, status: int, message: str = "") -> Reply:
        code, kind, said = CODES.get(status, (None, "invalid_request_error", "Something went wrong."))
        return refusal(status, code, kind, message or said)

    def own_fault(self, fault: Fault, call: Call) -> Reply | None:
        if fault.what == "rate ms":
            reply = self.error(429)
            reply.more["retry-after-ms"] = str(round(fault.seconds * 1000))
            return reply
        if fault.what not in ERRORS:
            return None
        status, code, kind, message, more = ERRORS[fault.what]
        reply = refusal(status, code, kind, message, **more)
        reply.more |= {"retry-after": fault.retry_after} if fault.retry_after else {}
        return reply

    async def answer(self, call: Call) -> Reply:
        if call.kind == "model":
            return self._model(call.path.rpartition("/")[2])
        if call.kind != "submit":
            return self.error(404)
        try:
            order = Order.read(call)
        except Unfit as error:
            return error.reply
        named = {name: value for name, value in call.headers.items() if name.startswith(("openai-", "user-agent"))}
        self.note("read", call.number, path=call.path, fields=order.fields, headers=named)
        self.counts["generations"] += 1
        await asyncio.sleep(self.seconds(call))
        return self._drawn(call, order)

    def _drawn(self, call: Call, order: Order) -> Reply:
        kind = order.fields.get("output_format", "png")
        data = self.draw(call, order.words, 0, order.width, order.height, "png" if kind == "png" else "jpeg")
        answer = {
            "created": 1_790_000_000,
            "background": "opaque",
            "output_format": kind,
            "quality": "medium",
            "size": f"{order.width}x{order.height}",
            "data": [{"b64_json": base64.b64encode(webp(data) if kind == "webp" else data).decode()}],
            "usage": usage(order),
        }
        spoil = SPOILED.get(call.fault.what if call.fault else "", lambda good: good)
        answer = spoil(answer)
        if call.fault and call.fault.what == "revised" and call.fault.body:
            answer["data"][0]["revised_prompt"] = call.fault.body
        return Reply.of_json(answer, **{"x-request-id": f"req_{call.number}"})

    def _model(self, name: str) -> Reply:
        if name in GONE or name not in SPECIFIED["$defs"]["model"]["enum"]:
            return refusal(404, "model_not_found", "invalid_request_error", f"The model '{name}' does not exist.")
        told = {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "system"}
        return Reply.of_json(told | {"shutdown_date": GOING.get(name)})


def webp(data: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(data)).save(out, "WEBP")
    return out.getvalue()


@contextmanager
def running(
    latency: float = 0.0, *, port: int = 0, key: str = KEY, calls: Path | None = None, sizes: Sequence[str] = ()
) -> Iterator[Running]:
    """Run a stand-in in a process of its own; it ends with the block, and also when we are killed."""
    with serving.running("tests.standins.openai", latency, port=port, key=key, calls=calls, sizes=sizes) as told:
        yield told


if __name__ == "__main__":
    serving.main(OpenAI, __doc__)
