"""What a person may set or ask wrongly for a service: one sentence that says what to do, and exit 2."""

import json
from pathlib import Path

import pytest

from deployments.command_line import main
from limner.providers.opening import VARIABLES
from tests.chaos.homes import BOOK

FAL, OPENAI = {"FAL_KEY": "id:key"}, {"OPENAI_API_KEY": "sk-key"}
OWN = {"LIMNER_ALLOW_PRIVATE_ADDRESSES": "true"}

RUBBISH: list[tuple[dict[str, str], list[str], str]] = [
    (FAL | {"LIMNER_FAL_URL": "nonsense"}, [], "LIMNER_FAL_URL: 'nonsense' is no http or https address"),
    (
        FAL | {"LIMNER_FAL_URL": "https://a:s3cret@fal.run"},
        [],
        "LIMNER_FAL_URL: an address is http://host:port/path or",
    ),
    (FAL | {"LIMNER_FAL_URL": "http://fal.run"}, [], "fal: http://fal.run is no https address; give one, or, for a"),
    (FAL | {"LIMNER_FAL_URL": "http://127.0.0.1:1"}, [], "set LIMNER_ALLOW_PRIVATE_ADDRESSES=true"),
    (FAL | {"LIMNER_FAL_URL": "https://10.0.0.1"}, [], "fal: https://10.0.0.1 is no address of the open Internet"),
    (FAL | OWN | {"LIMNER_FAL_URL": "http://169.254.169.254"}, [], "is no address of the open Internet; give another"),
    ({"FAL_KEY": "a s3cret"}, [], "fal: the API key has spaces or letters that no key has; set FAL_KEY"),
    ({"FAL_KEY": "s3cret\n"}, [], "fal: the API key has spaces or letters that no key has; set FAL_KEY"),
    ({"OPENAI_API_KEY": "s3cretключ"}, [], "openai: the API key has spaces or letters that no key has"),
    ({"FAL_KEY": ""}, ["--provider", "fal"], "There is no provider 'fal' in this environment; it has sketch."),
    (FAL | {"LIMNER_FAL_MODEL": "nonesuch"}, [], "fal: no app nonesuch is known; name one of fal-ai/"),
    (OPENAI | {"LIMNER_OPENAI_MODEL": "nonesuch"}, [], "openai: there is no model 'nonesuch' that draws; name another"),
    (OPENAI | {"LIMNER_OPENAI_QUALITY": "silly"}, [], "openai: 'silly' is no quality of gpt-image-"),
    (FAL | {"LIMNER_FAL_CALLS_A_MINUTE": "-1"}, [], "LIMNER_FAL_CALLS_A_MINUTE: Input should be greater than or equal"),
    ({"LIMNER_DIFFUSERS_MODEL": "/nowhere/at all"}, [], "diffusers: "),
    (
        FAL | OPENAI,
        ["--provider", "fal,openai", "--model", "oil"],
        "There is no model 'oil' to be had: fal has fal-ai/",
    ),
    ({}, ["--max-usd", "-1"], "max_usd: Input should be greater than or equal to 0"),
    ({}, ["--max-usd", "nan"], "max_usd: Input should be less than or equal to 1000000"),
    ({}, ["--provider", "sketch\x07"], "provider: "),
]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))


def _dry_run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["chapters", "illustrate", BOOK, "--dry-run", "--limit", "2", *words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("settings", "words", "said"), RUBBISH, ids=[said[:40] for _, _, said in RUBBISH])
def test_rubbish_is_refused_in_one_sentence(
    settings: dict[str, str],
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    assert _dry_run(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and said in shown.err
    assert shown.err.count("\n") == 1 and "Traceback" not in shown.err and "s3cret" not in shown.err


def test_a_dry_run_says_what_each_provider_would_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in (FAL | OPENAI | {"LIMNER_FAL_MODEL": "fal-ai/flux-pro/v1.1-ultra"}).items():
        monkeypatch.setenv(variable, value)
    assert _dry_run("--provider", "fal,openai,sketch") == 0
    assert "Estimate, 2 by fal: $0.1200 at most." in capsys.readouterr().out
    assert _dry_run("--provider", "fal,openai,sketch", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["asked"] == 2 and said["estimate_usd"]["fal"] == 0.12 and said["estimate_usd"]["sketch"] == 0
    assert 0 < said["estimate_usd"]["openai"] < 0.5
    assert _dry_run("--provider", "fal,openai", "--model", "fal-ai/flux-lora", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said["cannot"].items()) == [("openai", "it has no model fal-ai/flux-lora")]
