"""A process that makes what is scheduled, one run after the other, until its input ends; waits while `hold` exists.

python -m tests.deployments.gateway.runner HOLD
"""

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.flow_engine import run_flow

from flows.chapters import illustrate_book, illustrate_chapter

FLOWS: dict[str, Any] = {"illustrate-chapter": illustrate_chapter, "illustrate-book": illustrate_book}


async def run(hold: Path, ended: threading.Event) -> None:
    scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    async with get_client() as client:
        names = {(await client.read_flow_by_name(name)).id: name for name in FLOWS}
        print("ready", flush=True)
        while not ended.is_set():
            found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=scheduled), limit=1)
            if found and not hold.exists():
                await run_flow(FLOWS[names[found[0].flow_id]], flow_run=found[0], return_type="state")
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    asyncio.run(run(Path(sys.argv[1]), over))
