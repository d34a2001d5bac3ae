"""Logs of long-lived processes: sentences for people, or one JSON object a line (LIMNER_LOG_FORMAT=json).

A line has time, level, logger, message, and where they are known process, flow_run_id, task_run_id, batch, exception.
Nothing that the settings keep secret stands in it. Knows nothing of Prefect: `deployments/run_lines.py` adds the runs.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pydantic import SecretStr
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from limner.errors import BadInput
from limner.settings import Settings, read_settings
from limner.web.masking import Mask

# Whose sentences are worth a line; of others it is warnings.
OURS = ("limner", "blocks", "tasks", "flows", "deployments")

FIELDS = ("time", "level", "logger", "process", "message", "flow_run_id", "task_run_id", "batch", "exception")

_batch: ContextVar[str | None] = ContextVar("batch", default=None)


@contextmanager
def about(batch: str) -> Iterator[None]:
    """Name the batch that lines of this thread are about."""
    token = _batch.set(batch)
    try:
        yield
    finally:
        _batch.reset(token)


def set_up(settings: Settings, name: str, in_json: "type[JsonLines] | None" = None) -> None:
    """Have this process log to standard error, as the settings say; `name` is the process's, in each line."""
    lines = logging.StreamHandler()
    if settings.log_format == "json":
        lines.setFormatter((in_json or JsonLines)(name, settings))
        _log_what_python_would_print()
    else:
        lines.setFormatter(logging.Formatter(f"%(asctime)s {name} %(levelname)s %(message)s"))
    logging.getLogger().addHandler(lines)
    for ours in OURS:
        logging.getLogger(ours).setLevel(logging.INFO)


class JsonLines(JsonFormatter):
    """One JSON object a line."""

    def __init__(self, process: str | None = None, settings: Settings | None = None) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"},
            json_ensure_ascii=False,
        )
        self._process = process
        self._mask = Mask(secrets_of(settings) if settings else _secrets_of_the_environment())

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def runs(self) -> dict[str, str | None]:
        """Return flow_run_id and task_run_id of the code that logs, where something knows them."""
        return {}

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data |= {"process": self._process, "batch": _batch.get(), **self.runs()}
        super().add_fields(log_data, record, message_dict)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Leave what others add to their records out, and secrets with it."""
        told = ((field, log_data.get(field)) for field in FIELDS)
        return {field: self._mask.masked(str(value)) for field, value in told if value is not None}


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret that the settings hold; of the ledger's address it is the password."""
    held = [
        value.get_secret_value()
        for field, value in settings
        if isinstance(value, SecretStr) and field != "database_url"
    ]
    try:
        password = make_url(settings.secret_database_url or "postgresql://").password
    except (ArgumentError, ValueError):
        password = None
    return [*held, *([str(password)] if password else [])]


def _secrets_of_the_environment() -> list[str]:
    try:
        return secrets_of(read_settings())
    except BadInput:  # whoever reads them next says so
        return []


def _log_what_python_would_print() -> None:
    """Make lines of warnings, and of errors that nobody caught."""
    logging.captureWarnings(True)
    log = logging.getLogger(__name__)

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))

    def uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None:
            uncaught(told.exc_type, told.exc_value, told.exc_traceback)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
