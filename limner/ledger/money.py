"""Money: reserved before it is asked for, bound to each call before it is made, settled when its end is known.

What a batch reserved lies in three heaps of its row. `usd_free` is reserved for no call yet, `usd_bound` for calls that
are under way (or that a crash left open), `usd_used` was spent; free and bound together are its share of
`counters.usd_reserved`. Every change of a counter has its entry. Rows are locked batch first, counter second: whoever
took them the other way round could wait for each other for ever.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal

from sqlalchemy import Connection, text

from limner.errors import OverBudget, QuotaUsedUp
from limner.ledger.plans import Batch

_LOCK = text("""
    select owner, period, max_usd, usd_free, usd_bound, usd_used from batches where id = :batch for no key update
""")
_LOCK_ALL = text("select from batches where id = any(:batches) order by id for no key update")
_COUNTER = text("insert into counters (owner, period) values (:owner, :period) on conflict do nothing")
_RESERVE = text("""
    update counters set usd_reserved = usd_reserved + :usd
     where owner = :owner and period = :period
       and (cast(:cap as numeric) is null or usd_used + usd_reserved + :usd <= :cap)
""")
_ENTER = text("""
    insert into entries (owner, period, batch_id, attempt_id, what, usd_reserved, usd_used)
    values (:owner, :period, :batch, :attempt, :what, :reserved, :used)
""")
_COUNT = text("""
    update counters set usd_reserved = usd_reserved + :reserved, usd_used = usd_used + :used
     where owner = :owner and period = :period
""")
_HEAPS = text("""
    update batches set usd_free = usd_free + :free, usd_bound = usd_bound + :bound, usd_used = usd_used + :used
     where id = :batch
""")
_SPENT = text("select usd_used + usd_reserved from counters where owner = :owner and period = :period")

NOTHING = Decimal(0)


def usd(amount: float | Decimal) -> Decimal:
    """Return an amount as the ledger keeps it: six places."""
    return round(Decimal(str(amount)), 6)


def lock(connection: Connection, batches: Collection[str]) -> None:
    """Lock several batches before any counter is, as whoever changes the money of more than one must."""
    connection.execute(_LOCK_ALL, {"batches": list(batches)})


def owners_usd_left(connection: Connection, owner: str, period: str, cap: float | None) -> Decimal | None:
    """Return what an owner may still reserve in a period; None is without limit."""
    if cap is None:
        return None
    spent = connection.execute(_SPENT, {"owner": owner, "period": period}).scalar() or NOTHING
    return max(NOTHING, usd(cap) - spent)


def usd_left(connection: Connection, batch: Batch, cap: float | None) -> Decimal | None:
    """Return what a batch may still reserve, of its owner's money and of its own cap; None is without limit."""
    held = connection.execute(_LOCK, {"batch": batch.id}).one()
    lefts = [owners_usd_left(connection, batch.owner, batch.period, cap)]
    if held.max_usd is not None:
        lefts.append(max(NOTHING, held.max_usd - held.usd_free - held.usd_bound - held.usd_used))
    return min((one for one in lefts if one is not None), default=None)


def affordable(prices: Sequence[float], left: Decimal | None) -> int:
    """Return how many pictures, from the first on, the money left pays for."""
    total = NOTHING
    for number, price in enumerate(prices):
        total += usd(price)
        if left is not None and total > left:
            return number
    return len(prices)


def reserve(connection: Connection, batch: Batch, prices: Sequence[float], cap: float | None) -> None:
    """Bring what the batch holds up to what its missing pictures are estimated at; raises QuotaUsedUp.

    Safe to repeat: what the batch holds already is counted in.
    """
    wanted = sum(map(usd, prices), NOTHING)
    held = connection.execute(_LOCK, {"batch": batch.id}).one()
    more = wanted - held.usd_free - held.usd_bound
    if more <= 0:
        return
    left = usd_left(connection, batch, cap)
    try:
        if left is not None and more > left:
            raise OverBudget("all that is missing costs more than what is left")
        _take(connection, batch, more, cap)
    except OverBudget:
        raise QuotaUsedUp(
            f"${left or NOTHING:.2f} are left for {batch.owner} in {batch.period} and the {len(prices)} missing "
            f"pictures are estimated at ${wanted:.2f}; ask for fewer (--limit), for more money (--max-usd), or move "
            f"the owner to another tier (limner owners set {batch.owner} --tier T)."
        ) from None
    connection.execute(_HEAPS, {"batch": batch.id, "free": more, "bound": 0, "used": 0})


def bind(connection: Connection, batch: Batch, estimate: Decimal, cap: float | None) -> None:
    """Bind the money of one call before it is made: what the batch has free first, else more of its owner's.

    Raises OverBudget where the owner's money or the batch's own cap does not cover it.
    """
    held = connection.execute(_LOCK, {"batch": batch.id}).one()
    if held.max_usd is not None and held.usd_used + held.usd_bound + estimate > held.max_usd:
        raise OverBudget(
            f"a call is estimated at ${estimate:.4f} and ${held.max_usd - held.usd_used - held.usd_bound:.4f} of the "
            f"batch's ${held.max_usd:.2f} are left; allow more (--max-usd)."
        )
    taken = min(held.usd_free, estimate)
    if estimate > taken:
        _take(connection, batch, estimate - taken, cap)
    connection.execute(_HEAPS, {"batch": batch.id, "free": -taken, "bound": estimate, "used": 0})


def settle(connection: Connection, batch_id: str, attempt_id: str, estimate: Decimal, cost: Decimal) -> None:
    """Settle the money of a call that brought no accepted picture; what was not spent is the batch's again."""
    if not cost:
        if estimate:
            connection.execute(_HEAPS, {"batch": batch_id, "free": estimate, "bound": -estimate, "used": 0})
        return
    held = connection.execute(_LOCK, {"batch": batch_id}).one()
    change = {"owner": held.owner, "period": held.period, "reserved": -estimate, "used": cost}
    connection.execute(_HEAPS, {"batch": batch_id, "free": 0, "bound": -estimate, "used": cost})
    connection.execute(_COUNT, change)
    connection.execute(_ENTER, change | {"batch": batch_id, "attempt": attempt_id, "what": "settled"})


def unbind(connection: Connection, batch_id: str, attempt_id: str, estimate: Decimal) -> None:
    """Give back the money of a call that another batch takes over."""
    held = connection.execute(_LOCK, {"batch": batch_id}).one()
    change = {"owner": held.owner, "period": held.period, "reserved": -estimate, "used": 0}
    connection.execute(_HEAPS, {"batch": batch_id, "free": 0, "bound": -estimate, "used": 0})
    connection.execute(_COUNT, change)
    connection.execute(_ENTER, change | {"batch": batch_id, "attempt": attempt_id, "what": "released"})


def release(connection: Connection, batch: Batch) -> None:
    """Give back what the batch holds for no call; what is bound stays until its call is settled."""
    held = connection.execute(_LOCK, {"batch": batch.id}).one()
    if not held.usd_free:
        return
    change = {"owner": held.owner, "period": held.period, "reserved": -held.usd_free, "used": 0}
    connection.execute(_HEAPS, {"batch": batch.id, "free": -held.usd_free, "bound": 0, "used": 0})
    connection.execute(_COUNT, change)
    connection.execute(_ENTER, change | {"batch": batch.id, "attempt": None, "what": "released"})


def _take(connection: Connection, batch: Batch, more: Decimal, cap: float | None) -> None:
    """Reserve more of the owner's money, in one conditional statement; raises OverBudget."""
    counter = {"owner": batch.owner, "period": batch.period}
    connection.execute(_COUNTER, counter)
    asked = counter | {"usd": more, "cap": None if cap is None else usd(cap)}
    if connection.execute(_RESERVE, asked).rowcount == 0:
        raise OverBudget(
            f"a call needs ${more:.4f} more and {batch.owner} has used up the ${cap:.2f} of {batch.period}; wait for "
            f"the next month or move the owner to another tier (limner owners set {batch.owner} --tier T)."
        )
    entry = {"batch": batch.id, "attempt": None, "what": "reserved", "reserved": more, "used": 0}
    connection.execute(_ENTER, counter | entry)
