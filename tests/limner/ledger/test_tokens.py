"""Tokens: shown once, kept as hashes, worth nothing once revoked."""

from pathlib import Path

import pytest
from sqlalchemy import text

from limner.errors import BadInput
from limner.home.local_token import local_token, token_file
from limner.ledger import tokens
from limner.ledger.opening import Ledger
from limner.settings import Settings


def add(ledger: Ledger, owner: str, name: str = "app") -> str:
    return ledger.run(lambda connection: tokens.add(connection, owner, name))


def owner_of(ledger: Ledger, token: str) -> str | None:
    return ledger.run(lambda connection: tokens.owner_of(connection, token))


def test_a_token_speaks_for_its_owner_until_it_is_revoked_and_is_nowhere_in_the_ledger(ledger: Ledger) -> None:
    marys, johns = add(ledger, "mary", "shop"), add(ledger, "john")
    assert owner_of(ledger, marys) == "mary" and owner_of(ledger, johns) == "john"
    kept = ledger.run(lambda connection: str(connection.execute(text("select * from tokens")).all()))
    assert marys not in kept and marys.removeprefix("limner_") not in kept

    (listed,) = ledger.run(lambda connection: tokens.listed(connection, "mary"))
    assert (listed.owner, listed.name, listed.revoked_at) == ("mary", "shop", None)
    for _ in range(2):
        ledger.run(lambda connection: tokens.revoke(connection, listed.id))
    assert owner_of(ledger, marys) is None and owner_of(ledger, johns) == "john"


@pytest.mark.parametrize("shown", ["", "limner_", "limner_guess", "%", "a" * 10_000, "ключ"])
def test_what_is_no_token_speaks_for_nobody(ledger: Ledger, shown: str) -> None:
    add(ledger, "mary")
    assert owner_of(ledger, shown) is None


@pytest.mark.parametrize("given", ["", "%", "_" * 12, "a" * 11, "f" * 12, "G" * 12])
def test_only_an_id_of_a_token_can_be_revoked(ledger: Ledger, given: str) -> None:
    token = add(ledger, "mary")
    with pytest.raises(BadInput, match="limner tokens list shows them"):
        ledger.run(lambda connection: tokens.revoke(connection, given))
    assert owner_of(ledger, token) == "mary"


def test_an_owner_that_no_request_could_name_gets_none(ledger: Ledger) -> None:
    for odd in ("", "a b", "a\n", "a" * 101):
        with pytest.raises(BadInput, match="cannot be an owner"):
            add(ledger, odd)


def test_the_machines_own_token_is_made_once_and_read_by_nobody_else(ledger: Ledger, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    token = local_token(settings, ledger)
    assert local_token(settings, ledger) == token and owner_of(ledger, token) == "local"
    assert token_file(tmp_path).stat().st_mode & 0o777 == 0o600

    (listed,) = ledger.run(lambda connection: tokens.listed(connection, "local"))
    ledger.run(lambda connection: tokens.revoke(connection, listed.id))
    assert owner_of(ledger, local_token(settings, ledger)) == "local"
