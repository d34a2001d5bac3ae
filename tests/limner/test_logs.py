"""Logs: as JSON every line is one object, whoever wrote it, and no secret is in it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from limner.logs import FIELDS, secrets_of
from limner.settings import Settings
from tests.standins.serving import ROOT

SECRETS = {
    "OPENAI_API_KEY": "sk-of-openai-1234",
    "LIMNER_S3_SECRET_KEY": "secret/of+the=bucket",
    "LIMNER_SIGNING_KEY": "signs" * 8,
    "DATABASE_URL": "postgresql://limner:pass%40word@db/limner",
}

_PROCESS = """
import logging, threading, warnings
from limner.logs import about, set_up
from limner.settings import read_settings
set_up(read_settings(), "sweeper")
log = logging.getLogger("limner.somewhere")
with about("batch-1"):
    log.info("a batch: %s\\nin two lines", {"a": 'quoted "Вий"'})
log.warning("keys: sk-of-openai-1234 secret/of+the=bucket", extra={"key": "sk-of-openai-1234", "flow_run_id": "run-1"})
logging.getLogger("somebody.else").info("no line")
warnings.warn("an old way")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("cannot log in with pass@word")
"""


def lines_of(code: str, tmp_path: Path, **more: str) -> list[str]:
    environment = {"LIMNER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **SECRETS, **more}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_every_line_is_one_object(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = [json.loads(line) for line in lines_of(_PROCESS, tmp_path, LIMNER_LOG_FORMAT="json")]
    batch, keys, warned, thread, last = said
    assert all(line["process"] == "sweeper" and line["time"].endswith("+00:00") for line in said)
    assert batch["message"] == "a batch: {'a': 'quoted \"Вий\"'}\nin two lines"
    assert (batch["level"], batch["logger"], batch["batch"]) == ("INFO", "limner.somewhere", "batch-1")
    assert keys["flow_run_id"] == "run-1"
    assert "batch" not in keys
    assert "an old way" in warned["message"]
    assert "ZeroDivisionError" in thread["exception"]
    assert last["message"] == "ValueError: cannot log in with ***"
    assert all(set(line) <= set(FIELDS) for line in said)


def test_no_secret_is_in_a_line(tmp_path: Path) -> None:
    said = "\n".join(lines_of(_PROCESS, tmp_path, LIMNER_LOG_FORMAT="json"))
    for secret in ("sk-of-openai-1234", "secret/of+the=bucket", "pass@word"):
        assert secret not in said


def test_people_read_sentences(tmp_path: Path) -> None:
    said = lines_of(
        """
import logging
from limner.logs import set_up
from limner.settings import read_settings
set_up(read_settings(), "sweeper")
logging.getLogger("limner.somewhere").info("a batch")
""",
        tmp_path,
    )
    (line,) = said
    assert line.endswith(" sweeper INFO a batch")


def test_what_is_secret_is_all_that_the_settings_hide() -> None:
    hidden = Settings(
        openai_key="of openai",
        fal_key="of fal",
        replicate_key="of replicate",
        pollinations_key="of pollinations",
        s3_access_key="access",
        s3_secret_key="secret",
        signing_key="k" * 32,
        database_url="postgresql://limner:p%40ss@db/limner",
    )
    assert sorted(secrets_of(hidden)) == sorted(
        ["of openai", "of fal", "of replicate", "of pollinations", "access", "secret", "k" * 32, "p@ss"]
    )
