"""`limner webhooks`: what a person types to have an app told."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from deployments.commands.webhooks import app
from limner.errors import BadInput
from limner.ledger.opening import Ledger
from tests.integration.books import value
from tests.integration.pressing import OpenRoom, castles, illustrate
from tests.standins.serving import Running, running


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, ledger_url: str, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", ledger_url.replace("+psycopg", ""))
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    monkeypatch.setenv("LIMNER_ALLOW_PRIVATE_ADDRESSES", "true")


@pytest.fixture
def receiver() -> Iterator[Running]:
    with running("tests.standins.receiver") as standin:
        yield standin


def said(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, words)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status, done.output
    return done.output


def test_a_webhook_is_added_tried_listed_and_removed(receiver: Running) -> None:
    webhook, secret = said("add", "anna", f"{receiver.url}/one").split()
    assert said("secret", webhook).strip() == secret
    assert "401" in said("test", webhook, status=1)
    httpx.post(f"{receiver.url}/secrets", json={"/one": secret}).raise_for_status()
    assert "204" in said("test", webhook)
    receiver.fail({"what": "hang up"})
    assert "127.0.0.1: " in said("test", webhook, status=1)
    assert said("list", "anna") == f"{webhook}  anna  {receiver.url}/one\n"
    assert said("list", "somebody") == ""
    said("remove", webhook)
    assert said("list") == ""
    for command in ("remove", "secret", "test"):
        with pytest.raises(BadInput, match="limner webhooks list"):
            said(command, webhook)


def test_what_was_told_is_shown_and_told_again(open_room: OpenRoom, ledger: Ledger) -> None:
    said("add", "local", "https://example.org/limner")
    assert "Nothing" in said("sent")
    batch = illustrate(open_room(), castles(1)).batch
    (message,) = json.loads(said("sent", "--json"))
    assert message["batch"] == batch
    assert (message["event"], message["status"], message["owner"]) == ("batch.complete", "waiting", "local")
    assert json.loads(said("sent", "--json", "--status", "dead")) == []
    assert json.loads(said("sent", "--json", "--owner", "somebody")) == []
    assert "0 messages" in said("resend", "--dead")
    value(ledger, "update outbox set status = 'dead', tries = 10 returning 1")
    assert "1 message is" in said("resend", message["id"])
    assert value(ledger, "select status from outbox") == "waiting"


@pytest.mark.parametrize(
    "words",
    [
        ["add", "no such; owner", "https://example.org"],
        ["add", "anna", "ftp://example.org"],
        ["resend"],
        ["resend", "msg_1", "--dead"],
        ["resend", "msg_1"],
        ["sent", "--status", "lost"],
    ],
)
def test_rubbish_is_one_sentence(words: list[str]) -> None:
    with pytest.raises(BadInput):
        said(*words)
