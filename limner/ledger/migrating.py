"""Bringing a ledger's schema to the newest revision, once, whoever comes first.

Every process looks (one query); only one at a time migrates, under a PostgreSQL advisory lock.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

# The newest revision; a test holds it equal to the head of migrations/versions.
HEAD = "0006"

# Any fixed number serves, as long as no one else locks it.
_LOCK = 0x6C696D6E6572


def revision(connection: Connection) -> str | None:
    """Return the schema's revision, or None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()


def migrate(connection: Connection) -> None:
    """Bring the schema to HEAD; a schema that is there already costs two queries."""
    if revision(connection) == HEAD:
        return
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if revision(connection) == HEAD:
        return
    from alembic import command  # noqa: PLC0415 - only a ledger that must change pays for the import
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
