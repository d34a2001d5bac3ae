"""What every stand-in for a service is made of: an HTTP/1.1 server on loopback with faults on demand.

Knows no service: a module of its own supplies a `Service` and ends with `main(ItsService, __doc__)`. It runs as a
process of its own, so that its work is not counted as ours, and dies with whoever started it:

    python -m tests.standins.pollinations --port 0 --latency 2 --calls calls.jsonl

prints its address, then serves. Tests start it with `running("tests.standins.pollinations")`.

| control | what it does |
|---|---|
| POST /_standin/faults | replace the faults: [{"what": "500", "match": "castle", "times": 2}, ...]; [] mends all |
| POST /_standin/latency | {"seconds": 0.5}: how long a picture takes |
| POST /_standin/done | every order that is being drawn is done now |
| POST /_standin/limit | {"calls": 10, "minute_seconds": 6, "burst": 1}: throttles from now on; {} is without limit |
| GET /_standin/calls | what came: {"calls", "submit", "poll", "cancel", "file", "generations", "failed", ...} |

Every call is of a kind: "submit" (may be an order), "poll", "cancel", "file" (a result is fetched, under /files/) or
"other". A fault lies in wait for one kind. Every call leaves a "start" and an "end" line in the calls file, a
throttled one also a "throttled" line, which says until when it asked for quiet, and each body a "sent" line.
"""

import argparse
import asyncio
import contextlib
import gzip
import http.client
import json
import math
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs, urlsplit

from tests.standins.pictures import BAD, MEDIA_TYPES, PAGE, bad_picture, base_picture, picture, plain_picture

__all__ = ["Call", "Fault", "Reply", "Running", "Service", "base_picture", "main", "picture", "plain_picture"]

ROOT = Path(__file__).parents[2]
KEY = "sk_standin"
METADATA = "http://169.254.169.254/latest/meta-data/"

# Faults in place of an answer: nothing was accepted. So is a status ("429").
INSTEAD = ("html", "json", "echo", "redirect")
# Faults of an answer that begins well: the order was taken, and is drawn and paid for.
SPOILED = ("truncated", "short", "reset", "hang up", "stall", "huge", "gzip", "trickle", "trickle head")

CHUNK = 64 * 1024

Headers = Mapping[str, str]


@dataclass
class Fault:
    """What goes wrong, for which calls, how often (None: until it is mended).

    what: a status ("500", with `retry_after`, and `body` as its JSON); "echo" (403 that repeats the key), "html" and
    "json" (200 of another shape), "redirect" (302 to `location`); "slow" (`seconds` more, then a picture); "truncated",
    "short" (no length sent), "reset" in the middle, "hang up" (accepted, and closed without an answer), "stall" in the
    middle, "huge" (`megabytes`), "gzip" (which nobody asked for), "trickle" or "trickle head" (a byte each `seconds`);
    "plain", "gif", "pdf", "svg", "page" or "bomb" (177 megapixels) in the picture's place; or a service's own word.
    match: part of the call's words, for most services of the prompt. where: the kind of call; empty is any.
    after: this many calls that it would meet go well first. headers: of whatever is answered; with a word that means
    nothing, like "well", all that differs.
    """

    what: str
    match: str = ""
    times: int | None = None
    where: str = "submit"
    after: int = 0
    retry_after: str | None = None
    body: Any = None
    upstream: int = 429
    seconds: float = 1.0
    megabytes: int = 300
    location: str = METADATA
    headers: dict[str, str] = field(default_factory=dict)

    def meets(self, kind: str, words: str) -> bool:
        if self.match not in words or self.where not in (kind, "") or self.times == 0:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass
class Reply:
    """One answer; `sent` is how much of the body goes out before the connection ends in the way that `ends` names.

    seconds_a_byte: how slowly. more: further headers.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    more: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    ends: str = ""
    length: bool = True
    seconds_a_byte: float = 0.0

    @classmethod
    def of_json(cls, told: Any, status: int = 200, /, **more: str) -> "Reply":
        return cls(status, json.dumps(told).encode(), more=more)


@dataclass(frozen=True)
class Call:
    """One request as it came. path: not decoded, without the query. fault: what it met, if anything."""

    number: int
    method: str
    target: str
    headers: Headers
    body: bytes
    kind: str = "other"
    fault: Fault | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return {name: said[-1] for name, said in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()}

    def json(self) -> Any:
        """Return the body as JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Limit:
    """So many calls a minute, in a bucket that holds `burst` of them: GCRA. minute_seconds: time can be compressed."""

    def __init__(self, calls: float, minute_seconds: float = 60.0, burst: int | None = None) -> None:
        self.minute_seconds = minute_seconds
        self._spacing = minute_seconds / calls
        self._slack = self._spacing * ((burst or max(1, int(calls))) - 1)
        self._due = 0.0

    def wait(self, now: float) -> float:
        """Return 0.0 for a call that is let in, else after how many seconds the next one would be."""
        due = max(self._due, now)
        # What a clock cannot tell apart is no breach.
        if due - now > self._slack + 1e-6:
            return due - self._slack - now
        self._due = due + self._spacing
        return 0.0

    def said(self, wait: float) -> str:
        """Return the honest Retry-After: whole seconds, as services say it, or parts where time is compressed."""
        return str(math.ceil(wait)) if self.minute_seconds == 60.0 else f"{math.ceil(wait * 1000) / 1000:.3f}"


class Service:
    """One service's state and answers. A subclass says which calls there are, what each answers, how an error looks."""

    name = "a service"
    # Before the key in the header `authorization`.
    key_scheme = "Bearer "
    # Kinds of calls that need the key, and those that the limit counts.
    keyed: tuple[str, ...] = ("submit", "poll", "cancel")
    limited: tuple[str, ...] = ("submit",)

    def __init__(self, key: str = KEY, latency: float = 0.0, calls: TextIO | None = None) -> None:
        self.key = key
        self.latency = latency
        self.url = ""
        self.counts: Counter[str] = Counter()
        self.files: dict[str, tuple[bytes, str]] = {}
        self._faults: list[Fault] = []
        self._limit: Limit | None = None
        self._at_once = 0
        self._calls = calls

    # What a subclass supplies.

    def kind(self, call: Call) -> str:
        """Return which kind of call it is; asked for all but those under /files/ and /_standin/."""
        raise NotImplementedError

    def words(self, call: Call) -> str:
        """Return what a fault's `match` is looked for in."""
        return ""

    async def answer(self, call: Call) -> Reply:
        """Answer a call that is authorised, not throttled, and met no fault that stands in place of an answer."""
        raise NotImplementedError

    def error(self, status: int, message: str = "") -> Reply:
        """Return the service's own shape of an error."""
        return Reply.of_json({"detail": message or http.client.responses.get(status, "Error")}, status)

    def own_fault(self, fault: Fault, call: Call) -> Reply | None:
        """Return the answer for a fault that only this service has; None leaves it to `answer`, in `call.fault`."""
        return None

    def finish(self) -> None:
        """Be done with every order that lives here under an id."""

    def is_authorised(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"{self.key_scheme}{self.key}"

    # What a subclass uses.

    def note(self, event: str, number: int, **more: Any) -> None:
        """Add a line to the calls file."""
        if self._calls is not None:
            line = {"event": event, "number": number, "at": time.time(), **more}
            self._calls.write(json.dumps(line) + "\n")
            self._calls.flush()

    def seconds(self, call: Call) -> float:
        """Return how long this call's picture takes."""
        slow = call.fault is not None and call.fault.what == "slow"
        return self.latency + (call.fault.seconds if slow and call.fault else 0.0)

    def draw(self, call: Call, prompt: str, seed: int, width: int, height: int, kind: str = "jpeg") -> bytes:
        """Return the picture, or what the call's fault puts in its place."""
        if call.fault is not None and call.fault.what in BAD:
            return bad_picture(call.fault.what, width, height)
        return picture(prompt, seed, width, height, kind)

    def keep_file(self, data: bytes, name: str, media_type: str = "image/jpeg") -> str:
        """Serve a result under /files/`name`, without a key, and return its address."""
        self.files[name] = (data, media_type)
        return f"{self.url}/files/{name}"

    # The frame around every call.

    async def serve(self, call: Call) -> Reply:
        if call.path.startswith("/_standin/"):
            return self._control(call)
        call = replace(call, kind="file" if call.path.startswith("/files/") else self.kind(call))
        self.counts.update(("calls", call.kind))
        # Whoever fetches a result has no business showing the key to where it lies.
        self.counts["keys_on_files"] += call.kind == "file" and self.key in str(call.headers)
        self.note("start", call.number, kind=call.kind, method=call.method, target=call.target)
        with self._one_at_once(call):
            reply = await self._served(call)
        # A picture of one colour, or one that never gets through, is as much a failure as a status.
        self.counts["failed"] += reply.status >= 300 or bool(reply.ends)
        self.note("end", call.number, kind=call.kind, status=reply.status, ends=reply.ends)
        return reply

    @contextlib.contextmanager
    def _one_at_once(self, call: Call) -> Iterator[None]:
        counted = call.kind == "submit"
        self._at_once += counted
        self.counts["most_at_once"] = max(self.counts["most_at_once"], self._at_once)
        try:
            yield
        finally:
            self._at_once -= counted

    async def _served(self, call: Call) -> Reply:
        if call.kind in self.keyed and not self.is_authorised(call):
            return self.error(401)
        if call.kind in self.limited and (throttled := self._throttled(call)):
            return throttled
        words = self.words(call)
        fault = next((one for one in self._faults if one.meets(call.kind, words)), None)
        call = replace(call, fault=fault)
        if fault is None:
            return self._file(call) if call.kind == "file" else await self.answer(call)
        reply = await self._faulty(fault, call)
        reply.more |= fault.headers
        return reply

    async def _faulty(self, fault: Fault, call: Call) -> Reply:
        if fault.what == "slow" and call.kind != "submit":
            await asyncio.sleep(fault.seconds)
        if (reply := self._instead(fault, call)) is not None:
            return reply
        reply = self._file(call) if call.kind == "file" else await self.answer(call)
        return spoiled(reply, fault) if reply.status < 300 else reply

    def _throttled(self, call: Call) -> Reply | None:
        now = time.time()
        wait = self._limit.wait(now) if self._limit else 0.0
        if self._limit is None or wait == 0.0:
            return None
        said = self._limit.said(wait)
        self.counts["throttled"] += 1
        self.note("throttled", call.number, until=now + float(said), retry_after=said)
        reply = self.error(429)
        reply.more["Retry-After"] = said
        return reply

    def _instead(self, fault: Fault, call: Call) -> Reply | None:
        if fault.what == "html":
            return Reply(body=PAGE, media_type="text/html")
        if fault.what == "json":
            return Reply.of_json({"queue": [1, None, {}], "data": "soon"} if fault.body is None else fault.body)
        if fault.what == "echo":
            return self.error(403, f"The key {call.headers.get('authorization')} may not use this model.")
        if fault.what == "redirect":
            return Reply(302, more={"Location": fault.location})
        if not fault.what.isdigit():
            return self.own_fault(fault, call)
        status = int(fault.what)
        reply = self.error(status) if fault.body is None else Reply.of_json(fault.body, status)
        reply.more |= {"Retry-After": fault.retry_after} if fault.retry_after else {}
        return reply

    def _file(self, call: Call) -> Reply:
        name = call.path.removeprefix("/files/")
        if name not in self.files:
            return Reply(404, b"<html><title>404 Not Found</title></html>", "text/html")
        data, media_type = self.files[name]
        if call.fault is not None and call.fault.what in BAD:
            return Reply(body=bad_picture(call.fault.what, 256, 256), media_type=MEDIA_TYPES[call.fault.what])
        return Reply(body=data, media_type=media_type)

    def _control(self, call: Call) -> Reply:
        what, told = call.path.removeprefix("/_standin/"), call.json()
        if what == "faults":
            self._faults = [Fault(**one) for one in told]
        elif what == "latency":
            self.latency = told["seconds"]
        elif what == "done":
            self.finish()
        elif what == "limit":
            self._limit = Limit(**told) if told else None
        elif what != "calls":
            return Reply(404)
        return Reply.of_json(self.counts)


def spoiled(reply: Reply, fault: Fault) -> Reply:
    """Return an answer that does not come through as it was meant."""
    if fault.what not in SPOILED:
        return reply
    if fault.what in ("trickle", "trickle head"):
        return replace(reply, ends=fault.what, seconds_a_byte=fault.seconds)
    if fault.what == "gzip":
        body = gzip.compress(reply.body or b"\0")
        return replace(reply, body=body, more={**reply.more, "Content-Encoding": "gzip"})
    sent = fault.megabytes * 1024 * 1024 if fault.what == "huge" else len(reply.body) // 2
    return replace(reply, sent=sent, ends=fault.what, length=fault.what not in ("short", "huge"))


class Connection:
    """One client's connection: requests in turn, each answered or broken off."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._service = service
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
        # Controls are no calls, and have no number.
        number = 0 if target.startswith("/_standin/") else self._service.counts["calls"] + 1
        reply = await self._service.serve(Call(number, method, target, headers, body))
        if reply.ends == "hang up":
            return False
        await self._send(reply, number)
        if reply.ends == "stall":
            await asyncio.sleep(600)
        if reply.ends == "reset":
            # Lingering for no time makes the kernel send RST where it would send FIN.
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        return not reply.ends

    async def _send(self, reply: Reply, number: int) -> None:
        lines = [f"HTTP/1.1 {reply.status} Said", f"Content-Type: {reply.media_type}"]
        lines += [f"{name}: {value}" for name, value in reply.more.items()]
        lines += [f"Content-Length: {len(reply.body)}"] if reply.length else ["Connection: close"]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        await self._slowly(head, reply.seconds_a_byte if reply.ends == "trickle head" else 0.0)
        sent = 0
        try:
            for chunk in self._chunks(reply):
                await self._slowly(chunk, reply.seconds_a_byte)
                sent += len(chunk)
        finally:
            if number:
                self._service.note("sent", number, bytes=sent)

    def _chunks(self, reply: Reply) -> Iterator[bytes]:
        """Yield as much of the body as is to be sent; what is longer than the body repeats it, made as it goes out."""
        if not reply.body:
            return
        left = len(reply.body) if reply.sent is None else reply.sent
        # Small bodies repeated one by one would take the processor that the client needs.
        body = reply.body if left <= len(reply.body) else reply.body * max(1, CHUNK // len(reply.body))
        while left > 0:
            for start in range(0, min(len(body), left), CHUNK):
                yield body[start : min(start + CHUNK, left)]
            left -= len(body)

    async def _slowly(self, data: bytes, seconds_a_byte: float) -> None:
        for part in (data[at : at + 1] for at in range(len(data))) if seconds_a_byte else (data,):
            self._writer.write(part)
            await self._writer.drain()
            if seconds_a_byte:
                await asyncio.sleep(seconds_a_byte)


async def serve(service: Service, port: int, die_with_stdin: bool) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: Connection(service, reader, writer).serve(), "127.0.0.1", port, limit=1 << 18
    )
    ended = asyncio.Event()
    if die_with_stdin:
        # Whoever started us holds the other end; when it dies, however it dies, so do we.
        loop = asyncio.get_running_loop()
        threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(service.url, flush=True)
    await ended.wait()


def main(service: type[Service], what: str | None, arguments: Sequence[str] | None = None) -> None:
    """Serve until whoever started us ends."""
    parser = argparse.ArgumentParser(description=(what or "").partition("\n")[0])
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
        asyncio.run(serve(service(told.key, told.latency, calls), told.port, told.die_with_stdin))


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

    def finish(self) -> None:
        """Let every order that is being drawn be done now, however slow it was to be."""
        self._control("POST", "done", {})

    def limit(self, calls: float | None, *, minute_seconds: float = 60.0, burst: int | None = None) -> None:
        """Let in so many calls a minute, `burst` of them at once (all of them, where not given); None mends it."""
        told = {"calls": calls, "minute_seconds": minute_seconds, "burst": burst}
        self._control("POST", "limit", told if calls else {})

    def counts(self) -> Counter[str]:
        """Return how many calls came, of each kind too, how many pictures were drawn, how many failed, most at once."""
        return Counter(json.loads(self._control("GET", "calls")))

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the calls file's lines of one kind: "start", "end", "throttled", "sent", or a service's own."""
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
    module: str,
    latency: float = 0.0,
    *,
    port: int = 0,
    key: str = KEY,
    calls: Path | None = None,
    sizes: Sequence[str] = (),
) -> Iterator[Running]:
    """Run a stand-in in a process of its own; it ends with the block, and also when we are killed."""
    options = ["--port", str(port), "--latency", str(latency), "--key", key, "--die-with-stdin"]
    options += ["--calls", str(calls.absolute())] if calls else []
    options += [part for size in sizes for part in ("--size", size)]
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "the stand-in did not start; its own complaint stands on standard error"
            yield Running(url, process.pid, key, calls)
        finally:
            process.stdin.close()
            process.wait(timeout=10)
