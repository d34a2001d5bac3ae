"""What the ledger answers: a batch's report, a picture's or a batch's lineage, the numbers.

All of it is SQL over the rows that the press wrote; nothing is counted by hand. Reports are built as text inside
PostgreSQL, so that a batch of 10,000 pictures costs this process no objects.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

from limner.ledger import outbox
from limner.ledger.plans import Batch

By = Literal["provider", "type", "tier"]

_COUNTS = text("""
    select count(*) filter (where status = 'made') as made,
           count(*) filter (where status = 'reused') as reused,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where status = 'promised') as promised,
           (select count(*) from attempts t where t.batch_id = :batch and t.outcome = 'rejected') as rejected,
           (select coalesce(sum(t.cost_usd), 0) from attempts t where t.batch_id = :batch) as spend_usd
      from jobs where batch_id = :batch
""")

_ERRORS = text("select key, reason from jobs where batch_id = :batch and status = 'failed' order by position")

_PICTURES = text("""
    select json_build_object(
             'key', j.key, 'artifact', a.key, 'sha256', a.sha256, 'path', cast(:prefix as text) || a.key,
             'provider', r.provider, 'model', r.model, 'seed', t.seed, 'width', a.width, 'height', a.height,
             'bytes', a.size_bytes, 'seconds', round(coalesce(j.seconds, 0)::numeric, 3), 'score', v.score,
             'level', v.level, 'reused', j.status = 'reused', 'prompt', t.prompt,
             'negative_prompt', t.negative_prompt)::text
      from jobs j join records r on r.id = j.record_id join artifacts a on a.sha256 = r.sha256
      join attempts t on t.id = r.attempt_id join verdicts v on v.attempt_id = t.id
     where j.batch_id = :batch order by j.position
""")

_SHEET = text("""
    select j.key, j.status, j.reason, j.about, j.subject, a.key as artifact, a.sha256, a.width, a.height, r.provider,
           r.model, t.seed, t.prompt, v.score, v.level
      from jobs j left join records r on r.id = j.record_id left join artifacts a on a.sha256 = r.sha256
      left join attempts t on t.id = r.attempt_id left join verdicts v on v.attempt_id = t.id
     where j.batch_id = :batch order by j.position limit :most
""")

_BATCH_LINEAGE = text("""
    select to_jsonb(b) || jsonb_build_object(
             'runs', (select coalesce(jsonb_agg(to_jsonb(u) - 'batch_id' order by u.started_at), '[]')
                        from runs u where u.batch_id = b.id),
             'entries', (select coalesce(jsonb_agg(to_jsonb(e) - 'batch_id' order by e.id), '[]')
                           from entries e where e.batch_id = b.id)) as found
      from batches b where b.id = :batch
""")

_JOB_LINEAGE = """
    select to_jsonb(j) || jsonb_build_object(
             'artifact', (select to_jsonb(a) from records r join artifacts a using (sha256) where r.id = j.record_id),
             'record', (select to_jsonb(r) from records r where r.id = j.record_id),
             'made_by', (select to_jsonb(t) from records r join attempts t on t.id = r.attempt_id
                          where r.id = j.record_id),
             'attempts', (select coalesce(jsonb_agg(to_jsonb(t) || jsonb_build_object(
                                   'verdict', (select to_jsonb(v) from verdicts v where v.attempt_id = t.id))
                                   order by t.started_at), '[]')
                            from attempts t where t.batch_id = j.batch_id and t.job_key = j.key),
             'verdict', (select to_jsonb(v) from records r join verdicts v on v.attempt_id = r.attempt_id
                          where r.id = j.record_id),
             'parents', (select coalesce(jsonb_agg(to_jsonb(p)), '[]') from parents p where p.record_id = j.record_id),
             'children', (select coalesce(jsonb_agg(to_jsonb(p)), '[]') from parents p
                           join records r on r.sha256 = p.parent_sha256 where r.id = j.record_id)) as found
      from jobs j
"""
_JOBS_OF_BATCH = text(_JOB_LINEAGE + " where j.batch_id = :batch order by j.position")
_JOBS_OF_PICTURE = text(
    _JOB_LINEAGE + " join records made on made.id = j.record_id where made.sha256 = :sha order by j.settled_at"
)

_NUMBERS = """
    select {by} as {name}, count(*) as asked,
           count(*) filter (where j.status = 'made') as made,
           count(*) filter (where j.status = 'reused') as reused,
           coalesce(sum(tries.rejected), 0)::int as rejected,
           count(*) filter (where j.status = 'failed') as failed,
           round(count(*) filter (where j.status in ('made', 'reused'))::numeric
                 / nullif(count(*) filter (where j.status <> 'promised'), 0), 4) as success_rate,
           round(avg(j.seconds) filter (where j.status = 'made')::numeric, 3) as mean_seconds,
           round((percentile_cont(0.5) within group (order by j.seconds) filter (where j.status = 'made'))::numeric, 3)
             as p50_seconds,
           round((percentile_cont(0.95) within group (order by j.seconds) filter (where j.status = 'made'))::numeric, 3)
             as p95_seconds,
           coalesce(sum(tries.cost_usd), 0) as spend_usd
      from jobs j join batches b on b.id = j.batch_id left join records r on r.id = j.record_id
      left join lateral (select count(*) filter (where t.outcome = 'rejected') as rejected, sum(t.cost_usd) as cost_usd
                           from attempts t where t.batch_id = j.batch_id and t.job_key = j.key) tries on true
     where (cast(:owner as text) is null or b.owner = :owner)
     group by 1 order by 1
"""

_PROVIDER_NUMBERS = """
    select t.provider, count(distinct (t.batch_id, t.job_key)) as asked,
           count(*) filter (where t.outcome = 'made') as made,
           (select count(*) from jobs j join records r on r.id = j.record_id join batches jb on jb.id = j.batch_id
             where j.status = 'reused' and r.provider = t.provider
               and (cast(:owner as text) is null or jb.owner = :owner)) as reused,
           count(*) filter (where t.outcome = 'rejected') as rejected,
           count(*) filter (where t.outcome not in ('made', 'rejected')) as failed,
           round(count(*) filter (where t.outcome = 'made')::numeric / nullif(count(t.outcome), 0), 4) as success_rate,
           round(avg(t.seconds) filter (where t.outcome = 'made')::numeric, 3) as mean_seconds,
           round((percentile_cont(0.5) within group (order by t.seconds) filter (where t.outcome = 'made'))::numeric, 3)
             as p50_seconds,
           round((percentile_cont(0.95) within group (order by t.seconds)
                    filter (where t.outcome = 'made'))::numeric, 3)
             as p95_seconds,
           sum(t.cost_usd) as spend_usd
      from attempts t join batches b on b.id = t.batch_id
     where (cast(:owner as text) is null or b.owner = :owner)
     group by 1 order by 1
"""

_NUMBERS_BY: dict[By, str] = {
    "provider": _PROVIDER_NUMBERS,
    "type": _NUMBERS.format(by="j.subject", name="type"),
    "tier": _NUMBERS.format(by="b.tier", name="tier"),
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How a batch stands now. rejected counts images, the others count jobs."""

    made: int
    reused: int
    failed: int
    promised: int
    rejected: int
    spend_usd: float

    @property
    def settled(self) -> int:
        return self.made + self.reused + self.failed


def counts(connection: Connection, batch_id: str) -> Counts:
    row = connection.execute(_COUNTS, {"batch": batch_id}).one()
    return Counts(row.made, row.reused, row.failed, row.promised, row.rejected, float(row.spend_usd))


def errors(connection: Connection, batch_id: str) -> dict[str, str]:
    """Return each failed job's key and why."""
    return {row.key: row.reason for row in connection.execute(_ERRORS, {"batch": batch_id})}


def report_json(connection: Connection, batch: Batch, seconds: float, prefix: str) -> bytes:
    """Return the batch's report as JSON text; `prefix` goes before each bucket key to make its path."""
    now = counts(connection, batch.id)
    head = {
        "batch": batch.id,
        "kind": batch.kind,
        "asked": batch.asked,
        "made": now.made,
        "reused": now.reused,
        "rejected": now.rejected,
        "failed": now.failed,
        "errors": errors(connection, batch.id),
        "spend_usd": now.spend_usd,
        "seconds": round(seconds, 3),
    }
    report = bytearray(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "pictures": [')
    pictures = connection.execution_options(yield_per=500).execute(_PICTURES, {"batch": batch.id, "prefix": prefix})
    for number, picture in enumerate(pictures.scalars()):
        report += (",\n" if number else "").encode() + picture.encode()
    return bytes(report + b"]}\n")


def close_batch(connection: Connection, batch: Batch, status: str, report_key: str) -> None:
    """End the batch's run: its status, where its report lies, and that its owner's webhooks are to be told."""
    ended = text("update batches set status = :status, ended_at = now(), report_key = :key where id = :batch")
    connection.execute(ended, {"batch": batch.id, "status": status, "key": report_key})
    outbox.write_event(connection, batch.id)


def sheet_rows(connection: Connection, batch_id: str, most: int | None = None) -> Iterator[Any]:
    """Yield what a contact sheet shows of each job, in the plan's order, of all jobs or the first `most`."""
    yield from connection.execute(_SHEET, {"batch": batch_id, "most": most})


def lineage_of_batch(connection: Connection, batch_id: str) -> dict[str, Any] | None:
    """Return everything the ledger knows of a batch: request, plan, runs, jobs with attempts and verdicts, spend."""
    batch = connection.execute(_BATCH_LINEAGE, {"batch": batch_id}).scalar()
    if batch is None:
        return None
    return {"batch": batch, "jobs": list(connection.execute(_JOBS_OF_BATCH, {"batch": batch_id}).scalars())}


def lineage_of_picture(connection: Connection, sha256: str) -> dict[str, Any] | None:
    """Return everything the ledger knows of a picture: each job that it answers, and that job's batch."""
    found = list(connection.execute(_JOBS_OF_PICTURE, {"sha": sha256}).scalars())
    artifact = connection.execute(
        text("select to_jsonb(a) from artifacts a where sha256 = :sha"), {"sha": sha256}
    ).scalar()
    if artifact is None:
        return None
    ids = dict.fromkeys(job["batch_id"] for job in found)
    batches = [connection.execute(_BATCH_LINEAGE, {"batch": one}).scalar_one() for one in ids]
    return {"artifact": artifact, "batches": batches, "jobs": found}


def numbers(connection: Connection, by: By, owner: str | None = None) -> list[dict[str, Any]]:
    """Count by provider, by description type or by tier; one row each. For `provider`, failed counts calls."""
    return [dict(row._mapping) for row in connection.execute(text(_NUMBERS_BY[by]), {"owner": owner})]
