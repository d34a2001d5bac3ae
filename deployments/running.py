"""Running a flow in this process for the command line: its own Prefect API, a progress bar, the report, the sheet."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection

from deployments.local_api import prefect_api
from limner.errors import BatchBroken, BatchShort, DiskFull, Unreachable
from limner.home.layout import folder
from limner.home.locks import alone
from limner.illustrating import plan_illustrations
from limner.ledger import reports
from limner.progress import Stage
from limner.requests import ChapterRequest, IllustrationRequest
from limner.settings import Settings
from limner.sheet import SheetPicture, stream_sheet
from limner.sheet.cards import card_of
from limner.studio import Room

# A page with more pictures than this serves nobody; the report lists them all.
SHEET_PICTURES = 500

# How long another command may take to write its page before ours goes without.
SHEET_SECONDS = 30

# What a shell expects of a process that SIGTERM ended.
TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of flows left: each batch's whole report, and why batches are short."""

    reports: tuple[dict[str, Any], ...]
    short: tuple[str, ...]
    notes: tuple[str, ...]
    sheet: Path | None


class Bar:
    """A progress bar on standard error, a line a batch; in a file or a pipe it would be empty lines."""

    def __init__(self, shown: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._lines: dict[str, TaskID] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            yield

    @contextmanager
    def starting(self, what: str) -> Iterator[Callable[[], None]]:
        """Show `what` until the yielded function is called."""
        line = self._progress.add_task(what, total=None)
        try:
            yield lambda: self._progress.update(line, visible=False)
        finally:
            self._progress.update(line, visible=False)

    @property
    def has_begun(self) -> bool:
        """Say whether a batch's work has begun."""
        return bool(self._lines)

    def watch(self, stage: Stage) -> None:
        if stage.batch not in self._lines:
            self._lines[stage.batch] = self._progress.add_task(stage.title, total=stage.asked)
        self._progress.update(self._lines[stage.batch], completed=stage.settled)


def run(settings: Settings, requests: Sequence[IllustrationRequest], *, bar: bool, title: str = "") -> Ran:
    """Run one flow a request, one after the other; raises what a flow refuses with before anything was made."""
    for request in requests:
        # What cannot be planned is refused in a second, before anything is started; what reading loads, the flow uses.
        plan_illustrations(request.pinned())
    shown = Bar(bar)
    with shown.shown(), shown.starting("Starting the Prefect API") as started, prefect_api(settings):
        from prefect.exceptions import TerminationSignal  # noqa: PLC0415 - its environment must stand first

        from blocks.studio import close_studios  # noqa: PLC0415

        started()
        try:
            return asyncio.run(_run(settings, requests, shown, title))
        except TerminationSignal:
            raise SystemExit(TERMINATED) from None
        except (DiskFull, Unreachable) as error:
            if shown.has_begun:
                raise BatchBroken(str(error)) from error
            raise
        finally:
            close_studios()


async def _run(settings: Settings, requests: Sequence[IllustrationRequest], shown: Bar, title: str) -> Ran:
    from blocks.studio import open_studio  # noqa: PLC0415
    from flows.chapters import illustrate_book, illustrate_chapter  # noqa: PLC0415

    room = await open_studio()
    room.watchers.append(shown.watch)
    keys, short = [], []
    for request in requests:
        flow: Any = illustrate_chapter if isinstance(request, ChapterRequest) else illustrate_book
        try:
            keys.append((await flow(request)).report)
        except BatchShort as error:
            keys.append(error.report)
            short.append(str(error))
    found = tuple(json.loads(room.bucket.get(key)) for key in keys)
    notes = tuple(note for report in found for note in room.progress(report["batch"]).batch.notes)
    return Ran(found, tuple(short), notes, write_batch_sheet(settings, room, found, notes, title))


def write_batch_sheet(
    settings: Settings, room: Room, found: Sequence[dict[str, Any]], notes: Sequence[str], title: str
) -> Path | None:
    """Write the contact sheet of these batches; None where they hold more pictures than a page should."""
    if sum(report["asked"] for report in found) > SHEET_PICTURES:
        return None
    batches = [report["batch"] for report in found]
    path = folder(settings.home, "sheets") / f"{'demo' if title else batches[0]}.html"
    fresh = path.with_suffix(".new")
    # Two commands that end the same batch write the same page, one after the other.
    with alone(folder(settings.home, "run") / "sheets.lock", SHEET_SECONDS) as mine:
        if not mine:
            return None
        with fresh.open("wb") as sink:
            stream_sheet(sink, title or room.progress(batches[0]).batch.title, _pictures(room, batches), notes)
        fresh.replace(path)
    return path


def _pictures(room: Room, batches: Sequence[str]) -> Iterator[SheetPicture]:
    for batch in batches:
        for row in room.ledger.run(partial(_rows, batch)):
            yield _picture(room, row)


def _rows(batch: str, connection: Connection) -> list[Any]:
    return list(reports.sheet_rows(connection, batch))


def _picture(room: Room, row: Any) -> SheetPicture:
    """Return a job as the sheet shows it; a picture that is gone from the bucket is shown as missing."""
    data, gone = None, ""
    if row.artifact:
        try:
            data = room.bucket.get(row.artifact)
        except KeyError:
            gone = f"{row.artifact} is gone from the bucket"
    card = card_of(row)
    return replace(card, data=data, error=card.error or gone)
