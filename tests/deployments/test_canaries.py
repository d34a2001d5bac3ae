"""No key is ever seen: each secret is planted once and looked for wherever a command leaves anything.

Services draw, refuse, break and repeat the key that they were shown, in every place where an answer has words. One
story is played, told by fixtures; each test then looks through one place.
"""

import base64
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psutil
import pytest

from deployments.local_api import prefect_api
from deployments.prefect_settings import database_file
from limner.ledger.opening import Ledger
from limner.providers.opening import Kind
from limner.settings import Settings
from tests.chaos.forking import Command, Forks, forks
from tests.chaos.homes import BOOK, Home, turned_on, write_descriptions
from tests.integration.books import rows, value
from tests.servers.postgres import Server, own_postgres
from tests.servers.s3 import SECRET_KEY, s3_server
from tests.standins import fal, openai, pollinations, replicate
from tests.standins.serving import Running

# With all that an address or a form writes differently.
KEYS: dict[Kind, str] = {
    "openai": "sk-canary/Oo+1=openai",
    "fal": "canary-id:Ff/2+secret==",
    "replicate": "r8_canary/Rr+3=repl",
    "pollinations": "sk_canary/Pp+4=poll",
}
PASSWORD = "canary/Dd+5=password"
SAVED = "sk-canary/Bb+6=block"
MISTYPED = "sk-canary/Mm+7=mistyped"
SECRETS = (*KEYS.values(), PASSWORD, SECRET_KEY, SAVED, MISTYPED)

MODULES = {"openai": openai, "fal": fal, "replicate": replicate, "pollinations": pollinations}
MODELS = {"LIMNER_FAL_MODEL": "fal-ai/flux-lora", "LIMNER_REPLICATE_MODEL": "black-forest-labs/flux-schnell"}
CHAIN = ("--provider", "openai,fal,replicate,pollinations")
SMALL = ("--aspect-ratio", "1:1")
# Nobody is to be asked there, so that it is not waited for.
NOWHERE = "http://169.254.169.254"


def forms(secret: str) -> set[str]:
    """Return a secret as it may be written: plain, in an address, in JSON, in base64 wherever that began."""
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    found |= {one.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d") for one in found}
    found.add(secret.replace("/", "\\/"))
    for before in range(3):
        # What is before and after it decides its first and its last letter.
        written = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        found.add(written[(0, 2, 3)[before] : len(written) - 1])
    return found


def seen(text: str | bytes) -> set[str]:
    """Return which secrets stand in a text, in whatever form."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return {secret for secret in SECRETS if any(form in plain for form in forms(secret))}


def echo(key: str, scheme: str = "Bearer ") -> str:
    """Return words that repeat a key as often as an answer might."""
    return f"The key {scheme}{key} ({quote(key)}, {quote(key, safe='')}) is 'key={key}'."


# -- the story ---------------------------------------------------------------------------------------------------------


@dataclass
class Played:
    """What is left of the story: the home, its commands, and what was seen of processes meanwhile."""

    home: Home
    server: Server
    bucket: Path
    standins: dict[Kind, Running]
    commands: list[tuple[Command, int]] = field(default_factory=list)
    command_lines: set[str] = field(default_factory=set)

    def plays(self, status: int, *words: str, **environment: str) -> Command:
        command = self.home.run(*words, **environment)
        command.ends()
        self.commands.append((command, status))
        return command


@contextmanager
def watched(seen_lines: set[str], strangers: set[int]) -> Iterator[None]:
    """Note the command lines of all processes but the services'."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            for process in psutil.process_iter():
                try:
                    if process.pid not in strangers:
                        seen_lines.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("canaries")
    with ExitStack() as stack:
        standins = {name: stack.enter_context(_standin(name, folder)) for name in KEYS}
        server = stack.enter_context(own_postgres())
        s3 = stack.enter_context(s3_server(folder / "s3"))
        url = server.url.replace("limner@", f"limner:{quote(PASSWORD, safe='')}@")
        ledger = Ledger.open(url)
        stack.callback(ledger.close)
        told = {
            "DATABASE_URL": url.replace("+psycopg", ""),
            "LIMNER_S3_ENDPOINT": s3.endpoint,
            "LIMNER_S3_BUCKET": s3.bucket,
            "LIMNER_S3_ACCESS_KEY": s3.access_key,
            "LIMNER_S3_SECRET_KEY": s3.secret_key,
            "LIMNER_S3_SECURE": "false",
            "LIMNER_CONCURRENCY": "8",
            **MODELS,
        }
        for name, standin in standins.items():
            told |= turned_on(name, standin)
        stack.enter_context(prefect_api(Settings(home=folder / "home"), while_waiting=lambda: None))
        started: Forks = stack.enter_context(forks(folder / "commands"))
        home = Home(folder / "home", standins["pollinations"], started, ledger, told)
        story = Played(home, server, folder / "s3", standins)
        with watched(story.command_lines, {standin.pid for standin in standins.values()}):
            _play(story, folder)
        yield story


@contextmanager
def _standin(name: Kind, folder: Path) -> Iterator[Running]:
    with MODULES[name].running(key=KEYS[name], calls=folder / f"{name}.jsonl") as standin:
        yield standin


def _play(story: Played, folder: Path) -> None:
    drawn = _draw(story, folder)
    _be_turned_away(story, folder)
    _ask(story, drawn)
    _be_set_wrong(story)
    _save_a_block(story, folder)


def _talkative() -> dict[Kind, list[dict[str, Any]]]:
    """Return what each service says of pictures by their words, with its key in all of it."""
    said = {name: echo(key, "Key " if name == "fal" else "Bearer ") for name, key in KEYS.items()}
    heads = {name: {"x-request-id": key, "x-fal-request-id": key, "server": said[name]} for name, key in KEYS.items()}
    strays = {name: f"{NOWHERE}/{quote(key)}?key={quote_plus(key)}&raw={key}" for name, key in KEYS.items()}
    refusals: dict[Kind, Any] = {
        "openai": {
            "error": {
                "message": said["openai"],
                "code": "moderation_blocked",
                "type": said["openai"],
                "moderation_details": {"categories": [said["openai"], KEYS["openai"]]},
            }
        },
        "fal": {
            "detail": [
                {"loc": [KEYS["fal"]], "msg": said["fal"], "type": kind}
                for kind in ("content_policy_violation", said["fal"])
            ]
        },
        "replicate": {"id": "p1", "status": "failed", "error": f"NSFW {said['replicate']}"},
        "pollinations": {
            "error": {
                "type": "safety_error",
                "message": said["pollinations"],
                "categories": [KEYS["pollinations"], said["pollinations"]],
            }
        },
    }
    return {
        "openai": [
            {"what": "revised", "match": "merry", "body": said["openai"], "headers": heads["openai"]},
            {"what": "redirect", "match": "moved", "times": 1, "location": strays["openai"]},
            {"what": "400", "match": "tower", "headers": heads["openai"], "body": refusals["openai"]},
        ],
        "fal": [
            {"what": "422", "match": "far", "body": refusals["fal"]},
            {"what": "500", "match": "green", "times": 1, "body": {"detail": said["fal"], "error_type": KEYS["fal"]}},
            {"what": "lies elsewhere", "match": "blue", "times": 1, "location": strays["fal"]},
            {"what": "well", "headers": heads["fal"]},
        ],
        "replicate": [
            {"what": "json", "match": "round", "body": refusals["replicate"]},
            {"what": "500", "match": "square", "times": 1, "body": {"detail": said["replicate"]}},
            {"what": "lies elsewhere", "match": "tall", "times": 1, "location": strays["replicate"]},
            {"what": "well", "headers": heads["replicate"]},
        ],
        "pollinations": [
            {"what": "400", "match": "grim", "body": refusals["pollinations"]},
            {"what": "redirect", "match": "lame", "times": 1, "location": strays["pollinations"]},
            {"what": "well", "headers": heads["pollinations"]},
        ],
    }


PLACES = (
    "A merry castle.",
    "A moved castle.",
    "A green tower.",
    "A blue tower.",
    "A square tower, far away.",
    "A tall tower, far away.",
    "A round tower, far away.",
    "A round lame tower, far away.",
    "A round grim tower, far away.",
)


def _draw(story: Played, folder: Path) -> str:
    """Let each service draw, refuse and break; return the batch."""
    for name, faults in _talkative().items():
        story.standins[name].fail(*faults)
    file = write_descriptions(folder / "drawn.json", PLACES)
    words = ("chapters", "illustrate", BOOK, "--title", "Drawn", "--descriptions", str(file), *CHAIN, *SMALL)
    story.plays(0, *words, "--dry-run")
    story.plays(1, *words)
    batch: str = value(story.home.ledger, "select id from batches")
    return batch


def _be_turned_away(story: Played, folder: Path) -> None:
    """Let each service turn the key away, and repeat it."""
    for standin in story.standins.values():
        standin.fail(
            {"what": "echo"}, {"what": "401", "where": "model", "body": {"error": {"message": echo(standin.key)}}}
        )
    file = write_descriptions(folder / "away.json", ["A drawbridge."])
    words = ["--title", "Away", "--descriptions", str(file), *CHAIN, *SMALL, "--json", "--traceback"]
    story.plays(1, "chapters", "illustrate", BOOK, *words)


def _ask(story: Played, batch: str) -> None:
    story.plays(0, "lineage", "show", batch)
    story.plays(0, "numbers")
    story.plays(0, "audit", "spend")


def _be_set_wrong(story: Played) -> None:
    """Say each secret where it is of no use: the complaint must not repeat it, nor where it came from."""
    dry = ("chapters", "illustrate", BOOK, "--dry-run", "--limit", "1", "--traceback")
    away = "postgresql://limner:" + quote(PASSWORD, safe="") + "@127.0.0.1:1/limner"
    mistyped = f"http://limner:{quote(MISTYPED, safe='')}@127.0.0.1:1"
    story.plays(1, "numbers", "--traceback", DATABASE_URL=away)
    story.plays(2, "numbers", DATABASE_URL=f"mysql://limner:{PASSWORD}@127.0.0.1/limner", LIMNER_FAL_URL=mistyped)
    story.plays(2, "numbers", DATABASE_URL=f"postgresql://limner:{PASSWORD}@127.0.0.1:x/limner")
    story.plays(1, *dry, OPENAI_API_KEY=f"{MISTYPED} \n")
    story.plays(1, *dry, LIMNER_OPENAI_URL=mistyped.replace("http", "ftp"), LIMNER_PREFECT_API_URL=mistyped)
    story.plays(1, "doctor", DATABASE_URL=away, LIMNER_S3_SECRET_KEY=MISTYPED, FAL_KEY=f"{MISTYPED}ключ")


_SAVE = """
import asyncio, os
from deployments.local_api import prefect_api
from limner.settings import read_settings

async def save():
    from blocks import LimnerProvider, LimnerStudio
    drawn = LimnerProvider(kind="openai", key=os.environ["SAVED"], base_url=os.environ["URL"], allow_private=True)
    await drawn.asave("saved")
    await LimnerStudio(providers=["saved"]).asave("default")
    print(repr(drawn), drawn.model_dump_json(), await LimnerProvider.aload("saved"))

with prefect_api(read_settings()):
    asyncio.run(save())
"""


def _save_a_block(story: Played, folder: Path) -> None:
    """Save a key in a block, and draw with it."""
    with openai.running(key=SAVED) as standin:
        environment = {**story.home.environ(), "SAVED": SAVED, "URL": f"{standin.url}/v1"}
        done = subprocess.run(
            [sys.executable, "-c", _SAVE], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        (folder / "commands" / "saved.out").write_text(done.stdout + done.stderr)
        file = write_descriptions(folder / "saved.json", ["A saved castle."])
        words = ["--title", "Saved", "--descriptions", str(file), "--provider", "saved", *SMALL]
        story.plays(0, "chapters", "illustrate", BOOK, *words)


# -- where it is looked for --------------------------------------------------------------------------------------------


def test_a_secret_is_found_in_every_form() -> None:
    key = KEYS["openai"]
    for text in (
        f"key={key}&",
        quote(f"Bearer {key}", safe=""),
        quote_plus(key).lower().replace("sk-canary%2foo", "sk-canary%2fOo"),
        json.dumps({"key": key}).replace("/", "\\/"),
        *(base64.b64encode(f"{scheme}{key}, and more".encode()).decode() for scheme in ("", "a", "Bearer ", "Key ")),
    ):
        assert seen(text) == {key}, text
    assert seen(SECRET_KEY.encode() + b"\0\xff") == {SECRET_KEY} and seen("sk-canary") == set()


def test_the_services_did_repeat_the_keys(played: Played) -> None:
    """Or all that follows would say nothing."""
    said = "".join(command.out.read_text() + command.err.read_text() for command, _ in played.commands)
    assert said.count("***") > 10
    outcomes = rows(played.home.ledger, "select provider, outcome, count(*) from attempts group by 1, 2")
    found = {(one["provider"], one["outcome"]) for one in outcomes}
    assert {(name, outcome) for name in KEYS for outcome in ("made", "refused", "unauthorised", "broken")} <= found


def test_every_command_ended_as_it_should(played: Played) -> None:
    for command, status in played.commands:
        assert command.status == status, command.out.read_text() + command.err.read_text()


def test_no_command_says_a_secret(played: Played) -> None:
    for file in (played.home.folder.parent / "commands").iterdir():
        if file.is_file():
            assert seen(file.read_bytes()) == set(), file.read_text()


def test_no_file_of_the_home_holds_a_secret(played: Played) -> None:
    """Its logs, its contact sheets, what the Prefect API keeps."""
    files = [file for file in played.home.folder.rglob("*") if file.is_file()]
    assert {"sheets", "logs", "prefect"} <= {file.relative_to(played.home.folder).parts[0] for file in files}
    for file in files:
        assert seen(file.read_bytes()) == set(), file


def test_no_row_of_prefects_database_holds_a_secret(played: Played) -> None:
    """Runs and their parameters, logs, artifacts, events, and the block whose key it keeps."""
    database = sqlite3.connect(f"file:{quote(str(database_file(played.home.folder)))}?mode=ro", uri=True)
    try:
        dumped = list(database.iterdump())
    finally:
        database.close()
    assert any("render-" in line for line in dumped) and any("gAAAA" in line for line in dumped), "a block is there"
    for line in dumped:
        assert seen(line) == set(), line


def test_no_row_of_the_ledger_holds_a_secret(played: Played) -> None:
    tables = [
        one["name"]
        for one in rows(played.home.ledger, "select tablename as name from pg_tables where schemaname = 'public'")
    ]
    assert {"attempts", "batches", "entries", "limits", "runs"} <= set(tables)
    for table in tables:
        for row in rows(played.home.ledger, f"select t::text as row from {table} t"):  # noqa: S608 - of the catalogue
            assert seen(row["row"]) == set(), (table, row)
    for file in (played.server.home / "postgres").glob("*.*"):
        assert seen(file.read_bytes()) == set(), file


def test_no_object_of_the_bucket_holds_a_secret(played: Played) -> None:
    files = [file for file in played.bucket.rglob("*") if file.is_file()]
    assert any(file.suffix == ".json" for file in files) and any(file.suffix in (".png", ".jpg") for file in files)
    for file in files:
        assert seen(file.read_bytes()) == set(), file


def test_no_process_names_a_secret(played: Played) -> None:
    assert any("deployments.keeper" in line for line in played.command_lines)
    ours = [line for line in played.command_lines if "rclone" not in line and "tests.standins" not in line]
    for line in ours:
        assert seen(line) == set(), line
