"""Every setting of Prefect that Limner chooses, in one place, as environment variables.

Prefect reads them when it is imported, so they stand in the environment before that: nothing here imports Prefect.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import quote

from limner.home.layout import folder

LOOPBACK = "127.0.0.1"

# What a person may still say to Prefect by environment; everything else of theirs is meant for another API.
THEIRS = ("PREFECT_LOGGING_LEVEL", "PREFECT_DEBUG_MODE")

# What Prefect itself hands to the process of a flow run.
INTERNAL = "PREFECT__"

CLIENT = {
    # The final state of a flow is not lost when the API's database is away for a moment.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,502",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    # A flow run says so often that it lives; an automation calls it crashed after three times of silence.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # Results are read by whoever can write them: JSON, never pickles.
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "limner",
    # A run's colour says that it ended; a line that says it too costs as much as an event.
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    # People read progress bars and sentences; the runs' own lines, tracebacks too, are in the UI.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "DO_NOT_TRACK": "1",
}

# Every process of Prefect's speaks JSON too, the flow runs' own lines on the console among it.
JSON_LOGS = {
    "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("json_logs.yaml")),
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "NOTSET",
}

SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # Our own blocks are registered by a command; the catalogue of others' would take seconds of each first start.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    # Task runs are written in batches: one at a time, a chapter's burst keeps SQLite busy for seconds.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
    # The record is the ledger; Prefect's history may go after a month.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
    # Slots of deployments outlive a restart of the API.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}


def prefect_environment(home: Path, api_url: str) -> dict[str, str]:
    """Return the variables under which a process uses (or serves) the private Prefect API at `api_url`."""
    place = folder(home, "prefect")
    return {
        **CLIENT,
        **SERVER,
        "LIMNER_HOME": str(home),
        "PREFECT_HOME": str(place),
        "PREFECT_PROFILES_PATH": str(place / "profiles.toml"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(place / "ui"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///file:{quoted(database_file(home))}?uri=true",
        # The API is ours and of the same version.
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        # It asks for no tokens: each client would ask whether it does.
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        "PREFECT_API_SSL_CERT_FILE": str(_one_authority(place)),
    }


def _one_authority(place: Path) -> Path:
    """Return a file with one certificate authority, made on demand.

    Our own API speaks plain HTTP on loopback, but each of a flow run's clients loads every authority of the world
    first, which takes longer than its call.
    """
    file = place / "authority.pem"
    if not file.exists():
        import certifi  # noqa: PLC0415 - read once in the life of a home

        end = "-----END CERTIFICATE-----\n"
        fresh = file.with_name(f"authority.{os.getpid()}.new")
        fresh.write_text(Path(certifi.where()).read_text().split(end, 1)[0] + end)
        fresh.replace(file)
    return file


def told_environment(home: Path, api_url: str) -> dict[str, str]:
    """Return the variables for an API that somebody else runs: its address, and how our clients behave."""
    return {
        **CLIENT,
        "LIMNER_HOME": str(home),
        "PREFECT_HOME": str(folder(home, "prefect")),
        "PREFECT_API_URL": api_url,
    }


def database_file(home: Path) -> Path:
    return home / "prefect" / "prefect.db"


def enter_private(home: Path, api_url: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Put the private API's settings into `environment`, in place of whatever it said about Prefect."""
    for name in [name for name in environment if is_foreign(name)]:
        del environment[name]
    environment.update(prefect_environment(home, api_url))
    _speak_as_told(environment)
    spare_loopback(environment)


def enter_told(home: Path, api_url: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Put a told API's settings into `environment`; its keys and other settings stay as they are."""
    environment.pop("PREFECT_PROFILE", None)
    environment.update(told_environment(home, api_url))
    _speak_as_told(environment)
    spare_loopback(environment)


def _speak_as_told(environment: MutableMapping[str, str]) -> None:
    if environment.get("LIMNER_LOG_FORMAT") == "json":
        environment.update(JSON_LOGS)


def is_foreign(name: str) -> bool:
    return name.startswith("PREFECT_") and name not in THEIRS and not name.startswith(INTERNAL)


def spare_loopback(environment: MutableMapping[str, str]) -> None:
    """A proxy for the world outside must not be asked for this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        spared = [one.strip() for one in environment.get(name, "").split(",") if one.strip()]
        environment[name] = ",".join(dict.fromkeys([*spared, LOOPBACK, "localhost"]))


def shown(url: str) -> str:
    """Return where a person opens the UI of the API at `url`."""
    return url.removesuffix("/api")


def quoted(path: Path) -> str:
    """Return a path as SQLite takes it in a URI."""
    return quote(str(path))
