"""A flow run that ends short, and its retry under the same flow run's id, as Prefect's Retry does it.

python -m tests.chaos.retrying DESCRIPTIONS      (a line of JSON after each run; a line in before the retry)
"""

import asyncio
import json
import sys
from typing import Any
from uuid import UUID

from deployments.local_api import prefect_api
from limner.reading.descriptions_file import load_descriptions
from limner.requests import ChapterRequest
from limner.settings import read_settings
from tests.chaos.homes import BOOK

STUDIO = "two-hundred"


async def _run(request: ChapterRequest) -> None:
    from blocks import LimnerStudio
    from flows.chapters import illustrate_chapter

    await LimnerStudio(concurrency=8, backoff_seconds=0.01).asave(STUDIO, overwrite=True)
    first: Any = await illustrate_chapter(request, STUDIO, return_state=True)
    _say(first)
    sys.stdin.readline()
    _say(await _retry(first.state_details.flow_run_id))


async def _retry(flow_run_id: UUID) -> Any:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.chapters import illustrate_chapter

    async with get_client() as client:
        await client.set_flow_run_state(flow_run_id, AwaitingRetry(), force=True)
        flow_run = await client.read_flow_run(flow_run_id)
    told: Any = run_flow(illustrate_chapter, flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
    return await told


def _say(state: Any) -> None:
    details = state.state_details
    print(json.dumps({"state": state.name, "said": state.message, "run": str(details.flow_run_id)}), flush=True)


def main() -> None:
    with prefect_api(read_settings()):
        from blocks.studio import close_studios

        descriptions = load_descriptions(sys.argv[1])
        request = ChapterRequest(book=BOOK, title="Two hundred", descriptions=descriptions, limit=len(descriptions))
        try:
            asyncio.run(_run(request))
        finally:
            close_studios()


if __name__ == "__main__":
    main()
