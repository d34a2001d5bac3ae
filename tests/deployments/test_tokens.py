"""`limner tokens`: printed once, listed by id, taken back."""

import json

import pytest
from typer.testing import CliRunner

from deployments.commands.tokens import app
from limner.ledger import tokens
from limner.ledger.opening import Ledger


def test_a_token_is_printed_once_and_taken_back_by_its_id(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", ledger_url)

    def limner_tokens(*arguments: str) -> str:
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, ran.output
        return ran.output.strip()

    token = limner_tokens("add", "mary", "--name", "shop")
    assert ledger.run(lambda connection: tokens.owner_of(connection, token)) == "mary"
    (listed,) = json.loads(limner_tokens("list", "--owner", "mary", "--json"))["tokens"]
    assert (listed["name"], listed["revoked_at"]) == ("shop", None)
    assert token not in limner_tokens("list") and "mary  shop, made" in limner_tokens("list")
    assert listed["id"] in limner_tokens("revoke", listed["id"])
    assert ledger.run(lambda connection: tokens.owner_of(connection, token)) is None
    assert "revoked" in limner_tokens("list")
