"""Sweeping: what dead processes left behind is freed, settled and closed, so that the books agree and nothing waits.

Plain Python over a `Room`. Who is dead is judged by `limner/ledger/runs.py`; what Prefect knows of it, elsewhere. Safe
to run twice at once and to be killed at any moment: each step is a transaction, and looks again under its locks.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, text

from limner import press
from limner.errors import Unreachable
from limner.ledger import attempts, limits, plans, runs
from limner.ledger.holders import is_provably_dead
from limner.ledger.plans import Batch
from limner.ledger.runs import Run
from limner.studio import Room

log = logging.getLogger(__name__)

# How long the end of a batch waits for what is fetched for it; what comes later is added to it.
FETCH_SECONDS = 20.0

# Between its plan and its run a batch is in the hands of a process for an instant.
NEVER_BEGUN_SECONDS = 120.0

_HOLDERS = text("select distinct holder from claims")
_FREE = text("delete from claims where holder = any(:dead)")
_PROVIDERS = text("select provider from limits order by provider")

_IS_LEFT = """t.outcome is null and not exists (
    select from claims c where c.order_key = t.order_key and c.lease_until > clock_timestamp()
)"""
_LEFT = text(f"""
    select j.position, j.status, t.order_key, t.id, t.provider, t.provider_id
      from attempts t join jobs j on j.batch_id = t.batch_id and j.key = t.job_key
     where t.batch_id = :batch and {_IS_LEFT} order by j.position
""")  # noqa: S608 - our own words
_LEFT_BEHIND = text(f"""
    select distinct t.batch_id from attempts t join batches b on b.id = t.batch_id
     where b.status <> 'open' and {_IS_LEFT} order by t.batch_id
""")  # noqa: S608
_NEVER_BEGUN = text("""
    select b.id from batches b
     where b.status = 'open' and b.planned_at < now() - make_interval(secs => :seconds)
       and not exists (select from runs r where r.batch_id = b.id)
       and not exists (select from attempts t where t.batch_id = b.id)
     order by b.id
""")


def free_the_dead(room: Room) -> int:
    """Give back the claims and providers' slots of processes that are provably gone; return of how many processes."""

    def free(connection: Connection) -> set[str]:
        dead = {one for one in connection.execute(_HOLDERS).scalars() if is_provably_dead(one)}
        if dead:
            connection.execute(_FREE, {"dead": sorted(dead)})
        return dead

    gone = room.ledger.run(free)
    for provider in room.ledger.run(lambda connection: list(connection.execute(_PROVIDERS).scalars())):
        gone.update(room.ledger.run(partial(_free_slots, provider)))
    return len(gone)


def _free_slots(provider: str, connection: Connection) -> tuple[str, ...]:
    lost = limits.find_lost(connection, provider)
    if lost is not None:
        limits.sweep(connection, provider, lost)
    return lost or ()


def close(room: Room, run: Run, *, cancelled: bool = False) -> None:
    """Close a dead run, and its batch with it unless another run works on that."""
    if not room.ledger.run(lambda connection: runs.others_at_work(connection, run)):
        close_batch(room, run.batch_id, cancelled=cancelled)
    room.ledger.run(lambda connection: runs.close(connection, run))


def close_batch(room: Room, batch_id: str, *, cancelled: bool = False) -> None:
    """End a batch that nobody works on: its open attempts settled, its report written, its reservation released."""
    settling = threading.Thread(target=_settle_quietly, args=(room, batch_id), name="limner-settle", daemon=True)
    settling.start()
    settling.join(FETCH_SECONDS)
    _end(room, batch_id, cancelled=cancelled)


def left_behind(room: Room) -> list[str]:
    """Return the batches that have ended with attempts that have not, and that nobody asks after."""
    return room.ledger.run(lambda connection: list(connection.execute(_LEFT_BEHIND).scalars()))


def never_begun(room: Room) -> list[str]:
    """Return the batches whose process died between plan and run."""
    asked = {"seconds": NEVER_BEGUN_SECONDS}
    return room.ledger.run(lambda connection: list(connection.execute(_NEVER_BEGUN, asked).scalars()))


def settle(room: Room, batch_id: str) -> int:
    """Bring a batch's open attempts to their end; return of how many. One that has ended is then ended anew.

    A picture that was accepted under an id is asked after by it, and never anew; what its provider has not done yet
    stays open, and so does what this studio has no provider for.
    """
    room.know_as(_batch(room, batch_id))
    before = _left(room, batch_id)
    with ThreadPoolExecutor(room.rules.concurrency, thread_name_prefix="settle") as pool:
        list(pool.map(partial(_settle_one, room, batch_id), before))
    settled = len(before) - len(_left(room, batch_id))
    batch = _batch(room, batch_id)
    if settled and batch.status in ("short", "cancelled"):
        _end(room, batch_id, cancelled=batch.status == "cancelled")
    return settled


def _settle_quietly(room: Room, batch_id: str) -> None:
    try:
        settle(room, batch_id)
    except Unreachable as error:
        log.warning("%s The attempts of %s are settled later.", error, batch_id)


def _left(room: Room, batch_id: str) -> list[tuple[int, str, str, str, str, str | None]]:
    found = room.ledger.run(lambda connection: connection.execute(_LEFT, {"batch": batch_id}).all())
    return [tuple(row) for row in found]


def _settle_one(room: Room, batch_id: str, left: tuple[int, str, str, str, str, str | None]) -> None:
    position, status, order_key, attempt_id, provider, provider_id = left
    if status in ("made", "reused"):
        room.ledger.run(partial(_settle_moot, batch_id, order_key, attempt_id))
    elif provider_id is None or provider in room.providers:
        press.settle_left_open(room, batch_id, position)


def _settle_moot(batch_id: str, order_key: str, attempt_id: str, connection: Connection) -> None:
    """Settle an attempt whose job has its picture from elsewhere: whether it was paid for, nobody asks any more."""
    for one in attempts.left_open(connection, order_key, batch_id):
        if one.id == attempt_id:
            attempts.settle_unknown(connection, one, "its job was settled without it")


def _end(room: Room, batch_id: str, *, cancelled: bool) -> None:
    batch = _batch(room, batch_id)
    seconds = (datetime.now(UTC) - batch.planned_at).total_seconds()
    press.end(room, batch, seconds, cancelled=cancelled)


def _batch(room: Room, batch_id: str) -> Batch:
    batch = room.ledger.run(lambda connection: plans.get_batch(connection, batch_id))
    if batch is None:
        raise LookupError(f"There is no batch {batch_id} in the ledger at {room.ledger.where()}.")
    return batch
