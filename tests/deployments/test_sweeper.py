"""A pass of the sweeper over a real Prefect API: what it sets there, and that a deployment's slot comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_SSL_CERT_FILE, temporary_settings
from prefect.states import Cancelling, Crashed, Pending, Running
from sqlalchemy import text

from limner import press
from limner.ledger.opening import Ledger
from limner.ledger.runs import MOST_RESUMED
from limner.studio import Room
from tasks import sweeping
from tasks.sweeping import RESUMED, Step, sweep
from tests.integration.books import assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, castles, illustrate, planned

# A process of another host that nobody has heard for long.
DEAD = text("update runs set holder = 'elsewhere|boot|space|1|0.00|n', beat_at = now() - interval '1 minute'")


@flow
def illustrate_chapter() -> None:
    pass


@asynccontextmanager
async def api(url: str) -> AsyncIterator[PrefectClient]:
    # What another test's home, gone by now, had for authorities is none of ours.
    with temporary_settings(restore_defaults={PREFECT_API_SSL_CERT_FILE}):
        async with PrefectClient(url) as client:
            yield client


async def _deployed(client: PrefectClient, name: str) -> UUID:
    made = await client.create_flow(illustrate_chapter)
    return await client.create_deployment(
        made, name, entrypoint="flows.chapters.illustrate_chapter", concurrency_limit=1
    )


async def _runs(client: PrefectClient, deployment: UUID | None) -> FlowRun:
    """Return a flow run that Prefect calls running."""
    if deployment is None:
        run = await client.create_flow_run(illustrate_chapter)
    else:
        run = await client.create_flow_run_from_deployment(deployment)
    for state in (Pending(), Running()):
        assert (await client.set_flow_run_state(run.id, state)).state.type == state.type
    return run


async def _slots_taken(client: PrefectClient, deployment: UUID) -> Any:
    found = (await client.read_deployment(deployment)).global_concurrency_limit
    assert found is not None
    return found.active_slots


def _dies(room: Room, run: FlowRun, title: str) -> None:
    press.begin(room, planned(room, castles(2, title=title)), str(run.id))
    room.ledger.run(lambda connection: connection.execute(DEAD))


def test_a_dead_run_of_a_deployment_is_scheduled_again_and_its_slot_is_free(
    used: str, open_room: OpenRoom, ledger: Ledger
) -> None:
    async def told() -> None:
        async with api(used) as client:
            deployment = await _deployed(client, "resumed")
            run = await _runs(client, deployment)
            assert await _slots_taken(client, deployment) == 1
            _dies(room, run, "Resumed")
            swept, again = await asyncio.gather(sweep(room, client), sweep(room, client))
            assert [one.step for one in (*swept, *again)] == [Step.RESUME], "by one of the two"
            found = await client.read_flow_run(run.id)
            assert found.state is not None and found.state.name == "AwaitingRetry"
            assert (found.state.message or "").startswith(RESUMED)
            assert await _slots_taken(client, deployment) == 0
            assert await sweep(room, client) == []
            await client.delete_flow_run(run.id)

    room = open_room()
    asyncio.run(told())
    assert rows(ledger, "select resumed, holder, ended_at from runs") == [
        {"resumed": 1, "holder": None, "ended_at": None}
    ]


def test_a_dead_run_of_the_command_line_is_crashed_and_closed(used: str, open_room: OpenRoom, ledger: Ledger) -> None:
    async def told() -> None:
        async with api(used) as client:
            run = await _runs(client, None)
            _dies(room, run, "Closed")
            (swept,) = await sweep(room, client)
            assert swept.step is Step.CLOSE
            found = await client.read_flow_run(run.id)
            assert found.state is not None and found.state.is_crashed()
            assert await sweep(room, client) == []

    room = open_room()
    asyncio.run(told())
    assert value(ledger, "select status from batches") == "short"
    assert_the_books_balance(ledger, room.bucket)
    assert illustrate(room, castles(2, title="Closed")).made == 2


def test_a_dead_run_that_was_to_be_cancelled_is(used: str, open_room: OpenRoom, ledger: Ledger) -> None:
    async def told() -> None:
        async with api(used) as client:
            run = await _runs(client, await _deployed(client, "cancelled"))
            await client.set_flow_run_state(run.id, Cancelling())
            _dies(room, run, "Cancelled")
            (swept,) = await sweep(room, client)
            assert swept.step is Step.CANCEL
            found = await client.read_flow_run(run.id)
            assert found.state is not None and found.state.is_cancelled()

    room = open_room()
    asyncio.run(told())
    assert value(ledger, "select status from batches") == "cancelled"
    assert_the_books_balance(ledger, room.bucket)


def test_a_run_that_dies_before_it_has_a_batch_is_resumed_so_often_and_no_more(
    used: str, open_room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told() -> None:
        async with api(used) as client:
            run = await client.create_flow_run_from_deployment(await _deployed(client, "hopeless"))
            times = 0
            while await _is_resumed_after_a_crash(client, run.id):
                times += 1
            assert times == MOST_RESUMED

    async def _is_resumed_after_a_crash(client: PrefectClient, run: UUID) -> bool:
        await client.set_flow_run_state(run, Crashed())
        return [one.step for one in await sweep(room, client)] == [Step.RESUME]

    # It says that it crashed this moment.
    monkeypatch.setattr(sweeping, "FRESH_SECONDS", -1.0)
    room = open_room()
    asyncio.run(told())
