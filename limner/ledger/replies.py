"""What an app is told of what it asked for: how its runs stand, and the pictures so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

_STANDINGS = text("""
    select r.id as run, b.id as batch, b.owner, b.title, b.status, b.asked, settled.made, settled.reused, settled.failed
      from runs r join batches b on b.id = r.batch_id
      cross join lateral (select count(*) filter (where j.status = 'made') as made,
                                 count(*) filter (where j.status = 'reused') as reused,
                                 count(*) filter (where j.status = 'failed') as failed
                            from jobs j where j.batch_id = b.id) settled
     where r.id = any(:runs)
""")

_PICTURES = text("""
    select j.key, j.about, a.sha256, a.key as artifact, a.media_type, a.width, a.height, a.size_bytes as bytes,
           r.provider, r.model, t.seed, v.score, v.level, j.status = 'reused' as reused, t.prompt, t.negative_prompt
      from jobs j join records r on r.id = j.record_id join artifacts a on a.sha256 = r.sha256
      join attempts t on t.id = r.attempt_id left join verdicts v on v.attempt_id = t.id
     where j.batch_id = :batch and a.tombstoned_at is null and r.deleted_at is null order by j.position
""")

_PICTURE = text("select key, media_type from artifacts where sha256 = :sha and tombstoned_at is null")


@dataclass(frozen=True, slots=True)
class Standing:
    """How the batch that a run works on stands."""

    batch: str
    owner: str
    title: str
    status: str
    asked: int
    made: int
    reused: int
    failed: int


def standings(connection: Connection, runs: Sequence[str]) -> dict[str, Standing]:
    """Return by run how its batch stands; runs that have none yet are left out."""
    rows = connection.execute(_STANDINGS, {"runs": list(runs)})
    return {run: Standing(*of_batch) for run, *of_batch in rows}


def pictures(connection: Connection, batch: str) -> list[Any]:
    """Return the pictures of a batch that are there, in the plan's order; what was deleted is left out."""
    return list(connection.execute(_PICTURES, {"batch": batch}))


def where_it_lies(connection: Connection, sha256: str) -> tuple[str, str] | None:
    """Return a picture's bucket key and media type; None for one that is unknown or deleted."""
    row = connection.execute(_PICTURE, {"sha": sha256}).one_or_none()
    return None if row is None else (row.key, row.media_type)
