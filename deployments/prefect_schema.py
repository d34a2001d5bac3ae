"""A fresh SQLite file for the Prefect API, with its tables in it.

Prefect's own migrations take seconds of CPU on an empty file. `prefect_schema.sql` is what they end with, of the
version in its first line; any other version of Prefect is left to migrate by itself. `python -m
deployments.prefect_schema` writes the file anew.
"""

import asyncio
import os
import sqlite3
import tempfile
from importlib.metadata import version
from pathlib import Path

SCHEMA = Path(__file__).with_name("prefect_schema.sql")


def first_line() -> str:
    return f"-- Prefect {version('prefect')}"


def lay_out(database: Path) -> bool:
    """Make `database` unless it is there or the schema is of another version; say whether it was made."""
    if database.exists() or not SCHEMA.exists():
        return False
    text = SCHEMA.read_text()
    if text.split("\n", 1)[0] != first_line():
        return False
    fresh = database.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh)
    try:
        connection.executescript(text)
    finally:
        connection.close()
    fresh.replace(database)
    return True


def migrated() -> str:
    """Return the tables as Prefect's own migrations make them; run in a process of its own (a fresh PREFECT_HOME)."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "prefect.db"
        os.environ["PREFECT_HOME"] = place
        os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{file}"
        from prefect.server.database import provide_database_interface  # noqa: PLC0415 (reads the environment)

        asyncio.run(provide_database_interface().create_db())
        connection = sqlite3.connect(file)
        try:
            return "\n".join([first_line(), *connection.iterdump(), ""])
        finally:
            connection.close()


if __name__ == "__main__":
    SCHEMA.write_text(migrated())
