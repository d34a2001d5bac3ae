"""Finding what exists: two looks, not to be mixed.

A batch's own manifest (its jobs' rows) never expires. The reuse cache across batches has an age limit, never
returns what was deleted, and only what a provider of the batch's chain made.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from limner.ledger.plans import Batch, StoredJob, stored_job

# What a record must be to be given again. `:age` is in seconds, 0 is for ever.
_REUSABLE = """
    r.deleted_at is null
    and exists (select from artifacts a where a.sha256 = r.sha256 and a.tombstoned_at is null)
    and r.provider = any(:chain)
    and (cast(:model as text) is null or r.asked_model = :model)
    and (:age = 0 or r.made_at > now() - make_interval(secs => :age) or r.made_at >= :planned_at)
"""

_REUSE_ALL = {
    "same": text(f"""
        update jobs j set status = 'reused', reused = 'same', record_id = hit.id, reason = null, settled_at = now()
          from (select distinct on (r.order_key) r.order_key, r.id from records r
                 where r.order_key in (select order_key from jobs where batch_id = :batch) and {_REUSABLE}
                 order by r.order_key, r.id desc) hit
         where j.batch_id = :batch and j.status in ('promised', 'failed') and j.order_key = hit.order_key
    """),  # noqa: S608 - built from constants
    "similar": text(f"""
        update jobs j set status = 'reused', reused = 'similar', record_id = hit.id, reason = null, settled_at = now()
          from (select distinct on (r.similar_key) r.similar_key, r.id from records r
                 where r.similar_key in (select similar_key from jobs where batch_id = :batch) and {_REUSABLE}
                 order by r.similar_key, r.id desc) hit
         where j.batch_id = :batch and j.status in ('promised', 'failed') and j.similar_key = hit.similar_key
    """),  # noqa: S608
}

_STANDING = text(f"""
    select j.*,
           (select r.id from records r where r.order_key = j.order_key and {_REUSABLE}
             order by r.id desc limit 1) as hit,
           exists (select from attempts t where t.order_key = j.order_key and t.outcome is null) as left_open,
           coalesce(j.settled_at > clock_timestamp() - make_interval(secs => :waited), false) as settled_lately
      from jobs j where j.batch_id = :batch and j.position = :position
""")  # noqa: S608

_TAKE_HIT = text("""
    update jobs set status = 'reused', reused = 'same', record_id = :record, reason = null, seconds = :seconds,
                    settled_at = now()
     where batch_id = :batch and position = :position and status in ('promised', 'failed')
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands: its row, a record that serves it, attempts left open, whether it settled while we waited."""

    job: StoredJob
    hit: int | None
    left_open: bool
    settled_lately: bool


def reuse_all(connection: Connection, batch: Batch, max_age_seconds: float) -> int:
    """Settle every promised job of the batch that a record of the past answers; return how many."""
    found = 0
    for look in ("same",) if batch.reuse == "same" else ("same", "similar"):
        found += connection.execute(_REUSE_ALL[look], _asked(batch, max_age_seconds)).rowcount
    return found


def standing(
    connection: Connection, batch: Batch, position: int, max_age_seconds: float, waited_seconds: float = 0.0
) -> Standing:
    """Look at one job, under its claim, after waiting for it so long."""
    asked = _asked(batch, max_age_seconds) | {"position": position, "waited": waited_seconds}
    row = connection.execute(_STANDING, asked).one()
    return Standing(stored_job(row), row.hit, row.left_open, row.settled_lately)


def take_hit(connection: Connection, batch: Batch, position: int, record_id: int, seconds: float) -> None:
    """Settle a job with a picture that another batch made in the meantime."""
    asked = {"batch": batch.id, "position": position, "record": record_id, "seconds": seconds}
    connection.execute(_TAKE_HIT, asked)


def _asked(batch: Batch, max_age_seconds: float) -> dict[str, object]:
    return {
        "batch": batch.id,
        "chain": list(batch.chain),
        "model": batch.model,
        "age": max_age_seconds,
        "planned_at": batch.planned_at,
    }
