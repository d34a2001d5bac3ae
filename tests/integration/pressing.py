"""A press without Prefect: rooms over a real ledger and bucket, a painter in this process, and a run of a plan."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from limner import press
from limner.bucket import Bucket
from limner.bucket.directory import DirectoryBucket
from limner.chain import Patience
from limner.errors import DiskFull, LimnerError, Unreachable
from limner.jobs import Job, Order, Plan, sha256_of
from limner.ledger.claims import Holder
from limner.ledger.opening import Ledger
from limner.ledger.plans import Asker, Batch
from limner.press import BatchReport, JobEnd
from limner.providers.seam import Answer, Asked, Capabilities, Limits, Provider
from limner.quality.gates import load_gates
from limner.steps import Step
from limner.studio import Room, Rules
from tests.standins.pollinations import picture

# What a painter does instead of painting: an error, or bytes of its own; None is a picture.
Whim = Callable[[Asked], bytes | LimnerError | None]


class Painter:
    """A provider in this process: paints at once, and keeps what it was asked. `whim` may answer otherwise."""

    timeout_seconds = 5.0

    limits = Limits()

    def __init__(
        self, name: str = "painter", whim: Whim = lambda _asked: None, price_usd: float = 0.0, **capabilities: Any
    ) -> None:
        self.name = name
        self.whim = whim
        self.price_usd = price_usd
        self._capabilities = Capabilities(**capabilities)
        self.asked: list[Asked] = []
        self._lock = threading.Lock()

    def capabilities(self, model: str | None = None) -> Capabilities:
        return self._capabilities

    def estimate_usd(self, order: Order, model: str | None = None) -> float:
        return self.price_usd

    @property
    def calls(self) -> int:
        return len(self.asked)

    def generate(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
        answer = self.whim(asked)
        if isinstance(answer, LimnerError):
            raise answer
        order = asked.order
        return Answer(answer or picture(asked.prompt, asked.seed, order.width, order.height), model="oil")


class Sluice:
    """Stands where a room's fuse stands: whoever reaches the step `at` waits until it is opened."""

    def __init__(self, at: Step, wait_seconds: float = 20) -> None:
        self.at = at
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._wait_seconds = wait_seconds

    def reach(self, step: Step) -> None:
        if step == self.at:
            self.reached.set()
            assert self.opened.wait(self._wait_seconds), f"nobody opened the sluice at {step}"


class OpenRoom(Protocol):
    """Open one more room; every argument has a default, and each room is closed when the test ends."""

    def __call__(
        self,
        *providers: Provider,
        bucket: Bucket | None = None,
        fuse: Sluice | None = None,
        lease_seconds: float = 30,
        patience_seconds: float = 5,
        revive: Callable[[], object] | None = None,
        **rules: Any,
    ) -> Room: ...


@contextmanager
def rooms(ledger_url: str, bucket_folder: Path) -> Iterator[OpenRoom]:
    opened: list[Room] = []

    def open_one(
        *providers: Provider,
        bucket: Bucket | None = None,
        fuse: Any = None,
        lease_seconds: float = 30,
        patience_seconds: float = 5,
        revive: Callable[[], object] | None = None,
        **rules: Any,
    ) -> Room:
        told = {"patience": Patience(backoff_seconds=0.01), "bucket_patience_seconds": 2.0, **rules}
        ledger = Ledger.open(ledger_url, connections=8, patience_seconds=patience_seconds, revive=revive)
        holder = Holder.start(ledger, lease_seconds)
        known = {one.name: one for one in providers or (Painter(),)}
        store = bucket or DirectoryBucket(bucket_folder)
        room = Room(ledger, holder, store, known, load_gates(), Rules(**told), fuse)
        opened.append(room)
        return room

    try:
        yield open_one
    finally:
        for room in opened:
            room.close()


# What a service without it may leave out.
ANY = ("seed", "steps", "guidance")


def plan_of(
    *prompts: str, title: str = "A test", chain: Sequence[str] = ("painter",), model: str | None = None, **order: Any
) -> Plan:
    """Return a plan with a small job a prompt; `order` is what each order has besides."""
    jobs = tuple(
        Job(
            key=f"picture-{number}",
            order=Order(
                **{
                    "kind": "chapter",
                    "prompt": prompt,
                    "width": 320,
                    "height": 256,
                    "session": title,
                    "droppable": ANY,
                    **order,
                }
            ),
            gate="chapters",
            subject="location" if number % 2 else "character",
        )
        for number, prompt in enumerate(prompts, 1)
    )
    return Plan(kind="chapter", title=title, jobs=jobs, chain=tuple(chain), model=model)


def castles(number: int, **more: Any) -> Plan:
    return plan_of(*(f"a castle with {one} towers" for one in range(1, number + 1)), **more)


def asker(plan: Plan, owner: str = "local", tier: str = "local", **more: Any) -> Asker:
    asked = {"title": plan.title, "prompts": [job.order.prompt for job in plan.jobs], "owner": owner}
    return Asker(owner, tier, asked, sha256_of([asked, sorted(more.items())]), **more)


def planned(room: Room, plan: Plan, run_id: str | None = None, **asked: Any) -> Batch:
    """Return the batch of the plan, as the press would find or store it."""
    who = asker(plan, **asked)
    return (
        press.find_batch_of_run(room, run_id) or press.find_plan(room, who) or press.store_plan(room, who, plan, "test")
    )


def illustrate(room: Room, plan: Plan, run_id: str | None = None, **asked: Any) -> BatchReport:
    """Plan once, find, reserve, make, report: what the flow does, on a pool of threads."""
    return carry_on(room, planned(room, plan, run_id, **asked), run_id)


def carry_on(room: Room, batch: Batch, run_id: str | None = None) -> BatchReport:
    missing = press.begin(room, batch, run_id)
    progress = room.progress(batch.id)
    progress.begin(batch.asked - len(missing))
    fatal: list[LimnerError] = []

    def one(position: int) -> JobEnd | None:
        try:
            return press.press_job(room, batch.id, position, run_id, press.direct)
        except (DiskFull, Unreachable) as error:
            progress.stop.set()
            fatal.append(error)
        except LimnerError as error:
            press.give_up(room, batch.id, position, str(error))
        return None

    with ThreadPoolExecutor(2 * room.rules.concurrency) as pool:
        list(pool.map(one, missing))
    report = press.end(room, batch, 0.0)
    if fatal:
        raise fatal[0]
    return report


def in_threads(works: Mapping[str, Callable[[], Any]] | Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all at once; return what each returned or raised, in order."""
    todo = list(works.values()) if isinstance(works, Mapping) else list(works)
    start = threading.Barrier(len(todo))

    def one(work: Callable[[], Any]) -> Any:
        start.wait(10)
        try:
            return work()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(todo)) as pool:
        return list(pool.map(one, todo))


def too_small(asked: Asked) -> bytes:
    """Return a picture that is readable, and that no gate accepts at the size that was asked for."""
    return picture(asked.prompt, asked.seed, 96, 72)
