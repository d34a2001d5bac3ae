"""How a request stands whose process has died: carried on, until nobody does any more."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from deployments.gateway.standing import CARRIED_ON_SECONDS, seen
from limner.ledger.replies import Standing


@pytest.mark.parametrize(
    ("age", "status", "state"),
    [
        (1.0, None, "running"),
        (1.0, "cancelled", "running"),
        (1.0, "complete", "complete"),
        (2 * CARRIED_ON_SECONDS, None, "failed"),
        (2 * CARRIED_ON_SECONDS, "open", "running"),
        (2 * CARRIED_ON_SECONDS, "short", "short"),
    ],
)
def test_a_run_that_crashed_is_carried_on_at_first(age: float, status: str | None, state: str) -> None:
    since = datetime.now(UTC) - timedelta(seconds=age)
    crashed = State(type=StateType.CRASHED, timestamp=since)
    run = FlowRun(id=UUID(int=1), flow_id=UUID(int=2), state=crashed, parameters={"request": {"owner": "mary"}})
    batch = None if status is None else Standing("b", "mary", "t", status, 2, 1, 0, 0)
    assert seen(run, batch).state == state
    assert seen(run, batch).has_crashed
