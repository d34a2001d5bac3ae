"""Claims: a leased row with a fencing token for every order that somebody is making.

Two runs that want the same picture make it once. A holder that was paused past its lease finds its token
stale at its next commit (`LeaseLost`) and steps back.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, text

from limner.errors import LedgerUnreachable, LimnerError
from limner.ledger.holders import is_provably_dead, new_holder
from limner.ledger.opening import Ledger
from limner.ledger.runs import BEAT_SECONDS

log = logging.getLogger(__name__)

_CLAIM = text("""
    insert into claims (order_key, holder, claimant, token, lease_until)
    select order_key, :holder, :claimant, nextval('fence'), clock_timestamp() + make_interval(secs => :lease)
      from jobs where batch_id = :batch and position = :position
    on conflict (order_key) do update
       set holder = excluded.holder, claimant = excluded.claimant, token = excluded.token,
           lease_until = excluded.lease_until, claimed_at = now()
     where claims.lease_until < clock_timestamp()
        or claims.claimant = excluded.claimant
        or claims.holder = :dead
    returning order_key, token
""")
_HOLDER = text("""
    select holder from claims join jobs using (order_key) where batch_id = :batch and position = :position
""")
_RELEASE = text("delete from claims where order_key = :order_key and token = :token")
_BEAT = text("""
    update claims set lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => :lease))
     where holder = :holder
""")
_LEAVE = text("delete from claims where holder = :holder")


@dataclass(frozen=True, slots=True)
class Claim:
    """An order that is ours for as long as nobody holds a newer token."""

    order_key: str
    token: int


def claim(
    connection: Connection, batch_id: str, position: int, holder: str, claimant: str, lease_seconds: float
) -> Claim | None:
    """Claim a job's order for `claimant`, a caller of this holder; None while a living holder has it."""
    job = {"batch": batch_id, "position": position}
    asked = job | {"holder": holder, "claimant": claimant, "lease": lease_seconds, "dead": ""}
    row = connection.execute(_CLAIM, asked).one_or_none()
    if row is None:
        theirs = connection.execute(_HOLDER, job).scalar()
        if theirs is not None and is_provably_dead(theirs):
            row = connection.execute(_CLAIM, asked | {"dead": theirs}).one_or_none()
    return None if row is None else Claim(row.order_key, row.token)


def release(connection: Connection, claimed: Claim) -> None:
    """Give the order back, if it is still ours."""
    connection.execute(_RELEASE, {"order_key": claimed.order_key, "token": claimed.token})


class Holder:
    """This process as a holder of claims: its name, and the heartbeat that keeps its leases."""

    def __init__(self, ledger: Ledger, lease_seconds: float) -> None:
        self.name = new_holder()
        self.lease_seconds = lease_seconds
        self._ledger = ledger
        self._also: list[Callable[[Connection], object]] = []
        self._closing = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="limner-heartbeat", daemon=True)

    @classmethod
    def start(cls, ledger: Ledger, lease_seconds: float) -> Self:
        holder = cls(ledger, lease_seconds)
        holder._beating.start()
        return holder

    def beat_also(self, work: Callable[[Connection], object]) -> None:
        """Have each heartbeat do this as well; it must be safe to repeat, and raises only LimnerError."""
        self._also.append(work)

    def close(self) -> None:
        """Stop the heartbeat and give back what is still held."""
        self._closing.set()
        self._beating.join(timeout=self.lease_seconds)
        try:
            self._ledger.run(lambda connection: connection.execute(_LEAVE, {"holder": self.name}), patience_seconds=0)
        except LedgerUnreachable:
            log.warning("The ledger is away; the claims of this process end with their leases.")

    def _beat(self) -> None:
        is_away = False
        while not self._closing.wait(min(self.lease_seconds / 3, BEAT_SECONDS)):
            try:
                self._ledger.run(self._renew, patience_seconds=0)
                is_away = False
            except LimnerError as error:
                # Said once an outage.
                log.log(logging.DEBUG if is_away else logging.WARNING, "%s The heartbeat goes on.", error)
                is_away = True

    def _renew(self, connection: Connection) -> None:
        connection.execute(_BEAT, {"holder": self.name, "lease": self.lease_seconds})
        for work in self._also:
            work(connection)
