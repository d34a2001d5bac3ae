"""Large batches on a standing Dask cluster: each worker process has a share of the batch, in a task run of its own.

A share is no list of jobs: its process takes the next one from the ledger whenever it has a call free, so all end
together, and what a dead worker had is dealt again. Pixels stay where they are made; nothing but names and numbers
goes through Dask. The flow's half is `render_on_cluster`, a worker's `render_share`.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)

from blocks.studio import open_studio, room_of
from limner.errors import BadInput, BatchBroken, DiskFull, LedgerUnreachable, LimnerError, Unreachable
from limner.ledger import dealing, plans
from limner.press import REST_SECONDS, press_one_of_many
from limner.progress import Progress
from limner.studio import Room

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

T = TypeVar("T")

# How long a batch under way waits for a cluster that is away, or has no workers: as long as for the ledger.
PATIENCE_SECONDS = 150.0

# How long one try to reach the scheduler may take.
CONNECT_SECONDS = 5.0

# How often a flow looks for new workers, and a worker whether it is to stop.
LOOK_SECONDS = 1.0

# Deals in a row that bring nothing, as when every worker dies of one picture, before a batch is given up.
FRUITLESS = 3


# -- in the flow's process -----------------------------------------------------------------------------------------


async def render_on_cluster(room: Room, studio: str, progress: Progress, run_id: str) -> None:
    """Have the cluster's workers make what a batch is missing; returns when all of it has settled, or was stopped.

    Raises Unreachable when the cluster stays away, Unreachable or DiskFull when a worker could not keep what it makes,
    BatchBroken when the workers do not get on.
    """
    await asyncio.to_thread(_Deal(room, studio, progress, run_id).until_all_settled)


class _Deal:
    """A run's plan, dealt to whatever workers the cluster has."""

    def __init__(self, room: Room, studio: str, progress: Progress, run_id: str) -> None:
        self._room = room
        self._progress = progress
        self._run_id = run_id
        self._since = room.ledger.run(dealing.now)
        self._told = {
            "batch": progress.batch.id,
            "run_id": run_id,
            "since": self._since,
            "studio": studio,
            "works_for": room.holder.name,
        }
        self._numbers = count(1)
        self._error: BaseException | None = None

    def until_all_settled(self) -> None:
        # At work until the workers are at rest: whoever ends the batch waits for that.
        with self._progress.working():
            try:
                self._deal()
            finally:
                with suppress(LedgerUnreachable):
                    self._tell(dealing.end)

    def _deal(self) -> None:
        before, fruitless, patience = -1, 0, 0.0
        while (missing := self._missing()) and not self._progress.stop.is_set():
            fruitless = fruitless + 1 if missing == before else 0
            if fruitless == FRUITLESS:
                raise self._why(missing)
            self._tell(dealing.begin)
            with _cluster(self._room.rules.cluster, patience, self._progress.stop) as runner:
                self._until_dealt(runner)
            # A wrong address is told at once; later on, it was right.
            before, patience = missing, PATIENCE_SECONDS
        if isinstance(self._error, DiskFull | Unreachable):
            raise self._error

    def _until_dealt(self, runner: "DaskTaskRunner") -> None:
        """Give each worker a share, those that come later too, until all shares have ended."""
        ended: SimpleQueue[Any] = SimpleQueue()
        known: set[str] = set()
        flying, seen_at, stopped_at = 0, time.monotonic(), None
        while (flying or not known) and runner.client.status in ("running", "connecting"):
            now = time.monotonic()
            workers = set(runner.client.scheduler_info()["workers"])
            seen_at = now if workers else seen_at
            if self._progress.stop.is_set():
                self._tell(dealing.end)
                stopped_at = stopped_at or now
                if not flying or now - stopped_at > REST_SECONDS:
                    return
            elif now - seen_at > PATIENCE_SECONDS:
                raise Unreachable(
                    f"The Dask cluster at {runner.address} has no workers; start some: dask worker {runner.address}."
                )
            else:
                for worker in workers - known:
                    self._share(runner, worker).add_done_callback(ended.put)
                    flying += 1
                known |= workers
            with suppress(Empty):
                self._hear(ended.get(timeout=LOOK_SECONDS))
                flying -= 1
            self._missing()

    def _share(self, runner: "DaskTaskRunner", worker: str) -> "PrefectDaskFuture[Any]":
        from dask.base import annotate  # noqa: PLC0415 - only there with the extra

        # Elsewhere only once its worker has died.
        with annotate(workers=[worker], allow_other_workers=True):
            return runner.submit(render_share, parameters={"number": next(self._numbers), **self._told})

    def _hear(self, share: "PrefectDaskFuture[Any]") -> None:
        """Note how a share ended; what would end every other one too stops them all."""
        if self._progress.stop.is_set():
            return
        self._error = _error_of(share) or self._error
        if isinstance(self._error, DiskFull | Unreachable):
            self._progress.stop.set()

    def _why(self, missing: int) -> BaseException:
        """Return why the workers bring nothing: in a worker's own sentence, where it said one."""
        if isinstance(self._error, LimnerError):
            return self._error
        said = f": {type(self._error).__name__}, {self._error}" if self._error else ""
        return BatchBroken(
            f"The workers of the Dask cluster at {self._room.rules.cluster} end without the {missing} pictures that "
            f"are missing{said}; see their logs and run the same request again."
        )

    def _missing(self) -> int:
        """Return how many jobs have not settled, and let whoever watches the batch know."""
        missing, failed = self._room.ledger.run(
            lambda connection: dealing.standing(connection, self._run_id, self._since)
        )
        self._progress.see(self._progress.batch.asked - missing, failed)
        return missing

    def _tell(self, what: Callable[[Connection, str], None]) -> None:
        self._room.ledger.run(lambda connection: what(connection, self._run_id))


@contextmanager
def _cluster(address: str, patience_seconds: float, stop: threading.Event) -> "Iterator[DaskTaskRunner]":
    """Yield a task runner that has reached the scheduler; raises Unreachable, or BadInput for what is no address."""
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - slow, and only there with the extra

    def reach() -> None:
        try:
            assert runner.client  # noqa: S101 - made, and connected, when it is first asked for
        except OSError as error:
            raise Unreachable(
                f"No Dask scheduler answers at {address}; start it (dask scheduler), mend LIMNER_DASK_ADDRESS, "
                "or set LIMNER_ENGINE=threads."
            ) from error
        except ValueError as error:
            raise BadInput(f"{address} is no address of a Dask scheduler ({error}); write tcp://host:8786.") from None

    with DaskTaskRunner(address=address, client_kwargs={"timeout": CONNECT_SECONDS}) as runner:
        _patiently(reach, patience_seconds, stop)
        yield runner


def _error_of(share: "PrefectDaskFuture[Any]") -> BaseException | None:
    """Return why a share broke; None for one that ended well, or was lost with its scheduler."""
    from distributed import CancelledError  # noqa: PLC0415

    try:
        ended = share.result(raise_on_failure=False)
    except CancelledError:
        return None
    except Exception as error:  # dask's own: its workers died under it, or it could not be sent
        return error
    return ended if isinstance(ended, BaseException) else None


def _patiently(work: Callable[[], T], seconds: float, stop: threading.Event) -> T:
    """Return what `work` returns; while it raises Unreachable, wait and try again, until `stop` is set."""
    retrying = Retrying(
        retry=retry_if_exception_type(Unreachable),
        stop=stop_after_delay(seconds) | stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        wait=wait_exponential_jitter(multiplier=0.2, max=2, jitter=0.5),
        reraise=True,
    )
    done: T = retrying(work)
    return done


# -- in a worker's process -----------------------------------------------------------------------------------------


@task(name="render-share", task_run_name="share-{number}", cache_policy=NO_CACHE, persist_result=False)
def render_share(number: int, batch: str, run_id: str, since: datetime, studio: str, works_for: str) -> int:  # noqa: ARG001
    """Make pictures of a batch in this process until none is left to take; return how many."""
    from distributed import secede  # noqa: PLC0415

    # It waits most of the time: the worker's own threads are for other batches' shares.
    secede()  # type: ignore[no-untyped-call]
    with _in_the_room(studio, works_for) as room:
        return _Share(room, batch, run_id, since).work()


_opening = threading.Lock()
_inside: Counter[str] = Counter()


@contextmanager
def _in_the_room(studio: str, works_for: str) -> Iterator[Room]:
    """Yield this process's room, opened by whoever comes first; one that is in use stays as it is."""
    with _opening:
        if not _inside[studio]:
            _patiently(lambda: asyncio.run(open_studio(studio, works_for)), PATIENCE_SECONDS, threading.Event())
        _inside[studio] += 1
    try:
        yield room_of(studio)
    finally:
        with _opening:
            _inside[studio] -= 1


class _Share:
    """What this process makes of a batch: as many calls as the room allows, each job taken when its call is free."""

    def __init__(self, room: Room, batch_id: str, run_id: str, since: datetime) -> None:
        self._room = room
        self._run_id = run_id
        self._since = since
        batch = room.ledger.run(lambda connection: plans.get_batch(connection, batch_id))
        if batch is not None:
            room.know_as(batch)
        self._progress = room.progress(batch_id)
        self._calls = _Calls(room.rules.concurrency)

    def work(self) -> int:
        """Return how many pictures are there that this share took."""
        self._progress.begin(0)
        self._progress.answered = self._calls.leave
        # As many as may call at once, and as many again that store what came back.
        hands = 2 * self._room.rules.concurrency
        with ThreadPoolExecutor(hands, thread_name_prefix="render") as pool:
            working = [pool.submit(self._hand) for _ in range(hands)]
            while wait(working, LOOK_SECONDS).not_done:
                self._look_up()
        return sum(hand.result() for hand in working)

    def _hand(self) -> int:
        there = 0
        while not self._progress.stop.is_set():
            with self._calls.one():
                position = self._take()
                if position is None:
                    break
                there += press_one_of_many(self._room, self._progress.batch.id, position, self._run_id)
        return there

    def _take(self) -> int | None:
        return self._room.ledger.ask(lambda connection: dealing.take(connection, self._run_id, self._since))

    def _look_up(self) -> None:
        with suppress(LedgerUnreachable):
            if not self._room.ledger.ask(lambda connection: dealing.goes_on(connection, self._run_id), 0):
                self._progress.stop.set()


class _Calls:
    """A share's calls at once: held from taking a job to its answer, so that nobody takes what they would only hold."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)
        self._mine = threading.local()

    @contextmanager
    def one(self) -> Iterator[None]:
        self._free.acquire()
        self._mine.held = True
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Let the next one call; harmless for whoever holds none."""
        if getattr(self._mine, "held", False):
            self._mine.held = False
            self._free.release()
