"""The README is held to the truth: files, words, commands, settings and answers are what it says they are."""

import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from deployments.command_line import TRACEBACK, build, main
from limner.settings import Settings
from limner.steps import STEPS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")

LINE: Any = typer.main.get_command(build())

BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
IN_TICKS = re.compile(r"`([^`\n]+)`")

# Modules of these folders are each named in the file map; deeper ones are named by their folder.
FLOORS = ("flows", "tasks", "blocks", "limner", "deployments")

# What the README means by a default that is no text of its own.
DEFAULTS: dict[str, object] = {"true": True, "false": False}


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(kind: str, text: str = README) -> Iterator[str]:
    return (found["body"] for found in BLOCK.finditer(text) if found["kind"] == kind)


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def leaves(command: Any = LINE, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command that does something, by its words."""
    below = getattr(command, "commands", None)
    if not below:
        yield path, command
        return
    for name, one in below.items():
        yield from leaves(one, (*path, name))


COMMANDS = dict(leaves())

SHELL = "\n".join(blocks("sh")).splitlines() + re.findall(r"^    (\S.*)$", BLOCK.sub("", README), re.MULTILINE)
SAID = [*SHELL, *(row[0].strip("`") for row in rows("Bad input"))]
LIMNER = [line.replace(".venv/bin/limner", "limner") for line in SAID if re.match(r"(\.venv/bin/)?limner ", line)]
MAKE = re.findall(r"\bmake ([a-z]+)\b", "\n".join([*SHELL, *IN_TICKS.findall(README)]))


def command_of(line: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the command that a line names, and what it is given."""
    words = shlex.split(line, comments=True)[1:]
    for length in (1, 2):
        if tuple(words[:length]) in COMMANDS:
            return tuple(words[:length]), words[length:]
    raise AssertionError(f"limner has no such command: {line}")


# -- files ---------------------------------------------------------------------------------------------------------


def mapped() -> list[str]:
    return [line.split()[0] for line in next(blocks("text", section("Files"))).splitlines() if line.strip()]


def ignored(path: Path) -> bool:
    patterns = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    return any(fnmatch(path.name, pattern) for pattern in patterns)


def test_every_path_of_the_file_map_exists() -> None:
    assert [path for path in mapped() if not (ROOT / path).exists()] == []
    assert [path for path in mapped() if (ROOT / path).is_dir() != path.endswith("/")] == []


def test_every_top_level_folder_is_in_the_file_map() -> None:
    folders = {
        f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and not ignored(path)
    }
    assert folders - set(mapped()) == set()


def test_every_package_and_module_of_the_floors_is_in_the_file_map() -> None:
    found = set()
    for floor in FLOORS:
        for path in (ROOT / floor).iterdir():
            if path.is_dir() and not ignored(path):
                found.add(f"{floor}/{path.name}/")
            elif path.suffix == ".py" and path.stem != "__init__":
                found.add(f"{floor}/{path.name}")
    assert found - set(mapped()) == set()


def test_every_provider_is_in_the_file_map() -> None:
    folder = ROOT / "limner" / "providers"
    found = {f"limner/providers/{path.name}" for path in folder.glob("*.py") if path.stem != "__init__"}
    found |= {f"limner/providers/{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert found - set(mapped()) == set()


def test_every_file_that_is_linked_or_named_exists() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    roots = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    named = [one for one in IN_TICKS.findall(README) if one.startswith(roots) and " " not in one]
    assert linked and named
    assert [path for path in {*linked, *named} if not (ROOT / path).exists()] == []


def test_every_script_that_prints_a_figure_exists() -> None:
    modules = re.findall(r"python -m (benchmarks\.\w+)", section("Figures"))
    assert modules and [one for one in modules if not (ROOT / f"{one.replace('.', '/')}.py").exists()] == []


def test_the_pictures_are_small_and_whole() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert len(pictures) == 7
    for path in pictures:
        assert path.stat().st_size <= 60_000 and f"docs/pictures/{path.name}" in README
        with Image.open(path) as picture:
            picture.load()


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("Words"), ids=lambda row: row[0])
def test_each_word_stands_in_the_code_where_it_says(row: list[str]) -> None:
    word, _meaning, where = row
    module, _, name = where.strip("`").rpartition(".")
    assert hasattr(import_module(module), name)
    named = {one.strip() for one in word.split(",")}
    assert any(one in where.lower() for one in named)


def test_the_diagram_names_every_step_of_the_press() -> None:
    diagram = next(blocks("mermaid"))
    assert [step for step in STEPS if not re.search(rf"\b{step}\b", diagram)] == []


# -- commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", LIMNER)
def test_each_command_line_is_understood(line: str) -> None:
    path, given = command_of(line)
    COMMANDS[path].make_context(" ".join(path), [word for word in given if word != TRACEBACK])


def test_every_command_and_option_is_shown_once_at_least() -> None:
    assert set(COMMANDS) == {command_of(line)[0] for line in LIMNER}
    words = {word for line in LIMNER for word in shlex.split(line, comments=True)}
    options = {option for one in COMMANDS.values() for param in one.params for option in param.opts if option[0] == "-"}
    assert options - words == set()


def test_every_make_target_is_there_and_is_shown() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    assert set(MAKE) <= targets
    assert targets - {"base", "dev"} == set(MAKE)
    assert [one for one in targets if not re.search(rf"^{one}:", text, re.MULTILINE)] == []


# -- settings ------------------------------------------------------------------------------------------------------


def variables() -> dict[str, Any]:
    """Return each field of the settings by the name that the environment has for it."""
    return {
        str(field.validation_alias or f"LIMNER_{name.upper()}"): field for name, field in Settings.model_fields.items()
    }


def test_the_settings_are_those_of_the_code() -> None:
    assert sorted(row[0].strip("`") for row in rows("Settings")) == sorted(variables())


@pytest.mark.parametrize(
    "row", [one for one in rows("Settings") if re.fullmatch("`[^`]+`", one[2])], ids=lambda row: row[0]
)
def test_each_default_in_ticks_is_that_of_the_code(row: list[str]) -> None:
    said = row[2].strip("`")
    default = variables()[row[0].strip("`")].default
    assert default == DEFAULTS.get(said, type(default)(said))


def test_every_variable_that_the_readme_names_is_a_setting() -> None:
    named = set(re.findall(r"\b(?:LIMNER_[A-Z0-9_]+|DATABASE_URL|[A-Z]+_API_KEY)\b", README))
    assert named - set(variables()) == set()


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("Bad input"), ids=lambda row: row[0].strip("`"))
def test_each_bad_input_gets_its_answer_and_its_exit_status(
    row: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, answer, status = row
    words = shlex.split(line.strip("`"))[1:]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as ended:
        main([*words, "--dry-run"] if words[0] == "chapters" else words)
    said = capsys.readouterr()
    assert re.match(re.escape(answer).replace(re.escape("..."), ".*"), said.err), said.err
    assert len(said.err.splitlines()) == 1 and said.out == ""
    assert ended.value.code == int(status)
    assert not (tmp_path / "home").exists(), "nothing was made"
