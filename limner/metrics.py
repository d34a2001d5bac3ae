"""Metrics for Prometheus, read from the ledger: true over all processes, whichever of them is asked.

What has ended is summed once and kept: batches that ended before the sum was made are read again only when one of
them changed since, or after an hour. Each reading then looks at the batches that are younger, by index. Two readings
within ten seconds are one. No owner is named: who asks is nobody's business who may read metrics.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, TextClause, text

from limner.ledger.opening import Ledger
from limner.ledger.runs import SILENT_SECONDS

FRESH_SECONDS = 10.0
# An attempt that a batch left open is settled after the batch ended, and is in the sum only then.
REPEAT_SECONDS = 3600.0
# A batch that ended so long ago is in the sum.
_RESTED_SECONDS = 600

# Upper bounds in seconds: a sketch's milliseconds, a service's seconds, a video card's minutes.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)

_OF_SUM = "b.status <> 'open' and b.ended_at < :until"
_YOUNGER = f"not coalesce({_OF_SUM}, false)"

_ATTEMPTS = """
    select b.kind, t.provider, t.outcome, width_bucket(t.seconds, cast(:buckets as float8[])) as bucket,
           count(*) as number, coalesce(sum(t.seconds), 0) as seconds, sum(t.cost_usd) as usd
      from batches b join attempts t on t.batch_id = b.id
     where t.outcome is not null and {which} group by 1, 2, 3, 4
"""
_JOBS = """
    select b.kind, j.status, count(*) as number
      from batches b join jobs j on j.batch_id = b.id where {which} group by 1, 2
"""
_IN_SUM = text(f"select count(*) from batches b where {_OF_SUM}")  # noqa: S608 - our own words
_SUMMED = text(_ATTEMPTS.format(which=_OF_SUM)), text(_JOBS.format(which=_OF_SUM))
_LATE = text(_ATTEMPTS.format(which=_YOUNGER)), text(_JOBS.format(which=_YOUNGER))

_UNTIL = text("select now() - make_interval(secs => :seconds)")
_SLOTS = text("""
    select provider, l.taken, coalesce(s.waiting, 0) as waiting, s.oldest_wait_seconds, s.waited_seconds,
           greatest(0, extract(epoch from greatest(l.quiet_until, l.shut_until) - now())) as shut_seconds
      from limits l left join (
             select provider, count(*) filter (where granted_at is null) as waiting,
                    extract(epoch from now() - min(asked_at) filter (where granted_at is null)) as oldest_wait_seconds,
                    extract(epoch from avg(granted_at - asked_at)) as waited_seconds
               from slots where granted_at is not null or lease_until > now() group by provider) s using (provider)
     order by provider
""")
_BATCHES = text("select status, count(*) as number from batches where status <> 'complete' group by 1")
_RUNS = text("""
    select count(*) filter (where holder is not null and beat_at >= now() - make_interval(secs => :silent)) as alive,
           count(*) filter (where holder is not null and beat_at < now() - make_interval(secs => :silent)) as dead,
           count(*) filter (where holder is null) as waiting
      from runs where ended_at is null
""")
_OUTBOX = text("""
    select (select count(*) from outbox where status = 'waiting') as waiting,
           (select count(*) from outbox where status = 'dead') as dead
""")
_ONE_MOMENT = text("set transaction isolation level repeatable read, read only")


@dataclass(frozen=True, slots=True)
class Sums:
    """What only grows, of some batches: their attempts by kind, provider, outcome and bucket, their jobs by status."""

    attempts: Counter[tuple[str, str, str, int | None]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    usd: Counter[str] = field(default_factory=Counter)
    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            _by([*self.attempts.items(), *other.attempts.items()]),
            _by([*self.seconds.items(), *other.seconds.items()]),
            _by([*self.usd.items(), *other.usd.items()]),
            _by([*self.jobs.items(), *other.jobs.items()]),
        )


@dataclass(slots=True)
class _Kept:
    """What one process keeps of a ledger between two readings. until: batches that ended before are in `sums`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    said: bytes = b""
    said_at: float = float("-inf")
    sums: Sums = field(default_factory=Sums)
    batches: int = -1
    until: datetime | None = None
    summed_at: float = float("-inf")


_kept: WeakKeyDictionary[Ledger, _Kept] = WeakKeyDictionary()
_keeping = threading.Lock()


def exposition(ledger: Ledger, *, fresh_seconds: float = FRESH_SECONDS) -> bytes:
    """Return the metrics in Prometheus' text format, no older than `fresh_seconds`; raises LedgerUnreachable."""
    with _keeping:
        kept = _kept.setdefault(ledger, _Kept())
    with kept.lock:
        if time.monotonic() - kept.said_at >= fresh_seconds:
            families = ledger.run(lambda connection: _read(connection, kept), patience_seconds=0)
            registry = CollectorRegistry()
            registry.register(_Read(families))
            kept.said, kept.said_at = generate_latest(registry), time.monotonic()
        return kept.said


class _Read(Collector):
    """What was read, as prometheus_client wants it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _read(connection: Connection, kept: _Kept) -> list[Metric]:
    connection.execute(_ONE_MOMENT)
    return [*_pictures_and_attempts(_sums(connection, kept)), *_slots(connection), *_now(connection)]


def _sums(connection: Connection, kept: _Kept) -> Sums:
    """Return the sums over all batches: what is kept, and those that ended or changed since."""
    has_changed = connection.execute(_IN_SUM, {"until": kept.until}).scalar() != kept.batches
    if has_changed or time.monotonic() - kept.summed_at > REPEAT_SECONDS:
        until = connection.execute(_UNTIL, {"seconds": _RESTED_SECONDS}).scalar_one()
        batches = connection.execute(_IN_SUM, {"until": until}).scalar_one()
        kept.sums = _summed(connection, _SUMMED, until)
        kept.until, kept.batches, kept.summed_at = until, batches, time.monotonic()
    return kept.sums + _summed(connection, _LATE, kept.until)


def _summed(connection: Connection, statements: tuple[TextClause, TextClause], until: datetime | None) -> Sums:
    sums = Sums()
    attempts, jobs = statements
    for row in connection.execute(attempts, {"until": until, "buckets": list(BUCKETS)}):
        sums.attempts[row.kind, row.provider, row.outcome, row.bucket] += row.number
        sums.seconds[row.provider] += row.seconds
        sums.usd[row.provider] += row.usd
    for row in connection.execute(jobs, {"until": until}):
        sums.jobs[row.kind, row.status] += row.number
    return sums


def _pictures_and_attempts(sums: Sums) -> Iterator[Metric]:
    kinds, by = ("kind",), ("kind", "provider")
    asked = _by((kind, number) for (kind, _), number in sums.jobs.items())
    yield _counter("limner_pictures_asked", "Pictures that batches promised.", kinds, asked)
    yield _counter("limner_pictures_made", "Pictures made.", by, _with_outcome(sums, "made"))
    yield _counter("limner_pictures_rejected", "Pictures that a gate refused.", by, _with_outcome(sums, "rejected"))
    yield _counter("limner_pictures_reused", "Pictures that were there already.", kinds, _with_status(sums, "reused"))
    # What failed can still be made, and what is promised will be: neither only grows.
    yield _gauge("limner_pictures_failed", "Pictures that stand as failed.", kinds, _with_status(sums, "failed"))
    yield _gauge("limner_pictures_missing", "Pictures still to be made.", kinds, _with_status(sums, "promised"))
    attempts = _by(((provider, outcome), number) for (_, provider, outcome, _), number in sums.attempts.items())
    yield _counter("limner_attempts", "Calls of providers that have ended.", ("provider", "outcome"), attempts)
    yield _counter("limner_spend_usd", "Money spent, in USD.", ("provider",), sums.usd)
    yield _histogram(sums)


def _histogram(sums: Sums) -> Metric:
    family = HistogramMetricFamily("limner_attempt_seconds", "How long calls of providers took.", labels=["provider"])
    timed = _by(((who, bucket), number) for (_, who, _, bucket), number in sums.attempts.items() if bucket is not None)
    for provider in sorted({provider for provider, _ in timed}):
        total, buckets = 0, []
        for bucket, bound in enumerate((*map(str, BUCKETS), "+Inf")):
            total += timed[provider, bucket]
            buckets.append((bound, float(total)))
        family.add_metric([provider], buckets, sum_value=float(sums.seconds[provider]))
    return family


def _slots(connection: Connection) -> Iterator[Metric]:
    rows = connection.execute(_SLOTS).all()
    for name, what in (
        ("taken", "Calls under way."),
        ("waiting", "Processes whose next call waits for a slot."),
        ("oldest_wait_seconds", "How long the call that waits longest has waited."),
        ("waited_seconds", "How long the calls under way had waited, on average."),
        ("shut_seconds", "How much longer nobody calls: the provider asked for quiet, or only breaks."),
    ):
        told = {row.provider: row._mapping[name] for row in rows if row._mapping[name] is not None}
        yield _gauge(f"limner_slots_{name}", what, ("provider",), told)


def _now(connection: Connection) -> Iterator[Metric]:
    batches: dict[Any, Any] = {"open": 0, "short": 0, "cancelled": 0}
    batches |= {row.status: row.number for row in connection.execute(_BATCHES)}
    yield _gauge("limner_batches", "Batches that are not complete.", ("status",), batches)
    runs = connection.execute(_RUNS, {"silent": SILENT_SECONDS}).one()._asdict()
    yield _gauge("limner_runs", "Flow runs at work, silent, or begun by nobody yet.", ("state",), runs)
    outbox = connection.execute(_OUTBOX).one()._asdict()
    yield _gauge("limner_webhook_messages", "Messages to deliver, and those given up.", ("status",), outbox)


def _with_outcome(sums: Sums, outcome: str) -> Counter[Any]:
    return _by(((kind, who), number) for (kind, who, what, _), number in sums.attempts.items() if what == outcome)


def _with_status(sums: Sums, status: str) -> Counter[Any]:
    return _by((kind, number) for (kind, what), number in sums.jobs.items() if what == status)


def _by(numbers: Iterable[tuple[Any, Any]]) -> Counter[Any]:
    """Return the sum of each key's numbers, also where it is zero."""
    summed: Counter[Any] = Counter()
    for key, number in numbers:
        summed[key] += number
    return summed


def _counter(name: str, what: str, labels: tuple[str, ...], numbers: Mapping[Any, Any]) -> Metric:
    return _told(CounterMetricFamily(name, what, labels=labels), numbers)


def _gauge(name: str, what: str, labels: tuple[str, ...], numbers: Mapping[Any, Any]) -> Metric:
    return _told(GaugeMetricFamily(name, what, labels=labels), numbers)


def _told(
    family: CounterMetricFamily | GaugeMetricFamily, numbers: Mapping[str | tuple[str, ...], Any]
) -> CounterMetricFamily | GaugeMetricFamily:
    for key in sorted(numbers, key=str):
        family.add_metric([key] if isinstance(key, str) else key, float(numbers[key]))
    return family
