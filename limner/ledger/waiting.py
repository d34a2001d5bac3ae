"""What a batch waits for, as the ledger knows it: the facts of one moment, and the sentences they come to.

Knows nothing of Prefect: why a run does not begin is said by `deployments/why.py`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, text

from limner.ledger import limits, money, quota, reports, runs
from limner.ledger.limits import InLine, State
from limner.ledger.plans import Batch
from limner.ledger.reports import Counts
from limner.ledger.runs import Run
from limner.tiers import BATCH_STEP, Tier

# Whoever makes the batch's pictures: the processes of its runs, and those that hold what no other batch wants.
_HOLDERS = text("""
    select holder from runs where batch_id = :batch and ended_at is null and holder is not null
     union
    select c.holder from claims c join jobs j using (order_key)
     where j.batch_id = :batch and j.status in ('promised', 'failed') and not exists (
        select from jobs o join batches b on b.id = o.batch_id
         where o.order_key = c.order_key and b.id <> :batch and b.status = 'open')
""")
_HELD = text("""
    select o.batch_id as batch, b.owner, count(distinct j.order_key)::int as pictures
      from jobs j join claims c using (order_key) join jobs o using (order_key) join batches b on b.id = o.batch_id
     where j.batch_id = :batch and j.status in ('promised', 'failed') and c.lease_until > clock_timestamp()
       and c.holder <> all(:ours) and b.id <> :batch and b.status = 'open'
     group by o.batch_id, b.owner order by pictures desc, batch
""")
_CALLS = text("""
    select provider, count(*)::int as calls from attempts where batch_id = :batch and outcome is null group by provider
""")
_RUN_IDS = text("select id from runs where batch_id = :batch order by started_at")
_NOW = text("select clock_timestamp()")


@dataclass(frozen=True, slots=True)
class Crowd:
    """An owner's calls of a provider, under way or in line; interactive: somebody waits for these."""

    owner: str
    interactive: bool
    number: int


@dataclass(frozen=True, slots=True)
class AtProvider:
    """A batch at a provider: its open calls, who calls now, and, where it stands in line, who is served before it."""

    provider: str
    state: State
    calls: int
    under_way: tuple[Crowd, ...]
    ahead: tuple[Crowd, ...] | None


@dataclass(frozen=True, slots=True)
class Held:
    """Pictures that a batch wants and that another batch's run is making."""

    batch: str
    owner: str
    pictures: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a batch stands.

    run_ids: of all flow runs that ever worked on it; runs: those that have not ended. short: pictures that nothing is
    reserved for; left: what its owner may still ask for.
    """

    batch: Batch
    run_ids: tuple[str, ...]
    now: datetime
    counts: Counts
    runs: tuple[Run, ...]
    providers: tuple[AtProvider, ...]
    held: tuple[Held, ...]
    short: int
    pictures_left: int | None
    usd_left: Decimal | None

    @property
    def missing(self) -> int:
        return self.counts.promised + self.counts.failed


def standing(connection: Connection, batch: Batch, tier: Tier) -> Standing:
    """Read how a batch stands; `tier` is its owner's. Many statements, in one transaction for one moment."""
    asked = {"batch": batch.id}
    ours = list(connection.execute(_HOLDERS, asked).scalars())
    held = connection.execute(_HELD, asked | {"ours": ours})
    return Standing(
        batch=batch,
        run_ids=tuple(connection.execute(_RUN_IDS, asked).scalars()),
        now=connection.execute(_NOW).scalar_one(),
        counts=reports.counts(connection, batch.id),
        runs=tuple(one for one in runs.unfinished(connection) if one.batch_id == batch.id),
        providers=tuple(_providers(connection, batch, ours)),
        held=tuple(Held(**row._mapping) for row in held),
        short=quota.pictures_short(connection, batch.id),
        pictures_left=quota.pictures_left(connection, batch.owner, batch.period, tier.pictures_a_month),
        usd_left=money.owners_usd_left(connection, batch.owner, batch.period, tier.budget_usd_a_month),
    )


def _providers(connection: Connection, batch: Batch, ours: list[str]) -> Iterator[AtProvider]:
    calls: dict[str, int] = {row.provider: row.calls for row in connection.execute(_CALLS, {"batch": batch.id})}
    for provider in dict.fromkeys((*batch.chain, *calls)):
        line = limits.queue(connection, provider)
        # A process that makes two batches of one owner has one place for both.
        places = [one.ahead for one in line if one.ahead is not None and _is_of(one, batch, ours)]
        ahead = [one for one in line if places and one.ahead is not None and one.ahead < min(places)]
        yield AtProvider(
            provider=provider,
            state=limits.look(connection, provider) or State(),
            calls=calls.get(provider, 0),
            under_way=_crowds(one for one in line if one.ahead is None),
            ahead=_crowds(ahead) if places else None,
        )


def _is_of(one: InLine, batch: Batch, ours: list[str]) -> bool:
    return one.holder in ours and one.owner == batch.owner and _is_interactive(one) == batch.interactive


def _is_interactive(one: InLine) -> bool:
    return one.priority <= BATCH_STEP


def _crowds(line: Iterable[InLine]) -> tuple[Crowd, ...]:
    counted = Counter((one.owner, _is_interactive(one)) for one in line)
    return tuple(Crowd(owner, interactive, number) for (owner, interactive), number in counted.items())


# -- in sentences --------------------------------------------------------------------------------------------------


def sentences(now: Standing) -> list[str]:
    """Say how far a batch is and what it waits for, the nearest first."""
    said = [_how_far(now)]
    if now.batch.status == "complete" or not now.missing:
        return said
    said += [_of_run(run) for run in now.runs]
    if any(run.is_alive() for run in now.runs):
        return [*said, *_held(now), *(one for at in now.providers for one in _at_provider(at, now))]
    if not now.runs:
        said.append("No run works on it; retry its run, or ask for the same again, and what is missing is made.")
    return [*said, *_quota(now)]


def _how_far(now: Standing) -> str:
    batch, counts = now.batch, now.counts
    there = f"{counts.made + counts.reused} of {batch.asked} pictures of {batch.id} ({batch.title}) are there"
    if not now.missing:
        return f"{there}: it is complete."
    waits = " Somebody waits for it: its calls go before those of other batches." if batch.interactive else ""
    return f"{there}, {counts.promised} are to be made and {counts.failed} have failed.{waits}"


def _of_run(run: Run) -> str:
    heard = f"{run.silent_seconds:.0f} s ago"
    if run.holder is None:
        return f"Run {run.id} is to be begun again: it was resumed {heard}."
    if not run.is_dead():
        return f"Run {run.id} is at work, last heard of {heard}."
    if run.may_be_resumed:
        return f"Run {run.id} has died, last heard of {heard}; a sweeper resumes it within a minute."
    return f"Run {run.id} died {run.resumed} times with no picture in between and is not resumed; see its log."


def _held(now: Standing) -> Iterator[str]:
    for one in now.held:
        yield f"{one.pictures} of its pictures are being made by {one.batch} of {one.owner}; it takes them from there."


def _at_provider(at: AtProvider, now: Standing) -> Iterator[str]:
    state = at.state
    if at.calls:
        yield f"{at.provider}: {at.calls} of its calls are under way."
    if state.quiet_seconds > 0:
        yield f"{at.provider}: wants no calls (Retry-After) {_until(now, state.quiet_seconds)}."
    if state.shut_seconds > 0:
        until = _until(now, state.shut_seconds)
        yield f"{at.provider}: broke {state.broken_in_a_row} times in a row and is left alone {until}."
    if at.ahead is None:
        return
    before = f"behind {_named(at.ahead)}" if at.ahead else "and is next"
    yield f"{at.provider}: it waits for a call {before}; under way: {_named(at.under_way) or 'none'}."
    if state.pause_seconds <= 0 and state.rate_seconds > 0:
        yield f"{at.provider}: its rate allows the next call in {state.rate_seconds:.0f} s."
    if state.pause_seconds <= 0 and state.at_most is not None:
        yield f"{at.provider}: has been away, and takes up to {max(1, state.at_most)} at once until more are answered."


def _quota(now: Standing) -> Iterator[str]:
    owner, period = now.batch.owner, now.batch.period
    if now.pictures_left is not None and now.pictures_left < now.short:
        yield f"{owner} may make {now.pictures_left} more pictures in {period}, and {now.short} are to be made."
    if now.usd_left is not None and now.usd_left <= 0:
        yield f"The money of {owner} for {period} is used up or reserved."


def _named(crowds: Iterable[Crowd]) -> str:
    return ", ".join(f"{one.number} of {one.owner}{' (interactive)' if one.interactive else ''}" for one in crowds)


def _until(now: Standing, seconds: float) -> str:
    return f"until {now.now + timedelta(seconds=seconds):%H:%M:%S} UTC, another {seconds:.0f} s"
