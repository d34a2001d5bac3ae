"""Why a batch waits: asked of the ledger and of Prefect, and said in sentences.

What the ledger knows is in `limner/ledger/waiting.py`. Here stands what only Prefect knows: when a flow run is to
begin, and what holds it up before its first line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection

from deployments.local_api import prefect_api
from limner.errors import BadInput, Unreachable
from limner.home.alive import is_alive
from limner.home.ledger import open_ledger
from limner.ledger import plans, quota, waiting
from limner.ledger.opening import Ledger
from limner.ledger.waiting import Standing
from limner.settings import Settings
from limner.tiers import load_tiers

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import DeploymentFilter, WorkPoolFilter, WorkQueueFilter
    from prefect.client.schemas.objects import FlowRun, WorkPool, WorkQueue

# A queue that nobody has looked into for so long is looked into by nobody.
_POLLED_WITHIN = timedelta(seconds=60)

# Runs that are named where a limit is full.
_NAMED = 5

_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_SWEEPER = "sweeper"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on flow runs at once, and the names of those that it counts now."""

    what: str
    most: int
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """A flow run as Prefect has it.

    starts: when it is to begin. paused: what it stands in and is paused. queue: like `cpu/batch`, where it has one;
    is_polled: whether a worker looks into that.
    """

    id: str
    name: str
    state_type: str
    state: str
    message: str
    starts: datetime | None
    paused: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    queue: str | None = None
    is_polled: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a batch, or of a flow run that has none yet, and the sentences it comes to."""

    standing: Standing | None
    flow_runs: tuple[Due, ...]
    sentences: tuple[str, ...]


def ask(settings: Settings, which: str) -> Answer:
    """Say what a batch waits for, by its name or by a flow run's id or name; raises BadInput where there is none."""
    ledger = open_ledger(settings)
    try:
        return _ask(settings, ledger, which)
    finally:
        ledger.close()


def _ask(settings: Settings, ledger: Ledger, which: str) -> Answer:
    standing = ledger.run(partial(_standing, which), patience_seconds=0)
    said: list[str] = []
    due: tuple[Due, ...] = ()
    try:
        with prefect_api(settings):
            due = _due(standing.run_ids if standing else (which,))
    except Unreachable as error:
        if standing is None:
            raise
        said.append(str(error))
    if standing is None and due:
        standing = ledger.run(partial(_standing, due[-1].id), patience_seconds=0)
    if standing is None and not due:
        raise BadInput(f"There is no batch and no flow run {which!r}; give a batch's name, or a run's id or name.")
    if standing is not None:
        said += waiting.sentences(standing)
        if any(run.is_dead() for run in standing.runs) and not is_alive(settings.home, _SWEEPER):
            said.append("No sweeper is at work on this machine; start one (limner up, or limner serve sweeper).")
    if standing is None or standing.missing:
        said += sentences(due, datetime.now(UTC))
    return Answer(standing, due, tuple(said))


def _standing(which: str, connection: Connection) -> Standing | None:
    batch = plans.get_batch(connection, which) or plans.batch_of_run(connection, which)
    if batch is None:
        return None
    tier = load_tiers()[quota.tier_of(connection, batch.owner) or batch.tier]
    return waiting.standing(connection, batch, tier)


# -- in sentences --------------------------------------------------------------------------------------------------


def sentences(runs: Sequence[Due], now: datetime) -> list[str]:
    """Say what the flow runs that have not ended wait for; where all have, how the last one did."""
    open_ones = [run for run in runs if run.state_type not in _ENDED] or list(runs[-1:])
    return [sentence for run in open_ones for sentence in _of_run(run, now)]


def _of_run(run: Due, now: datetime) -> Iterator[str]:
    flow_run = f"Flow run {run.name}"
    if run.state_type in _ENDED:
        yield f"{flow_run} has ended, {run.state}{f': {run.message}' if run.message else '.'}"
    elif run.state_type == "PAUSED":
        yield f"{flow_run} is paused; resume it in the Prefect UI."
    elif run.state_type == "PENDING":
        yield f"{flow_run} was taken by a worker, which starts its process."
    elif run.state_type != "SCHEDULED":
        yield f"{flow_run} is {run.state}."
    elif run.starts is not None and run.starts > now and run.state != "AwaitingConcurrencySlot":
        again = "tried again" if run.state == "AwaitingRetry" else "to begin"
        yield f"{flow_run} is {again} at {run.starts:%Y-%m-%d %H:%M:%S} UTC, in {_duration(run.starts - now)}."
    else:
        yield f"{flow_run} is due ({run.state}) and has not begun."
        yield from _held_up(run)


def _held_up(run: Due) -> Iterator[str]:
    full = [limit for limit in run.limits if len(limit.runs) >= limit.most]
    for what in run.paused:
        yield f"The {what} is paused; resume it (prefect work-pool, prefect work-queue, or the Prefect UI)."
    for limit in full:
        more = f" and {len(limit.runs) - _NAMED} more" if len(limit.runs) > _NAMED else ""
        by = f", by {', '.join(limit.runs[:_NAMED])}{more}" if limit.runs else ""
        yield f"The {limit.what} is full: {len(limit.runs)} of {limit.most} runs at once{by}."
    if not run.is_polled:
        yield f"No worker looks into the work queue {run.queue}; start one (limner up)."
    elif not run.paused and not full:
        yield "Nothing holds it up; a worker takes it when it looks next."


def _duration(time: timedelta) -> str:
    """Return a time as `2 h 5 min`, `3 min 20 s` or `12 s`."""
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


# -- what Prefect knows --------------------------------------------------------------------------------------------


def _due(which: Sequence[str]) -> tuple[Due, ...]:
    """Return flow runs by their ids, or one by its name, the newest last."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - its environment must stand first
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterName  # noqa: PLC0415
    from prefect.client.schemas.sorting import FlowRunSort  # noqa: PLC0415

    ids = [UUID(one) for one in which if _is_id(one)]
    by = FlowRunFilter(id=FlowRunFilterId(any_=ids)) if ids else FlowRunFilter(name=FlowRunFilterName(any_=[*which]))
    if not which:
        return ()
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=by, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=20)
        wanted = found if ids else found[:1]
        return tuple(_due_of(client, run) for run in reversed(wanted))


def _is_id(which: str) -> bool:
    try:
        UUID(which)
    except ValueError:
        return False
    return True


def _due_of(client: "SyncPrefectClient", run: "FlowRun") -> Due:
    state = run.state
    kind, name = (state.type.value, state.name or "") if state else ("SCHEDULED", "Scheduled")
    said: dict[str, Any] = _surroundings(client, run) if kind == "SCHEDULED" else {}
    starts = state.state_details.scheduled_time if state else run.expected_start_time
    return Due(str(run.id), run.name, kind, name, (state and state.message) or "", starts, **said)


def _surroundings(client: "SyncPrefectClient", run: "FlowRun") -> dict[str, Any]:
    """Return what a flow run stands in that may hold it up: its deployment, its pool and its queue."""
    limits = list(_deployment_limit(client, run))
    if run.work_pool_name is None or run.work_queue_id is None:
        return {"limits": tuple(limits)}
    pool, queue = client.read_work_pool(run.work_pool_name), client.read_work_queue(run.work_queue_id)
    limits += _limits(client, pool, queue)
    stands_in = ((f"work pool {pool.name}", pool.is_paused), (f"work queue {pool.name}/{queue.name}", queue.is_paused))
    return {
        "limits": tuple(limits),
        "paused": tuple(what for what, is_paused in stands_in if is_paused),
        "queue": f"{pool.name}/{queue.name}",
        "is_polled": _is_polled(client, pool, queue),
    }


def _deployment_limit(client: "SyncPrefectClient", run: "FlowRun") -> Iterator[Limit]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId  # noqa: PLC0415

    if run.deployment_id is None:
        return
    deployment = client.read_deployment(run.deployment_id)
    if deployment.global_concurrency_limit is not None:
        filter_ = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
        runs = _at_work(client, deployment_filter=filter_)
        yield Limit(f"deployment {deployment.name}", deployment.global_concurrency_limit.limit, runs)


def _limits(client: "SyncPrefectClient", pool: "WorkPool", queue: "WorkQueue") -> Iterator[Limit]:
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        WorkPoolFilter,
        WorkPoolFilterName,
        WorkQueueFilter,
        WorkQueueFilterId,
    )

    if pool.concurrency_limit is not None:
        in_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool.name]))
        yield Limit(f"work pool {pool.name}", pool.concurrency_limit, _at_work(client, work_pool_filter=in_pool))
    if queue.concurrency_limit is not None:
        in_queue = WorkQueueFilter(id=WorkQueueFilterId(any_=[queue.id]))
        what = f"work queue {pool.name}/{queue.name}"
        yield Limit(what, queue.concurrency_limit, _at_work(client, work_queue_filter=in_queue))


def _at_work(
    client: "SyncPrefectClient",
    *,
    deployment_filter: "DeploymentFilter | None" = None,
    work_pool_filter: "WorkPoolFilter | None" = None,
    work_queue_filter: "WorkQueueFilter | None" = None,
) -> tuple[str, ...]:
    """Return the names of the runs that take a place there."""
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415

    types = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=types)),
        deployment_filter=deployment_filter,
        work_pool_filter=work_pool_filter,
        work_queue_filter=work_queue_filter,
        limit=200,
    )
    return tuple(run.name for run in found)


def _is_polled(client: "SyncPrefectClient", pool: "WorkPool", queue: "WorkQueue") -> bool:
    """Say whether a worker of the pool is online and somebody has looked into the queue lately."""
    is_recent = queue.last_polled is not None and datetime.now(UTC) - queue.last_polled < _POLLED_WITHIN
    return is_recent and any(one.status == "ONLINE" for one in client.read_workers_for_work_pool(pool.name))
