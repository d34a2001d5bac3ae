"""The one place where the environment is read: LIMNER_* and the few names that others gave.

Knows nothing of Prefect or of blocks; nothing is read on import, and no `.env` file is ever looked at.

| variable | meaning | default |
|---|---|---|
| LIMNER_HOME | where everything Limner keeps lives | the platform's data folder |
| DATABASE_URL | the ledger's PostgreSQL | the embedded one, under the home |
| LIMNER_PREFECT_API_URL | use this Prefect API | one of our own |
| LIMNER_S3_ENDPOINT, _BUCKET, _ACCESS_KEY, _SECRET_KEY, _REGION, _SECURE | an S3 bucket | a directory |
| LIMNER_BUCKET | the directory bucket's folder | bucket/ under the home |
| OPENAI_API_KEY, LIMNER_OPENAI_URL, _MODEL, _QUALITY, _CALLS_A_MINUTE | the OpenAI provider | none |
| FAL_KEY, LIMNER_FAL_URL, _MODEL, _CALLS_A_MINUTE | the fal provider | none |
| REPLICATE_API_TOKEN, LIMNER_REPLICATE_URL, _MODEL, _CALLS_A_MINUTE | the Replicate provider | none |
| POLLINATIONS_API_KEY, LIMNER_POLLINATIONS_URL, _MODEL, _CALLS_A_MINUTE | the Pollinations provider | none |
| LIMNER_DIFFUSERS_MODEL | a local model: its folder, or its id | none |
| LIMNER_DIFFUSERS_BATCH | pictures in one call of it | 1 |
| LIMNER_DIFFUSERS_STEPS, _GUIDANCE | the only ones that it draws with | the order's |
| LIMNER_DIFFUSERS_URL | the owners of its GPUs, separated by commas | the model is loaded where it is used |
| LIMNER_GATEWAY_URL | where people and apps reach the gateway; links lead there | links of the bucket's own |
| LIMNER_GATEWAY_PORT | port of the gateway | 4300 |
| LIMNER_SIGNING_KEY | what links and webhooks are signed with | one of the home's own |
| LIMNER_ENGINE, LIMNER_DASK_ADDRESS | where large batches run: threads, or dask | threads |
| LIMNER_WARM_PROCESSES | how many wait for interactive runs | 2 |
| LIMNER_LOG_FORMAT | text, or json | text |
| LIMNER_ALLOW_PRIVATE_ADDRESSES | let providers be on this machine or in a private network | off |
| LIMNER_CONCURRENCY | pictures at once | the studio's |
| LIMNER_LEASE_SECONDS | how long a claim lives without a heartbeat | 30 |
| LIMNER_PREFECT_PORT | port of our own Prefect API | a free one |
| LIMNER_PREFECT_START_SECONDS | how long its start may take | 90 |
| LIMNER_TRACEBACK | show where an error came from | off |
| LIMNER_DIE_AT | crash tests: die at this step of the press | never |
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from limner.errors import BadInput

_POSTGRES = re.compile(r"^postgres(?:ql)?(?:\+psycopg)?://", re.IGNORECASE)
_WEB = re.compile(r"^https?://[^\s/]+\S*$")


def _postgresql(given: Any) -> Any:
    """Return the URL for psycopg 3; the refusal never repeats the URL, which may carry a password."""
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    if not isinstance(text, str):
        return given
    if not _POSTGRES.match(text):
        raise ValueError("the ledger needs PostgreSQL; give postgresql://user:password@host:5432/database")
    return _POSTGRES.sub("postgresql+psycopg://", text)


def web_address(given: str) -> str:
    """Return an http or https address without the slash at its end; raises ValueError, which repeats no password."""
    try:
        parts = urlsplit(given)
        is_one = bool(_WEB.match(given) and parts.hostname and parts.port != 0)
    except ValueError:  # a port that is no number, half a bracket
        is_one, parts = False, urlsplit("")
    if "@" in given or parts.query or parts.fragment:
        raise ValueError("an address is http://host:port/path or https, without user, password or ?")
    if not is_one:
        raise ValueError(f"{given!r} is no http or https address")
    return given.rstrip("/")


def _web_address(given: Any) -> Any:
    return web_address(given) if isinstance(given, str) else given


def _whole_path(given: Any) -> Any:
    """Return an absolute path with `~` resolved; relative homes would change with the working directory."""
    try:
        return Path(given).expanduser().absolute() if isinstance(given, str | Path) else given
    except RuntimeError as error:
        raise ValueError(str(error)) from None


WebAddress = Annotated[str, BeforeValidator(_web_address)]
WholePath = Annotated[Path, BeforeValidator(_whole_path)]


class Settings(BaseSettings):
    """What the environment says. Read it with `read_settings()`, hand it on as a value."""

    model_config = SettingsConfigDict(
        env_prefix="LIMNER_",
        env_file=None,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    home: WholePath = Field(default_factory=lambda: platformdirs.user_data_path("limner", appauthor=False))
    database_url: Annotated[SecretStr, BeforeValidator(_postgresql)] | None = Field(
        default=None, validation_alias="DATABASE_URL"
    )
    prefect_api_url: WebAddress | None = None
    prefect_port: int | None = Field(default=None, ge=1, le=65535)
    prefect_start_seconds: float = Field(default=90, gt=0)

    bucket: WholePath | None = None
    s3_endpoint: str | None = None
    s3_bucket: str = "limner"
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    s3_secure: bool = True

    openai_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_url: WebAddress | None = None
    openai_model: str | None = None
    openai_calls_a_minute: float | None = Field(default=None, ge=0)
    openai_quality: str | None = None
    fal_key: SecretStr | None = Field(default=None, validation_alias="FAL_KEY")
    fal_url: WebAddress | None = None
    fal_model: str | None = None
    fal_calls_a_minute: float | None = Field(default=None, ge=0)
    replicate_key: SecretStr | None = Field(default=None, validation_alias="REPLICATE_API_TOKEN")
    replicate_url: WebAddress | None = None
    replicate_model: str | None = None
    replicate_calls_a_minute: float | None = Field(default=None, ge=0)
    pollinations_key: SecretStr | None = Field(default=None, validation_alias="POLLINATIONS_API_KEY")
    pollinations_url: WebAddress | None = None
    pollinations_model: str | None = None
    pollinations_calls_a_minute: float | None = Field(default=None, ge=0)
    diffusers_model: str | None = None
    diffusers_batch: int = Field(default=1, ge=1, le=64)
    diffusers_steps: int | None = Field(default=None, ge=1, le=1000)
    diffusers_guidance: float | None = Field(default=None, ge=0, le=100)
    diffusers_url: str | None = None
    allow_private_addresses: bool = False

    gateway_url: WebAddress | None = None
    gateway_port: int = Field(default=4300, ge=1, le=65535)
    signing_key: SecretStr | None = Field(default=None, min_length=32)
    engine: Literal["threads", "dask"] | None = None
    dask_address: str | None = None
    warm_processes: int = Field(default=2, ge=0, le=64)
    log_format: Literal["text", "json"] = "text"

    concurrency: int | None = Field(default=None, ge=1, le=1000)
    lease_seconds: float = Field(default=30, gt=0)
    traceback: bool = False
    die_at: str | None = None

    @property
    def bucket_folder(self) -> Path:
        """The directory bucket's folder: as told, or bucket/ under the home."""
        return self.bucket or self.home / "bucket"

    @property
    def secret_database_url(self) -> str | None:
        """The ledger's URL with its password, or None for the embedded PostgreSQL."""
        return self.database_url.get_secret_value() if self.database_url else None


def read_settings() -> Settings:
    """Return what the environment says now; raises BadInput that names each variable it cannot use."""
    try:
        return Settings()
    except ValidationError as error:
        raise BadInput(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    said = [f"{_variable(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
    return "; ".join(said) + ". Mend or unset it and try again."


def _variable(loc: tuple[int | str, ...]) -> str:
    """Return the environment's name for a field: those with an alias already carry it."""
    name = str(loc[0]) if loc else "the environment"
    return name if name.isupper() else f"LIMNER_{name.upper()}"
