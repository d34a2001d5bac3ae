"""Runs: which flow run works on which batch, whether its process lives, and how often it was resumed.

A run is over when its process says so. One whose process is gone without a word is dead: known at once where the
process ran on this host, by its silence where it ran on another. Knows nothing of Prefect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from limner.ledger.holders import is_here, is_provably_dead

# A run says that it lives at most this often.
BEAT_SECONDS = 5.0
# On another host, whoever was silent for longer is taken for dead.
SILENT_SECONDS = 25.0
# On this one, whoever started the process may say first how it ended.
GRACE_SECONDS = 8.0

# A run that died so often, with nothing made in between, is not resumed again.
MOST_RESUMED = 5

_BEGIN = text("""
    insert into runs (id, batch_id, holder) values (:run, :batch, :holder)
    on conflict (id) do update
       set holder = excluded.holder, started_at = now(), beat_at = now(), ended_at = null
""")
_BEAT = text("""
    update runs set beat_at = clock_timestamp()
     where holder = :holder and ended_at is null and beat_at < clock_timestamp() - make_interval(secs => :seconds)
""")
_END = text("update runs set ended_at = now() where batch_id = :batch and holder = :holder and ended_at is null")

_HAS_PROGRESSED = """exists (
    select from jobs j where j.batch_id = r.batch_id and j.status in ('made', 'reused') and j.settled_at > r.started_at
)"""
_RUNS = f"""
    select r.id, r.batch_id, b.status as batch_status, r.holder, r.ended_at is not null as has_ended, r.resumed,
           {_HAS_PROGRESSED} as has_progressed,
           extract(epoch from clock_timestamp() - r.beat_at)::float8 as silent_seconds
      from runs r join batches b on b.id = r.batch_id
"""  # noqa: S608 - our own words
_UNFINISHED = text(f"{_RUNS} where r.ended_at is null order by r.id")
_NAMED = text(f"{_RUNS} where r.id = any(:ids) order by r.id")
_OTHERS = text(f"{_RUNS} where r.batch_id = :batch and r.id <> :run and r.ended_at is null")

# Whoever is first resumes it; nobody holds it until its next process begins.
_RESUME = text(f"""
    update runs r set resumed = case when {_HAS_PROGRESSED} then 1 else resumed + 1 end,
                      holder = null, started_at = now(), beat_at = now(), ended_at = null
     where id = :run and holder is not distinct from :holder and resumed = :resumed
    returning resumed
""")  # noqa: S608
_LET_GO = text("update runs set holder = null, beat_at = now() where id = :run and holder = :holder")
_CLOSE = text("""
    update runs set ended_at = now() where id = :run and holder is not distinct from :holder and ended_at is null
""")


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the ledger knows it. holder: None while it waits to be begun (again).

    has_progressed: whether its batch got a picture since it began.
    """

    id: str
    batch_id: str
    batch_status: str
    holder: str | None
    has_ended: bool
    resumed: int
    has_progressed: bool
    silent_seconds: float

    @property
    def may_be_resumed(self) -> bool:
        return self.has_progressed or self.resumed < MOST_RESUMED

    def is_dead(self, *, silence_counts: bool = True) -> bool:
        """Say whether its process is gone; False while nobody holds it.

        silence_counts: not where nobody could have been heard, since the ledger itself was away.
        """
        if self.holder is None:
            return False
        if is_here(self.holder):
            return self.silent_seconds > GRACE_SECONDS and is_provably_dead(self.holder)
        return silence_counts and self.silent_seconds > SILENT_SECONDS

    def is_alive(self) -> bool:
        """Say whether its process may be at work."""
        return self.holder is not None and not self.has_ended and not self.is_dead()


def begin(connection: Connection, run_id: str, batch_id: str, holder: str) -> None:
    """Note that a process works on a flow run's batch, for the first time or again."""
    connection.execute(_BEGIN, {"run": run_id, "batch": batch_id, "holder": holder})


def beat(connection: Connection, holder: str) -> None:
    """Say that a process is alive, for all runs that it works on."""
    connection.execute(_BEAT, {"holder": holder, "seconds": BEAT_SECONDS - 1})


def end(connection: Connection, batch_id: str, holder: str) -> None:
    """Note that a process works on a batch no longer."""
    connection.execute(_END, {"batch": batch_id, "holder": holder})


def unfinished(connection: Connection) -> list[Run]:
    """Return the runs that have not ended, dead or alive."""
    return [Run(**row._mapping) for row in connection.execute(_UNFINISHED)]


def named(connection: Connection, ids: Sequence[str]) -> dict[str, Run]:
    """Return runs by their ids, as far as the ledger knows them."""
    return {row.id: Run(**row._mapping) for row in connection.execute(_NAMED, {"ids": list(ids)})}


def others_at_work(connection: Connection, run: Run) -> bool:
    """Say whether another run of the same batch is at work, or about to be."""
    others = [Run(**row._mapping) for row in connection.execute(_OTHERS, {"batch": run.batch_id, "run": run.id})]
    return any(one.holder is None or one.is_alive() for one in others)


def resume(connection: Connection, run: Run) -> int | None:
    """Have a dead run wait for its next process; return how often in a row it was now, None where another was first."""
    asked = {"run": run.id, "holder": run.holder, "resumed": run.resumed}
    resumed: int | None = connection.execute(_RESUME, asked).scalar()
    return resumed


def let_go(connection: Connection, run: Run) -> None:
    """Forget the dead process of a run that somebody else has scheduled again."""
    connection.execute(_LET_GO, {"run": run.id, "holder": run.holder})


def close(connection: Connection, run: Run) -> None:
    """Note that a run is over, unless it was begun again meanwhile."""
    connection.execute(_CLOSE, {"run": run.id, "holder": run.holder})
