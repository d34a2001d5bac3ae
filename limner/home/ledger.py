"""The ledger that the environment names: a PostgreSQL of yours, or the embedded one of the home."""

from limner.home.postgres import start_postgres
from limner.ledger.opening import Ledger
from limner.settings import Settings


def open_ledger(
    settings: Settings, *, url: str | None = None, connections: int = 4, patience_seconds: float = 150
) -> Ledger:
    """Open the ledger at `url`, else at DATABASE_URL, else the embedded one, started when it does not run.

    Raises LedgerUnreachable in one sentence.
    """
    address = url or settings.secret_database_url
    if address is not None:
        return Ledger.open(address, connections=connections, patience_seconds=patience_seconds)
    return Ledger.open(
        start_postgres(settings.home),
        connections=connections,
        patience_seconds=patience_seconds,
        revive=lambda: start_postgres(settings.home),
    )
