"""The ledger's door: an address that cannot be used is one sentence, and never tells its password."""

import pytest

from limner.errors import BadInput, LedgerUnreachable
from limner.ledger.opening import Ledger


@pytest.mark.parametrize(
    "url",
    ["postgresql://anna:hunter2@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db?user=anna&password=hunter2"],
)
def test_an_unreachable_ledger_is_named_without_its_password(url: str) -> None:
    with pytest.raises(LedgerUnreachable) as away:
        Ledger.open(url)
    assert "127.0.0.1:1/db" in str(away.value)
    assert "hunter2" not in str(away.value)


@pytest.mark.parametrize("url", ["postgresql://anna:hunter2@host:port/db", "hunter2"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadInput, match="no database address") as refused:
        Ledger.open(url)
    assert "hunter2" not in str(refused.value)
