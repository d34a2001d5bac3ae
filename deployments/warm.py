"""A warm process: everything imported and open, then one flow run, then the end.

Loaded by the runner's fork server, whose children find all of it in memory; nothing happens on import.
"""

import asyncio
from multiprocessing.connection import Connection
from uuid import UUID

from prefect.engine import handle_engine_signals
from prefect.flow_engine import load_flow, load_flow_run, run_flow

# What a flow run would load first.
import flows.chapters  # noqa: F401
from blocks.studio import close_studios, open_studio
from deployments.local_api import drain_prefect


def wait_for_a_run(pipe: Connection) -> None:
    """Get ready, say so, and make the run whose id comes by the pipe; without one, end."""
    asyncio.run(_get_ready())
    pipe.send("ready")
    try:
        run = UUID(pipe.recv())
    except EOFError:
        return
    try:
        make(run)
    finally:
        close_studios()
        drain_prefect()


async def _get_ready() -> None:
    await open_studio()


def make(run: UUID) -> None:
    """Make a flow run as Prefect's own process for it would."""
    with handle_engine_signals(run):
        flow_run = load_flow_run(run)
        # Where the run's relative paths begin is the deployment's to say.
        made = run_flow(load_flow(flow_run), flow_run=flow_run)
        if asyncio.iscoroutine(made):
            asyncio.run(made)
