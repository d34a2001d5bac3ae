"""The database block: a PostgreSQL of yours, or the embedded one."""

from typing import ClassVar, Self

from pydantic import Field, SecretStr

from blocks.block import LimnerBlock
from limner.home.ledger import open_ledger
from limner.ledger.opening import Ledger
from limner.settings import Settings


class LimnerDatabase(LimnerBlock):
    """Where the ledger lives."""

    _block_type_name: ClassVar[str] = "Limner Database"
    _block_type_slug: ClassVar[str] = "limner-database"
    _description: ClassVar[str] = "Limner's ledger: a PostgreSQL of yours, or (empty) the embedded one of this machine."

    url: SecretStr | None = Field(
        default=None, title="URL", description="postgresql://user:password@host:5432/name; empty is the embedded one."
    )
    patience_seconds: float = Field(
        default=150, ge=0, title="Patience", description="How long work in progress waits for it, in seconds."
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(url=settings.database_url)

    def open(self, settings: Settings, connections: int) -> Ledger:
        """Connect, starting the embedded server where no URL is given; raises LedgerUnreachable."""
        url = self.url.get_secret_value() if self.url else None
        return open_ledger(settings, url=url, connections=connections, patience_seconds=self.patience_seconds)
