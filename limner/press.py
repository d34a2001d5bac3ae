"""The press: any job of any plan becomes one stored, recorded picture.

    plan once, find, reserve; per job: claim -> (capable provider: attempt -> verify -> judge)* -> store -> record

Plain Python over a `Room`; knows nothing of Prefect, of kinds of work, or of who draws. The order of the steps is
the promise: a kill at any of them loses nothing and repeats at most the calls that were in flight.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from sqlalchemy import Connection

from limner.calling import cap_usd, make, put
from limner.chain import Outcome, Turn, ask_in_turn
from limner.errors import (
    BadInput,
    BatchStopped,
    Busy,
    DiskFull,
    LeaseLost,
    LedgerUnreachable,
    LimnerError,
    NothingToMake,
    OverBudget,
    Unfinished,
    Unreachable,
)
from limner.fitting import Fitted, fit, no_such_model
from limner.fitting import why_not as cannot
from limner.jobs import Plan, derive_seed, plain
from limner.ledger import attempts, finding, money, plans, quota, reports, runs
from limner.ledger.attempts import Intent, LeftOpen
from limner.ledger.claims import Claim, claim, release
from limner.ledger.plans import Asker, Batch, StoredJob
from limner.ledger.quota import Caps
from limner.logs import about
from limner.pricing import price_usd
from limner.progress import Progress
from limner.providers.seam import Provider, model_for
from limner.studio import DAY_SECONDS, Room

log = logging.getLogger(__name__)

# How often a job that another process is making is looked at again.
LOOK_SECONDS = 0.3

# How long a run that was stopped waits for its calls in flight; Prefect's workers kill what takes longer than 30 s.
REST_SECONDS = 20.0

# One call as the chain asks for it; in flows a Prefect task run stands between.
Call = Callable[[str | None], str]
Ask = Callable[[StoredJob, Turn, Call], str]


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job settled: its key, its row's status, the picture's sha256 if this process made it, the reason if not."""

    key: str
    status: str
    sha256: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How a batch ended. rejected counts images, the others jobs; `report` is the whole report's bucket key."""

    batch: str
    kind: str
    asked: int
    made: int
    reused: int
    rejected: int
    failed: int
    errors: dict[str, str]
    spend_usd: float
    seconds: float
    report: str
    notes: tuple[str, ...] = ()


# -- the batch: plan once, find, reserve ---------------------------------------------------------------------------


def find_batch_of_run(room: Room, run_id: str | None) -> Batch | None:
    """Return the batch that a flow run works on: a retried run carries its own plan on."""
    return None if run_id is None else _carried_on(room, lambda connection: plans.batch_of_run(connection, run_id))


def find_plan(room: Room, asker: Asker) -> Batch | None:
    """Return the stored plan that this run carries on, if there is one."""
    return _carried_on(room, lambda connection: plans.find_batch(connection, asker))


def _carried_on(room: Room, find: Callable[[Connection], Batch | None]) -> Batch | None:
    """Return the found batch in today's quota period: one that fell short in a month that is over is made in this."""

    def look(connection: Connection) -> Batch | None:
        found = find(connection)
        moved = found is not None and quota.move_to_this_period(connection, found)
        return find(connection) if moved else found

    batch = room.ledger.run(look)
    if batch is not None:
        room.know_as(batch)
    return batch


def hurry(room: Room, batch: Batch) -> Batch:
    """Have a batch's calls go before those of others: somebody waits for it now."""
    if batch.interactive:
        return batch
    room.ledger.run(lambda connection: plans.make_interactive(connection, batch.id))
    hurried = replace(batch, interactive=True)
    room.know_as(hurried)
    return hurried


def store_plan(room: Room, asker: Asker, plan: Plan, slug: str) -> Batch:
    """Store a plan, cut to what the owner's quota still allows; raises before anything is made."""
    if not plan.jobs:
        raise NothingToMake(f"There is nothing to make for {plan.title}.")
    chain = room.chain(plan.chain, asker.tier)
    caps = _caps(room, asker.tier)
    age = room.rules.reuse_days * DAY_SECONDS

    def store(connection: Connection) -> Batch:
        batch, is_ours = plans.store_plan(connection, asker, plan, chain, slug)
        if not is_ours:
            return batch
        finding.reuse_all(connection, batch, age)
        _refuse_unknown_model(room, connection, batch)
        return quota.cut_and_reserve(connection, batch, caps, _prices(room, connection, batch))

    room.reach("plan")
    return room.ledger.run(store)


class _Curtain(Exception):
    """Ends a rehearsal, with nothing kept."""


def rehearse(room: Room, plan: Plan) -> None:
    """Ask the ledger all that a batch's beginning asks, so that it is prepared for the first; nothing stays of it."""
    asker = Asker("rehearsal", "free", {}, uuid4().hex)

    def play(connection: Connection) -> None:
        plans.batch_of_run(connection, "rehearsal")
        plans.find_batch(connection, asker)
        batch, _ = plans.store_plan(connection, asker, plan, room.chain(plan.chain, asker.tier), "rehearsal")
        finding.reuse_all(connection, batch, room.rules.reuse_days * DAY_SECONDS)
        prices, caps = _prices(room, connection, batch), Caps(None, None)
        quota.reserve(connection, quota.cut_and_reserve(connection, batch, caps, prices), caps, prices)
        plans.promised_positions(connection, batch)
        plans.keys_of(connection, batch)
        raise _Curtain

    with suppress(_Curtain):
        room.ledger.run(play)


def begin(room: Room, batch: Batch, run_id: str | None) -> list[int]:
    """Find what exists, reserve what is missing; return the positions of the jobs to make.

    What is missing is reserved by what the owner's tier allows today, not when the plan was made.
    """
    age = room.rules.reuse_days * DAY_SECONDS

    def look(connection: Connection) -> list[int]:
        plans.begin_run(connection, batch, run_id, room.holder.name)
        finding.reuse_all(connection, batch, age)
        return plans.promised_positions(connection, batch)

    room.reach("find")
    missing = room.ledger.run(look)
    room.reach("reserve")

    def reserve(connection: Connection) -> None:
        tier = quota.tier_of(connection, batch.owner) or batch.tier
        quota.reserve(connection, batch, _caps(room, tier), _prices(room, connection, batch))

    room.ledger.run(reserve)
    return missing


def _caps(room: Room, tier: str) -> Caps:
    allowed = room.tier(tier)
    return Caps(allowed.pictures_a_month, allowed.budget_usd_a_month)


def _refuse_unknown_model(room: Room, connection: Connection, batch: Batch) -> None:
    """Raise BadInput where pictures are missing and nobody who would be asked has the model that was named."""
    chain = {name: room.providers[name] for name in batch.chain if name in room.providers}
    fault = no_such_model(chain, batch.model)
    # All of them are read: a cursor that is left half way stays open.
    if fault is not None and list(plans.missing_orders(connection, batch)):
        raise BadInput(fault)


def _prices(room: Room, connection: Connection, batch: Batch) -> list[float]:
    """Return what each missing picture is estimated at, in the plan's order: by the first provider that can make it."""
    chain = [room.providers[name] for name in batch.chain if name in room.providers]
    return [price_usd(chain, order, batch.model) for order in plans.missing_orders(connection, batch)]


def end(room: Room, batch: Batch, seconds: float, *, cancelled: bool = False) -> BatchReport:
    """Write the report to bucket and ledger, release what was reserved and not used; return the short form."""
    # A run that is stopped has calls in flight: what they bring was paid for, and belongs to the report.
    room.progress(batch.id).wait_until_at_rest(REST_SECONDS)
    key = f"reports/{batch.id}.json"
    report = room.ledger.run(lambda connection: reports.report_json(connection, batch, seconds, room.bucket.location()))
    room.reach("report")
    try:
        put(room, key, report, "application/json")
    except LimnerError:
        # Without its report the batch stays open; what it reserved is free all the same.
        room.ledger.run(lambda connection: _let_go(connection, room, batch))
        raise

    def close(connection: Connection) -> tuple[reports.Counts, dict[str, str]]:
        # Releasing locks the batch: of two runs that end at once, the later says how it stands.
        _let_go(connection, room, batch)
        now = reports.counts(connection, batch.id)
        missing = now.failed + now.promised
        status = "complete" if not missing else "cancelled" if cancelled else "short"
        reports.close_batch(connection, batch, status, key)
        return now, reports.errors(connection, batch.id)

    counts, errors = room.ledger.run(close)
    return BatchReport(
        batch=batch.id,
        kind=batch.kind,
        asked=batch.asked,
        made=counts.made,
        reused=counts.reused,
        rejected=counts.rejected,
        failed=counts.failed,
        errors=errors,
        spend_usd=counts.spend_usd,
        seconds=round(seconds, 3),
        report=key,
        notes=batch.notes,
    )


def _let_go(connection: Connection, room: Room, batch: Batch) -> None:
    quota.release(connection, batch, room.holder.name)
    runs.end(connection, batch.id, room.holder.name)


# -- the job: claim, ask in turn, record ---------------------------------------------------------------------------


def press_job(room: Room, batch_id: str, position: int, run_id: str | None, ask: Ask) -> JobEnd:
    """Bring one job to its end: made, reused, or failed for a reason; `promised` when the batch was stopped.

    Waits while another process makes the same order. Raises Unreachable or DiskFull when the job could not even be
    settled; the claim then ends with its lease, and asking again is safe.
    """
    progress = room.progress(batch_id)
    with progress.working(), about(batch_id):
        end = _press_until_settled(room, progress, position, run_id, ask)
    if end.status != "promised":
        progress.note(end.status)
    return end


def _press_until_settled(room: Room, progress: Progress, position: int, run_id: str | None, ask: Ask) -> JobEnd:
    started = time.monotonic()
    batch, claimant = progress.batch, uuid4().hex
    waited = False
    while not progress.stop.is_set():
        room.reach("claim")
        look = _claim_and_look(room, batch, position, claimant, started, waited)
        if isinstance(look, JobEnd):
            return look
        if isinstance(look, _Ours):
            try:
                return _make(room, batch, look, run_id, ask, started)
            except LeaseLost as lost:
                log.warning("%s", lost)
            except BatchStopped:
                break
        waited = True
        progress.stop.wait(LOOK_SECONDS)
    return JobEnd(str(position), "promised", reason="the run was stopped")


def press_one_of_many(room: Room, batch_id: str, position: int, run_id: str | None) -> bool:
    """Bring a job to its end without a task run of its own; say whether its picture is there.

    What breaks it is its own failure. Raises Unreachable or DiskFull, with the batch stopped in this process: what is
    asked for now could not be kept.
    """
    try:
        return press_job(room, batch_id, position, run_id, direct).status in ("made", "reused")
    except (DiskFull, Unreachable):
        room.progress(batch_id).stop.set()
        raise
    except Exception as error:
        give_up(room, batch_id, position, str(error) or type(error).__name__)
        return False


def settle_left_open(room: Room, batch_id: str, position: int) -> None:
    """Bring what a dead process left open of a job to its end: its picture is fetched, else it is settled as unknown.

    Nothing is asked anew; what its provider has not done yet stays open.
    """
    batch = room.progress(batch_id).batch
    started = time.monotonic()
    look = _claim_and_look(room, batch, position, uuid4().hex, started, waited=False)
    if not isinstance(look, _Ours):
        return
    try:
        left = _left_open(room, batch, look) if look.is_left_open else None
        if left is not None:
            turn = Turn(left.provider, left.number, seed_number=1)
            make(room, _Asking(room, batch, look, None, left).intent(turn), started)
    except LimnerError as error:
        log.info("%s/%s: %s", batch.title, look.job.job.key, error)
    finally:
        _give_back(room, look.claim)


def give_up(room: Room, batch_id: str, position: int, reason: str) -> None:
    """Settle a job as failed for a reason outside the chain, where the ledger can still be told."""
    progress = room.progress(batch_id)
    with suppress(LedgerUnreachable, DiskFull):
        room.ledger.ask(
            lambda connection: attempts.fail_job(connection, batch_id, position, plain(reason)), patience_seconds=0
        )
    progress.note("failed")


@dataclass(frozen=True, slots=True)
class _Ours:
    """A job whose order is ours to make. is_left_open: attempts at it have no end yet."""

    job: StoredJob
    claim: Claim
    is_left_open: bool


def _claim_and_look(
    room: Room, batch: Batch, position: int, claimant: str, started: float, waited: bool
) -> _Ours | JobEnd | None:
    """Claim the job's order and look at it under the claim; None while another living process holds it."""
    age = room.rules.reuse_days * DAY_SECONDS

    def look(connection: Connection) -> _Ours | JobEnd | None:
        ours = claim(connection, batch.id, position, room.holder.name, claimant, room.holder.lease_seconds)
        if ours is None:
            return None
        # Only under the claim is it certain that nobody is making it, or made it in the meantime.
        waited_seconds = time.monotonic() - started if waited else 0.0
        stands = finding.standing(connection, batch, position, age, waited_seconds)
        end = _settled(stands)
        if end is None and stands.hit is None:
            return _Ours(stands.job, ours, stands.left_open)
        if end is None and stands.hit is not None:
            finding.take_hit(connection, batch, position, stands.hit, time.monotonic() - started)
        release(connection, ours)
        return end or JobEnd(stands.job.job.key, "reused")

    return room.ledger.ask(look)


def _settled(stands: finding.Standing) -> JobEnd | None:
    """Say how another run settled the job; a failure counts only when it fell while we waited for it."""
    job = stands.job
    if job.status in ("made", "reused") or (job.status == "failed" and stands.settled_lately):
        return JobEnd(job.job.key, job.status, reason=job.reason or "")
    return None


def _make(room: Room, batch: Batch, ours: _Ours, run_id: str | None, ask: Ask, started: float) -> JobEnd:
    job = ours.job
    recorded = False
    try:
        outcome = _ask_providers(room, batch, ours, run_id, ask, started)
        recorded = outcome.result is not None
        if outcome.result is not None:
            return JobEnd(job.job.key, "made", sha256=outcome.result)
        seconds = time.monotonic() - started
        room.ledger.ask(
            lambda connection: attempts.fail_job(
                connection, batch.id, job.position, outcome.reason, seconds, outcome.skipped
            )
        )
        return JobEnd(job.job.key, "failed", reason=outcome.reason)
    finally:
        # What is recorded has released its claim in the same transaction.
        if not recorded:
            _give_back(room, ours.claim)


def _give_back(room: Room, ours: Claim) -> None:
    with suppress(LedgerUnreachable):  # the claim then ends with its lease
        room.ledger.ask(lambda connection: release(connection, ours), patience_seconds=0)


def _ask_providers(room: Room, batch: Batch, ours: _Ours, run_id: str | None, ask: Ask, started: float) -> Outcome[str]:
    try:
        left = _left_open(room, batch, ours) if ours.is_left_open else None
    except OverBudget as error:
        return Outcome(None, (str(error),))
    asking = _Asking(room, batch, ours, run_id, left)

    def attempt(turn: Turn) -> str:
        intent = asking.intent(turn)
        try:
            return ask(
                ours.job, turn, lambda task_run_id: make(room, replace(intent, task_run_id=task_run_id), started)
            )
        except Busy as error:
            if intent.provider_id is None:
                raise
            # Not asked after at all: it stays open, and whoever else were asked would be paid too.
            raise Unfinished(str(error)) from error

    return ask_in_turn(
        asking.chain,
        why_not=asking.why_not,
        attempt=attempt,
        wait=lambda seconds: _wait(room.progress(batch.id), seconds),
        patience=replace(room.rules.patience, max_tries=ours.job.job.max_tries),
        what=f"{batch.title}/{ours.job.job.key}",
    )


def _left_open(room: Room, batch: Batch, ours: _Ours) -> LeftOpen | None:
    """Settle the order's attempts without an end; return the one that its provider still knows, to be carried on.

    Raises OverBudget where it is another batch's, and this one has no money to take it over.
    """

    def settle(connection: Connection) -> LeftOpen | None:
        found = attempts.left_open(connection, ours.claim.order_key, batch.id)
        resumable = [one for one in found if _can_carry_on(room, one)]
        kept = next((one for one in resumable if _is_asked_for(room, batch, ours.job, one)), None)
        # What somebody else asked of another provider or model is theirs to fetch.
        theirs = [one for one in resumable if not _is_asked_for(room, batch, ours.job, one)]
        for one in found:
            if one is not kept and one not in theirs:
                attempts.settle_unknown(connection, one, "the process that asked ended before the answer was recorded")
        if kept is not None:
            attempts.adopt(connection, kept, batch, ours.job.job.key, cap_usd(room, connection, batch))
        return kept

    return room.ledger.run(settle)


def _can_carry_on(room: Room, left: LeftOpen) -> bool:
    provider = room.providers.get(left.provider)
    return provider is not None and left.provider_id is not None and provider.capabilities(left.model).resumes


def _is_asked_for(room: Room, batch: Batch, job: StoredJob, left: LeftOpen) -> bool:
    """Say whether a batch would have asked the same provider for the same model."""
    model = model_for(room.providers[left.provider], job.job.order, batch.model)
    return left.batch_id == batch.id or (left.provider in batch.chain and left.model == model)


class _Asking:
    """One job's way along its chain: whom it passes over and why, and the intent of each call."""

    def __init__(self, room: Room, batch: Batch, ours: _Ours, run_id: str | None, left: LeftOpen | None) -> None:
        self._room = room
        self._batch = batch
        self._ours = ours
        self._run_id = run_id
        self._left = left

    @property
    def chain(self) -> tuple[str, ...]:
        """The batch's chain; whoever has taken the order already is asked first."""
        first = () if self._left is None else (self._left.provider,)
        return (*first, *(name for name in self._batch.chain if name not in first))

    def why_not(self, name: str) -> str | None:
        """Say why a provider is passed over; never whoever has taken the order already."""
        if self._left is not None and name == self._left.provider:
            return None
        reason = self._never(name)
        if reason is None and not self._is_last_hope(name):
            reason = self._room.limiter.why_shut(name)
        return reason

    def _never(self, name: str) -> str | None:
        """Say why a provider is of no use to this job, whenever it is asked."""
        shut = self._room.progress(self._batch.id).shut.get(name)
        return shut or why_not(self._room.providers.get(name), self._ours.job, self._batch.model)

    def _is_last_hope(self, name: str) -> bool:
        chain = self.chain
        return all(self._never(later) for later in chain[chain.index(name) + 1 :])

    def intent(self, turn: Turn) -> Intent:
        """Return the intent of a call: that of the attempt left open, once, else a fresh one."""
        left, self._left = self._left, None
        if left is not None and left.provider == turn.provider:
            return self._carried_on(left, turn)
        return self._fresh(turn)

    def _fresh(self, turn: Turn) -> Intent:
        provider, job = self._room.providers[turn.provider], self._ours.job.job
        model = model_for(provider, job.order, self._batch.model)
        fitted = _fitted(provider, self._ours.job, model)
        seed = derive_seed(job.order.session, job.key, turn.seed_number)
        return Intent(
            id=uuid4().hex,
            batch=self._batch,
            job=self._ours.job,
            claim=self._ours.claim,
            run_id=self._run_id,
            task_run_id=None,
            # As the chain calls it: a studio may have two of a kind.
            provider=turn.provider,
            model=model,
            number=turn.number,
            seed=seed,
            fingerprint=plans.fingerprint(job.order, turn.provider, model, seed),
            order=fitted.order,
            prompt=fitted.prompt,
            negative_prompt=fitted.negative_prompt,
            dropped=fitted.dropped,
            skipped=turn.skipped,
            timeout_seconds=provider.timeout_seconds,
            is_last_hope=self._is_last_hope(turn.provider),
            estimate_usd=money.usd(provider.estimate_usd(fitted.order, model)),
        )

    def _carried_on(self, left: LeftOpen, turn: Turn) -> Intent:
        provider = self._room.providers[left.provider]
        return replace(
            self._fresh(turn),
            id=left.id,
            model=left.model,
            seed=left.seed,
            fingerprint=left.fingerprint,
            order=_fitted(provider, self._ours.job, left.model).order,
            prompt=left.prompt,
            negative_prompt=left.negative_prompt,
            dropped=left.dropped,
            estimate_usd=left.estimate_usd,
            provider_id=left.provider_id,
            # Nobody else has it.
            is_last_hope=True,
        )


def _wait(progress: Progress, seconds: float) -> None:
    """Sleep between two calls; a batch that is stopped in the meantime makes no further one."""
    if progress.stop.wait(seconds):
        raise BatchStopped(f"{progress.batch.title} was stopped.")


def why_not(provider: Provider | None, job: StoredJob, model: str | None) -> str | None:
    """Say why a provider cannot honour a job's order, or None when it can."""
    if provider is None:
        return "it is not configured"
    return cannot(provider, job.job.order, model)


def _fitted(provider: Provider, job: StoredJob, model: str | None) -> Fitted:
    protected = str(job.job.about.get("description", ""))
    return fit(job.job.order, provider.capabilities(model), protected)


def direct(_job: StoredJob, _turn: Turn, call: Call) -> str:
    """Ask without a task run of its own: what large plans do in their chunks."""
    return call(None)


def short_of(report: BatchReport) -> str:
    """Return the sentence for a batch that ended without all of its pictures."""
    missing = report.asked - report.made - report.reused
    named = "; ".join(f"{key}: {reason}" for key, reason in list(report.errors.items())[:50])
    return f"{missing} of {report.asked} pictures are missing in {report.batch} - {named or 'the run was stopped'}."
