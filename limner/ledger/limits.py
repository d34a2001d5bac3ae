"""What each provider allows, over all processes together: its slots, its rate, its pauses and its breaker.

A provider has a row in `limits`, whose lock decides who gets the last slot, a row in `slots` for every call and for the
first in line of each owner in each process, and one in `turns` for every owner it has served. All times are the
database's. Each function is one statement, one round trip, unless it says otherwise. Knows nothing of threads and of
how anybody waits; `limner/limiter.py` does.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from limner.ledger.holders import is_provably_dead

# Whoever waits listens here; what is said is "<who> <how it ended> <provider>".
CHANNEL = "limner_slots"

# More calls at once than any service allows: no limit.
ANY = 1_000_000

# How long one who waits keeps its place without asking again: a sleeper may not hold others up for long.
WAITING_SECONDS = 6.0

# Calls arrive a little unevenly however evenly they start: an interval is this much longer than the service's, so that
# no honest service sees two too close. A start that came late is made up for by half of that.
_STRETCH = 1.02

# A call that is due within this is granted at once and started when it is due; a second question would take longer.
_NEARLY_SECONDS = 0.005
_EARLY_SECONDS = 0.004

# A service has said no within this. Where calls are further apart, none follows another that may yet be refused.
_NO_SECONDS = 0.5

# After a pause one goes first, then one more, since a service that counts a minute takes one and refuses the next; then
# the number of calls under way doubles with each good answer, up to this.
_FREE_AGAIN = 32

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a provider that only breaks is left alone, and for how long.

    failures: breakages in a row, and nothing else for lasting_seconds; a few prompts that break a service among others
    that do not never shut it. shut_seconds: doubles, up to longest_seconds, while it goes on.
    """

    failures: int = 5
    lasting_seconds: float = 15.0
    shut_seconds: float = 30.0
    longest_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Terms:
    """A provider's limits in the terms of the ledger; `spacing_seconds` is 0 where no rate is known."""

    at_once: int = ANY
    spacing_seconds: float = 0.0

    @property
    def interval_seconds(self) -> float:
        return self.spacing_seconds * _STRETCH


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody's place in line for a call, or their call once granted.

    priority: 1 is served first. owner: among equal priorities owners take turns.
    """

    id: str
    provider: str
    holder: str
    priority: int
    owner: str = ""


@dataclass(frozen=True, slots=True)
class InLine:
    """Somebody at a provider. ahead: how many are served before them; None for a call that is under way."""

    holder: str
    owner: str
    priority: int
    ahead: int | None


class Ended(StrEnum):
    """How a call ended, for the provider's limits: `left` says nothing of the provider. `unasked`: it never began."""

    UNASKED = "unasked"
    LEFT = "left"
    GOOD = "good"
    BROKEN = "broken"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class State:
    """How a provider stands: seconds until it may be called again (0 or less: now), and calls under way.

    at_most: after a pause, how many may be under way of those granted since; `under_way` is how many are. 0: one, and
    none was answered yet.
    """

    quiet_seconds: float = 0.0
    shut_seconds: float = 0.0
    rate_seconds: float = 0.0
    taken: int = 0
    at_most: int | None = None
    under_way: int = 0
    broken_in_a_row: int = 0
    times_shut: int = 0

    def after(self, seconds: float) -> "State":
        """Return how it stands so much later, if nothing else happens."""
        return replace(
            self,
            quiet_seconds=self.quiet_seconds - seconds,
            shut_seconds=self.shut_seconds - seconds,
            rate_seconds=self.rate_seconds - seconds,
        )

    @property
    def pause_seconds(self) -> float:
        return max(self.quiet_seconds, self.shut_seconds)

    @property
    def is_shut(self) -> bool:
        """Whether the breaker is open, or half open with its one call under way."""
        return self.shut_seconds > 0 or (self.times_shut > 0 and self.under_way > 0)

    @property
    def is_troubled(self) -> bool:
        return self.pause_seconds > 0 or self.at_most is not None or self.broken_in_a_row > 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the ledger said to somebody who wants to call: yes, to start in so many seconds, or not yet.

    ahead: how many others who wait are served before them. served_seconds: how long ago their owner was served last;
    None is never.
    """

    granted: bool
    start_seconds: float
    ahead: int
    state: State
    served_seconds: float | None = None

    def wait_seconds(self, terms: Terms) -> float | None:
        """Return when to ask again after a no; None when only somebody else's end can help."""
        state = self.state
        is_full = state.taken + self.ahead >= terms.at_once
        is_behind = state.at_most is not None and state.under_way + self.ahead >= max(1, state.at_most)
        if is_full or is_behind:
            return None
        rate = state.rate_seconds + self.ahead * terms.interval_seconds - _EARLY_SECONDS if terms.spacing_seconds else 0
        # Where nothing stands in the way, somebody was quicker this moment: it has changed since.
        return max(state.pause_seconds, rate, 0.001)


_STATE = """
    coalesce(extract(epoch from quiet_until - clock_timestamp()), 0)::float8 as quiet_seconds,
    coalesce(extract(epoch from shut_until - clock_timestamp()), 0)::float8 as shut_seconds,
    coalesce(extract(epoch from next_call_at - clock_timestamp()), 0)::float8 as rate_seconds,
    taken, at_most, under_way, broken_in_a_row, times_shut
"""
_ENSURE = text("insert into limits (provider) values (:provider) on conflict do nothing")
_LOOK = text(f"select {_STATE} from limits where provider = :provider")  # noqa: S608 - our own words

_IS_SANE = "next_call_at < clock_timestamp() + make_interval(secs => :interval + 60)"

# Who waits at a provider, in the order they are served: by priority; then in rounds, in which each owner has one call,
# the one served longest ago first; then by who asked first.
_IN_LINE = """
    select id, served_at,
           (row_number() over (order by priority, round, served_at nulls first, asked_at, id) - 1)::int as ahead
      from (
        select id, owner, priority, asked_at, served_at,
               row_number() over (partition by priority, owner order by asked_at, id) as round
          from ({waiting}) as waiting left join turns using (provider, owner)
      ) as in_rounds
"""
_WAITING = """
    select id, provider, owner, priority, asked_at from slots
     where provider = :provider and granted_at is null and lease_until > clock_timestamp()
"""
_AND_MINE = """
       and id <> :id
     union all
    select cast(:id as text), cast(:provider as text), cast(:owner as text), cast(:priority as int), asked_at from mine
"""

# The conditions of the grant are on the provider's own row, so that whoever waited for its lock judges it anew; who is
# ahead is judged by what was committed before, and an error there costs a place in line, never a limit. A clock that
# was set back must not stop a provider: no next call is further off than an interval and a minute. Whoever lost the
# answer asks again: they have their slot by then.
_ASK = text(f"""
    with mine as (
        select coalesce((select asked_at from slots where id = :id),
                        clock_timestamp() - make_interval(secs => :waited)) as asked_at
    ), line as (
        select ahead, served_at from ({_IN_LINE.format(waiting=_WAITING + _AND_MINE)}) as in_line where id = :id
    ), had as (
        select from slots where id = :id and granted_at is not null
    ), granted as (
        update limits
           set taken = taken + 1,
               under_way = under_way + 1,
               next_call_at = case when :interval > 0 then greatest(
                   case when {_IS_SANE} then next_call_at + make_interval(secs => :interval) end,
                   clock_timestamp() + make_interval(secs => :interval - :late)
               ) end
          from line
         where provider = :provider
           and not exists (select from had)
           and taken + ahead < :at_once
           and (at_most is null or under_way + ahead < greatest(1, at_most))
           and greatest(quiet_until, shut_until, '-infinity') <= clock_timestamp()
           and (:interval = 0 or next_call_at is null or not {_IS_SANE}
                or next_call_at + make_interval(secs => ahead * :interval - :nearly) <= clock_timestamp())
        returning limits.pauses,
                  extract(epoch from next_call_at - clock_timestamp())::float8 - :interval as start_seconds
    ), served as (
        insert into turns (provider, owner, served_at) select :provider, :owner, clock_timestamp() from granted
        on conflict (provider, owner) do update set served_at = excluded.served_at
    ), place as (
        insert into slots (id, provider, holder, priority, owner, asked_at, granted_at, pauses, lease_until)
        select :id, :provider, :holder, :priority, :owner, asked_at, (select clock_timestamp() from granted),
               (select pauses from granted),
               clock_timestamp()
                   + make_interval(secs => case when exists (select from granted) then :lease else :waiting end)
          from mine
         where not exists (select from had)
        on conflict (id) do update
           set granted_at = excluded.granted_at, pauses = excluded.pauses, lease_until = excluded.lease_until
    )
    select exists (select from granted) or exists (select from had) as granted,
           coalesce((select start_seconds from granted), 0)::float8 as start_seconds,
           (select ahead from line) as ahead,
           (select extract(epoch from clock_timestamp() - served_at)::float8 from line) as served_seconds,
           {_STATE}
      from limits where provider = :provider
""")  # noqa: S608 - our own words


def _end(under_way: str = "", more: str = "") -> TextClause:
    """Return the statement that gives a slot, or a place in line, back, notes `more` and wakes who waits."""
    still = "greatest(0, under_way - (select count(*) from gone where gone.pauses = limits.pauses))"
    return text(f"""
        with gone as (
            delete from slots where id = :id returning granted_at, pauses
        ), changed as (
            update limits
               set taken = greatest(0, taken - (select count(*) from gone where granted_at is not null)),
                   under_way = {under_way.format(still=still) or still}
                   {more}
             where provider = :provider
            returning *
        )
        select {_STATE}, pg_notify('{CHANNEL}', :payload) from changed
    """)  # noqa: S608 - our own words


# An answer that came while the pause still lasts was accepted before it, and says nothing of what follows. Where the
# rate is known, it spaces the rest; where it is not, they must not all come at once.
_GOOD = """
    , broken_since = null, broken_in_a_row = 0, times_shut = 0, shut_until = null,
    at_most = case when quiet_until > clock_timestamp() then at_most
                   when at_most is null or :paced or 2 * at_most >= :free then null
                   else greatest(1, 2 * at_most) end
"""
# A breakage of a call that began before the provider was shut does not shut it for longer.
_OPENS = """(
    broken_in_a_row + 1 >= :failures
    and coalesce(broken_since, clock_timestamp()) <= clock_timestamp() - make_interval(secs => :lasting)
    and coalesce(shut_until, '-infinity') <= clock_timestamp()
)"""
_BROKEN = f"""
    , broken_in_a_row = broken_in_a_row + 1,
    broken_since = case when broken_in_a_row = 0 then clock_timestamp() else broken_since end,
    shut_until = case when {_OPENS} then clock_timestamp()
        + make_interval(secs => least(:shut * 2 ^ least(times_shut, 20), :longest)) else shut_until end,
    times_shut = times_shut + {_OPENS}::int,
    pauses = pauses + {_OPENS}::int,
    at_most = case when {_OPENS} then 0 else at_most end
"""
# The service did not take this call, so that it counts towards no rate. One then goes first, unless the rate alone sees
# to it that no crowd follows.
_BUSY = """
    , quiet_until = greatest(quiet_until, clock_timestamp() + make_interval(secs => :seconds)),
    next_call_at = next_call_at - make_interval(secs => :interval) * (select count(*) from gone),
    pauses = pauses + 1,
    at_most = case when :interval > :no then at_most else 0 end
"""
_ENDS = {
    Ended.UNASKED: _end(),
    Ended.LEFT: _end(),
    Ended.GOOD: _end(more=_GOOD),
    Ended.BROKEN: _end(f"case when {_OPENS} then 0 else {{still}} end", _BROKEN),
    Ended.BUSY: _end("0", _BUSY),
}

_RENEW = text("""
    update slots set lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => :lease))
     where id = any(:ids)
""")
_HOLDERS = text("""
    select holder, bool_or(lease_until < clock_timestamp()) as has_expired from slots
     where provider = :provider group by holder
""")
_IS_MISCOUNTED = text("""
    select taken <> (select count(*) from slots where provider = :provider and granted_at is not null)
      from limits where provider = :provider
""")
_LOCK = text("select from limits where provider = :provider for update")
# Somebody who gives their own row back this moment counts it off themselves.
_SWEEP = text("""
    delete from slots where id in (
        select id from slots
         where provider = :provider and (lease_until < clock_timestamp() or holder = any(:dead))
           for update skip locked
    )
""")
_RECOUNT = text(f"""
    update limits
       set taken = (select count(*) from slots s where s.provider = :provider and granted_at is not null),
           under_way = (select count(*) from slots s where s.provider = :provider and s.pauses = limits.pauses)
     where provider = :provider
    returning pg_notify('{CHANNEL}', :payload)
""")  # noqa: S608 - our own words
_QUEUE = text(f"""
    select holder, owner, priority, ahead
      from slots left join ({_IN_LINE.format(waiting=_WAITING)}) as in_line using (id)
     where provider = :provider and lease_until > clock_timestamp() order by ahead nulls first
""")  # noqa: S608 - our own words
_HELD_BY = text("select distinct provider from slots where holder = :holder order by provider")


def ensure(connection: Connection, provider: str) -> None:
    """Have a row for a provider."""
    connection.execute(_ENSURE, {"provider": provider})


def look(connection: Connection, provider: str) -> State | None:
    """Return how a provider stands; None for one that nobody had trouble with and that has no limits."""
    row = connection.execute(_LOOK, {"provider": provider}).one_or_none()
    return None if row is None else _state(row)


def queue(connection: Connection, provider: str) -> list[InLine]:
    """Return whose calls of a provider are under way, and who waits, in the order they are served."""
    return [InLine(**row._mapping) for row in connection.execute(_QUEUE, {"provider": provider})]


def ask(
    connection: Connection, place: Place, terms: Terms, waited_seconds: float, lease_seconds: float
) -> Reply | None:
    """Take a slot and the rate's next moment, or a place in line; None when the provider has no row yet."""
    asked = {
        "id": place.id,
        "provider": place.provider,
        "holder": place.holder,
        "priority": place.priority,
        "owner": place.owner,
        "waited": waited_seconds,
        "at_once": terms.at_once,
        "interval": terms.interval_seconds,
        "late": (terms.interval_seconds - terms.spacing_seconds) / 2,
        "nearly": _NEARLY_SECONDS,
        "lease": lease_seconds,
        "waiting": WAITING_SECONDS,
    }
    row = connection.execute(_ASK, asked).one_or_none()
    if row is None:
        return None
    return Reply(row.granted, max(0.0, row.start_seconds), row.ahead, _state(row), row.served_seconds)


def end(
    connection: Connection, place: Place, ended: Ended, terms: Terms, breaker: Breaker, seconds: float = 0.0
) -> State | None:
    """Give a slot or a place in line back, if it is still ours, with what is known of the provider now.

    seconds: of quiet, for `busy`. None when the provider has no row.
    """
    told: dict[str, Any] = {"id": place.id, "provider": place.provider, "payload": _payload(place, ended)}
    if ended is Ended.GOOD:
        told |= {"paced": terms.spacing_seconds > 0, "free": min(terms.at_once, _FREE_AGAIN)}
    elif ended is Ended.BROKEN:
        told |= {"failures": breaker.failures, "lasting": breaker.lasting_seconds}
        told |= {"shut": breaker.shut_seconds, "longest": breaker.longest_seconds}
    elif ended is Ended.BUSY:
        told |= {"seconds": min(max(0.0, seconds), _DAY_SECONDS), "interval": terms.interval_seconds}
        told |= {"no": _NO_SECONDS}
    row = connection.execute(_ENDS[ended], told).one_or_none()
    return None if row is None else _state(row)


def renew(connection: Connection, ids: Collection[str], lease_seconds: float) -> None:
    """Keep slots for another lease."""
    connection.execute(_RENEW, {"ids": list(ids), "lease": lease_seconds})


def find_lost(connection: Connection, provider: str) -> tuple[str, ...] | None:
    """Return the holders of a provider's slots that are provably dead; None when nothing there is lost.

    Two statements.
    """
    rows = connection.execute(_HOLDERS, {"provider": provider}).all()
    dead = tuple(row.holder for row in rows if is_provably_dead(row.holder))
    is_lost = dead or any(row.has_expired for row in rows)
    # Nothing of ours can miscount; somebody who deleted a row by hand can.
    return dead if is_lost or connection.execute(_IS_MISCOUNTED, {"provider": provider}).scalar() else None


def sweep(connection: Connection, provider: str, dead: Collection[str]) -> None:
    """Free what dead holders and run-out leases hold, and count anew. A few statements: for `Ledger.run`."""
    connection.execute(_LOCK, {"provider": provider})
    connection.execute(_SWEEP, {"provider": provider, "dead": list(dead)})
    connection.execute(_RECOUNT, {"provider": provider, "payload": f"- {Ended.UNASKED} {provider}"})


def leave(connection: Connection, holder: str) -> None:
    """Free everything that a holder has. A few statements: for `Ledger.run`."""
    for (provider,) in connection.execute(_HELD_BY, {"holder": holder}).all():
        sweep(connection, provider, [holder])


def heard(payload: str) -> tuple[str, str, str]:
    """Return who ended something, by the last part of their name, how it ended, and at which provider."""
    who, ended, provider = payload.split(" ", 2)
    return who, ended, provider


def _payload(place: Place, ended: Ended) -> str:
    return f"{place.holder.rpartition('|')[2]} {ended} {place.provider}"


def _state(row: Row[Any]) -> State:
    return State(
        quiet_seconds=row.quiet_seconds,
        shut_seconds=row.shut_seconds,
        rate_seconds=row.rate_seconds,
        taken=row.taken,
        at_most=row.at_most,
        under_way=row.under_way,
        broken_in_a_row=row.broken_in_a_row,
        times_shut=row.times_shut,
    )
