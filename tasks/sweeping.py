"""Sweeping as Prefect sees it: flow runs that it calls alive though their process is gone, and such as crashed.

The ledger knows who works on what and who lives, Prefect what ought to be done. A run of a deployment is scheduled
again under its own id, so that it carries its stored plan on; any other is closed, so that the same request does.
Safe to run twice at once: the ledger's row decides who resumes a run.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TypeVar
from uuid import UUID

import psutil
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import AwaitingRetry, Cancelled, Crashed
from sqlalchemy import Connection

from limner import sweeping
from limner.ledger import runs
from limner.ledger.holders import is_here, is_provably_dead
from limner.ledger.runs import MOST_RESUMED, Run
from limner.studio import Room

log = logging.getLogger(__name__)

T = TypeVar("T")

# A state that is younger may be ahead of what its process has written down, or is about to be mended by its worker.
FRESH_SECONDS = 10.0
# A run that nobody took up for so long after it was promised to somebody is nobody's.
NOBODYS_SECONDS = 60.0
# A run that crashed longer ago is left as it is: somebody has seen it.
CRASHED_SECONDS = 86_400.0
# Whoever crashes again and again waits so much longer each time.
PAUSE_SECONDS = 10.0

# Where our deployments find their flows.
ENTRYPOINT = "flows."

# How each of our resumptions begins, in the history of a run's states.
RESUMED = "Its process ended without a word"

_UNDER_WAY = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
_PAGE = 200


class Step(StrEnum):
    """What is to be done with a run."""

    LEAVE = "left"
    LET_GO = "let go"
    RESUME = "resumed"
    CANCEL = "cancelled"
    CLOSE = "closed"


@dataclass(frozen=True, slots=True)
class Swept:
    """A run that was found dead, and what became of it."""

    run: str
    name: str
    batch: str
    step: Step
    why: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A flow run as Prefect and the ledger know it; either may know nothing."""

    id: str
    flow_run: FlowRun | None
    run: Run | None

    @property
    def state(self) -> StateType | None:
        return self.flow_run.state.type if self.flow_run is not None and self.flow_run.state is not None else None

    @property
    def is_deployed(self) -> bool:
        return self.flow_run is not None and self.flow_run.deployment_id is not None

    @property
    def age_seconds(self) -> float:
        """Return for how long Prefect's state has stood."""
        state = self.flow_run.state if self.flow_run is not None else None
        return 0.0 if state is None else (datetime.now(UTC) - state.timestamp).total_seconds()


@dataclass
class Sight:
    """What a sweeper sees from its host, and what it may make of silence.

    silence_counts: whether who is silent on another host is dead; not where the ledger was away until now.
    """

    silence_counts: bool = True
    host: str = field(default_factory=socket.gethostname)
    _under_way: frozenset[str] | None = None

    @property
    def under_way(self) -> frozenset[str]:
        """The flow runs that have a process here; looked up once, when it is first asked for."""
        if self._under_way is None:
            self._under_way = frozenset(_flow_runs_with_a_process())
        return self._under_way

    def is_dead(self, run: Run) -> bool:
        # Whoever has ended its batch has only its last words left to say: silence proves nothing.
        return run.is_dead(silence_counts=self.silence_counts and not run.has_ended)

    def is_lost(self, suspect: Suspect) -> bool:
        """Say whether a flow run that is not in the ledger has no process any more."""
        one = suspect.flow_run
        if one is None or suspect.age_seconds < FRESH_SECONDS or suspect.id in self.under_way:
            return False
        host, _, pid = (one.infrastructure_pid or "").rpartition(":")
        if host:
            return host == self.host and not _runs(pid)
        worker = one.labels.get("prefect.worker.name")
        if worker is None and not pid:
            return suspect.age_seconds > NOBODYS_SECONDS
        # A worker's process carries the id of its flow run: there is none, whoever has its process id now.
        return str(worker).rpartition("-")[0].endswith(f"-{self.host}")


async def sweep(room: Room, client: PrefectClient, *, silence_counts: bool = True) -> list[Swept]:
    """Find what died, resume or close it, and free what it held; return what was done.

    silence_counts: as in `Sight`.
    """
    await asyncio.to_thread(sweeping.free_the_dead, room)
    found = await _suspects(room, client)
    sight = Sight(silence_counts)
    steps = await asyncio.to_thread(lambda: [(one, step(one, sight)) for one in found])
    doing = [_do(room, client, one, what) for one, what in steps if what is not Step.LEAVE]
    # What cannot be done now is found again; it must not stand in the way of the others.
    done = await asyncio.gather(*doing, return_exceptions=True)
    for batch in await asyncio.to_thread(sweeping.never_begun, room):
        await asyncio.to_thread(sweeping.close_batch, room, batch)
    return list(_told(done))


def _told(done: Sequence[Swept | BaseException | None]) -> Iterator[Swept]:
    for one in done:
        if isinstance(one, Swept):
            log.warning("%s (%s) was %s: %s", one.name, one.batch or "no batch yet", one.step, one.why)
            yield one
        elif one is not None:
            log.warning("A dead run could not be swept yet: %s: %s", type(one).__name__, one)


def step(suspect: Suspect, sight: Sight) -> Step:
    """Return what is to be done with a run, by what Prefect calls it and by whether anybody is at work on it."""
    if suspect.state in _UNDER_WAY:
        is_cancelling = suspect.state is StateType.CANCELLING
        return Step.LEAVE if not _is_abandoned(suspect, sight) else Step.CANCEL if is_cancelling else Step.RESUME
    if suspect.state is StateType.CRASHED and suspect.is_deployed:
        return Step.LEAVE if _is_at_work_or_done(suspect, sight) else Step.RESUME
    if suspect.run is None or suspect.run.has_ended:
        return Step.LEAVE
    return _close_or_not(suspect, suspect.run, sight)


def _is_abandoned(suspect: Suspect, sight: Sight) -> bool:
    """Say whether nobody is at work on a run that Prefect calls under way."""
    run = suspect.run
    return sight.is_dead(run) if run is not None and run.holder is not None else sight.is_lost(suspect)


def _is_at_work_or_done(suspect: Suspect, sight: Sight) -> bool:
    """Say whether a crashed run has a process all the same, since that only slept, or has nothing left to do."""
    run = suspect.run
    if run is None or run.holder is None:
        return suspect.age_seconds < FRESH_SECONDS or suspect.id in sight.under_way
    if run.has_ended:
        # Whoever ended its process may be about to call it cancelled.
        if suspect.age_seconds < FRESH_SECONDS:
            return True
        return run.batch_status == "complete" or (is_here(run.holder) and not is_provably_dead(run.holder))
    return not sight.is_dead(run)


def _close_or_not(suspect: Suspect, run: Run, sight: Sight) -> Step:
    """Decide on a run that the ledger calls open and Prefect does not call under way."""
    if suspect.state in (StateType.SCHEDULED, StateType.PAUSED):
        return Step.LET_GO if sight.is_dead(run) else Step.LEAVE
    # Prefect calls it over, or does not know it.
    is_waited_for_in_vain = run.holder is None and run.silent_seconds > NOBODYS_SECONDS
    if not (is_waited_for_in_vain or sight.is_dead(run)):
        return Step.LEAVE
    return Step.CANCEL if suspect.state is StateType.CANCELLED else Step.CLOSE


# -- what both know ------------------------------------------------------------------------------------------------


async def _suspects(room: Room, client: PrefectClient) -> list[Suspect]:
    """Return every run that Prefect or the ledger calls under way, and what crashed lately."""
    open_runs = await _ask(room, runs.unfinished)
    found = {str(one.id): one for one in await _flow_runs(client, [one.id for one in open_runs])}
    deployed = await _our_deployments(client)
    if deployed:
        theirs = {"deployment_id": {"any_": deployed}}
        crashed_after = datetime.now(UTC) - timedelta(seconds=CRASHED_SECONDS)
        asked: Sequence[Mapping[str, object]] = (
            {"state": {"type": {"any_": list(_UNDER_WAY)}}},
            {"state": {"type": {"any_": [StateType.CRASHED]}}, "end_time": {"after_": crashed_after}},
        )
        for one in asked:
            found |= {str(run.id): run for run in await _all_pages(client, {**theirs, **one})}
    known = {one.id: one for one in open_runs}
    known |= await _ask(room, partial(runs.named, ids=[id for id in found if id not in known]))  # noqa: A001
    return [Suspect(one, found.get(one), known.get(one)) for one in sorted({*found, *known})]


async def _our_deployments(client: PrefectClient) -> list[UUID]:
    there = await client.read_deployments(limit=_PAGE)
    return [one.id for one in there if (one.entrypoint or "").startswith(ENTRYPOINT)]


async def _flow_runs(client: PrefectClient, ids: Sequence[str]) -> list[FlowRun]:
    found: list[FlowRun] = []
    for start in range(0, len(ids), _PAGE):
        found += await _all_pages(client, {"id": {"any_": list(ids[start : start + _PAGE])}})
    return found


async def _all_pages(client: PrefectClient, asked: Mapping[str, object]) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate(asked)
    found: list[FlowRun] = []
    while len(page := await client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE, offset=len(found))) == _PAGE:
        found += page
    return [*found, *page]


async def _ask(room: Room, work: Callable[[Connection], T]) -> T:
    return await asyncio.to_thread(room.ledger.run, work)


# -- what is done --------------------------------------------------------------------------------------------------


async def _do(room: Room, client: PrefectClient, suspect: Suspect, what: Step) -> Swept | None:
    """Do it, and say so; None where nothing is to be said, or another was first."""
    run = suspect.run
    if what is Step.RESUME:
        return await _resume(room, client, suspect)
    if what is Step.LET_GO and run is not None:
        await _ask(room, lambda connection: runs.let_go(connection, run))
        return None
    why = "its process is gone, and so is what it was to do" if what is Step.CLOSE else "it was to be cancelled"
    if suspect.state is StateType.CANCELLING and not await _set(client, suspect, Cancelled(message=f"Swept: {why}.")):
        return None
    await _close(room, run, cancelled=what is Step.CANCEL)
    return _swept(suspect, what, why)


async def _resume(room: Room, client: PrefectClient, suspect: Suspect) -> Swept | None:
    """Schedule a run again, or close it where it has no deployment, or died too often."""
    run = suspect.run
    if run is not None and await _ask(room, lambda connection: runs.others_at_work(connection, run)):
        return await _give_up(room, client, suspect, "another run of the same request carries its batch on")
    if not suspect.is_deployed:
        return await _give_up(room, client, suspect, "the same request, asked again, carries its batch on")
    if not (run.may_be_resumed if run is not None else await _times_resumed(client, suspect) < MOST_RESUMED):
        return await _give_up(room, client, suspect, f"it died {MOST_RESUMED} times in a row without a picture made")
    times = await _count(room, client, suspect)
    if times is None:
        return None
    why = (
        f"{RESUMED}; scheduled again ({times} of {MOST_RESUMED} without a picture in between), its plan is carried on."
    )
    when = datetime.now(UTC) + timedelta(seconds=PAUSE_SECONDS * (times - 1))
    is_set = await _set(client, suspect, AwaitingRetry(scheduled_time=when, message=why))
    return _swept(suspect, Step.RESUME, why) if is_set else None


async def _count(room: Room, client: PrefectClient, suspect: Suspect) -> int | None:
    """Note that a run is resumed; return for which time in a row, None where another was first."""
    run = suspect.run
    if run is None:
        return await _times_resumed(client, suspect) + 1
    # Before Prefect is told: whoever sees it scheduled must not find the dead process still named.
    return await _ask(room, lambda connection: runs.resume(connection, run))


async def _times_resumed(client: PrefectClient, suspect: Suspect) -> int:
    """Return how often a run without a batch was resumed: the history of its states knows."""
    states = await client.read_flow_run_states(UUID(suspect.id))
    return sum(1 for one in states if (one.message or "").startswith(RESUMED))


async def _give_up(room: Room, client: PrefectClient, suspect: Suspect, why: str) -> Swept | None:
    """Call a run crashed, and close what it left; None where both was done before."""
    run = suspect.run
    is_told = suspect.state is StateType.CRASHED
    if is_told and (run is None or run.has_ended):
        return None
    if not is_told and not await _set(client, suspect, Crashed(message=f"{RESUMED}; {why}.")):
        return None
    await _close(room, run)
    return _swept(suspect, Step.CLOSE, why)


async def _close(room: Room, run: Run | None, *, cancelled: bool = False) -> None:
    if run is not None:
        await asyncio.to_thread(sweeping.close, room, run, cancelled=cancelled)


async def _set(client: PrefectClient, suspect: Suspect, state: State[None]) -> bool:
    """Set a run's state; say whether Prefect took it."""
    answer = await client.set_flow_run_state(suspect.id, state)
    if answer.status is not SetStateStatus.ACCEPT:
        log.info("Prefect did not take %s for %s: %s", state.name, suspect.id, answer.details)
    return answer.status is SetStateStatus.ACCEPT


def _swept(suspect: Suspect, what: Step, why: str) -> Swept:
    name = suspect.flow_run.name if suspect.flow_run is not None else suspect.id
    return Swept(suspect.id, name, suspect.run.batch_id if suspect.run is not None else "", what, why)


# -- this host -----------------------------------------------------------------------------------------------------


def _flow_runs_with_a_process() -> Iterator[str]:
    """Yield the ids of the flow runs that a process of this host is making."""
    for process in psutil.process_iter():
        try:
            # What a flow run has started carries its id too.
            if any(word.startswith("prefect.") for word in process.cmdline()):
                yield process.environ().get("PREFECT__FLOW_RUN_ID", "")
        except psutil.Error:
            continue


def _runs(pid: str) -> bool:
    try:
        return bool(psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        return True
