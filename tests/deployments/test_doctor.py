"""The doctor names what is there, what is missing and what is broken, and no secret."""

import json
from pathlib import Path

from deployments.doctor import Finding, as_text, exit_status
from limner.home.postgres import postgres_runs
from tests.deployments.test_command_line import limner


def test_a_sound_home_is_fine_and_what_is_not_configured_is_named(home: Path, used: str) -> None:
    done = limner(home, "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    findings = {one["what"]: one for one in said["findings"]}
    assert said["fine"] is True
    assert {findings[what]["state"] for what in ("home", "ledger", "Prefect API", "bucket", "provider sketch")} == {
        "fine"
    }
    assert used.removesuffix("/api") in findings["Prefect API"]["said"]
    assert findings["provider pollinations"]["state"] == "missing"
    assert not postgres_runs(home), "nothing that the doctor started goes on"


def test_what_is_away_is_broken_and_no_password_is_shown(tmp_path: Path) -> None:
    done = limner(
        tmp_path,
        "doctor",
        DATABASE_URL="postgresql://limner:geheim@127.0.0.1:1/ledger",
        LIMNER_PREFECT_API_URL="http://127.0.0.1:1/api",
    )
    assert done.returncode == 1
    assert "BROKEN   ledger: 127.0.0.1:1/ledger does not answer" in done.stdout
    assert "BROKEN   Prefect API: No Prefect API answers at http://127.0.0.1:1/api" in done.stdout
    assert "geheim" not in done.stdout + done.stderr


def test_what_is_missing_by_choice_breaks_nothing() -> None:
    found = [Finding("a", "fine", "there"), Finding("b", "missing", "no key", "Set B_API_KEY.")]
    assert exit_status(found) == 0
    assert exit_status([*found, Finding("c", "broken", "away")]) == 1
    assert as_text(found).splitlines()[-1].endswith("-> Set B_API_KEY.")
