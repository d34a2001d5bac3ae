"""The pages on production are held to the truth: files, commands, variables, options and sums are what they say."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from blocks.studio import LimnerStudio
from deployments.bootstrap import load_pools
from deployments.command_line import build
from deployments.gateway import desk
from deployments.runner import RUNS_AT_ONCE
from tasks import showing
from tests.production.reading import COMPOSE, ROOT, SERVICES, VARIABLE, stages, texts
from tests.production.test_compose import OF_OTHERS, names_of, names_of_prefect, understood

PAGES = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text("utf-8")

BLOCK = re.compile(r"^```sh\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
IN_TICKS = re.compile(r"`([^`\n]+)`")


def ticked(page: str) -> list[str]:
    return IN_TICKS.findall(BLOCK.sub("", PAGES[page]))


def shell(page: str) -> list[str]:
    """Return the commands of a page, in its blocks and in its sentences."""
    lines = "\n".join(found["body"] for found in BLOCK.finditer(PAGES[page])).replace("\\\n", "").splitlines()
    return [*lines, *ticked(page)]


def tables(page: str) -> Iterator[list[str]]:
    for line in PAGES[page].splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def of_limner(page: str) -> list[list[str]]:
    """Return each command of ours, with words in place of those that stand for something."""
    found = []
    for line in shell(page):
        if begun := re.search(r"(?:^|bootstrap )limner (.+)$", line):
            found.append(shlex.split(begun[1]))
    return found


def test_there_are_the_three_pages() -> None:
    assert PAGES.keys() >= {"production.md", "scaling.md", "security.md"}


@pytest.mark.parametrize("page", PAGES)
class TestPage:
    def test_every_file_that_it_names_is_there(self, page: str) -> None:
        roots = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
        files = re.compile(r"[\w./-]+\.(yaml|json|md|sh|lock|toml|py)")
        named = {one for one in shell(page) if one.startswith(roots) or files.fullmatch(one)}
        named |= {word for line in shell(page) for word in line.split() if word.startswith(roots)}
        assert [one for one in named if not (ROOT / one).exists()] == []

    def test_every_variable_that_it_names_is_read_by_somebody(self, page: str) -> None:
        from limner.settings import Settings

        of_compose = {found["name"] for text in texts(COMPOSE) for found in VARIABLE.finditer(text)}
        known = names_of(Settings) | names_of_prefect() | OF_OTHERS | of_compose | {"PREFECT_API_KEY"}
        words = re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", PAGES[page])
        assert set(words) - known == set()

    def test_every_command_of_limner_is_understood(self, page: str) -> None:
        for words in of_limner(page):
            understood(words)

    def test_every_command_of_compose_names_what_is_there(self, page: str) -> None:
        for line in (one for one in shell(page) if one.startswith("docker compose ")):
            words = shlex.split(line)
            assert words[2:4] == ["--env-file", "production.env"], line
            for option, known in (("--profile", {"gpu", "dask"}), ("--scale", set(SERVICES)), ("--rm", set(SERVICES))):
                given = {words[at + 1].split("=")[0] for at, word in enumerate(words) if word == option}
                assert given <= known, line

    def test_every_service_and_network_in_its_sentences_is_there(self, page: str) -> None:
        looks_like_one = re.compile(r"(prefect|dask|worker|gpu)-[a-z]+")
        named = {one for one in ticked(page) if looks_like_one.fullmatch(one)}
        assert named - SERVICES.keys() == set()


def test_the_file_of_secrets_has_all_that_compose_asks_for() -> None:
    asked = {one["name"] for text in texts(COMPOSE) for one in VARIABLE.finditer(text) if one["kind"] == "?"}
    made = next(one["body"] for one in BLOCK.finditer(PAGES["production.md"]) if "install -m 600" in one["body"])
    looped = set(re.search(r"for name in ([A-Z0-9_ ]+); do", made)[1].split())  # type: ignore[index]
    assert looped | set(re.findall(r'echo "([A-Z0-9_]+)=', made)) == asked


def test_the_images_are_those_that_are_built() -> None:
    rows = [row for row in tables("production.md") if row[0] in ("`cpu`", "`gpu`")]
    assert {row[0].strip("`") for row in rows} <= stages().keys() and len(rows) == 2


def test_the_limits_add_up_to_what_the_page_says() -> None:
    lasting = [one for one in SERVICES.values() if one["restart"] != "no" and "profiles" not in one]
    limits = [one["deploy"]["resources"]["limits"] for one in lasting]
    cpus, memory = sum(int(one["cpus"]) for one in limits), sum(int(one["memory"].removesuffix("g")) for one in limits)
    assert f"add up to {cpus} CPUs and {memory} GB" in PAGES["production.md"]


def test_links_live_for_as_long_as_the_page_says() -> None:
    assert desk.LINK_SECONDS == 86_400 and "Links to apps open for a day" in PAGES["security.md"]
    assert showing.LINK_SECONDS == 30 * 86_400 and "those in the Prefect UI for thirty" in PAGES["security.md"]


def test_the_commands_that_make_pools_name_a_pool_and_its_template() -> None:
    lines = [line for line in shell("production.md") if line.startswith("prefect work-pool create")]
    assert len(lines) == 2
    for line in lines:
        _, _, _, pool, _, kind, _, template = line.split()
        assert pool in {one.name for one in load_pools().pools} and Path(template).stem == kind


# -- sums ----------------------------------------------------------------------------------------------------------


def kept(calls: int) -> int:
    return 2 * calls + 2


def most(calls: int) -> int:
    """Twice its pool, and one that listens."""
    return 2 * kept(calls) + 1


def numbers(page: str, width: int) -> list[list[int]]:
    return [list(map(int, row)) for row in tables(page) if len(row) == width and all(one.isdigit() for one in row)]


def test_the_connections_of_a_process_are_those_that_it_opens() -> None:
    assert "connections=2 * self.concurrency + 2" in inspect.getsource(LimnerStudio.open)
    rows = numbers("scaling.md", 3)
    assert rows == [[calls, kept(calls), most(calls)] for calls in (3, 8, 16, 32)]
    assert LimnerStudio.model_fields["concurrency"].default == 3


def after(words: list[str], option: str, default: str) -> int:
    return int(words[words.index(option) + 1] if option in words else default)


def test_the_connections_of_compose_are_fewer_than_it_allows() -> None:
    from prefect.settings import Settings as PrefectSettings

    def command(name: str) -> list[str]:
        return list(SERVICES[name]["command"])

    line: Any = typer.main.get_command(build())
    (limit,) = (one.default for one in line.commands["serve"].commands["worker"].params if one.name == "limit")
    runs = (
        RUNS_AT_ONCE + after(command("worker-cpu"), "--limit", limit) + after(command("worker-gpu"), "--limit", limit)
    )
    runs += SERVICES["dask-worker"]["deploy"]["replicas"]
    pool = PrefectSettings().server.database.sqlalchemy
    of_prefect = (after(command("prefect-api"), "--workers", "1") + 1) * (pool.pool_size + pool.max_overflow)
    sums = [runs * most(3), 2 * most(3), of_prefect]
    said = [
        int(row[2])
        for row in tables("scaling.md")
        if len(row) == 3 and row[0].startswith(("flow runs", "gateway, s", "Prefect API ("))
    ]
    assert said == sums
    (together,) = (int(row[2]) for row in tables("scaling.md") if row[0] == "together")
    allowed = int(next(one for one in command("postgres") if one.startswith("max_connections=")).split("=")[1])
    assert together == sum(sums) < allowed and f"PostgreSQL have {allowed}" in PAGES["scaling.md"]


@pytest.mark.parametrize(
    "row", [row for row in tables("scaling.md") if "benchmarks." in row[-1]], ids=lambda row: row[0]
)
def test_a_figure_is_one_of_the_readmes(row: list[str]) -> None:
    _, value, script = row
    assert [line for line in README.splitlines() if script in line and value in line], row
