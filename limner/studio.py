"""A room of the studio: everything a press works with, opened once per process.

Knows nothing of Prefect; blocks and settings say what a room is made of, the press only uses it.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from limner.bucket import Bucket
from limner.chain import Patience
from limner.errors import UnknownProvider
from limner.ledger import runs
from limner.ledger.claims import Holder
from limner.ledger.limits import Breaker
from limner.ledger.opening import Ledger
from limner.ledger.plans import Batch, get_batch
from limner.limiter import Limiter
from limner.progress import Progress, Watcher
from limner.providers.seam import Provider
from limner.quality.gates import Gate
from limner.steps import Fuse, Step
from limner.tiers import Tier, load_tiers

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Rules:
    """The studio's policies, each in this one place.

    concurrency: this process's calls at once at each provider. reuse_days: 0 is for ever. bucket_patience_seconds: how
    long a picture that was paid for waits for a bucket that is away. chains: a tier's providers in turn, where the
    studio differs from it. cluster: the Dask scheduler whose workers make large batches; empty: this process does.
    """

    concurrency: int = 3
    reuse_days: float = 7
    patience: Patience = field(default_factory=Patience)
    breaker: Breaker = field(default_factory=Breaker)
    bucket_patience_seconds: float = 150
    chains: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cluster: str = ""


class Room:
    """An open ledger, bucket, providers and gates, with what bounds their calls."""

    def __init__(
        self,
        ledger: Ledger,
        holder: Holder,
        bucket: Bucket,
        providers: Mapping[str, Provider],
        gates: Mapping[str, Gate],
        rules: Rules,
        fuse: Fuse | None = None,
    ) -> None:
        self.ledger = ledger
        self.holder = holder
        self.bucket = bucket
        self.providers = providers
        self.gates = gates
        self.rules = rules
        holder.beat_also(lambda connection: runs.beat(connection, holder.name))
        self.limiter = Limiter(ledger, holder, rules.concurrency, rules.breaker)
        # Pixels take tens of megabytes and a core each: more pictures looked at at once than cores only cost memory.
        self.eyes = threading.BoundedSemaphore(os.cpu_count() or 1)
        # Set while a picture could not be stored: nothing more is paid for until the bucket was seen to work.
        self.bucket_in_doubt = threading.Event()
        self.watchers: list[Watcher] = []
        self._fuse = fuse
        self._progress: dict[str, Progress] = {}

    def reach(self, step: Step) -> None:
        """Say that a step of the press is reached; a crash test may end the process here."""
        if self._fuse is not None:
            self._fuse.reach(step)

    def tier(self, name: str) -> Tier:
        return load_tiers()[name]

    def chain(self, asked: Sequence[str], tier: str) -> tuple[str, ...]:
        """Return who is asked: the request's own names, else the tier's that are configured, else `sketch`.

        A studio without it asks whoever it has.

        Raises UnknownProvider for a name that this studio has not opened.
        """
        for name in asked:
            if name not in self.providers:
                raise UnknownProvider(
                    f"There is no provider {name!r} in this studio; it has {', '.join(self.providers)}. "
                    "Name one of these, or configure it (limner doctor says how)."
                )
        tiers = self.rules.chains.get(tier) or self.tier(tier).chain
        return tuple(asked) or tuple(name for name in tiers if name in self.providers) or self._fallback()

    def _fallback(self) -> tuple[str, ...]:
        return ("sketch",) if "sketch" in self.providers else tuple(self.providers)

    def progress(self, batch_id: str) -> Progress:
        """Return a batch under way here; what it was planned with does not change under way, so it is read once."""
        if batch_id not in self._progress:
            found = self.ledger.run(lambda connection: get_batch(connection, batch_id))
            if found is None:
                raise LookupError(f"There is no batch {batch_id} in the ledger at {self.ledger.where()}.")
            self._progress.setdefault(batch_id, Progress(found, self.watchers))
        return self._progress[batch_id]

    def know_as(self, batch: Batch) -> None:
        """Take a batch as it is in the ledger now: it may have been moved to another period, or be interactive."""
        known = self._progress.get(batch.id)
        if known is not None:
            known.batch = batch

    def close(self) -> None:
        """Stop what waits, give back what is held, close what was opened."""
        for progress in self._progress.values():
            progress.stop.set()
        self.limiter.close()
        self.holder.close()
        self.ledger.close()
