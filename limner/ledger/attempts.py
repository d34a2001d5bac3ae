"""Attempts: what is written before a provider is called, and what is settled after.

The intent is committed before the call, under the claim's token, with the money that the call may cost. An attempt
that a crash left open is carried on under its provider's id where it has one; else it is settled as `unknown`: it
counts as spent, and its order may be tried again.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from limner.chain import Skip
from limner.errors import LeaseLost
from limner.jobs import Artifact, Order, Verdict
from limner.ledger import money, quota
from limner.ledger.claims import Claim
from limner.ledger.plans import Batch, StoredJob

# The lease covers the call: while a provider may still answer, nobody else asks it for the same order.
_INTEND = text("""
    with covered as (
        update claims set lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => :deadline))
         where order_key = :order_key and token = :token returning order_key)
    insert into attempts (id, order_key, batch_id, job_key, run_id, task_run_id, provider, model, number, seed, token,
                          fingerprint, prompt, negative_prompt, dropped, estimate_usd)
    select :id, order_key, :batch_id, :job_key, :run_id, :task_run_id, :provider, :model, :number, :seed, :token,
           :fingerprint, :prompt, :negative_prompt, cast(:dropped as jsonb), :estimate
      from covered
    on conflict (id) do update set token = excluded.token where attempts.outcome is null
    returning xmax = 0 as is_new
""")
_ACCEPTED = text("update attempts set provider_id = :provider_id where id = :id")
# Under the token it was last asked with: who slept while another carried it on has no say any more.
_SETTLED = text("""
    update attempts set outcome = :outcome, reason = :reason, settled_at = now(), seconds = :seconds, cost_usd = :cost,
                        sha256 = :sha256, model = coalesce(:model, model), revised_prompt = :revised
     where id = :id and outcome is null and token = :token
    returning batch_id, estimate_usd
""")
_LEFT_OPEN = text("""
    select id, batch_id, provider, provider_id, model, number, seed, fingerprint, prompt, negative_prompt, dropped,
           estimate_usd
      from attempts where order_key = :order_key and outcome is null order by started_at desc
       for no key update
""")
_UNKNOWN = text("""
    update attempts set outcome = 'unknown', settled_at = now(), cost_usd = estimate_usd, reason = :reason
     where id = :id and outcome is null
""")
_STILL_OPEN = text("update attempts set reason = :reason where id = :id and outcome is null")
_ADOPTED = text("update attempts set batch_id = :batch, job_key = :job_key where id = :id and outcome is null")
_ARTIFACT = text("""
    insert into artifacts (sha256, key, media_type, width, height, size_bytes)
    values (:sha256, :key, :media_type, :width, :height, :size_bytes)
    on conflict (sha256) do update set tombstoned_at = null where artifacts.tombstoned_at is not null
""")
_VERDICT = text("""
    insert into verdicts (attempt_id, sha256, gate, score, level, accepted, findings)
    values (:attempt_id, :sha256, :gate, :score, :level, :accepted, cast(:findings as jsonb))
    on conflict (attempt_id) do nothing
""")
# All or nothing, in one statement: each part hangs on the claim that is released first.
_RECORD = text("""
    with owned as (
        delete from claims where order_key = :order_key and token = :token returning order_key),
    stored as (
        insert into artifacts (sha256, key, media_type, width, height, size_bytes)
        select :sha256, :key, :media_type, :width, :height, :size_bytes from owned
        on conflict (sha256) do update set tombstoned_at = null returning sha256),
    settled as (
        update attempts set outcome = 'made', settled_at = now(), seconds = :seconds, cost_usd = :cost,
                            sha256 = :sha256, model = coalesce(:model, model), revised_prompt = :revised
         where id = :attempt_id and outcome is null and exists (select from owned) returning id, estimate_usd),
    paid as (
        update batches set usd_bound = usd_bound - settled.estimate_usd, usd_used = usd_used + :cost
          from settled where batches.id = :batch_id and (settled.estimate_usd <> 0 or :cost <> 0)
        returning batches.id),
    judged as (
        insert into verdicts (attempt_id, sha256, gate, score, level, accepted, findings)
        select id, :sha256, :gate, :score, :level, :accepted, cast(:findings as jsonb) from settled),
    recorded as (
        insert into records (owner, order_key, base_key, similar_key, generation, sha256, attempt_id, batch_id, job_key,
                             provider, model, asked_model)
        select :owner, j.order_key, j.base_key, j.similar_key, :generation, :sha256, settled.id, j.batch_id, j.key,
               :provider, :model, :asked_model
          from jobs j, stored, settled where j.batch_id = :batch_id and j.position = :position
        returning id),
    descended as (
        insert into parents (record_id, parent_sha256, role)
        select recorded.id, p.of, p.role
          from recorded, json_to_recordset(cast(:parents as json)) as p(of text, role text)
        on conflict do nothing),
    made as (
        update jobs set status = 'made', record_id = recorded.id, reused = null, reason = null,
                        skipped = cast(:skipped as jsonb),
                        seconds = :job_seconds, settled_at = now()
          from recorded where batch_id = :batch_id and position = :position),
    spent as (
        insert into entries (owner, period, batch_id, attempt_id, what, pictures_reserved, pictures_used,
                             usd_reserved, usd_used)
        select :owner, :period, :batch_id, id, 'settled', -1, 1, -estimate_usd, :cost from settled),
    -- Batch before counter: `paid` is asked first, so that its row is locked first, as everywhere.
    counted as (
        update counters set pictures_reserved = pictures_reserved - 1, pictures_used = pictures_used + 1,
                            usd_reserved = usd_reserved - settled.estimate_usd, usd_used = usd_used + :cost
          from settled
         where (select count(*) from paid) >= 0 and owner = :owner and period = :period)
    select id from recorded
""")
_JOB_FAILED = text("""
    update jobs set status = 'failed', reason = :reason, seconds = :seconds, settled_at = now(),
                    skipped = cast(:skipped as jsonb)
     where batch_id = :batch_id and position = :position and status in ('promised', 'failed')
""")
_KEY_OF = text("select key from artifacts where sha256 = :sha256 and tombstoned_at is null")
_IS_MADE = text("select exists (select from attempts where id = :id and outcome = 'made')")


@dataclass(frozen=True, slots=True)
class Intent:
    """One call about to be made. `number` counts the calls of this run for this job, from 1."""

    id: str
    batch: Batch
    job: StoredJob
    claim: Claim
    run_id: str | None
    task_run_id: str | None
    provider: str
    model: str | None
    number: int
    seed: int
    fingerprint: str
    # As this provider can honour it.
    order: Order
    prompt: str
    negative_prompt: str
    dropped: Sequence[str]
    # Of the providers before this one, who could not honour the order, and why.
    skipped: Sequence[Skip]
    timeout_seconds: float
    estimate_usd: Decimal = money.NOTHING
    # Whether nobody else could be asked after this provider.
    is_last_hope: bool = True
    # Accepted under this id before: carried on, and not a new call.
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """An attempt whose end nobody recorded: its process died, or it was not done in time."""

    id: str
    batch_id: str
    provider: str
    provider_id: str | None
    model: str | None
    number: int
    seed: int
    fingerprint: str
    prompt: str
    negative_prompt: str
    dropped: Sequence[str]
    estimate_usd: Decimal


@dataclass(frozen=True, slots=True)
class Spent:
    """How a call ended: seconds it took, money it cost, what the provider said of model and prompt."""

    seconds: float
    cost_usd: Decimal = money.NOTHING
    model: str | None = None
    revised_prompt: str | None = None


def intend(connection: Connection, intent: Intent, cap_usd: float | None = None) -> None:
    """Write the intent, and bind what the call may cost; to be run in a transaction where that is not nothing.

    Safe to repeat: an attempt that stands already has its money. Raises LeaseLost when the order is no longer ours,
    OverBudget when the money left does not cover the call.
    """
    job = intent.job
    row = {
        "id": intent.id,
        "order_key": job.order_key,
        "batch_id": intent.batch.id,
        "job_key": job.job.key,
        "run_id": intent.run_id,
        "task_run_id": intent.task_run_id,
        "provider": intent.provider,
        "model": intent.model,
        "number": intent.number,
        "seed": intent.seed,
        "token": intent.claim.token,
        "fingerprint": intent.fingerprint,
        "prompt": intent.prompt,
        "negative_prompt": intent.negative_prompt,
        "dropped": json.dumps(list(intent.dropped)),
        "estimate": intent.estimate_usd,
        "deadline": intent.timeout_seconds + 10,
    }
    is_new = connection.execute(_INTEND, row).scalar_one_or_none()
    if is_new is None:
        raise LeaseLost(f"{job.job.key} is held by another process now; stepping back.")
    if is_new and intent.estimate_usd:
        money.bind(connection, intent.batch, intent.estimate_usd, cap_usd)


def accepted(connection: Connection, attempt_id: str, provider_id: str) -> None:
    """Note the provider's own id the moment it is known."""
    connection.execute(_ACCEPTED, {"id": attempt_id, "provider_id": provider_id})


def left_open(connection: Connection, order_key: str, batch_id: str) -> list[LeftOpen]:
    """Return the order's attempts without an end, the newest first, for this batch to settle or to carry on.

    All rows that this may take are locked here: attempts first, then batches, so that counters come last.
    """
    found = [LeftOpen(**row._mapping) for row in connection.execute(_LEFT_OPEN, {"order_key": order_key})]
    money.lock(connection, {batch_id, *(one.batch_id for one in found)})
    return found


def settle_unknown(connection: Connection, attempt: LeftOpen, reason: str) -> None:
    """Settle as `unknown` what a crash left open: nobody knows whether it was paid for, so it counts as spent."""
    if connection.execute(_UNKNOWN, {"id": attempt.id, "reason": reason}).rowcount == 1:
        money.settle(connection, attempt.batch_id, attempt.id, attempt.estimate_usd, attempt.estimate_usd)


def adopt(connection: Connection, attempt: LeftOpen, batch: Batch, job_key: str, cap_usd: float | None) -> None:
    """Let a batch carry on another's attempt at the same order, and pay for it; raises OverBudget, changing nothing."""
    if attempt.batch_id == batch.id:
        return
    asked = {"id": attempt.id, "batch": batch.id, "job_key": job_key}
    if connection.execute(_ADOPTED, asked).rowcount == 1 and attempt.estimate_usd:
        money.unbind(connection, attempt.batch_id, attempt.id, attempt.estimate_usd)
        money.bind(connection, batch, attempt.estimate_usd, cap_usd)


def keep_open(connection: Connection, attempt_id: str, reason: str) -> None:
    """Say why an attempt has no end yet: its provider has accepted it, and is polled when the order is asked again."""
    connection.execute(_STILL_OPEN, {"id": attempt_id, "reason": reason})


def settle_failed(
    connection: Connection, intent: Intent, outcome: str, reason: str, spent: Spent, sha256: str | None = None
) -> None:
    """Settle an attempt that brought no accepted picture, and its money."""
    row = {
        "id": intent.id,
        "token": intent.claim.token,
        "outcome": outcome,
        "reason": reason,
        "seconds": spent.seconds,
        "cost": spent.cost_usd,
        "sha256": sha256,
        "model": spent.model,
        "revised": spent.revised_prompt,
    }
    if (settled := connection.execute(_SETTLED, row).one_or_none()) is not None:
        money.settle(connection, settled.batch_id, intent.id, settled.estimate_usd, spent.cost_usd)
        quota.release_of_the_late(connection, intent.batch)


def keep_rejected(connection: Connection, intent: Intent, artifact: Artifact, verdict: Verdict, spent: Spent) -> None:
    """Keep a rejected image with the reason; nothing is recorded for its job."""
    connection.execute(_ARTIFACT, asdict(artifact))
    settle_failed(connection, intent, "rejected", ", ".join(verdict.issues), spent, artifact.sha256)
    connection.execute(_VERDICT, _verdict_row(intent, artifact, verdict))


def record(
    connection: Connection, intent: Intent, artifact: Artifact, verdict: Verdict, spent: Spent, job_seconds: float
) -> None:
    """Tie the picture to everything it came from, in one statement; raises LeaseLost when the token is stale.

    Safe to repeat: an attempt that is settled as `made` is recorded already.
    """
    order = intent.job.job.order
    row = {
        **asdict(artifact),
        **_verdict_row(intent, artifact, verdict),
        **_counter(intent),
        "order_key": intent.job.order_key,
        "token": intent.claim.token,
        "seconds": spent.seconds,
        "cost": spent.cost_usd,
        "model": spent.model or intent.model,
        "revised": spent.revised_prompt,
        "generation": order.generation,
        "position": intent.job.position,
        "provider": intent.provider,
        "asked_model": intent.batch.model,
        "parents": json.dumps([asdict(parent) for parent in (*order.references, *order.controls)]),
        "skipped": _skipped_json(intent.skipped),
        "job_seconds": job_seconds,
    }
    recorded = connection.execute(_RECORD, row).one_or_none() is not None
    if not recorded and not connection.execute(_IS_MADE, {"id": intent.id}).scalar():
        raise LeaseLost(f"{intent.job.job.key} is held by another process now; stepping back.")


def artifact_key_of(connection: Connection, sha256: str) -> str | None:
    """Return the bucket key of a stored picture that was not deleted."""
    key: str | None = connection.execute(_KEY_OF, {"sha256": sha256}).scalar()
    return key


def fail_job(
    connection: Connection,
    batch_id: str,
    position: int,
    reason: str,
    seconds: float | None = None,
    skipped: Sequence[Skip] = (),
) -> None:
    """Settle a job as failed for this run; a later run may make it."""
    asked = {"batch_id": batch_id, "position": position, "reason": reason, "seconds": seconds}
    asked["skipped"] = _skipped_json(skipped)
    connection.execute(_JOB_FAILED, asked)


def _skipped_json(skipped: Sequence[Skip]) -> str:
    return json.dumps([asdict(one) for one in skipped])


def _verdict_row(intent: Intent, artifact: Artifact, verdict: Verdict) -> dict[str, Any]:
    return {
        "attempt_id": intent.id,
        "sha256": artifact.sha256,
        "gate": verdict.gate,
        "score": verdict.score,
        "level": verdict.level,
        "accepted": verdict.accepted,
        "findings": json.dumps([asdict(finding) for finding in verdict.findings]),
    }


def _counter(intent: Intent) -> dict[str, Any]:
    return {"owner": intent.batch.owner, "period": intent.batch.period, "batch_id": intent.batch.id}
