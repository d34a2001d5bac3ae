"""The ledger's door: one engine, transactions that ride out an outage, errors in our own words.

Knows nothing of what the functions beside it write. Every function that is handed to `Ledger.run` must be
safe to repeat: a commit whose reply was lost is run again.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from limner.errors import BadInput, DiskFull, LedgerUnreachable
from limner.ledger.migrating import migrate

T = TypeVar("T")

# A stopped process must not sit on the locks of a half-done transaction for ever.
_SESSION = "-c idle_in_transaction_session_timeout=15s -c statement_timeout=120s -c timezone=UTC"


class Ledger:
    """An open ledger.

    `revive` is called when the server is away, before it is asked again: the embedded server is started anew by it.
    `patience_seconds` is how long `run` keeps asking in the middle of work, once an outage.
    """

    def __init__(self, engine: Engine, revive: Callable[[], object] | None, patience_seconds: float) -> None:
        self._engine = engine
        # One statement is a transaction by itself: begin and commit would triple its round trips.
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._revive = revive
        self._patience_seconds = patience_seconds
        self._gave_up = False

    @classmethod
    def open(
        cls,
        url: str,
        *,
        connections: int = 8,
        revive: Callable[[], object] | None = None,
        patience_seconds: float = 150,
    ) -> Self:
        """Connect, and bring the schema to the newest revision; raises LedgerUnreachable at once when it is away."""
        ledger = cls(_engine(url, connections), revive, patience_seconds)
        ledger.run(migrate, patience_seconds=0)
        return ledger

    def close(self) -> None:
        self._engine.dispose()

    def where(self) -> str:
        """Return the ledger's address without its password, which may also stand in its query."""
        return self._engine.url.difference_update_query(("password", "passfile")).render_as_string(hide_password=True)

    def run(self, work: Callable[[Connection], T], patience_seconds: float | None = None) -> T:
        """Run `work` in one transaction; while the server is away, wait and run it again.

        Raises LedgerUnreachable when the patience is spent, DiskFull when the server has no room.
        """
        return self._patiently(self._engine, work, patience_seconds)

    def ask(self, work: Callable[[Connection], T], patience_seconds: float | None = None) -> T:
        """Run `work` like `run`, with each of its statements a transaction of its own."""
        return self._patiently(self._single, work, patience_seconds)

    def hear(self, channel: str, tick_seconds: float) -> Generator[str | None]:
        """Yield what is said on a channel: None once it listens, and whenever nothing was said for a tick.

        Takes a connection of its own until it is closed; raises LedgerUnreachable when that breaks.
        """
        with self._in_our_words(), self._single.connect() as connection:
            raw = connection.connection.driver_connection
            # Not one of the pool's: whoever works would miss it.
            connection.detach()
            connection.exec_driver_sql(f"listen {channel}")
            assert isinstance(raw, psycopg.Connection)  # noqa: S101 - the engine has no other driver
            yield None
            try:
                while True:
                    said = None
                    for notice in raw.notifies(timeout=tick_seconds, stop_after=1):
                        said = notice.payload
                        yield said
                    if said is None:
                        yield None
            except psycopg.Error as error:
                raise LedgerUnreachable(self._away(str(error).strip().splitlines()[0])) from error

    def _patiently(self, engine: Engine, work: Callable[[Connection], T], patience_seconds: float | None) -> T:
        patience = self._patience_seconds if patience_seconds is None else patience_seconds
        first = self._revived if self._gave_up else self._once
        try:
            done = first(engine, work)
        except LedgerUnreachable:
            if patience <= 0 or self._gave_up:
                raise
            done = self._wait_for(engine, work, patience)
        self._gave_up = False
        return done

    def _wait_for(self, engine: Engine, work: Callable[[Connection], T], patience_seconds: float) -> T:
        retrying = Retrying(
            retry=retry_if_exception_type(LedgerUnreachable),
            stop=stop_after_delay(patience_seconds),
            wait=wait_exponential_jitter(multiplier=0.1, max=2, jitter=0.5),
            reraise=True,
        )
        try:
            done: T = retrying(self._revived, engine, work)
        except LedgerUnreachable:
            # Waited for once: until it answers again, whoever asks is told at once.
            self._gave_up = True
            raise
        return done

    def _once(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        with self._in_our_words(), engine.begin() as connection:
            return work(connection)

    def _revived(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        if self._revive is not None:
            self._revive()
        return self._once(engine, work)

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise LedgerUnreachable(self._away("all its connections are busy")) from error
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.DiskFull):
                raise DiskFull(
                    "PostgreSQL has no room left on its disk; free some and run the same command again."
                ) from error
            # A session that the server ended for sleeping in its transaction is no OperationalError, yet as lost.
            if error.connection_invalidated or isinstance(
                error.orig, psycopg.OperationalError | psycopg.InterfaceError
            ):
                raise LedgerUnreachable(self._away(str(error.orig).strip().splitlines()[0])) from error
            raise

    def _away(self, reason: str) -> str:
        return (
            f"The ledger at {self.where()} is unreachable ({reason}); "
            "start PostgreSQL or mend DATABASE_URL, then run the same command again."
        )


def _engine(url: str, connections: int) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a plain ValueError
        raise BadInput(
            "DATABASE_URL is no database address; write postgresql://user:password@host:5432/name."
        ) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise BadInput(
            f"DATABASE_URL names {parsed.get_backend_name()}; the ledger needs PostgreSQL (postgresql://...)."
        )
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=connections,
        max_overflow=connections,
        pool_timeout=60,
        # The connection used last is the warm one: its statements are prepared.
        pool_use_lifo=True,
        connect_args={"connect_timeout": 5, "options": _SESSION, "application_name": "limner"},
    )
