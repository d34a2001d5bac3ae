"""A stand-in for gen.pollinations.ai on loopback: the documented API, with faults on demand.

Runs as a process of its own, so that its work is not counted as ours:

    python -m tests.standins.pollinations --port 0 --latency 2 --calls calls.jsonl

prints its address, then serves GET /image/{prompt}. Every call leaves a "start" and an "end" line in the calls file.

| control | what it does |
|---|---|
| POST /_standin/faults | replace the faults: [{"what": "500", "match": "castle", "times": 2}, ...]; [] mends all |
| POST /_standin/latency | {"seconds": 0.5} |
| GET /_standin/calls | {"calls", "generations", "failed", "most_at_once"} |

Identical requests share one generation, as the service documents; a picture's bytes follow from prompt, seed and size.
"""

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import io
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "sk_standin"
MODELS = ("flux", "zimage", "klein", "kontext", "seedream5", "gptimage", "nanobanana", "nanobanana-pro")
MAX_SEED = 2**31 - 1

Headers = Mapping[str, str]


@dataclass
class Fault:
    """What goes wrong, for which prompts, how often (None: until it is mended).

    what: a status ("500", "503", "429", "402", "401", "403", "404"), "echo" (403 that repeats the key), "safety",
    "policy", "vendor" (502 with `upstream`), "html", "json", "truncated", "short" (no length sent), "reset",
    "hang up" (closed without an answer), "stall" (stops in the middle), "huge", "plain" (one colour) or "slow"
    (`seconds` more, then a picture).
    """

    what: str
    match: str = ""
    times: int | None = None
    retry_after: str | None = None
    upstream: int = 429
    seconds: float = 1.0

    def meets(self, prompt: str) -> bool:
        if self.match not in prompt or self.times == 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass
class Reply:
    """One answer; `sent` is how much of the body goes out before the connection ends in the way that `ends` names."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    more: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    ends: str = ""
    length: bool = True


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


@cache
def base_picture(width: int, height: int) -> bytes:
    """Return a JPEG with soft gradients and grain, such as a photograph has."""
    import numpy as np
    from PIL import Image

    chance = np.random.default_rng(width * 100_003 + height)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [np.sin(rows / height * (2 + band) * 2 + columns / width * (3 - band) * 3) for band in range(3)]
    pixels = np.stack([128 + 70 * wave for wave in waves], axis=-1) + chance.normal(0, 9, (height, width, 1))
    out = io.BytesIO()
    Image.fromarray(pixels.clip(4, 250).astype(np.uint8), "RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


def picture(prompt: str, seed: int, width: int, height: int) -> bytes:
    """Return a picture's bytes: the size's own JPEG with a comment segment that no other prompt and seed has."""
    base = base_picture(width, height)
    mark = hashlib.sha256(f"{seed}\0{prompt}".encode()).hexdigest().encode()
    return base[:2] + b"\xff\xfe" + struct.pack(">H", len(mark) + 2) + mark + base[2:]


@cache
def plain_picture(width: int, height: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(out, "JPEG")
    return out.getvalue()


@dataclass(frozen=True)
class Call:
    """One request for a picture, as the real schema reads it."""

    prompt: str
    model: str
    width: int
    height: int
    seed: int
    enhance: bool

    @classmethod
    def read(cls, target: str) -> "Call":
        """Raise ValueError that names the parameter which the schema refuses."""
        address = urlsplit(target)
        said = {name: values[-1] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        model = said.get("model") or "flux"
        if model not in MODELS and "/" not in model:
            raise ValueError("model")
        return cls(
            prompt=unquote(address.path.removeprefix("/image/")),
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


class StandIn:
    """The server's state: faults, counts, pictures in progress."""

    def __init__(self, key: str, latency: float, calls: TextIO | None) -> None:
        self.key = key
        self.latency = latency
        self.faults: list[Fault] = []
        self.counts = {"calls": 0, "generations": 0, "failed": 0, "most_at_once": 0}
        self._at_once = 0
        self._ready_at: dict[str, float] = {}
        self._calls = calls

    def note(self, event: str, number: int, **more: Any) -> None:
        if self._calls is not None:
            self._calls.write(json.dumps({"event": event, "number": number, "at": time.time(), **more}) + "\n")
            self._calls.flush()

    async def answer(self, method: str, target: str, headers: Headers, body: bytes) -> Reply:
        if target.startswith("/_standin/"):
            return self._control(method, target, body)
        if method != "GET" or not target.startswith("/image/"):
            return refusal(404, *CODES[404])
        self.counts["calls"] += 1
        number = self.counts["calls"]
        self._at_once += 1
        self.counts["most_at_once"] = max(self.counts["most_at_once"], self._at_once)
        self.note("start", number, target=target)
        try:
            reply = await self._image(target, headers, number)
        finally:
            self._at_once -= 1
        # A picture of one colour, or one that never gets through, is as much a failure as a status.
        self.counts["failed"] += reply.status != 200 or bool(reply.ends)
        self.note("end", number, status=reply.status, ends=reply.ends)
        return reply

    def _control(self, method: str, target: str, body: bytes) -> Reply:
        if (method, target) == ("POST", "/_standin/faults"):
            self.faults = [Fault(**one) for one in json.loads(body)]
        elif (method, target) == ("POST", "/_standin/latency"):
            self.latency = json.loads(body)["seconds"]
        elif (method, target) != ("GET", "/_standin/calls"):
            return Reply(404)
        return Reply(body=json.dumps(self.counts).encode())

    async def _image(self, target: str, headers: Headers, number: int) -> Reply:
        if headers.get("authorization") != f"Bearer {self.key}":
            return refusal(401, *CODES[401])
        try:
            call = Call.read(target)
        except ValueError as error:
            details = {"name": "ValidationError", "formErrors": [], "fieldErrors": {str(error): ["Invalid input"]}}
            return refusal(400, *CODES[400], details=details)
        self.note("read", number, **vars(call))
        fault = next((one for one in self.faults if one.meets(call.prompt)), None)
        if fault is not None and fault.what == "echo":
            return refusal(403, "FORBIDDEN", f"The key {headers['authorization']} may not use this model.")
        if fault is not None and fault.what not in ("slow", *BROKEN):
            return failed(fault)
        await self._draw(target, fault.seconds if fault and fault.what == "slow" else 0.0)
        data = picture(call.prompt, call.seed, call.width, call.height)
        if fault is not None and fault.what != "slow":
            return broken(fault, data, call)
        return Reply(body=data, media_type="image/jpeg", more={"x-request-id": f"standin-{number}"})

    async def _draw(self, target: str, more_seconds: float) -> None:
        """Wait until the picture is ready: a second identical request joins the first."""
        now = asyncio.get_running_loop().time()
        if target not in self._ready_at:
            self.counts["generations"] += 1
            self._ready_at[target] = now + self.latency + more_seconds
        await asyncio.sleep(max(0.0, self._ready_at[target] - now))


# Faults of an answer that begins like a picture.
BROKEN = ("truncated", "short", "reset", "hang up", "stall", "huge", "plain")


def failed(fault: Fault) -> Reply:
    """Return what takes the place of a picture."""
    if fault.what == "safety":
        return refusal(400, *CODES[400], type="safety_error", categories=["violence"])
    if fault.what == "policy":
        return refusal(422, "content_policy_violation", "The prompt was refused by the model's content policy.")
    if fault.what == "vendor":
        details = {"name": "UpstreamError", "upstreamStatus": fault.upstream, "upstreamHost": "vendor.example"}
        return refusal(502, "BAD_GATEWAY", "We couldn't reach our backend services.", details=details)
    if fault.what == "html":
        return Reply(
            body=b"<!doctype html><title>Sorry</title>" + b"<p>Be right back.</p>" * 800, media_type="text/html"
        )
    if fault.what == "json":
        return Reply(body=b'{"url": "https://example.com/picture.jpg"}')
    status = int(fault.what)
    reply = refusal(status, *CODES.get(status, ("UNKNOWN_ERROR", "UNKNOWN_ERROR")))
    reply.more |= {"Retry-After": fault.retry_after} if fault.retry_after else {}
    return reply


def broken(fault: Fault, data: bytes, call: Call) -> Reply:
    """Return a picture that does not come through, or is none worth having."""
    reply = Reply(body=data, media_type="image/jpeg", sent=len(data) // 2, ends=fault.what)
    if fault.what == "short":
        reply.length = False
    elif fault.what == "hang up":
        reply.sent = None
    elif fault.what == "huge":
        reply.sent, reply.length = 64 * 1024 * 1024, False
    elif fault.what == "plain":
        return Reply(body=plain_picture(call.width, call.height), media_type="image/jpeg")
    return reply


class Connection:
    """One client's connection: requests in turn, each answered or broken off."""

    def __init__(self, standin: StandIn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._standin = standin
        self._reader = reader
        self._writer = writer

    async def serve(self) -> None:
        # Cancelled is how a stand-in that ends leaves its idle connections.
        ended = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
        with contextlib.suppress(*ended):
            while await self._one():
                pass
        self._writer.close()

    async def _one(self) -> bool:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        reply = await self._standin.answer(method, target, headers, body)
        if reply.ends == "hang up":
            return False
        await self._send(reply)
        if reply.ends == "stall":
            await asyncio.sleep(600)
        if reply.ends == "reset":
            # Lingering for no time makes the kernel send RST where it would send FIN.
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        return not reply.ends

    async def _send(self, reply: Reply) -> None:
        lines = [f"HTTP/1.1 {reply.status} Said", f"Content-Type: {reply.media_type}"]
        lines += [f"{name}: {value}" for name, value in reply.more.items()]
        lines += [f"Content-Length: {len(reply.body)}"] if reply.length else ["Connection: close"]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        left = len(reply.body) if reply.sent is None else reply.sent
        while left > 0:
            self._writer.write(reply.body[:left])
            left -= len(reply.body)
            await self._writer.drain()
        await self._writer.drain()


async def serve(standin: StandIn, port: int, die_with_stdin: bool) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: Connection(standin, reader, writer).serve(), "127.0.0.1", port, limit=1 << 18
    )
    ended = asyncio.Event()
    if die_with_stdin:
        # Whoever started us holds the other end; when it dies, however it dies, so do we.
        loop = asyncio.get_running_loop()
        threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a picture")
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--calls", type=Path, help="append a line here for each call")
    parser.add_argument("--size", action="append", default=[], metavar="WxH", help="make this size's picture at once")
    parser.add_argument("--die-with-stdin", action="store_true")
    told = parser.parse_args(arguments)
    for size in told.size:
        base_picture(*map(int, size.split("x")))
    with contextlib.ExitStack() as stack:
        calls = stack.enter_context(told.calls.open("a")) if told.calls else None
        asyncio.run(serve(StandIn(told.key, told.latency, calls), told.port, told.die_with_stdin))


@dataclass(frozen=True)
class Running:
    """A stand-in that runs, and how to talk to it."""

    url: str
    pid: int
    key: str = KEY
    calls_file: Path | None = None

    def fail(self, *faults: Mapping[str, Any]) -> None:
        """Replace the faults; none mends everything."""
        self._control("POST", "faults", list(faults))

    def be_slow(self, seconds: float) -> None:
        self._control("POST", "latency", {"seconds": seconds})

    def counts(self) -> dict[str, int]:
        """Return how many calls came, how many pictures were drawn, how many failed, the most at once."""
        return dict(json.loads(self._control("GET", "calls")))

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the calls file's lines of one kind: "start", "read" (what the schema made of it) or "end"."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file else []
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def _control(self, method: str, what: str, told: Any = None) -> bytes:
        client = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        with contextlib.closing(client):
            client.request(method, f"/_standin/{what}", None if told is None else json.dumps(told))
            answer = client.getresponse()
            assert answer.status == 200, answer.read()
            return answer.read()


@contextlib.contextmanager
def running(
    latency: float = 0.0, *, port: int = 0, key: str = KEY, calls: Path | None = None, sizes: Sequence[str] = ()
) -> Iterator[Running]:
    """Run a stand-in in a process of its own; it ends with the block, and also when we are killed."""
    options = ["--port", str(port), "--latency", str(latency), "--key", key, "--die-with-stdin"]
    options += ["--calls", str(calls)] if calls else []
    options += [part for size in sizes for part in ("--size", size)]
    command = [sys.executable, str(Path(__file__)), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "the stand-in did not start; its own complaint stands on standard error"
            yield Running(url, process.pid, key, calls)
        finally:
            process.stdin.close()
            process.wait(timeout=10)


if __name__ == "__main__":
    main()
