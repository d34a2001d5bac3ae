"""The press as Prefect sees it: one task run a picture, a child for each provider asked, chunks beyond 200.

The craft decides everything; here stand only names, retries, windows and artifacts. The ledger is the record,
Prefect the view: a task takes names and numbers, never pixels, and finds its room by the studio's name.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, Protocol, Self, TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, SyncClientContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.tasks import Task, exponential_backoff
from prefect.utilities.annotations import quote

from blocks.studio import room_of
from limner import press as craft
from limner.bucket.uploads import brought
from limner.chain import Turn
from limner.errors import BatchShort, DiskFull, LimnerError, Unreachable
from limner.jobs import Plan
from limner.ledger import plans, quota
from limner.ledger.plans import Asker, Batch, StoredJob
from limner.press import BatchReport, Call
from limner.progress import Progress
from limner.studio import Room
from tasks.cluster import render_on_cluster
from tasks.showing import ProgressShown, show_batch

# The work queue whose runs somebody waits for.
INTERACTIVE = "interactive"

# Up to this many jobs each is a task run of its own; a larger plan runs in chunks of as many.
TASK_RUNS = 200


class Asked(Protocol):
    """What the press needs of a request, whatever kind of work it asks for."""

    @property
    def owner(self) -> str: ...
    @property
    def force(self) -> bool: ...
    @property
    def reuse(self) -> plans.Reuse: ...
    @property
    def max_usd(self) -> float | None: ...
    @property
    def slug(self) -> str: ...
    def pinned(self) -> Self: ...
    def hash(self) -> str: ...
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


Request = TypeVar("Request", bound=Asked)

Flight = tuple[int, PrefectFuture[Any]]

# What a call brought: a picture's sha256, or what was said instead.
Came = str | LimnerError


def _is_unreachable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Say whether a job failed because what the press stands on was away: then all of it is safe to repeat."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)


@task(name="ask-provider", task_run_name="{provider}-{number}", cache_policy=NO_CACHE, persist_result=False)
def ask_provider(provider: str, number: int, call: Callable[[str | None], Came]) -> str | State[Any]:  # noqa: ARG001
    """Ask one provider once; return the picture's sha256. What it says instead fails the run, in a sentence."""
    context = TaskRunContext.get()
    came = call(str(context.task_run.id) if context else None)
    return Failed(message=str(came)) if isinstance(came, LimnerError) else came


@task(
    name="render",
    task_run_name="render-{key}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(5),
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_unreachable,
)
def render(key: str, position: int, batch: str, run_id: str | None, studio: str) -> str | State[Any]:  # noqa: ARG001
    """Make one picture of a batch, or find it made; return how its job settled."""
    end = craft.press_job(room_of(studio), batch, position, run_id, _ask_in_a_child)
    return Failed(message=end.reason) if end.status == "failed" else end.status


@task(name="render-chunk", task_run_name="render-{first}-to-{last}", cache_policy=NO_CACHE, persist_result=False)
def render_chunk(first: int, last: int, positions: Sequence[int], batch: str, run_id: str | None, studio: str) -> int:  # noqa: ARG001
    """Make the pictures of a chunk; return how many of them are there."""
    room = room_of(studio)

    # Two chunks are under way at once: together they have the workers of one plan of single pictures.
    with ThreadPoolExecutor(room.rules.concurrency, thread_name_prefix="render") as pool:
        return sum(pool.map(lambda one: craft.press_one_of_many(room, batch, one, run_id), positions))


@task(name="plan", cache_policy=NO_CACHE, persist_result=False)
def make_plan(work: Callable[[], Batch]) -> Batch:
    """Read, look up, choose, and store what came of it: once per batch.

    The plan itself never leaves the task: Prefect keeps what a task returns for as long as the flow runs.
    """
    return work()


def _ask_in_a_child(_job: StoredJob, turn: Turn, call: Call) -> str:
    """Ask in a task run of its own; what the provider said instead of a picture is raised here, not in its run."""
    said: list[Came] = []

    def listen(task_run_id: str | None) -> Came:
        try:
            said.append(call(task_run_id))
        except LimnerError as error:
            said.append(error)
        return said[0]

    state = ask_provider(turn.provider, turn.number, listen, return_state=True)
    came = said[0] if said else state.result()
    if isinstance(came, LimnerError):
        raise came
    return str(came)


def _workers(room: Room) -> int:
    """As many as may call at once, and as many again that store what came back or wait for a slot."""
    return 2 * room.rules.concurrency


async def press(room: Room, studio: str, request: Request, plan: Callable[[Request], Plan]) -> BatchReport:
    """Bring a request's plan to its end: every promised picture made, reused, or failed for a named reason.

    Raises RefusedRequest before anything is made, BatchShort when pictures are missing at the end; the report is
    written before either the return or the raise.
    """
    # One client of the API for all task runs: each would make one of its own, and load the certificates of the world.
    with SyncClientContext.get_or_create():
        return await _press(room, studio, request, plan)


async def _press(room: Room, studio: str, request: Request, plan: Callable[[Request], Plan]) -> BatchReport:
    started = time.monotonic()
    run_id, idempotency_key, is_interactive = _run()
    batch = _batch(room, request, plan, run_id, idempotency_key, is_interactive=is_interactive)
    if is_interactive:
        batch = craft.hurry(room, batch)
    missing = craft.begin(room, batch, run_id)
    say = _sayer()
    say(f"{batch.title}: {batch.asked} pictures promised by {batch.id}, {len(missing)} to make.")
    for note in batch.notes:
        say(note)
    progress = room.progress(batch.id)
    progress.begin(batch.asked - len(missing))
    shown = ProgressShown(room, progress)
    cancelled = True
    try:
        await _render(room, studio, progress, missing, run_id)
        cancelled = False
    finally:
        progress.stop.set()
        report = craft.end(room, batch, time.monotonic() - started, cancelled=cancelled)
        await shown.end()
    say(f"{report.made} made, {report.reused} reused, {report.rejected} rejected, {report.failed} failed.")
    await show_batch(room, report)
    if report.made + report.reused < report.asked:
        raise BatchShort(craft.short_of(report), report.report)
    return report


def _sayer() -> Callable[[str], None]:
    """Return how the run's own log is written; silent outside a run."""
    return get_run_logger().info if FlowRunContext.get() else lambda _sentence: None


def _run() -> tuple[str | None, str | None, bool]:
    """Return this flow run's id, the key it was asked with, and whether somebody waits for it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None, None, False
    run = context.flow_run
    return str(run.id), run.idempotency_key, run.work_queue_name == INTERACTIVE


def _batch(
    room: Room,
    request: Request,
    plan: Callable[[Request], Plan],
    run_id: str | None,
    idempotency_key: str | None,
    *,
    is_interactive: bool,
) -> Batch:
    """Return the stored plan of this run, or store one: a retry never plans anew, nor reads the book."""
    of_run = craft.find_batch_of_run(room, run_id)
    if of_run is not None:
        return of_run
    pinned = request.pinned()
    asker = Asker(
        owner=request.owner,
        tier=room.ledger.run(lambda connection: quota.tier_or_default(connection, request.owner)),
        request=pinned.model_dump(mode="json"),
        request_hash=pinned.hash(),
        idempotency_key=idempotency_key,
        force=request.force,
        reuse="same" if request.force else request.reuse,
        max_usd=request.max_usd,
        interactive=is_interactive,
    )

    def work() -> Batch:
        with brought(room.bucket, pinned, request.owner) as readable:
            return craft.store_plan(room, asker, plan(readable), pinned.slug)

    return craft.find_plan(room, asker) or make_plan(work)


async def _render(room: Room, studio: str, progress: Progress, missing: Sequence[int], run_id: str | None) -> None:
    # As many as one process calls at once are not worth the way to the cluster, nor to wait behind its batches.
    if room.rules.cluster and run_id and len(missing) > room.rules.concurrency:
        await render_on_cluster(room, studio, progress, run_id)
        return
    fatal: BaseException | None = None
    flights, width = _flights(room, studio, progress.batch, missing, run_id)
    async for position, future in _in_a_window(flights, width):
        error = _error_of(future)
        if isinstance(error, DiskFull | Unreachable):
            # It would fail for every other job too: what is under way ends, nothing more is asked for.
            fatal = fatal or error
            progress.stop.set()
        elif error is not None:
            craft.give_up(room, progress.batch.id, position, str(error) or type(error).__name__)
    if fatal is not None:
        raise fatal


def _error_of(future: PrefectFuture[Any]) -> BaseException | None:
    """Return why a landed task run broke; None for one that settled its job, as made or as failed.

    A completed one is not asked for its result: that would cost a millisecond.
    """
    future.wait()
    if future.state.is_completed() or (future.state.is_failed() and future.state.data is None):
        return None
    error = future.result(raise_on_failure=False)
    return error if isinstance(error, BaseException) else None


def _flights(
    room: Room, studio: str, batch: Batch, missing: Sequence[int], run_id: str | None
) -> tuple[Iterable[Callable[[], Flight]], int]:
    """Return what is to be submitted, in order, and how many of it may run at once."""
    if len(missing) <= TASK_RUNS:
        keys = room.ledger.run(lambda connection: plans.keys_of(connection, batch))
        return [partial(_submit_one, keys[one], one, batch.id, run_id, studio) for one in missing], _workers(room)
    chunks = (missing[start : start + TASK_RUNS] for start in range(0, len(missing), TASK_RUNS))
    # Two at a time share the slots, so that none idles while a chunk ends.
    return (partial(_submit_chunk, chunk, batch.id, run_id, studio) for chunk in chunks), 2


def _submit_one(key: str, position: int, batch: str, run_id: str | None, studio: str) -> Flight:
    return position, render.submit(key, position, batch, run_id, studio)


def _submit_chunk(chunk: Sequence[int], batch: str, run_id: str | None, studio: str) -> Flight:
    return chunk[0], render_chunk.submit(chunk[0], chunk[-1], quote(chunk), batch, run_id, studio)


async def _in_a_window(flights: Iterable[Callable[[], Flight]], width: int) -> AsyncIterator[Flight]:
    """Yield submitted task runs as they end, with at most `width` under way; every one is awaited."""
    loop = asyncio.get_running_loop()
    landed: asyncio.Queue[Flight] = asyncio.Queue()
    waiting = iter(flights)

    def launch(most: int) -> int:
        starts = list(islice(waiting, most))
        for start in starts:
            position, future = start()
            future.add_done_callback(partial(_land, loop, landed, position))
        return len(starts)

    flying = launch(width)
    while flying:
        flight = await landed.get()
        flying += launch(1) - 1
        yield flight


def _land(
    loop: asyncio.AbstractEventLoop, landed: asyncio.Queue[Flight], position: int, done: PrefectFuture[Any]
) -> None:
    """Say in the flow's loop that a task run has ended; called in the thread that ran it."""
    loop.call_soon_threadsafe(landed.put_nowait, (position, done))
