"""The command line's frame: quick to help, one sentence for an error, an exit status that means something."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError
from rich.console import Console

from deployments import command_line
from deployments.command_line import main
from deployments.commands.numbers import _table
from limner.errors import BadBook, BatchShort, LedgerUnreachable
from limner.requests import ChapterRequest
from tests.deployments.users import surroundings


def limner(home: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deployments.command_line", *words]
    return subprocess.run(
        command, env=surroundings(home, **more), capture_output=True, text=True, check=False, timeout=120
    )


def ends(monkeypatch: pytest.MonkeyPatch, error: BaseException, *words: str) -> int:
    """Return the exit status of a command that raises `error`."""

    def build() -> typer.Typer:
        line = typer.Typer(pretty_exceptions_enable=False)

        @line.command()
        def fail() -> None:
            raise error

        return line

    monkeypatch.setattr(command_line, "build", build)
    monkeypatch.delenv("LIMNER_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def test_help_is_quick_and_imports_no_prefect(tmp_path: Path) -> None:
    began = time.monotonic()
    done = limner(tmp_path, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert time.monotonic() - began < 3, "a busy machine is given three times what it takes"
    assert done.returncode == 0 and "doctor" in done.stdout
    assert "prefect.main" not in done.stderr and "sqlalchemy" not in done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadBook("There is no book at x; check the path."), 2),
        (LedgerUnreachable("The ledger is away; start it."), 2),
        (BatchShort("2 of 10 failed."), 1),
        (RuntimeError("oops"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_sentence_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    assert ends(monkeypatch, error) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert str(error) in said.err and "Traceback" not in said.err and said.err.count("\n") <= 1


def test_a_refused_field_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        ChapterRequest.model_validate({"book": "x", "chapter": 0, "colour": "red"})
    assert ends(monkeypatch, refused.value) == 2
    said = capsys.readouterr().err
    assert "chapter" in said and "colour is no known field" in said


def test_a_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadBook):
        monkeypatch.setattr(command_line, "sentence", lambda _error: pytest.fail("a sentence hides the traceback"))
        ends(monkeypatch, BadBook("no book"), "--traceback")


def test_an_unknown_command_is_refused_with_status_2(tmp_path: Path) -> None:
    done = limner(tmp_path, "paint")
    assert done.returncode == 2 and "paint" in done.stderr and done.stdout == ""


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    done = limner(tmp_path, "down", LIMNER_CONCURRENCY="many")
    assert done.returncode == 2 and done.stderr.startswith("LIMNER_CONCURRENCY") and "Traceback" not in done.stderr


def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = limner(tmp_path / "home", "up")
    assert done.returncode == 2 and "set LIMNER_HOME" in done.stderr and "Traceback" not in done.stderr


def test_a_dry_run_refuses_an_unknown_provider_and_opens_nothing(tmp_path: Path) -> None:
    book = Path(__file__).parents[2] / "samples" / "alice.txt"
    ended = limner(tmp_path / "home", "chapters", "illustrate", str(book), "--dry-run", "--provider", "nobody")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("There is no provider 'nobody' in this environment; it has sketch.")
    assert not (tmp_path / "home").exists() or not list((tmp_path / "home").iterdir())


def test_a_dry_run_estimates_what_each_provider_would_take(tmp_path: Path) -> None:
    book = Path(__file__).parents[2] / "samples" / "alice.txt"
    ended = limner(tmp_path / "home", "chapters", "illustrate", str(book), "--dry-run", "--limit", "2")
    assert ended.returncode == 0, ended.stderr
    assert "Estimate, 2 by sketch: $0.0000 at most." in ended.stdout


@pytest.mark.parametrize("owner", ["", "../mary", "mary\n", "m" * 101])
@pytest.mark.parametrize("words", [("set", "--tier", "free"), ("show",)])
def test_an_owner_that_no_request_could_name_is_refused(
    words: tuple[str, ...], owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["owners", *words, "--", owner])
    assert ended.value.code == 2
    assert "cannot be an owner" in capsys.readouterr().err


def test_numbers_stand_whole_in_eighty_columns() -> None:
    measures = {"asked": 10_000, "success_rate": 0.9971, "mean_seconds": 12.252, "spend_usd": None}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(_table([{"type": kind, **measures} for kind in ("location", "character", "atmosphere", "object")]))
    shown = console.export_text()
    assert "…" not in shown and shown.count("0.9971") == 4 and "mean seconds" in shown
