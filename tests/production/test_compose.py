"""compose.yaml is held to the code: its variables, commands, pools and images are those that exist."""

import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic_settings import BaseSettings

from deployments.bootstrap import load_pools
from deployments.command_line import build
from deployments.prefect_settings import SERVER
from limner.settings import Settings
from tests.production.reading import (
    COMPOSE,
    ROOT,
    SERVICES,
    VARIABLE,
    environment,
    home_of,
    is_one_shot,
    last,
    ours,
    stages,
    texts,
)

OF_PREFECT = ("prefect-migrate", "prefect-api", "prefect-services")

# Words of the compose specification that we use; any other is a slip.
KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "logging",
    "networks", "ports", "profiles", "read_only", "restart", "security_opt", "shm_size", "stop_grace_period", "tmpfs",
    "volumes",
}  # fmt: skip

# What a service is told that is no setting of ours or of Prefect's: for the images of others.
OF_OTHERS = {"POSTGRES_PASSWORD", "LEDGER_PASSWORD", "REDISCLI_AUTH", "ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"}

# Where the API and the services share what one process would keep to itself.
SHARED = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"}

# Every pool of Prefect's has this queue, for deployments that name none.
OF_EVERY_POOL = "default"


def names_of(settings: type[BaseSettings]) -> set[str]:
    return {str(one.validation_alias or f"LIMNER_{name.upper()}") for name, one in settings.model_fields.items()}


def names_of_prefect() -> set[str]:
    from prefect.server.utilities import encryption
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_valid_setting_names
    from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
    from prefect_redis.client import RedisMessagingSettings

    found = set(_get_valid_setting_names(PrefectSettings))
    for settings in (RedisMessagingSettings, RedisWorkerCleanupQueueSettings):
        prefix = str(settings.model_config["env_prefix"])
        found |= {f"{prefix}{name}".upper() for name in settings.model_fields}
    # Not among its settings: read where it is used.
    found |= set(re.findall(r'"(PREFECT_SERVER_ENCRYPTION_KEY)"', inspect.getsource(encryption)))
    return found


# -- variables -----------------------------------------------------------------------------------------------------


def test_every_variable_is_one_that_somebody_reads() -> None:
    known = names_of(Settings) | names_of_prefect() | OF_OTHERS | {"DO_NOT_TRACK"}
    told = {name for service in SERVICES for name in environment(service)}
    assert told - known == set()


def test_every_variable_that_is_filled_in_is_told_or_may_be_missing() -> None:
    """A secret has no default; what to do about it is said where it is first used."""
    said: dict[str, set[str]] = {}
    for text in texts(COMPOSE):
        for found in VARIABLE.finditer(text):
            said.setdefault(found["name"], set()).add(found["kind"] or "")
    assert [name for name, kinds in said.items() if "?" not in kinds and "" in kinds] == []
    secret = re.compile(r"PASSWORD|_KEY$|AUTH_STRING|TOKEN")
    of_services = {"OPENAI_API_KEY", "FAL_KEY", "REPLICATE_API_TOKEN", "POLLINATIONS_API_KEY"}
    assert {name for name, kinds in said.items() if secret.search(name) and "?" not in kinds} == of_services
    for text in texts(COMPOSE):
        for found in VARIABLE.finditer(text):
            assert not (found["name"] in of_services and found["text"])


def test_no_secret_is_written_down() -> None:
    secret = re.compile(r"PASSWORD|_KEY$|AUTH|TOKEN")
    for service in SERVICES:
        for name, value in environment(service).items():
            assert not secret.search(name) or VARIABLE.fullmatch(value), (service, name)


@pytest.mark.parametrize("service", OF_PREFECT)
def test_prefects_own_processes_are_set_as_the_one_place_says(service: str) -> None:
    told = environment(service)
    assert {name: told.get(name) for name in SERVER.keys() - SHARED} == {
        name: value for name, value in SERVER.items() if name not in SHARED
    }
    assert told == environment("prefect-api"), "they share a database and Redis: one set of settings"


def test_what_prefects_processes_share_lies_in_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings as PrefectSettings

    for name, value in environment("prefect-api").items():
        monkeypatch.setenv(name, VARIABLE.sub("of-a-test", value))
    server = PrefectSettings().server
    assert server.events.messaging_broker == server.events.messaging_cache == "prefect_redis.messaging"
    assert server.events.causal_ordering == "prefect_redis.ordering"
    assert server.concurrency.lease_storage == "prefect_redis.lease_storage"
    assert server.worker_channel.cleanup_queue_storage == "prefect_redis.cleanup_queue"
    assert server.docket.url == "redis://default:of-a-test@redis:6379/0"
    assert server.database.connection_url is not None
    url = server.database.connection_url.get_secret_value()
    assert url == "postgresql+asyncpg://prefect:of-a-test@postgres:5432/prefect"
    assert (server.database.migrate_on_start, server.analytics_enabled) == (False, False)
    assert server.api.csrf_protection_enabled and "*" not in server.api.cors_allowed_origins
    assert server.api.auth_string is not None


@pytest.mark.parametrize("service", sorted(ours().keys() - set(OF_PREFECT) - {"dask-scheduler"}))
def test_the_settings_of_limners_processes_can_be_read(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(service).items():
        filled = VARIABLE.sub(lambda one: (one["text"] or "") if one["kind"] == "-" else "f" * 64, value)
        monkeypatch.setenv(name, filled if name != "LIMNER_GATEWAY_URL" else "https://pictures.example.org")
    settings = Settings()
    assert settings.signing_key is not None
    if service != "gpu-owner":
        assert settings.database_url and settings.prefect_api_url and settings.s3_secret_key
        assert (
            environment(service)["PREFECT_API_AUTH_STRING"]
            == environment("prefect-api")["PREFECT_SERVER_API_AUTH_STRING"]
        )


# -- commands ------------------------------------------------------------------------------------------------------


def understood(words: list[str]) -> Any:
    """Return what a command of ours is given; raises where there is no such command or option."""
    command: Any = typer.main.get_command(build())
    context = None
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    context = command.make_context("limner", list(words))
    return context.params


def command_of_limner(service: str) -> list[str] | None:
    words: list[str] = SERVICES[service].get("command", [])
    return words[1:] if words[:1] == ["limner"] else None


@pytest.mark.parametrize("service", [one for one in SERVICES if command_of_limner(one)])
def test_every_command_of_limner_is_understood(service: str) -> None:
    words = command_of_limner(service)
    assert words is not None
    understood(words)
    check = SERVICES[service].get("healthcheck", {}).get("test", [])
    if check[:2] == ["CMD", "limner"]:
        assert understood(check[2:])["name"] == words[1], "each looks at its own signs of life"


@pytest.mark.parametrize("service", OF_PREFECT)
def test_every_command_of_prefect_is_understood(service: str) -> None:
    from prefect.cli.server import server_app

    program, group, *words = SERVICES[service]["command"]
    assert (program, group) == ("prefect", "server")
    server_app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("service", ["dask-scheduler", "dask-worker"])
def test_every_command_of_dask_is_understood(service: str) -> None:
    from distributed.cli import dask_scheduler, dask_worker

    program, name, *words = SERVICES[service]["command"]
    assert program == "dask"
    {"scheduler": dask_scheduler, "worker": dask_worker}[name].main.make_context(name, words)


@pytest.mark.parametrize("name", [one for one in ours() if not is_one_shot(SERVICES[one])])
def test_who_is_asked_whether_it_is_healthy_listens_there(name: str) -> None:
    service = SERVICES[name]
    for port in re.findall(r"http://127.0.0.1:(\d+)/", " ".join(service.get("healthcheck", {}).get("test", []))):
        told = " ".join(service["command"])
        assert port in told or name.startswith("worker-"), "a worker's own page of health has Prefect's port"


# -- pools ---------------------------------------------------------------------------------------------------------


def served() -> dict[str, set[str]]:
    """Return the queues that somebody serves, by pool: the runner has those called interactive."""
    found: dict[str, set[str]] = {pool.name: {"interactive"} for pool in load_pools().pools}
    for name in SERVICES:
        words = command_of_limner(name)
        if words and words[:2] == ["serve", "worker"]:
            given = understood(words)
            found[given["pool"]] |= set(given["queue"])
    return found


def test_every_queue_of_every_pool_is_served_and_no_other() -> None:
    wanted = {pool.name: {OF_EVERY_POOL, *(queue.name for queue in pool.queues)} for pool in load_pools().pools}
    assert served() == wanted


def test_every_deployment_finds_somebody_who_serves_it() -> None:
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        pool = one["work_pool"]
        assert pool.get("work_queue_name", OF_EVERY_POOL) in served()[pool["name"]], one["name"]


# -- containers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
class TestService:
    def test_is_written_in_words_of_compose(self, name: str) -> None:
        assert SERVICES[name].keys() - KEYS == set()

    def test_is_kept_up_and_looked_at_or_runs_once(self, name: str) -> None:
        service = SERVICES[name]
        assert service["restart"] == "no" or (service["restart"] == "unless-stopped" and "healthcheck" in service)

    def test_is_bounded(self, name: str) -> None:
        limits = SERVICES[name]["deploy"]["resources"]["limits"]
        assert limits["cpus"] and limits["memory"] and SERVICES[name]["logging"]["driver"] == "local"

    def test_is_pinned_to_a_version(self, name: str) -> None:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", SERVICES[name]["image"])

    def test_waits_for_what_can_be_waited_for(self, name: str) -> None:
        service = SERVICES[name]
        for other, how in service.get("depends_on", {}).items():
            awaited = SERVICES[other]
            assert set(awaited.get("profiles", [])) <= set(service.get("profiles", []))
            once = how["condition"] == "service_completed_successfully"
            assert is_one_shot(awaited) if once else "test" in awaited["healthcheck"]

    def test_reaches_whom_it_is_told_of(self, name: str) -> None:
        said = " ".join([*texts(SERVICES[name].get("environment", {})), *texts(SERVICES[name].get("command", []))])
        for host in re.findall(r"(?:@|//)(?!localhost)([a-z][a-z0-9-]*):\d+", said):
            assert set(SERVICES[host]["networks"]) & set(SERVICES[name]["networks"]), host

    def test_mounts_what_is_there(self, name: str) -> None:
        for mount in SERVICES[name].get("volumes", []):
            if isinstance(mount, dict):
                assert VARIABLE.fullmatch(mount["source"]) and mount["bind"] == {"create_host_path": False}
            else:
                source = mount.split(":")[0]
                assert source in COMPOSE["volumes"] or (ROOT / source).is_file(), mount


@pytest.mark.parametrize("name", ours())
class TestOurs:
    def test_may_do_little(self, name: str) -> None:
        service = SERVICES[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "user" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_is_the_image_of_this_version(self, name: str) -> None:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        target = SERVICES[name]["build"]["target"]
        assert SERVICES[name]["image"] == f"{'limner' if target == 'cpu' else 'limner-gpu'}:{version}"
        assert target in stages()

    def test_can_write_in_its_home_and_nowhere_else(self, name: str) -> None:
        target = SERVICES[name]["build"]["target"]
        home = home_of(target)
        uid, gid = last(stages()[target], "USER").text.split(":")
        # A volume has the image's own folder to begin with, and its owner.
        mounts = [*SERVICES[name]["tmpfs"], *SERVICES[name].get("volumes", [])]
        (mounted,) = (one for one in mounts if isinstance(one, str) and f"{home}:" in f"{one}:")
        assert f"uid={uid},gid={gid},mode=0700" in mounted or mounted == f"gateway:{home}"
        static = environment(name).get("PREFECT_SERVER_UI_STATIC_DIRECTORY", home)
        assert Path(static).is_relative_to(home)


def test_only_the_gateway_is_reached_from_other_machines() -> None:
    published = {name: SERVICES[name]["ports"] for name in SERVICES if "ports" in SERVICES[name]}
    assert {name for name, ports in published.items() if not all(one.startswith("127.0.0.1:") for one in ports)} == {
        "gateway"
    }
    assert published.keys() == {"gateway", "prefect-api"}


def test_what_holds_data_or_runs_what_it_is_sent_has_no_way_out() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis", "s3", "gpu-owner", "dask-scheduler", "prefect-services", "prefect-migrate"):
        assert SERVICES[name]["networks"] == ["inside"]
    assert [name for name, one in SERVICES.items() if "operators" in one["networks"]] == ["prefect-api"]


def test_only_the_owner_has_the_gpu() -> None:
    reserving = [name for name, one in SERVICES.items() if "reservations" in one["deploy"]["resources"]]
    assert reserving == ["gpu-owner"]
    (device,) = SERVICES["gpu-owner"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["0"], "capabilities": ["gpu"]}


def test_the_databases_are_those_that_are_made() -> None:
    script = (ROOT / "deployments" / "databases.sh").read_text()
    made = dict(re.findall(r'^make (\w+) "\$(\w+)"$', script, re.MULTILINE))
    assert made.keys() == {environment("prefect-api")["PREFECT_SERVER_DATABASE_NAME"], "limner"}
    assert set(made.values()) <= environment("postgres").keys()
    assert re.match(
        r"postgresql://limner:\$\{LEDGER_PASSWORD.*\}@postgres:5432/limner$", environment("gateway")["DATABASE_URL"]
    )
