"""Plans, stored before anything is made, and found again by whoever carries them on.

A plan is a batch row and its jobs. Found by the flow run's id, by the caller's idempotency key, or by the request's
own hash while the batch is unfinished: a retry loads it and never plans anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from limner.jobs import RECIPE, Job, Order, Plan, order_from, sha256_of
from limner.ledger.runs import begin
from limner.ledger.tables import batches, jobs, runs

# Rows sent at once: a plan of ten thousand is never in memory as rows too.
_ROWS = 500

Reuse = Literal["same", "similar"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, for what, and by which marks a stored plan is found again."""

    owner: str
    tier: str
    request: dict[str, Any]
    request_hash: str
    idempotency_key: str | None = None
    force: bool = False
    reuse: Reuse = "same"
    max_usd: float | None = None
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """One run of one plan, as the ledger knows it."""

    id: str
    kind: str
    title: str
    owner: str
    tier: str
    period: str
    chain: tuple[str, ...]
    model: str | None
    reuse: Reuse
    asked: int
    status: str
    notes: tuple[str, ...]
    planned_at: datetime
    report_key: str | None
    # Somebody waits for it: its calls go before those of other batches.
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A promised job: its place in the batch, and the keys it is found by."""

    position: int
    job: Job
    order_key: str
    status: str
    reason: str | None = None


def period_of(moment: datetime) -> str:
    """Return the quota period of a moment: its month in UTC, like `2026-11`."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def find_batch(connection: Connection, asker: Asker) -> Batch | None:
    """Return the stored plan that answers the request: by the caller's key, or unfinished and of the same hash."""
    if asker.idempotency_key is not None:
        of_key = select(batches).where(
            batches.c.owner == asker.owner, batches.c.idempotency_key == asker.idempotency_key
        )
        if (row := connection.execute(of_key).one_or_none()) is not None:
            return _batch(row)
    unfinished = select(batches).where(batches.c.request_hash == asker.request_hash, batches.c.status != "complete")
    row = connection.execute(unfinished).one_or_none()
    return None if row is None else _batch(row)


def batch_of_run(connection: Connection, run_id: str) -> Batch | None:
    """Return the batch that a flow run works on."""
    of_run = select(batches).join(runs, runs.c.batch_id == batches.c.id).where(runs.c.id == run_id)
    row = connection.execute(of_run).one_or_none()
    return None if row is None else _batch(row)


def get_batch(connection: Connection, batch_id: str) -> Batch | None:
    row = connection.execute(select(batches).where(batches.c.id == batch_id)).one_or_none()
    return None if row is None else _batch(row)


def store_plan(connection: Connection, asker: Asker, plan: Plan, chain: Sequence[str], slug: str) -> tuple[Batch, bool]:
    """Store the plan with its batch, and say that it is ours; if another run stored one first, return that."""
    batch_id = f"{plan.kind}-{slug}-{uuid4().hex[:8]}"
    row = {
        "id": batch_id,
        "kind": plan.kind,
        "title": plan.title,
        "owner": asker.owner,
        "tier": asker.tier,
        "period": period_of(datetime.now(UTC)),
        "request": asker.request,
        "request_hash": asker.request_hash,
        "idempotency_key": asker.idempotency_key,
        "recipe": RECIPE,
        "chain": list(chain),
        "model": plan.model,
        "reuse": asker.reuse,
        "max_usd": asker.max_usd,
        "interactive": asker.interactive,
        "notes": list(plan.notes),
        "asked": len(plan.jobs),
    }
    stored = connection.execute(upsert(batches).values(row).on_conflict_do_nothing().returning(batches)).one_or_none()
    if stored is None:
        first = find_batch(connection, asker)
        if first is None:  # finished between our insert and our look: ours is the next batch
            return store_plan(connection, asker, plan, chain, slug)
        return first, False
    for start in range(0, len(plan.jobs), _ROWS):
        connection.execute(insert(jobs), _job_rows(connection, asker, batch_id, plan.jobs, start))
    return _batch(stored), True


def begin_run(connection: Connection, batch: Batch, run_id: str | None, holder: str) -> None:
    """Note that a process works on the batch for a flow run; a short or cancelled batch is open again."""
    if run_id is not None:
        begin(connection, run_id, batch.id, holder)
    connection.execute(
        text("update batches set status = 'open' where id = :batch and status in ('short', 'cancelled')"),
        {"batch": batch.id},
    )


def make_interactive(connection: Connection, batch_id: str) -> None:
    """Note that somebody waits for the batch from now on."""
    connection.execute(text("update batches set interactive = true where id = :batch"), {"batch": batch_id})


def promised_positions(connection: Connection, batch: Batch) -> list[int]:
    """Return the positions of the jobs that are still to be made, in the plan's order."""
    missing = text(
        "select position from jobs where batch_id = :b and status in ('promised', 'failed') order by position"
    )
    return list(connection.execute(missing, {"b": batch.id}).scalars())


def missing_orders(connection: Connection, batch: Batch) -> Iterator[Order]:
    """Yield the orders that are still to be made, in the plan's order, never all in memory."""
    missing = select(jobs.c.order).where(jobs.c.batch_id == batch.id, jobs.c.status.in_(("promised", "failed")))
    streamed = missing.order_by(jobs.c.position).execution_options(yield_per=_ROWS)
    yield from map(order_from, connection.execute(streamed).scalars())


def keys_of(connection: Connection, batch: Batch) -> dict[int, str]:
    """Return the batch's job keys by position."""
    asked = select(jobs.c.position, jobs.c.key).where(jobs.c.batch_id == batch.id)
    return {row.position: row.key for row in connection.execute(asked)}


def order_keys(owner: str, order: Order, similar_prompt: str) -> dict[str, Any]:
    """Return the three keys an order is found by: itself, whatever its generation, and whatever its quality words."""
    first = replace(order, generation=0)
    return {
        "order_key": order.key(owner),
        "base_key": first.key(owner),
        "similar_key": replace(first, prompt=similar_prompt).key(owner),
    }


def _job_rows(
    connection: Connection, asker: Asker, batch_id: str, jobs_planned: Sequence[Job], start: int
) -> list[dict[str, Any]]:
    planned = jobs_planned[start : start + _ROWS]
    keys = [order_keys(asker.owner, job.order, job.similar_prompt or job.order.prompt) for job in planned]
    newest = _generations(connection, [one["base_key"] for one in keys])
    rows = []
    for position, (job, found_by) in enumerate(zip(planned, keys, strict=True), start):
        generation = newest.get(found_by["base_key"], -1 if asker.force else 0) + (1 if asker.force else 0)
        order = replace(job.order, generation=generation)
        rows.append(
            {
                **found_by,
                "order_key": order.key(asker.owner),
                "batch_id": batch_id,
                "position": position,
                "key": job.key,
                "order": asdict(order),
                "about": dict(job.about),
                "subject": job.subject,
                "gate": job.gate,
                "max_tries": job.max_tries,
            }
        )
    return rows


def _generations(connection: Connection, base_keys: Sequence[str]) -> dict[str, int]:
    newest = text(
        "select base_key, max(generation) as newest from records where base_key = any(:keys) group by base_key"
    )
    return {row.base_key: row.newest for row in connection.execute(newest, {"keys": list(base_keys)})}


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        id=row.id,
        kind=row.kind,
        title=row.title,
        owner=row.owner,
        tier=row.tier,
        period=row.period,
        chain=tuple(row.chain),
        model=row.model,
        reuse=row.reuse,
        asked=row.asked,
        status=row.status,
        notes=tuple(row.notes),
        planned_at=row.planned_at,
        report_key=row.report_key,
        interactive=row.interactive,
    )


def stored_job(row: Row[Any]) -> StoredJob:
    job = Job(
        key=row.key,
        order=order_from(row.order),
        gate=row.gate,
        subject=row.subject,
        max_tries=row.max_tries,
        about=row.about,
    )
    return StoredJob(row.position, job, row.order_key, row.status, row.reason)


def fingerprint(order: Order, provider: str, model: str | None, seed: int) -> str:
    """Return the attempt's fingerprint: the order with provider, model and derived seed; it serves replay."""
    return sha256_of([asdict(order), RECIPE, provider, model, seed])
