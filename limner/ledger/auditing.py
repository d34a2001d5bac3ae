"""Whether the books agree: counters with their entries, batches with their attempts, each to the cent.

Reads one snapshot of the ledger, so that work in progress does not look like a fault. Changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

_SNAPSHOT = text("set transaction isolation level repeatable read, read only")

_TOTALS = text("""
    select c.owner, c.period, c.usd_used as counter_usd,
           coalesce((select sum(e.usd_used) from entries e where e.owner = c.owner and e.period = c.period), 0)
             as entries_usd,
           -- A batch may have been made in several months: an attempt's is the one it was settled in.
           coalesce((select sum(t.cost_usd) from attempts t
                      where t.id in (select e.attempt_id from entries e where e.owner = c.owner
                                        and e.period = c.period and e.what = 'settled')), 0) as attempts_usd,
           c.usd_reserved as reserved_usd, c.pictures_used as pictures, c.pictures_reserved as pictures_reserved
      from counters c
     where (cast(:owner as text) is null or c.owner = :owner) and (cast(:period as text) is null or c.period = :period)
     order by c.period, c.owner
""")

# Each finds what must not be; `what` says it, the two figures show it.
_FAULTS = (
    (
        "counter {owner} {period}: {name} is not the sum of its entries",
        """
        select c.owner, c.period, v.name, v.counted as one, coalesce(sum(v.entered), 0) as other from counters c
          left join entries e on e.owner = c.owner and e.period = c.period
         cross join lateral (values
           ('usd_used', c.usd_used, e.usd_used), ('usd_reserved', c.usd_reserved, e.usd_reserved),
           ('pictures_used', c.pictures_used::numeric, e.pictures_used::numeric),
           ('pictures_reserved', c.pictures_reserved::numeric, e.pictures_reserved::numeric)) v(name, counted, entered)
         where cast(:owner as text) is null or c.owner = :owner
         group by c.owner, c.period, v.name, v.counted having v.counted <> coalesce(sum(v.entered), 0)
        """,
    ),
    (
        "batch {batch}: {name} is not what its attempts say",
        """
        select b.id as batch, v.name, v.kept as one, v.told as other from batches b
         cross join lateral (select coalesce(sum(t.cost_usd), 0) as cost,
                                    coalesce(sum(t.estimate_usd) filter (where t.outcome is null), 0) as bound
                               from attempts t where t.batch_id = b.id) a
         cross join lateral (values ('usd_used', b.usd_used, a.cost), ('usd_bound', b.usd_bound, a.bound))
                            v(name, kept, told)
         where v.kept <> v.told and (cast(:owner as text) is null or b.owner = :owner)
        """,
    ),
    (
        "batch {batch}: {name} is not what its entries say",
        """
        select b.id as batch, v.name, v.kept as one, v.told as other from batches b
         cross join lateral (select coalesce(sum(e.usd_used), 0) as used, coalesce(sum(e.usd_reserved), 0) as reserved
                               from entries e where e.batch_id = b.id) a
         cross join lateral (values ('usd_used', b.usd_used, a.used),
                                    ('usd_reserved', b.usd_free + b.usd_bound, a.reserved)) v(name, kept, told)
         where v.kept <> v.told and (cast(:owner as text) is null or b.owner = :owner)
        """,
    ),
    (
        "attempt {attempt}: {name} is not what its entries say",
        """
        select t.id as attempt, 'cost_usd' as name, t.cost_usd as one, coalesce(sum(e.usd_used), 0) as other
          from attempts t join batches b on b.id = t.batch_id left join entries e on e.attempt_id = t.id
         where cast(:owner as text) is null or b.owner = :owner
         group by t.id, t.cost_usd having t.cost_usd <> coalesce(sum(e.usd_used), 0)
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Two figures that should be one."""

    what: str
    one: Decimal
    other: Decimal


@dataclass(frozen=True, slots=True)
class Spend:
    """What each owner spent in each period, by counters, entries and attempts, and where these differ."""

    totals: Sequence[dict[str, Any]]
    faults: Sequence[Fault]


def audit_spend(connection: Connection, owner: str | None = None, period: str | None = None) -> Spend:
    """Return the spend by owner and period, and every disagreement of the books; to be run in one transaction."""
    connection.execute(_SNAPSHOT)
    totals = [dict(row._mapping) for row in connection.execute(_TOTALS, {"owner": owner, "period": period})]
    return Spend(totals, list(_faults(connection, owner)))


def _faults(connection: Connection, owner: str | None) -> Iterator[Fault]:
    for what, question in _FAULTS:
        for row in connection.execute(text(question), {"owner": owner}):
            named = dict(row._mapping)
            one, other = named.pop("one"), named.pop("other")
            yield Fault(what.format(**named), one, other)
