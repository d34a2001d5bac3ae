"""What the runner makes of processes that die in its hands, of runs that are deleted, and of an API that is away."""

import asyncio
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from deployments.runner import Given, Warm, _entrypoints, _Runner
from limner.settings import Settings

RUN = uuid4()
GIVEN = Given("{}", "flows.chapters.illustrate_chapter", [])


class Api:
    """Stands in for Prefect's client. fault: what every call of it raises."""

    def __init__(self, state: StateType = StateType.RUNNING, fault: Exception | None = None) -> None:
        self.fault = fault
        self.said: list[Any] = []
        self._state = state

    async def read_flow_run(self, run: UUID) -> Any:
        self._answer()
        return SimpleNamespace(id=run, state=State(type=self._state))

    async def set_flow_run_state(self, _run: UUID, state: Any, *, force: bool = False) -> None:
        self._answer()
        self.said.append(state.type)

    async def read_deployment(self, _deployment: UUID) -> Any:
        self._answer()
        return SimpleNamespace(entrypoint=GIVEN.entrypoint, pull_steps=None)

    async def update_flow_run(self, _run: UUID, infrastructure_pid: str) -> None:
        self._answer()
        self.said.append(infrastructure_pid.rpartition(":")[2])

    def _answer(self) -> None:
        if self.fault is not None:
            raise self.fault


def runner(api: Api) -> _Runner:
    return _Runner(cast(Any, api), Settings(warm_processes=0), ("cpu",), [])


def warm(exitcode: int | None = None, *, cancelled: bool = False, run: UUID | None = RUN) -> Warm:
    process = SimpleNamespace(exitcode=exitcode, pid=7, is_alive=lambda: exitcode is None)
    return Warm(cast(Any, process), Pipe()[0], run, cancelled=cancelled)


def test_a_run_goes_to_a_process_that_lives() -> None:
    ours, theirs = Pipe()
    dead, living = warm(run=None), warm(run=None)
    dead.pipe.close()
    living.pipe = ours
    serving = runner(Api())
    serving.ready += (dead, living)
    assert serving._send(RUN, GIVEN)
    assert theirs.recv() == GIVEN
    assert (dead.run, living.run, serving.given) == (None, RUN, [living])
    assert not serving._send(RUN, GIVEN), "there is none left"


def give(serving: _Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken(*_asked: Any, **_more: Any) -> State:
        return State(type=StateType.PENDING)

    monkeypatch.setattr("prefect.utilities.engine.propose_state", taken)
    run = FlowRun(id=RUN, flow_id=uuid4(), deployment_id=uuid4())
    asyncio.run(serving._give(cast(Any, SimpleNamespace(flow_run=run))))


def test_a_run_that_is_taken_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Pipe()
    waiting = warm(run=None)
    waiting.pipe = ours
    api = Api()
    serving = runner(api)
    serving.ready.append(waiting)
    give(serving, monkeypatch)
    given = theirs.recv()
    assert given.entrypoint == GIVEN.entrypoint
    assert FlowRun.model_validate_json(given.flow_run).id == waiting.run == RUN
    assert api.said == []


def test_a_run_that_is_taken_and_that_nobody_makes_waits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    give(runner(api), monkeypatch)
    assert api.said == [StateType.SCHEDULED], "whoever was ready has died meanwhile"


@pytest.mark.parametrize(
    ("ended", "state", "said"),
    [
        (warm(-9), StateType.RUNNING, [StateType.CRASHED]),
        (warm(-15), StateType.CRASHED, []),
        (warm(0), StateType.RUNNING, []),
        (warm(-15, cancelled=True), StateType.CRASHED, [StateType.CANCELLED]),
        (warm(0, cancelled=True), StateType.COMPLETED, []),
    ],
)
def test_what_is_said_of_a_run_whose_process_has_ended(ended: Warm, state: StateType, said: list[StateType]) -> None:
    api = Api(state)
    asyncio.run(runner(api)._close(ended))
    assert api.said == said


def test_a_run_that_somebody_deleted_stands_in_nobodys_way() -> None:
    serving = runner(Api(fault=ObjectNotFound(httpx.HTTPError("404"))))
    serving.given.append(warm())
    asyncio.run(serving._note())
    asyncio.run(serving._close(warm(-9)))
    assert serving.given == []


def test_where_a_run_is_made_is_said_once_the_api_is_back() -> None:
    api = Api(fault=httpx.ConnectError("away"))
    serving = runner(api)
    serving.given.append(warm())
    with pytest.raises(httpx.ConnectError):
        asyncio.run(serving._note())
    api.fault = None
    asyncio.run(serving._note())
    assert api.said == ["7"]


def test_what_others_have_deployed_is_not_loaded() -> None:
    class Deployed:
        async def read_deployments(self) -> list[Any]:
            told = ("flows.later.a_flow", "theirs.py:flow", None)
            return [SimpleNamespace(entrypoint=one) for one in told]

    found = asyncio.run(_entrypoints(cast(Any, Deployed())))
    assert "flows.later.a_flow" in found
    assert "flows.chapters.illustrate_chapter" in found, "it is about to be deployed"
    assert "theirs.py:flow" not in found
