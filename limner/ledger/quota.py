"""Quota: pictures, and with `money` dollars, reserved before they are made, settled when they are, else released.

One conditional UPDATE of the counter row of owner and period decides; append-only entries go with it in the same
transaction, so that a counter is at any moment the sum of its entries. Periods are part of the key: nothing is reset.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert as upsert

from limner.errors import QuotaUsedUp
from limner.ledger import money
from limner.ledger.holders import is_provably_dead
from limner.ledger.plans import Batch, period_of, promised_positions
from limner.ledger.tables import owners

_COUNTER = text("insert into counters (owner, period) values (:owner, :period) on conflict do nothing")
_RESERVE = text("""
    update counters set pictures_reserved = pictures_reserved + :pictures
     where owner = :owner and period = :period
       and (cast(:cap as int) is null or pictures_used + pictures_reserved + :pictures <= :cap)
""")
_ENTER = text("""
    insert into entries (owner, period, batch_id, what, pictures_reserved)
    values (:owner, :period, :batch, :what, :pictures)
""")
_HELD = text("select coalesce(sum(pictures_reserved), 0) from entries where batch_id = :batch")
# In one statement: a picture that is recorded meanwhile leaves both sides at once.
_SHORT = text("""
    select (select count(*) from jobs where batch_id = :batch and status in ('promised', 'failed'))
           - (select coalesce(sum(pictures_reserved), 0) from entries where batch_id = :batch)
""")
_IN_FLIGHT = text("""
    select c.holder from attempts t join claims c on c.order_key = t.order_key and c.token = t.token
     where t.batch_id = :batch and t.outcome is null and c.lease_until > clock_timestamp()
""")
_MOVE = text("""
    update batches set period = :period
     where id = :batch and period <> :period and status <> 'complete'
       and usd_free = 0 and usd_bound = 0
       and (select coalesce(sum(pictures_reserved), 0) from entries where batch_id = :batch) = 0
""")
# Not `for update`: that would wait for every picture that is being recorded, which may wait for us at the counter.
_LOCK = text("select id from batches where id = :batch for no key update")
_HAS_ENDED = text("select status <> 'open' from batches where id = :batch for no key update")
_LOCK_COUNTER = text("select owner from counters where owner = :owner and period = :period for update")
_CUT_JOBS = text("""
    delete from jobs where batch_id = :batch and position in (
      select position from jobs where batch_id = :batch and status = 'promised' order by position desc limit :pictures)
""")
_CUT_BATCH = text("update batches set asked = :asked, notes = cast(:notes as jsonb) where id = :batch")
_LEFT = text("""
    select :cap - coalesce(sum(pictures_used + pictures_reserved), 0)
      from counters where owner = :owner and period = :period
""")


@dataclass(frozen=True, slots=True)
class Caps:
    """What an owner may use in a period; None is without limit."""

    pictures: int | None
    usd: float | None


def tier_of(connection: Connection, owner: str) -> str | None:
    """Return the tier that was set for the owner, or None."""
    return connection.execute(text("select tier from owners where owner = :owner"), {"owner": owner}).scalar()


def tier_or_default(connection: Connection, owner: str) -> str:
    """Return the owner's tier: as it was set, else unlimited for `local` and `free` for anybody else."""
    return tier_of(connection, owner) or ("local" if owner == "local" else "free")


def set_tier(connection: Connection, owner: str, tier: str) -> None:
    row = upsert(owners).values(owner=owner, tier=tier)
    connection.execute(row.on_conflict_do_update(index_elements=["owner"], set_={"tier": tier}))


def pictures_left(connection: Connection, owner: str, period: str, cap: int | None) -> int | None:
    """Return how many pictures the owner may still ask for in the period; None is unlimited."""
    if cap is None:
        return None
    left = connection.execute(_LEFT, {"owner": owner, "period": period, "cap": cap}).scalar_one()
    return max(0, int(left))


def pictures_short(connection: Connection, batch_id: str) -> int:
    """Return how many pictures a batch has still to make that nothing is reserved for."""
    return int(connection.execute(_SHORT, {"batch": batch_id}).scalar_one())


def cut_and_reserve(connection: Connection, batch: Batch, caps: Caps, prices: Sequence[float]) -> Batch:
    """Cut a fresh plan to what its owner's quota and money still allow, the best kept, and reserve that.

    prices: in USD, of each picture that is to be made, in the plan's order. Raises QuotaUsedUp when nothing at all
    could be made or reused.
    """
    cap = caps.pictures
    counter = {"owner": batch.owner, "period": batch.period}
    connection.execute(_COUNTER, counter)
    connection.execute(_LOCK_COUNTER, counter)
    missing = len(promised_positions(connection, batch))
    left = pictures_left(connection, batch.owner, batch.period, cap)
    if left is not None and missing > left:
        if left == 0 and missing == batch.asked:
            raise QuotaUsedUp(
                f"{batch.owner} has used up the {cap} pictures of {batch.period}; wait for the next month or move "
                f"the owner to another tier (limner owners set {batch.owner} --tier T)."
            )
        batch = _cut(connection, batch, missing - left, f"Cut from {batch.asked} by the quota of {batch.owner}.")
        prices = prices[:left]
    batch, prices = _cut_to_the_money(connection, batch, caps.usd, prices)
    reserve(connection, batch, caps, prices)
    return batch


def _cut_to_the_money(
    connection: Connection, batch: Batch, cap_usd: float | None, prices: Sequence[float]
) -> tuple[Batch, Sequence[float]]:
    left = money.usd_left(connection, batch, cap_usd)
    kept = money.affordable(prices, left)
    if kept == len(prices):
        return batch, prices
    if kept == 0 and len(prices) == batch.asked:
        raise QuotaUsedUp(
            f"${left:.2f} are left for {batch.owner} in {batch.period} and a picture is estimated at ${prices[0]:.4f}; "
            f"allow more (--max-usd), or move the owner to another tier (limner owners set {batch.owner} --tier T)."
        )
    note = f"Cut from {batch.asked} by the money left: ${left:.2f}."
    return _cut(connection, batch, len(prices) - kept, note), prices[:kept]


def move_to_this_period(connection: Connection, batch: Batch) -> bool:
    """Let what an unfinished batch still misses count in the present period, unless it holds some of its own still.

    Returns whether the batch was moved; its row is then to be read again.
    """
    asked = {"batch": batch.id, "period": period_of(datetime.now(UTC))}
    return asked["period"] != batch.period and connection.execute(_MOVE, asked).rowcount == 1


def _cut(connection: Connection, batch: Batch, pictures: int, note: str) -> Batch:
    connection.execute(_CUT_JOBS, {"batch": batch.id, "pictures": pictures})
    cut = replace(batch, asked=batch.asked - pictures, notes=(*batch.notes, note))
    connection.execute(_CUT_BATCH, {"batch": batch.id, "asked": cut.asked, "notes": json.dumps(cut.notes)})
    return cut


def reserve(connection: Connection, batch: Batch, caps: Caps, prices: Sequence[float]) -> None:
    """Bring what the batch holds in reserve up to what it still has to make, all or nothing; raises QuotaUsedUp.

    prices: in USD, of each picture that is still to be made.

    Safe to repeat, also by two runs of one batch: what the batch holds already is counted in.
    """
    connection.execute(_LOCK, {"batch": batch.id})
    missing = pictures_short(connection, batch.id)
    counter = {"owner": batch.owner, "period": batch.period}
    connection.execute(_COUNTER, counter)
    money.reserve(connection, batch, prices, caps.usd)
    if missing <= 0:
        return
    if connection.execute(_RESERVE, counter | {"pictures": missing, "cap": caps.pictures}).rowcount == 0:
        left = pictures_left(connection, batch.owner, batch.period, caps.pictures)
        raise QuotaUsedUp(
            f"{batch.owner} may make {left} more pictures in {batch.period} and {missing} are missing; "
            f"ask for fewer (--limit) or move the owner to another tier (limner owners set {batch.owner} --tier T)."
        )
    connection.execute(_ENTER, counter | {"batch": batch.id, "what": "reserved", "pictures": missing})


def release(connection: Connection, batch: Batch, holder: str) -> None:
    """Give back what the batch reserved and neither used nor has in flight.

    While another holder makes the batch's pictures, the reservation is that one's.
    """
    connection.execute(_LOCK, {"batch": batch.id})
    in_flight = list(connection.execute(_IN_FLIGHT, {"batch": batch.id}).scalars())
    if any(theirs != holder and not is_provably_dead(theirs) for theirs in set(in_flight)):
        return
    money.release(connection, batch)
    held = int(connection.execute(_HELD, {"batch": batch.id}).scalar_one()) - in_flight.count(holder)
    if held == 0:
        return
    counter = {"owner": batch.owner, "period": batch.period}
    connection.execute(_RESERVE, counter | {"pictures": -held, "cap": None})
    connection.execute(_ENTER, counter | {"batch": batch.id, "what": "released", "pictures": -held})


def release_of_the_late(connection: Connection, batch: Batch) -> None:
    """Give back what a run that has ended kept for calls that it did not wait for, once the last of them is settled."""
    if connection.execute(_HAS_ENDED, {"batch": batch.id}).scalar_one():
        release(connection, batch, holder="nobody")
