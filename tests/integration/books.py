"""What must hold of a ledger and its bucket whatever happened: read with plain SQL, counted by hand."""

import hashlib
from collections import Counter
from typing import Any

from sqlalchemy import text

from limner.bucket import Bucket
from limner.ledger.opening import Ledger


def rows(ledger: Ledger, statement: str, **asked: Any) -> list[dict[str, Any]]:
    return ledger.run(lambda connection: [dict(row._mapping) for row in connection.execute(text(statement), asked)])


def value(ledger: Ledger, statement: str, **asked: Any) -> Any:
    (row,) = rows(ledger, statement, **asked)
    (only,) = row.values()
    return only


def assert_counters_equal_entries(ledger: Ledger) -> None:
    fields = ("pictures_reserved", "pictures_used", "usd_reserved", "usd_used")
    summed: dict[tuple[str, str], Counter[str]] = {}
    for entry in rows(ledger, "select * from entries"):
        into = summed.setdefault((entry["owner"], entry["period"]), Counter())
        for field in fields:
            into[field] += entry[field]
    for counter in rows(ledger, "select * from counters"):
        entered = summed.get((counter["owner"], counter["period"]), Counter())
        assert {field: counter[field] for field in fields} == {field: entered[field] for field in fields}


def assert_every_row_has_its_object(ledger: Ledger, bucket: Bucket) -> None:
    for artifact in rows(ledger, "select * from artifacts where tombstoned_at is null"):
        data = bucket.get(artifact["key"])
        assert hashlib.sha256(data).hexdigest() == artifact["sha256"]
        assert len(data) == artifact["size_bytes"]


def assert_nothing_is_held(ledger: Ledger) -> None:
    assert rows(ledger, "select * from claims") == []
    assert rows(ledger, "select * from attempts where outcome is null") == []
    assert rows(ledger, "select * from counters where pictures_reserved <> 0 or usd_reserved <> 0") == []


def assert_each_order_is_recorded_once(ledger: Ledger) -> None:
    twice = "select order_key, count(*) from records where deleted_at is null group by 1 having count(*) > 1"
    assert rows(ledger, twice) == []
    used = "select coalesce(sum(pictures_used), 0) from counters"
    assert value(ledger, used) == value(ledger, "select count(*) from records")


def assert_the_books_balance(ledger: Ledger, bucket: Bucket) -> None:
    """At rest: every row has its object, every counter its entries, every order one record, and nothing is held."""
    assert_counters_equal_entries(ledger)
    assert_every_row_has_its_object(ledger, bucket)
    assert_nothing_is_held(ledger)
    assert_each_order_is_recorded_once(ledger)
