"""What the sweeper makes of a run, by what Prefect calls it, what the ledger knows, and which processes are here."""

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from limner.ledger.holders import new_holder
from limner.ledger.runs import Run
from tasks.sweeping import CRASHED_SECONDS, FRESH_SECONDS, NOBODYS_SECONDS, Sight, Step, Suspect, step

ID = UUID(int=7)
HERE = socket.gethostname()
LIVING = new_holder()
# A process of this host that started at another time than whoever has its id now.
DEAD = "|".join((LIVING.rsplit("|", 3)[0], str(os.getpid()), "1.00", "n"))
ELSEWHERE = "elsewhere|boot|space|1|0.00|n"

RUNNING, PENDING, CRASHED = StateType.RUNNING, StateType.PENDING, StateType.CRASHED
NOBODY_HERE = Sight(_under_way=frozenset())


def flow_run(state: StateType, *, age: float = 60.0, deployed: bool = True, **more: Any) -> FlowRun:
    stands = State(type=state, timestamp=datetime.now(UTC) - timedelta(seconds=age))
    deployment = UUID(int=1) if deployed else None
    return FlowRun(id=ID, flow_id=UUID(int=2), name="run", state=stands, deployment_id=deployment, **more)


def run(holder: str | None, *, silent: float = 60.0, ended: bool = False, status: str = "open") -> Run:
    return Run(str(ID), "batch", status, holder, ended, 0, False, silent)


def what(flow_run: FlowRun | None, run: Run | None, sight: Sight = NOBODY_HERE) -> Step:
    return step(Suspect(str(ID), flow_run, run), sight)


@pytest.mark.parametrize("state", [RUNNING, PENDING])
def test_a_run_whose_process_is_gone_is_resumed(state: StateType) -> None:
    assert what(flow_run(state), run(DEAD)) is Step.RESUME
    assert what(flow_run(state), run(ELSEWHERE)) is Step.RESUME


def test_a_run_that_lives_is_left(state: StateType = RUNNING) -> None:
    assert what(flow_run(state), run(LIVING, silent=3600)) is Step.LEAVE, "it only sleeps"
    assert what(flow_run(state), run(ELSEWHERE, silent=5)) is Step.LEAVE
    assert what(flow_run(state), run(ELSEWHERE), Sight(silence_counts=False)) is Step.LEAVE
    assert what(flow_run(state), run(DEAD, silent=1)) is Step.LEAVE, "its worker may say so first"


def test_a_run_elsewhere_that_has_ended_its_batch_may_have_last_words() -> None:
    assert what(flow_run(RUNNING), run(ELSEWHERE, ended=True)) is Step.LEAVE
    assert what(flow_run(RUNNING), run(DEAD, ended=True, status="complete")) is Step.RESUME


def test_a_run_without_a_row_is_judged_by_its_process() -> None:
    ours = {"prefect.worker.name": f"limner-cpu-{HERE}-1"}
    theirs = {"prefect.worker.name": "limner-cpu-elsewhere-1"}
    alike = {"prefect.worker.name": f"limner-cpu-{HERE}-2-1"}
    assert what(flow_run(PENDING, labels=alike), None) is Step.LEAVE, "a host whose name begins like ours"
    assert what(flow_run(PENDING, infrastructure_pid="1", labels=ours), None) is Step.RESUME, "that is another's id"
    assert what(flow_run(PENDING, labels=ours), None) is Step.RESUME
    assert what(flow_run(PENDING, infrastructure_pid="1", labels=theirs), None) is Step.LEAVE
    assert what(flow_run(PENDING, infrastructure_pid=f"{HERE}:{os.getpid()}"), None) is Step.LEAVE
    assert what(flow_run(PENDING, infrastructure_pid=f"{HERE}:999999999"), None) is Step.RESUME
    assert what(flow_run(PENDING, labels=ours), None, Sight(_under_way=frozenset({str(ID)}))) is Step.LEAVE


def test_a_run_that_waits_for_its_next_process_is_not_judged_by_the_last() -> None:
    ours = {"prefect.worker.name": f"limner-cpu-{HERE}-1"}
    fresh = flow_run(PENDING, age=FRESH_SECONDS / 2, infrastructure_pid="1", labels=ours)
    assert what(fresh, run(None)) is Step.LEAVE
    assert what(flow_run(StateType.SCHEDULED), run(None)) is Step.LEAVE
    assert what(flow_run(StateType.SCHEDULED), run(DEAD)) is Step.LET_GO


def test_a_run_that_was_promised_to_nobody_is_resumed_in_the_end() -> None:
    assert what(flow_run(PENDING, age=NOBODYS_SECONDS / 2), None) is Step.LEAVE
    assert what(flow_run(PENDING, age=2 * NOBODYS_SECONDS), None) is Step.RESUME


def test_a_run_that_is_being_cancelled_is_cancelled_once_its_process_is_gone() -> None:
    assert what(flow_run(StateType.CANCELLING), run(DEAD)) is Step.CANCEL
    assert what(flow_run(StateType.CANCELLING), run(LIVING)) is Step.LEAVE
    assert what(flow_run(StateType.CANCELLED), run(DEAD)) is Step.CANCEL, "its batch is still open"


def test_a_crashed_run_of_a_deployment_is_resumed_while_its_batch_is_not_complete() -> None:
    assert what(flow_run(CRASHED), run(DEAD)) is Step.RESUME
    assert what(flow_run(CRASHED), run(DEAD, ended=True, status="cancelled")) is Step.RESUME
    just_now = flow_run(CRASHED, age=FRESH_SECONDS / 2)
    assert what(just_now, run(DEAD, ended=True, status="cancelled")) is Step.LEAVE, "it may be called cancelled yet"
    assert what(flow_run(CRASHED), run(DEAD, ended=True, status="complete")) is Step.LEAVE
    assert what(flow_run(CRASHED), None) is Step.RESUME
    assert what(flow_run(CRASHED), run(LIVING, silent=3600)) is Step.LEAVE, "it slept, and goes on"
    assert what(flow_run(CRASHED), None, Sight(_under_way=frozenset({str(ID)}))) is Step.LEAVE


@pytest.mark.parametrize("state", [CRASHED, StateType.FAILED, StateType.COMPLETED])
def test_what_is_over_or_unknown_to_prefect_is_closed(state: StateType) -> None:
    assert what(flow_run(state, deployed=False), run(DEAD)) is Step.CLOSE
    assert what(flow_run(state, deployed=False), run(DEAD, ended=True)) is Step.LEAVE
    assert what(None, run(DEAD)) is Step.CLOSE
    assert what(None, run(None, silent=CRASHED_SECONDS)) is Step.CLOSE
    assert what(None, run(None, silent=1)) is Step.LEAVE
