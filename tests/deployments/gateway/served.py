"""A process with a gateway that makes what is scheduled, one run after the other, until its input ends.

python -m tests.deployments.gateway.served HOLD

Prints the gateway's address once it answers; its home and ledger are the environment's. Waits while `HOLD` exists.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.local_api import prefect_api
from limner.settings import read_settings

if TYPE_CHECKING:
    import uvicorn


def main() -> None:
    os.environ["LIMNER_GATEWAY_URL"] = "http://127.0.0.1:1"
    with prefect_api(read_settings()):
        from blocks.studio import close_studios

        _deploy()
        with _gateway() as url:
            os.environ["LIMNER_GATEWAY_URL"] = url
            over = threading.Event()
            threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
            try:
                asyncio.run(_run(url, Path(sys.argv[1]), over))
            finally:
                close_studios()


async def _run(url: str, hold: Path, ended: threading.Event) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.flow_engine import run_flow

    from flows.chapters import illustrate_book, illustrate_chapter

    flows: dict[str, Any] = {"illustrate-chapter": illustrate_chapter, "illustrate-book": illustrate_book}
    scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    async with get_client() as client:
        names = {(await client.read_flow_by_name(name)).id: name for name in flows}
        print(url, flush=True)
        while not ended.is_set():
            found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=scheduled), limit=1)
            if found and not hold.exists():
                await run_flow(flows[names[found[0].flow_id]], flow_run=found[0], return_type="state")
            await asyncio.sleep(0.05)


@contextmanager
def _gateway() -> Iterator[str]:
    import uvicorn

    from deployments.gateway.serving import _listening, application

    with _listening("127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(application(read_settings(), url), log_level="warning"))
        thread = threading.Thread(target=partial(server.run, sockets=[listening]), daemon=True)
        thread.start()
        _wait_until_up(server, thread)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


def _wait_until_up(server: "uvicorn.Server", thread: threading.Thread) -> None:
    while not server.started:
        assert thread.is_alive(), "the gateway did not start"
        thread.join(0.02)


def _deploy() -> None:
    """Make the deployments of a pool where nobody works: the runner takes their runs."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from flows import chapters

    async def deploy() -> None:
        async with get_client() as client:
            await client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
        for flow in (chapters.illustrate_chapter, chapters.illustrate_book):
            deployment: Any = await flow.ato_deployment(name=flow.name, work_pool_name="cpu")
            await deployment.aapply()

    asyncio.run(deploy())


if __name__ == "__main__":
    main()
