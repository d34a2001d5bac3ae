"""Prefect's environment is ours: what the surroundings say about another API does not reach it."""

from pathlib import Path

from deployments.prefect_settings import enter_private, enter_told, prefect_environment

URL = "http://127.0.0.1:4242/api"


def test_every_place_that_prefect_writes_to_lies_under_the_home(tmp_path: Path) -> None:
    environment = prefect_environment(tmp_path, URL)
    for name in ("PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_SERVER_UI_STATIC_DIRECTORY"):
        assert Path(environment[name]).is_relative_to(tmp_path)
    assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"].endswith(
        f"//file:{tmp_path}/prefect/prefect.db?uri=true"
    )


def test_what_the_surroundings_say_is_replaced(tmp_path: Path) -> None:
    environment = {
        "PREFECT_API_URL": "http://127.0.0.1:1",
        "PREFECT_PROFILE": "theirs",
        "PREFECT_API_KEY": "secret",
        "PREFECT_SERVER_API_AUTH_STRING": "a:b",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT__FLOW_RUN_ID": "1",
        "PATH": "/bin",
    }
    enter_private(tmp_path, URL, environment)
    assert environment["PREFECT_API_URL"] == URL
    assert not {"PREFECT_PROFILE", "PREFECT_API_KEY", "PREFECT_SERVER_API_AUTH_STRING"} & environment.keys()
    assert environment["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert environment["PREFECT__FLOW_RUN_ID"] == "1"
    assert environment["PATH"] == "/bin"


def test_a_told_api_keeps_its_key_and_loses_the_profile(tmp_path: Path) -> None:
    environment = {"PREFECT_API_URL": "http://other", "PREFECT_API_AUTH_STRING": "a:b", "PREFECT_PROFILE": "x"}
    enter_told(tmp_path, URL, environment)
    assert environment["PREFECT_API_URL"] == URL
    assert environment["PREFECT_API_AUTH_STRING"] == "a:b"
    assert "PREFECT_PROFILE" not in environment


def test_no_proxy_is_asked_for_this_machine(tmp_path: Path) -> None:
    environment = {"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "example.org"}
    enter_private(tmp_path, URL, environment)
    enter_private(tmp_path, URL, environment)
    assert environment["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert environment["no_proxy"] == "127.0.0.1,localhost"
