"""A home under fire: its commands, its stand-in of a service, its ledger, and what must hold when all is quiet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from deployments.local_api import child_environment
from limner.bucket.directory import DirectoryBucket
from limner.home.ledger import open_ledger
from limner.ledger.opening import Ledger
from limner.providers.opening import VARIABLES, Kind
from limner.settings import Settings
from tests.chaos.forking import Command, Forks
from tests.integration.books import assert_the_books_balance, rows, value
from tests.standins.serving import Running

BOOK = str(Path(__file__).parents[2] / "samples" / "alice.txt")


@dataclass(frozen=True)
class Home:
    """A home, the stand-in that its pictures come from, and how its commands are started."""

    folder: Path
    standin: Running
    forks: Forks
    ledger: Ledger
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def bucket(self) -> DirectoryBucket:
        return DirectoryBucket(self.folder / "bucket")

    def with_environment(self, **more: str) -> "Home":
        return replace(self, environment={**self.environment, **more})

    def with_service(self, name: Kind, standin: Running) -> "Home":
        """Return the home with one more service turned on."""
        return self.with_environment(**turned_on(name, standin))

    def illustrate(self, title: str, descriptions: Path, *more: str, **environment: str) -> Command:
        """Start `limner chapters illustrate` for a request that `title` tells from others."""
        arguments = ["chapters", "illustrate", BOOK, "--title", title, "--descriptions", str(descriptions)]
        return self.run(*arguments, "--json", *more, **environment)

    def run(self, *words: str, **environment: str) -> Command:
        """Start any command."""
        return self.forks.start(list(words), self.environ(**environment))

    def environ(self, **more: str) -> dict[str, str]:
        """Return the whole environment of a command of this home."""
        ours = {"LIMNER_HOME": str(self.folder), **turned_on("pollinations", self.standin)}
        return {**child_environment(), **ours, **self.environment, **more}

    def calls(self) -> int:
        return self.standin.counts()["calls"]

    def in_flight(self) -> int:
        """Return how many calls were under way when their process was killed."""
        return int(value(self.ledger, "select count(*) from attempts where outcome is null"))

    def to_make(self, title: str) -> int | None:
        """Return how many of the request's pictures are missing; None when no plan is stored."""
        found = rows(
            self.ledger,
            "select count(j.position) filter (where j.status in ('promised', 'failed')) as missing "
            "from batches b join jobs j on j.batch_id = b.id "
            "where b.request->>'title' = :title and b.status <> 'complete' group by b.id",
            title=title,
        )
        return None if not found else int(found[0]["missing"])

    def assert_whole(self, report: Mapping[str, Any], pictures: int) -> None:
        """Assert that a batch brought everything it promised, and that nothing else is left of it."""
        assert (report["asked"], report["made"] + report["reused"]) == (pictures, pictures)
        assert report["errors"] == {}
        assert len({picture["key"] for picture in report["pictures"]}) == pictures
        assert_the_books_balance(self.ledger, self.bucket)


def turned_on(name: Kind, standin: Running) -> dict[str, str]:
    """Return the variables that turn a service on at its stand-in, with as many calls a minute as anybody likes."""
    service = f"LIMNER_{name.upper()}"
    return {
        VARIABLES[name]: standin.key,
        f"{service}_URL": standin.url + ("/v1" if name == "openai" else ""),
        f"{service}_CALLS_A_MINUTE": "0",
        "LIMNER_ALLOW_PRIVATE_ADDRESSES": "true",
    }


@contextmanager
def home_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the home's ledger; its server then runs until the block ends, whoever is killed."""
    ledger = open_ledger(Settings(home=folder), patience_seconds=60)
    try:
        yield ledger
    finally:
        ledger.close()


def write_descriptions(file: Path, contents: Sequence[str]) -> Path:
    kinds = ("location", "character", "atmosphere", "object")
    described = [
        {"id": f"d{number}", "content": content, "type": kinds[number % 4], "priority": 90}
        for number, content in enumerate(contents)
    ]
    file.write_text(json.dumps(described))
    return file


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all living processes, ourselves aside, that work for a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == psutil.Process().pid or process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = process.cmdline()
            if str(folder) in " ".join(words) or process.environ().get("LIMNER_HOME") == str(folder):
                found.append(" ".join(words))
        except psutil.Error:
            continue
    return found
