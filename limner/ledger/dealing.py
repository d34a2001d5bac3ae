"""Dealing a plan to the workers of a cluster: whoever has a call free takes the next job, until none is left.

Nobody is given work ahead of time, so that nobody waits for another's at the end. What a worker took with it when it
died is found by the next deal, which asks the jobs' rows what is missing.
"""

from datetime import datetime

from sqlalchemy import Connection, text

_BEGIN = text("update runs set dealt = 0 where id = :run")
_NOW = text("select clock_timestamp()")
_END = text("update runs set dealt = null where id = :run")

# What failed before the run began is made anew; what failed in it stays so.
_IS_MISSING = "(j.status = 'promised' or (j.status = 'failed' and j.settled_at < :since))"
# The row's lock lets one take at a time: everybody else sees how far it was dealt then.
_TAKE = text(f"""
    with deal as (
        select r.batch_id, r.dealt from runs r join batches b on b.id = r.batch_id
         where r.id = :run and r.dealt is not null and b.status = 'open' for update of r
    ), next as (
        select j.position from jobs j join deal on deal.batch_id = j.batch_id
         where j.position >= deal.dealt and {_IS_MISSING}
         order by j.position limit 1
    )
    update runs set dealt = next.position + 1 from next where id = :run returning next.position
""")  # noqa: S608 - put together from our own words
_GOES_ON = text("""
    select exists (select from runs r join batches b on b.id = r.batch_id
                    where r.id = :run and r.dealt is not null and b.status = 'open')
""")
_STANDING = text(f"""
    select count(*) filter (where {_IS_MISSING}) as missing,
           count(*) filter (where j.status = 'failed' and j.settled_at >= :since) as failed
      from jobs j join runs r on r.batch_id = j.batch_id where r.id = :run
""")  # noqa: S608


def now(connection: Connection) -> datetime:
    """Return the ledger's time, which is that of its rows."""
    moment: datetime = connection.execute(_NOW).scalar_one()
    return moment


def begin(connection: Connection, run_id: str) -> None:
    """Deal from the plan's first missing job on."""
    connection.execute(_BEGIN, {"run": run_id})


def take(connection: Connection, run_id: str, since: datetime) -> int | None:
    """Take the next job, by its position; None when none is left, or no more are dealt."""
    return connection.execute(_TAKE, {"run": run_id, "since": since}).scalar()


def goes_on(connection: Connection, run_id: str) -> bool:
    """Say whether jobs are still dealt: not once the run was stopped, or its batch has ended."""
    return bool(connection.execute(_GOES_ON, {"run": run_id}).scalar())


def end(connection: Connection, run_id: str) -> None:
    """Deal no more."""
    connection.execute(_END, {"run": run_id})


def standing(connection: Connection, run_id: str, since: datetime) -> tuple[int, int]:
    """Return how many of the batch's jobs have not settled since the run began, and how many have failed since."""
    row = connection.execute(_STANDING, {"run": run_id, "since": since}).one()
    return row.missing, row.failed
