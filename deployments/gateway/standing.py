"""How a request stands: what Prefect says of its run, and what the ledger says of its batch, as one word.

The ledger is the record: a batch that it knows as complete is, whatever its run is about to say.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType

from deployments.gateway.desk import Desk
from limner.errors import BatchShort, RefusedRequest
from limner.ledger import replies
from limner.ledger.replies import Standing

State = Literal["waiting", "running", "complete", "short", "failed", "cancelled"]

ENDED = ("complete", "short", "failed", "cancelled")

# What died is carried on by then, or nobody does any more.
CARRIED_ON_SECONDS = 60.0

# So many runs Prefect returns at once.
_AT_ONCE = 200

_RAISED = re.compile(r"Flow run encountered an exception: (?:\w+\.)*(\w+): (.*)", re.DOTALL)

_STATES: dict[StateType, State] = {
    StateType.SCHEDULED: "waiting",
    StateType.PENDING: "waiting",
    StateType.RUNNING: "running",
    StateType.PAUSED: "running",
    StateType.CANCELLING: "running",
    StateType.COMPLETED: "complete",
    StateType.CANCELLED: "cancelled",
    StateType.FAILED: "failed",
    StateType.CRASHED: "failed",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it stands: whose it is, its kind's flow run, its batch where it has one, and why it is so."""

    run: FlowRun
    owner: str
    state: State
    why: str
    batch: Standing | None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def has_crashed(self) -> bool:
        """Whether its process has died."""
        return self.run.state is not None and self.run.state.type is StateType.CRASHED

    @property
    def mark(self) -> str:
        """Return what differs whenever something that an app is shown of it does."""
        settled = (self.batch.made, self.batch.reused, self.batch.failed) if self.batch else ()
        return "-".join(map(str, (self.state, *settled)))


async def look(desk: Desk, ids: list[str]) -> dict[str, Seen]:
    """Return by id how requests stand; ids of none are left out. Raises LedgerUnreachable or httpx's errors."""
    found: dict[str, Seen] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        of_ids = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(one) for one in some]))
        runs = await desk.ask(desk.prefect.read_flow_runs(flow_run_filter=of_ids, limit=_AT_ONCE))
        batches = await desk.look(partial(replies.standings, runs=some))
        found |= {str(run.id): seen(run, batches.get(str(run.id))) for run in runs}
    return found


def seen(run: FlowRun, batch: Standing | None) -> Seen:
    asked = run.parameters.get("request")
    owner = str(asked.get("owner", "local")) if isinstance(asked, dict) else ""
    state, why = _state(run, batch)
    return Seen(run, owner, state, why, batch)


def _state(run: FlowRun, batch: Standing | None) -> tuple[State, str]:
    said = run.state.type if run.state else StateType.SCHEDULED
    if batch is not None and batch.status == "complete":
        return "complete", ""
    is_open = batch is not None and batch.status == "open"
    if said is StateType.CRASHED and (is_open or _seconds_since(run) < CARRIED_ON_SECONDS):
        return "running", "Its process has died; it is carried on soon."
    state = _STATES[said]
    if state == "failed" and batch is not None and batch.status == "short":
        state = "short"
    return state, _why(run, state)


def _seconds_since(run: FlowRun) -> float:
    """Return for how long Prefect's state has stood."""
    return (datetime.now(UTC) - run.state.timestamp).total_seconds() if run.state else 0.0


def _why(run: FlowRun, state: State) -> str:
    if state == "waiting":
        return "It waits for a free worker."
    if run.state is not None and run.state.type is StateType.CANCELLING:
        return "It is being cancelled."
    return _reason(run) if state in ("short", "failed") else ""


def _reason(run: FlowRun) -> str:
    """Return why a run failed, where an app can do something about it; what else is wrong names what is inside."""
    raised = _RAISED.fullmatch(run.state.message or "") if run.state else None
    if raised and raised[1] in _OURS:
        return raised[2]
    return "It failed for a reason inside of Limner; whoever runs it finds more by this id."


def _names(error: type[Exception]) -> set[str]:
    return {error.__name__}.union(*(_names(one) for one in error.__subclasses__()))


_OURS = frozenset(_names(RefusedRequest) | _names(BatchShort))
