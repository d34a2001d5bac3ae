"""The shipped schema is what Prefect's own migrations end with."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import prefect_schema
from deployments.local_api import child_environment
from deployments.prefect_schema import SCHEMA, lay_out


def lines(schema: str) -> list[str]:
    """The order of a table's constraints changes from one making to the next."""
    return sorted(line.strip().rstrip(",").strip() for line in schema.splitlines())


def test_it_is_what_the_migrations_of_the_installed_prefect_make(tmp_path: Path) -> None:
    code = "import sys; from deployments.prefect_schema import migrated; sys.stdout.write(migrated())"
    made = subprocess.run([sys.executable, "-c", code], env=child_environment(), capture_output=True, check=True)
    assert lines(made.stdout.decode()) == lines(SCHEMA.read_text())


def test_lays_out_a_file_once(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    assert lay_out(database)
    connection = sqlite3.connect(database)
    assert connection.execute("select count(*) from flow_run").fetchone() == (0,)
    connection.execute("create table mine (x)")
    connection.commit()
    connection.close()
    assert not lay_out(database)
    connection = sqlite3.connect(database)
    assert connection.execute("select count(*) from mine").fetchone() == (0,)
    connection.close()


def test_another_version_of_prefect_is_left_to_migrate_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_schema, "version", lambda _name: "3.9.9")
    assert not lay_out(tmp_path / "prefect.db")
    assert not (tmp_path / "prefect.db").exists()
