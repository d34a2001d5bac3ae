"""A warm process: everything imported and open, then one flow run, then the end.

Loaded by the runner's fork server, whose children find all of it in memory; nothing happens on import.
"""

import asyncio
import gc
import logging
from multiprocessing.connection import Connection

from prefect.client.schemas.objects import FlowRun
from prefect.deployments.steps.core import run_steps
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow
from prefect.utilities.importtools import import_object

from blocks.studio import close_studios, open_studio
from deployments.local_api import drain_prefect
from deployments.runner import Given
from limner import press
from limner.illustrating import rehearse

_log = logging.getLogger(__name__)


def wait_for_a_run(pipe: Connection, preload: list[str]) -> None:
    """Get ready for the entrypoints in `preload`, say so, and make the run that comes by the pipe; else end."""
    asyncio.run(_get_ready(preload))
    pipe.send("ready")
    try:
        given: Given = pipe.recv()
    except EOFError:
        return
    try:
        make(given)
    finally:
        close_studios()
        drain_prefect()


async def _get_ready(preload: list[str]) -> None:
    for entrypoint in preload:
        try:
            import_object(entrypoint)
        except Exception as error:  # no other flow has to wait for it
            _log.warning("%s cannot be loaded: %s: %s", entrypoint, type(error).__name__, error)
    await run_steps([])
    press.rehearse(await open_studio(), rehearse())
    # All of it stays; looking through it for garbage would take longer than a call of the API.
    gc.collect()
    gc.freeze()


def make(given: Given) -> None:
    """Make a flow run as Prefect's own process for it would."""
    flow_run = FlowRun.model_validate_json(given.flow_run)
    with handle_engine_signals(flow_run.id):
        # Where the run's relative paths begin is the deployment's to say.
        asyncio.run(run_steps(given.pull_steps))
        made = run_flow(import_object(given.entrypoint), flow_run=flow_run)
        if asyncio.iscoroutine(made):
            asyncio.run(made)
