"""The environment is read in one place, and a bad value is one sentence that names its variable."""

from pathlib import Path

import pytest

from limner.errors import BadInput
from limner.providers.opening import VARIABLES
from limner.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("LIMNER_") or name in ("DATABASE_URL", *VARIABLES.values()):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_nothing_configured_is_the_embedded_default() -> None:
    settings = read_settings()
    assert settings.home.is_absolute() and settings.home.name == "limner"
    assert settings.database_url is None and settings.s3_endpoint is None and settings.prefect_api_url is None
    assert settings.bucket_folder == settings.home / "bucket"


def test_reads_each_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_HOME", "some/where")
    monkeypatch.setenv("LIMNER_CONCURRENCY", "5")
    monkeypatch.setenv("LIMNER_S3_ENDPOINT", "127.0.0.1:9000")
    monkeypatch.setenv("LIMNER_S3_SECURE", "false")
    monkeypatch.setenv("LIMNER_S3_SECRET_KEY", "hidden")
    monkeypatch.setenv("POLLINATIONS_API_KEY", "hidden too")
    monkeypatch.setenv("LIMNER_PREFECT_API_URL", "http://prefect:4200/api/")
    settings = read_settings()
    assert settings.home == Path.cwd() / "some/where"
    assert (settings.concurrency, settings.s3_endpoint, settings.s3_secure) == (5, "127.0.0.1:9000", False)
    assert settings.prefect_api_url == "http://prefect:4200/api"
    assert "hidden" not in repr(settings)
    assert settings.pollinations_key is not None and settings.pollinations_key.get_secret_value() == "hidden too"


def test_a_file_named_env_changes_nothing() -> None:
    Path(".env").write_text("LIMNER_CONCURRENCY=7\nDATABASE_URL=postgresql://h/x\n")
    settings = read_settings()
    assert settings.concurrency is None and settings.database_url is None


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("LIMNER_HOME", "")
    assert read_settings().database_url is None
    assert read_settings().home.name == "limner"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "PostgreSQL"])
def test_every_spelling_of_postgresql_is_taken(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://u:p@h:5432/d")  # type: ignore[arg-type]
    assert settings.secret_database_url == "postgresql+psycopg://u:p@h:5432/d"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DATABASE_URL", "mysql://u:secret@h/d", "needs PostgreSQL"),
        ("DATABASE_URL", "sqlite:///secret.db", "needs PostgreSQL"),
        ("LIMNER_CONCURRENCY", "many", "integer"),
        ("LIMNER_CONCURRENCY", "0", "greater than"),
        ("LIMNER_LEASE_SECONDS", "-1", "greater than 0"),
        ("LIMNER_PREFECT_PORT", "70000", "65535"),
        ("LIMNER_PREFECT_API_URL", "127.0.0.1:4200", "no http or https address"),
        ("LIMNER_S3_SECURE", "perhaps", "boolean"),
        ("LIMNER_FAL_URL", "fal.run", "no http or https address"),
        ("LIMNER_FAL_URL", "http://[::1", "no http or https address"),
        ("LIMNER_FAL_URL", "http://localhost:99999", "no http or https address"),
        ("LIMNER_FAL_URL", "http://localhost:port", "no http or https address"),
        ("LIMNER_FAL_URL", "https://me:secret@fal.run", "without user, password or ?"),
        ("LIMNER_FAL_URL", "ftp://me:secret@fal.run", "without user, password or ?"),
        ("LIMNER_FAL_URL", "https://fal.run/?key=secret", "without user, password or ?"),
    ],
)
def test_a_bad_value_is_one_sentence(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadInput) as raised:
        read_settings()
    sentence = str(raised.value)
    assert sentence.startswith(variable) and said in sentence and "\n" not in sentence
    assert "secret" not in sentence
