"""Dealing a plan: each job is taken once, whoever takes, until it is dealt or nobody is to take more."""

from sqlalchemy import text

from limner import press
from limner.ledger import dealing
from limner.ledger.opening import Ledger
from tests.integration.pressing import OpenRoom, castles, in_threads, planned

RUN = "run-1"


def test_each_job_is_taken_once_by_whoever_comes(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room()
    batch = planned(room, castles(40))
    press.begin(room, batch, RUN)
    since = ledger.run(dealing.now)
    ledger.run(lambda connection: dealing.begin(connection, RUN))

    def take_all() -> list[int]:
        taken = []
        while (one := ledger.ask(lambda connection: dealing.take(connection, RUN, since))) is not None:
            taken.append(one)
        return taken

    hands = in_threads([take_all] * 4)
    assert sorted(position for hand in hands for position in hand) == list(range(40))
    assert all(hand == sorted(hand) for hand in hands)


def test_a_new_deal_leaves_out_what_was_made_and_what_failed_since(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room()
    batch = planned(room, castles(4))
    press.begin(room, batch, RUN)
    press.give_up(room, batch.id, 0, "it failed before")
    since = ledger.run(dealing.now)
    press.give_up(room, batch.id, 1, "it failed in this run")
    assert press.press_job(room, batch.id, 2, RUN, press.direct).status == "made"
    ledger.run(lambda connection: dealing.begin(connection, RUN))
    assert ledger.run(lambda connection: dealing.standing(connection, RUN, since)) == (2, 1)
    taken = [ledger.ask(lambda connection: dealing.take(connection, RUN, since)) for _ in range(3)]
    assert taken == [0, 3, None]


def test_nobody_takes_from_a_run_that_was_stopped_or_a_batch_that_has_ended(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    room = open_room()
    batch = planned(room, castles(2))
    press.begin(room, batch, RUN)
    since = ledger.run(dealing.now)

    def takes() -> bool:
        goes_on = ledger.run(lambda connection: dealing.goes_on(connection, RUN))
        taken = ledger.ask(lambda connection: dealing.take(connection, RUN, since))
        assert goes_on == (taken is not None)
        return goes_on

    assert not takes(), "nothing was dealt yet"
    ledger.run(lambda connection: dealing.begin(connection, RUN))
    assert takes()
    ledger.run(lambda connection: connection.execute(text("update batches set status = 'cancelled'")))
    assert not takes()
    ledger.run(lambda connection: connection.execute(text("update batches set status = 'open'")))
    ledger.run(lambda connection: dealing.end(connection, RUN))
    assert not takes()
