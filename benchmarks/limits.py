"""What a provider's limit costs and wastes: rows of the ledger, against Prefect's global concurrency limits.

Processes with several threads each want the same few slots, or one rate, for calls that only sleep. Prints the wall
time over the ideal, the share of slot time that lay idle, questions and CPU ms a call (of the callers, and of
PostgreSQL or the Prefect API), and how long after a SIGKILL of the holder others get its slots.

    python -m benchmarks.limits [--processes 3] [--threads 8] [--at-once 8] [--seconds 1] [--calls 96]
                                [--a-minute 300] [--rate-calls 60] [--leases]

--leases also waits for the leases of holders that cannot be seen to be dead: those on other machines, and all of
Prefect's (60 s is the shortest it grants).
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

NAME = "bench"


@dataclass(frozen=True)
class Load:
    """What a process does: in `threads` at once, `calls` each, of `seconds` each, by the limit `name`."""

    threads: int
    calls: int
    seconds: float
    name: str = NAME
    at_once: int | None = None
    a_minute: float | None = None


def main() -> None:
    asked = _arguments()
    if asked.worker:
        _work(asked.worker, asked.url)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LIMNER_HOME": folder}
        os.environ.pop("DATABASE_URL", None)
        _measure(asked, Path(folder))


def _measure(asked: argparse.Namespace, home: Path) -> None:
    from deployments.local_api import prefect_api
    from limner.home.postgres import start_postgres, stop_postgres
    from limner.ledger.opening import Ledger
    from limner.settings import read_settings

    url = start_postgres(home)
    Ledger.open(url).close()
    with prefect_api(read_settings()) as api:
        asyncio.run(_make_limits(asked))
        postmaster = psutil.Process(int((home / "postgres/data/postmaster.pid").read_text().split("\n", 1)[0]))
        sides = {"ours": (url, postmaster), "prefect": (api, _listens_at(urlsplit(api).port))}
        for kind, (where, server) in sides.items():
            _slots(asked, kind, where, server)
            _rate(asked, kind, where, server)
        _killed(asked, url)
        if asked.leases:
            _leases(asked, url, api)
    stop_postgres(home)


async def _make_limits(asked: argparse.Namespace) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    async with get_client() as client:
        for name, limit, decay in (
            (NAME, asked.at_once, 0.0),
            ("rate", 1, asked.a_minute / 60),
            ("lease", 1, 0.0),
        ):
            told = GlobalConcurrencyLimitCreate(name=name, limit=limit, slot_decay_per_second=decay)
            await client.create_global_concurrency_limit(told)


def _slots(asked: argparse.Namespace, kind: str, where: str, server: psutil.Process) -> None:
    each = asked.calls // (asked.processes * asked.threads)
    load = Load(asked.threads, each, asked.seconds, at_once=asked.at_once)
    ran = _run(kind, where, server, asked.processes, load)
    number = len(ran.spans)
    ideal = number / asked.at_once * asked.seconds
    idle = 1 - sum(ended - began for began, ended in ran.spans) / (asked.at_once * ran.wall)
    print(f"{kind}: {number} calls of {asked.seconds} s, {asked.at_once} at once, {asked.processes} processes")
    print(f"  wall over ideal     {ran.wall / ideal:.3f}   (ideal {ideal:.1f} s)")
    print(f"  slots idle          {100 * idle:.1f} %")
    print(f"  most at once        {_most_at_once(ran.spans)} of {asked.at_once}")
    _print_costs(ran)


def _rate(asked: argparse.Namespace, kind: str, where: str, server: psutil.Process) -> None:
    each = max(1, asked.rate_calls // (asked.processes * 4))
    load = Load(4, each, 0.0, name="rate", a_minute=asked.a_minute)
    ran = _run(kind, where, server, asked.processes, load)
    began = sorted(began for began, _ in ran.spans)
    spacing = 60 / asked.a_minute
    gaps = [later - earlier for earlier, later in pairwise(began)]
    ideal = (len(began) - 1) * spacing
    print(f"{kind}: {len(began)} calls at {asked.a_minute} a minute, {asked.processes} processes")
    print(f"  wall over ideal     {(began[-1] - began[0]) / ideal:.3f}   (ideal {ideal:.1f} s)")
    print(f"  closest two calls   {min(gaps) / spacing:.3f} of the spacing")
    _print_costs(ran)


@dataclass(frozen=True)
class Ran:
    """What a run of processes came to: each call's beginning and end, questions, CPU seconds here and there."""

    spans: list[tuple[float, float]]
    questions: int
    cpu: float
    server_cpu: float

    @property
    def wall(self) -> float:
        return max(ended for _, ended in self.spans) - min(began for began, _ in self.spans)


def _print_costs(ran: Ran) -> None:
    number = len(ran.spans)
    print(f"  questions a call    {ran.questions / number:.1f}")
    print(f"  CPU ms a call       {1000 * ran.cpu / number:.1f} + {1000 * ran.server_cpu / number:.1f} of the server")


def _most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    moments = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


# -- those who die -------------------------------------------------------------------------------------------------


def _killed(asked: argparse.Namespace, url: str) -> None:
    seconds = _seconds_to_take_over("ours", url, at_once=asked.at_once)
    print(f"ours: {asked.at_once} slots of a process killed on this machine are free after {seconds:.2f} s")


def _leases(asked: argparse.Namespace, url: str, api: str) -> None:
    from sqlalchemy import text

    from limner.ledger.opening import Ledger

    ledger = Ledger.open(url)

    def move_elsewhere() -> None:
        ledger.run(lambda connection: connection.execute(text("update slots set holder = 'elsewhere|1|2|3'")))

    seconds = _seconds_to_take_over("ours", url, at_once=asked.at_once, then=move_elsewhere)
    ledger.close()
    print(f"ours: {asked.at_once} slots of a process killed on another machine are free after {seconds:.0f} s")
    seconds = _seconds_to_take_over("prefect", api, at_once=1)
    print(f"prefect: the slot of a killed process is free after {seconds:.0f} s, with the shortest lease of 60 s")


def _seconds_to_take_over(kind: str, where: str, *, at_once: int, then: Callable[[], object] = lambda: None) -> float:
    """Kill a process that holds every slot; return after how long another holds them all."""
    load = Load(at_once, 1, 600.0, name="lease", at_once=at_once)
    with ExitStack() as stack:
        doomed, heir = (stack.enter_context(_worker(kind, where)) for _ in range(2))
        doomed.tell(load)
        for _ in range(at_once):
            assert doomed.hears()["began"]
        time.sleep(1)
        doomed.process.kill()
        doomed.process.wait()
        then()
        killed = time.monotonic()
        heir.tell(load)
        for _ in range(at_once):
            assert heir.hears()["began"]
        return time.monotonic() - killed


# -- processes that call -------------------------------------------------------------------------------------------


class Worker:
    """A process that calls by a limit."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def tell(self, load: Load) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(load)) + "\n")
        self.process.stdin.flush()

    def hears(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said


@contextmanager
def _worker(kind: str, where: str) -> Iterator[Worker]:
    command = [sys.executable, "-m", "benchmarks.limits", "--worker", kind, "--url", where]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            worker = Worker(process)
            assert worker.hears() == {"is": "ready"}
            yield worker
        finally:
            process.kill()


def _run(kind: str, where: str, server: psutil.Process, processes: int, load: Load) -> Ran:
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(kind, where)) for _ in range(processes)]
        before = _cpu_of(server)
        for worker in workers:
            worker.tell(load)
        spans, ended = [], []
        for worker in workers:
            while "questions" not in (said := worker.hears()):
                if "ended" in said:
                    spans.append((said["began"], said["ended"]))
            ended.append(said)
        after = _cpu_of(server)
    return Ran(
        spans,
        sum(one["questions"] for one in ended),
        sum(one["cpu"] for one in ended),
        # Of those that live: whatever ended in between, such as a listener's backend, is in neither.
        sum(max(0.0, seconds - before.get(pid, 0.0)) for pid, seconds in after.items()),
    )


def _cpu_of(server: psutil.Process) -> dict[int, float]:
    found = {}
    for one in (server, *server.children(recursive=True)):
        times = one.cpu_times()
        found[one.pid] = times.user + times.system
    return found


def _listens_at(port: int | None) -> psutil.Process:
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
            return psutil.Process(one.pid)
    raise LookupError(f"nobody listens at {port}")


_said = threading.Lock()


def _say(**said: Any) -> None:
    with _said:
        print(json.dumps(said), flush=True)


def _work(kind: str, url: str) -> None:
    questions: list[str] = []
    slot = (_our_slot if kind == "ours" else _prefect_slot)(url, questions)
    _say(**{"is": "ready"})
    load = Load(**json.loads(sys.stdin.readline()))
    questions.clear()
    cpu = time.process_time()

    def work(_thread: int) -> None:
        for _ in range(load.calls):
            with slot(load):
                began = time.time()
                if load.name == "lease":
                    _say(began=began)
                time.sleep(load.seconds)
                ended = time.time()
            _say(began=began, ended=ended)

    with ThreadPoolExecutor(load.threads) as pool:
        list(pool.map(work, range(load.threads)))
    _say(questions=len(questions), cpu=time.process_time() - cpu)
    sys.stdin.readline()


Slotted = Callable[[Load], AbstractContextManager[Any]]


def _our_slot(url: str, questions: list[str]) -> Slotted:
    from sqlalchemy import event

    from limner.ledger.claims import Holder
    from limner.ledger.opening import Ledger
    from limner.limiter import Limiter
    from limner.providers.seam import Limits

    ledger = Ledger.open(url, connections=20)
    limiter = Limiter(ledger, Holder.start(ledger, 30))
    event.listen(ledger._engine, "before_cursor_execute", lambda *told: questions.append(told[2]))

    @contextmanager
    def slot(load: Load) -> Iterator[None]:
        limits = Limits(load.at_once, load.a_minute)
        with limiter.slot(load.name, limits, 1, stop=threading.Event()) as held:
            yield
            held.good()

    return slot


def _prefect_slot(_url: str, questions: list[str]) -> Slotted:
    import httpx
    from prefect.concurrency.sync import concurrency, rate_limit

    send = httpx.AsyncClient.send

    async def counted(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        questions.append(str(request.url))
        return await send(self, request, **more)

    httpx.AsyncClient.send = counted  # type: ignore[method-assign]

    def slot(load: Load) -> AbstractContextManager[Any]:
        if load.a_minute is None:
            return concurrency(load.name, occupy=1, lease_duration=60, strict=True)
        rate_limit(load.name, strict=True)
        return nullcontext()

    return slot


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--calls", type=int, default=96)
    parser.add_argument("--a-minute", type=float, default=300.0)
    parser.add_argument("--rate-calls", type=int, default=60)
    parser.add_argument("--leases", action="store_true")
    parser.add_argument("--worker", choices=("ours", "prefect"), help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
