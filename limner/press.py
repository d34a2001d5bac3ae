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
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from limner.chain import Outcome, Turn, ask_in_turn, rule_for
from limner.errors import (
    BadImage,
    BatchStopped,
    BucketUnreachable,
    DiskFull,
    LeaseLost,
    LedgerUnreachable,
    LimnerError,
    NothingToMake,
    ProviderError,
    Rejected,
)
from limner.fitting import Fitted, fit
from limner.fitting import why_not as cannot
from limner.jobs import Artifact, Image, Plan, Verdict, artifact_key, derive_seed, plain
from limner.ledger import attempts, finding, plans, quota, reports
from limner.ledger.attempts import Intent, Spent
from limner.ledger.claims import Claim, claim, release
from limner.ledger.plans import Asker, Batch, StoredJob
from limner.progress import Progress
from limner.providers.seam import Answer, Asked, Provider
from limner.quality.judging import judge
from limner.quality.verifying import examine
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

    def look(connection: Connection) -> tuple[Batch | None, bool]:
        found = find(connection)
        moved = found is not None and quota.move_to_this_period(connection, found)
        return (find(connection) if moved else found), moved

    batch, moved = room.ledger.run(look)
    if moved and batch is not None:
        room.forget(batch.id)
    return batch


def store_plan(room: Room, asker: Asker, plan: Plan, slug: str) -> Batch:
    """Store a plan, cut to what the owner's quota still allows; raises before anything is made."""
    if not plan.jobs:
        raise NothingToMake(f"There is nothing to make for {plan.title}.")
    chain = room.chain(plan.chain, asker.tier)
    cap = room.tier(asker.tier).pictures_a_month
    age = room.rules.reuse_days * DAY_SECONDS

    def store(connection: Connection) -> Batch:
        batch, is_ours = plans.store_plan(connection, asker, plan, chain, slug)
        if not is_ours:
            return batch
        finding.reuse_all(connection, batch, age)
        return quota.cut_and_reserve(connection, batch, cap)

    room.reach("plan")
    return room.ledger.run(store)


def begin(room: Room, batch: Batch, run_id: str | None) -> list[int]:
    """Find what exists, reserve what is missing; return the positions of the jobs to make.

    What is missing is reserved by what the owner's tier allows today, not when the plan was made.
    """
    age = room.rules.reuse_days * DAY_SECONDS

    def look(connection: Connection) -> list[int]:
        plans.begin_run(connection, batch, run_id)
        finding.reuse_all(connection, batch, age)
        return plans.promised_positions(connection, batch)

    room.reach("find")
    missing = room.ledger.run(look)
    room.reach("reserve")

    def reserve(connection: Connection) -> None:
        tier = quota.tier_of(connection, batch.owner) or batch.tier
        quota.reserve(connection, batch, room.tier(tier).pictures_a_month)

    room.ledger.run(reserve)
    return missing


def end(room: Room, batch: Batch, seconds: float, *, cancelled: bool = False) -> BatchReport:
    """Write the report to bucket and ledger, release what was reserved and not used; return the short form."""
    # A run that is stopped has calls in flight: what they bring was paid for, and belongs to the report.
    room.progress(batch.id).wait_until_at_rest(REST_SECONDS)
    key = f"reports/{batch.id}.json"
    report = room.ledger.run(lambda connection: reports.report_json(connection, batch, seconds, room.bucket.location()))
    room.reach("report")
    try:
        _put(room, key, report, "application/json")
    except LimnerError:
        # Without its report the batch stays open; what it reserved is free all the same.
        room.ledger.run(lambda connection: quota.release(connection, batch, room.holder.name))
        raise

    def close(connection: Connection) -> tuple[reports.Counts, dict[str, str]]:
        # Releasing locks the batch: of two runs that end at once, the later says how it stands.
        quota.release(connection, batch, room.holder.name)
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


# -- the job: claim, ask in turn, record ---------------------------------------------------------------------------


def press_job(room: Room, batch_id: str, position: int, run_id: str | None, ask: Ask) -> JobEnd:
    """Bring one job to its end: made, reused, or failed for a reason; `promised` when the batch was stopped.

    Waits while another process makes the same order. Raises Unreachable or DiskFull when the job could not even be
    settled; the claim then ends with its lease, and asking again is safe.
    """
    progress = room.progress(batch_id)
    with progress.working():
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
    job: StoredJob
    claim: Claim


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
            if stands.left_open:
                attempts.settle_unknown(connection, ours.order_key)
            return _Ours(stands.job, ours)
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
            lambda connection: attempts.fail_job(connection, batch.id, job.position, outcome.reason, seconds)
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
    def attempt(turn: Turn) -> str:
        intent = _intent(room, batch, ours, run_id, turn)
        return ask(ours.job, turn, lambda task_run_id: make(room, replace(intent, task_run_id=task_run_id), started))

    return ask_in_turn(
        batch.chain,
        why_not=lambda name: why_not(room.providers.get(name), ours.job, batch.model),
        attempt=attempt,
        wait=lambda seconds: _wait(room.progress(batch.id), seconds),
        patience=replace(room.rules.patience, max_tries=ours.job.job.max_tries),
        what=f"{batch.title}/{ours.job.job.key}",
    )


def _wait(progress: Progress, seconds: float) -> None:
    """Sleep between two calls; a batch that is stopped in the meantime makes no further one."""
    if progress.stop.wait(seconds):
        raise BatchStopped(f"{progress.batch.title} was stopped.")


def why_not(provider: Provider | None, job: StoredJob, model: str | None) -> str | None:
    """Say why a provider cannot honour a job's order, or None when it can."""
    if provider is None:
        return "it is not configured"
    return cannot(job.job.order, provider.capabilities(model), model)


# -- the attempt: intent, call, verify, judge, store, record -------------------------------------------------------


def make(room: Room, intent: Intent, job_started: float) -> str:
    """Make one call and bring it to its end; return the sha256 of the recorded picture.

    Raises ProviderError, BadImage or Rejected with the attempt settled, LeaseLost when another process holds the
    order, Unreachable or DiskFull when a picture could not be stored.
    """
    with room.slots:
        if room.progress(intent.batch.id).stop.is_set():
            raise BatchStopped(f"{intent.batch.title} was stopped.")
        _doubt_no_more(room)
        started = time.monotonic()
        room.reach("intent")
        room.ledger.ask(lambda connection: attempts.intend(connection, intent))
        try:
            answer = _call(room, intent)
        except Exception as error:
            # What may have been accepted may have been paid for.
            cost = _price(room, intent) if isinstance(error, ProviderError) and error.may_be_paid else 0.0
            _settle(room, intent, error, Spent(time.monotonic() - started, cost))
            raise
        spent = _spent(room, intent, answer, time.monotonic() - started)
    # The slot is free for the next call while this answer is looked at.
    try:
        return _keep(room, intent, answer, spent, job_started)
    except (LeaseLost, Rejected):
        raise
    except Exception as error:
        _settle(room, intent, error, spent)
        raise


def _keep(room: Room, intent: Intent, answer: Answer, spent: Spent, job_started: float) -> str:
    order = intent.order
    with room.eyes:
        room.reach("verify")
        examined = examine(answer.data)
        room.reach("judge")
        verdict = judge(examined, order.width, order.height, room.gates[intent.job.job.gate])
        image = examined.image
        del examined  # its pixels
    room.reach("store")
    artifact = _store(room, image)
    room.reach("record")
    if not verdict.accepted:
        room.ledger.run(lambda connection: attempts.keep_rejected(connection, intent, artifact, verdict, spent))
        raise Rejected(_rejection(verdict))
    seconds = time.monotonic() - job_started
    room.ledger.ask(lambda connection: attempts.record(connection, intent, artifact, verdict, spent, seconds))
    return artifact.sha256


def _call(room: Room, intent: Intent) -> Answer:
    provider = room.providers[intent.provider]

    def accepted(provider_id: str) -> None:
        room.ledger.ask(lambda connection: attempts.accepted(connection, intent.id, provider_id))

    order = intent.order
    asked = Asked(
        order=order,
        prompt=intent.prompt,
        negative_prompt=intent.negative_prompt,
        seed=intent.seed,
        model=intent.batch.model,
        references={one.of: room.bucket.get(_key_of(room, one.of)) for one in (*order.references, *order.controls)},
        accepted=accepted,
        stop=room.progress(intent.batch.id).stop,
    )
    answer = _in_plain_words(provider, asked)
    room.reach("call")
    return answer


def _in_plain_words(provider: Provider, asked: Asked) -> Answer:
    """Make the call; what it says of itself is a stranger's text, and comes back as one that the ledger takes."""
    try:
        answer = provider.generate(asked)
    except ProviderError as error:
        error.args = tuple(plain(one) if isinstance(one, str) else one for one in error.args)
        raise
    revised = None if answer.revised_prompt is None else plain(answer.revised_prompt)
    return replace(answer, model=plain(answer.model), revised_prompt=revised)


def _key_of(room: Room, sha256: str) -> str:
    key = room.ledger.ask(lambda connection: attempts.artifact_key_of(connection, sha256))
    if key is None:
        raise BadImage(f"The reference {sha256} is in no bucket; make it first.")
    return key


def _intent(room: Room, batch: Batch, ours: _Ours, run_id: str | None, turn: Turn) -> Intent:
    provider, job = room.providers[turn.provider], ours.job.job
    fitted = _fitted(provider, ours.job, batch.model)
    seed = derive_seed(job.order.session, job.key, turn.seed_number)
    return Intent(
        id=uuid4().hex,
        batch=batch,
        job=ours.job,
        claim=ours.claim,
        run_id=run_id,
        task_run_id=None,
        # As the chain calls it: a studio may have two of a kind.
        provider=turn.provider,
        model=batch.model,
        number=turn.number,
        seed=seed,
        fingerprint=plans.fingerprint(job.order, turn.provider, batch.model, seed),
        order=fitted.order,
        prompt=fitted.prompt,
        negative_prompt=fitted.negative_prompt,
        dropped=fitted.dropped,
        timeout_seconds=provider.timeout_seconds,
    )


def _fitted(provider: Provider, job: StoredJob, model: str | None) -> Fitted:
    protected = str(job.job.about.get("description", ""))
    return fit(job.job.order, provider.capabilities(model), protected)


def _spent(room: Room, intent: Intent, answer: Answer, seconds: float) -> Spent:
    cost = answer.cost_usd if answer.cost_usd is not None else _price(room, intent)
    return Spent(seconds, cost, answer.model, answer.revised_prompt)


def _price(room: Room, intent: Intent) -> float:
    return room.providers[intent.provider].estimate_usd(intent.order, intent.model)


def _settle(room: Room, intent: Intent, error: Exception, spent: Spent) -> None:
    if isinstance(error, LeaseLost):
        return  # whoever took the order over has settled what we left open
    outcome = rule_for(error).outcome if isinstance(error, ProviderError | BadImage) else "lost"
    reason = plain(str(error)) if isinstance(error, LimnerError) else plain(f"{type(error).__name__}: {error}")
    room.ledger.run(lambda connection: attempts.settle_failed(connection, intent, outcome, reason, spent))


def _store(room: Room, image: Image) -> Artifact:
    """Put the bytes, untouched, under their own sha256. Bytes before row: a stray object is harmless."""
    sha256 = image.sha256  # each look at it hashes the bytes
    key = artifact_key(sha256, image.extension)
    _put(room, key, image.data, image.media_type)
    return Artifact(sha256, key, image.media_type, image.width, image.height, len(image.data))


def _put(room: Room, key: str, data: bytes, media_type: str) -> None:
    """Store, waiting out a bucket that is away: these bytes were paid for."""
    retrying = Retrying(
        retry=retry_if_exception_type(BucketUnreachable),
        stop=stop_after_delay(room.rules.bucket_patience_seconds),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        reraise=True,
    )
    try:
        retrying(room.bucket.put, key, data, media_type)
    except BucketUnreachable:
        room.bucket_in_doubt.set()
        raise


def _doubt_no_more(room: Room) -> None:
    """Look whether a bucket that was away is back; raises BucketUnreachable or DiskFull before anything is paid for."""
    if room.bucket_in_doubt.is_set():
        room.bucket.check()
        room.bucket_in_doubt.clear()


def _rejection(verdict: Verdict) -> str:
    return f"score {verdict.score} ({verdict.level}): {', '.join(verdict.issues) or 'nothing named'}"


def direct(_job: StoredJob, _turn: Turn, call: Call) -> str:
    """Ask without a task run of its own: what large plans do in their chunks."""
    return call(None)


def short_of(report: BatchReport) -> str:
    """Return the sentence for a batch that ended without all of its pictures."""
    missing = report.asked - report.made - report.reused
    named = "; ".join(f"{key}: {reason}" for key, reason in list(report.errors.items())[:50])
    return f"{missing} of {report.asked} pictures are missing in {report.batch} - {named or 'the run was stopped'}."
