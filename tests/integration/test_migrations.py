"""Migrations and tables say the same ledger."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from limner.ledger import migrating
from limner.ledger.opening import Ledger
from limner.ledger.tables import metadata


def test_the_migrations_make_exactly_the_tables(ledger: Ledger) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert ledger.run(differences) == []


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    versions = Path(migrating.__file__).parent / "migrations" / "versions"
    assert max(file.name for file in versions.glob("[0-9]*.py")).startswith(f"{migrating.HEAD}_")
