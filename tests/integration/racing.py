"""Processes that race for money, round by round: each round is an owner whose month pays for a few of them.

    python -m tests.integration.racing DATABASE_URL --processes 64 --rounds 1000

prints how many were granted in each round, as JSON; what the ledger then says is for the caller to compare.
"""

import argparse
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import text

from limner.errors import QuotaUsedUp
from limner.ledger import quota
from limner.ledger.opening import Ledger
from limner.ledger.plans import Batch
from limner.ledger.quota import Caps

PERIOD = "2026-11"
PRICE_USD = 0.1
# Of the owner of a round: pays for ten.
CAP_USD = 1.05
PAID_FOR = 10

_BATCHES = text("""
    insert into batches (id, kind, title, owner, tier, period, request, request_hash, recipe, chain, reuse, notes,
                         asked)
    select r || '-' || p, 'race', 'A race', 'owner-' || r, 'free', :period, '{}', r || '-' || p, '', '[]', 'same', '[]',
           1
      from generate_series(1, :rounds) r, generate_series(1, :processes) p
""")


def prepare(ledger: Ledger, rounds: int, processes: int) -> None:
    asked = {"rounds": rounds, "processes": processes, "period": PERIOD}
    ledger.run(lambda connection: connection.execute(_BATCHES, asked))


def race(url: str, process: int, rounds: int) -> list[int]:
    """Ask for one picture's money in every round; return the rounds in which it was granted."""
    ledger = Ledger.open(url, connections=1)
    won, caps = [], Caps(None, CAP_USD)
    for number in range(1, rounds + 1):
        ask = partial(
            quota.reserve, batch=_batch(f"{number}-{process}", f"owner-{number}"), caps=caps, prices=[PRICE_USD]
        )
        try:
            ledger.run(ask)
        except QuotaUsedUp:
            continue
        won.append(number)
    ledger.close()
    return won


def _batch(name: str, owner: str) -> Batch:
    now = datetime.now(UTC)
    return Batch(name, "race", "A race", owner, "free", PERIOD, (), None, "same", 1, "open", (), now, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1000)
    asked = parser.parse_args()
    ledger = Ledger.open(asked.url, connections=1)
    prepare(ledger, asked.rounds, asked.processes)
    ledger.close()
    pipes = []
    for process in range(1, asked.processes + 1):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, json.dumps(race(asked.url, process, asked.rounds)).encode())
            os._exit(0)
        os.close(writing)
        pipes.append(reading)
    won: Counter[int] = Counter()
    for reading in pipes:
        with open(reading, "rb") as pipe:  # noqa: PTH123 - a file descriptor
            won.update(json.loads(pipe.read()))
    json.dump({number: won[number] for number in range(1, asked.rounds + 1)}, sys.stdout)


if __name__ == "__main__":
    main()
