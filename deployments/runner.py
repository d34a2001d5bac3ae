"""The runner: serves the queue `interactive` with warm processes, so that what somebody waits for begins at once.

A process worker starts a Python for each flow run, which takes seconds. Here some wait with everything imported and the
studio open; each makes one flow run and ends, so that no run inherits anything from another. Prefect sees a worker:
pauses, limits, cancelling and crashes mean what they mean for any other. It cannot give a run an environment of its
own: job variables are for the workers.
"""

import asyncio
import logging
import math
import multiprocessing
import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any
from uuid import UUID

from deployments.bootstrap import INTERACTIVE, entrypoints, load_pools, prefect_yaml
from deployments.local_api import prefect_api
from limner.errors import BadInput
from limner.home.alive import BEAT_SECONDS, beat
from limner.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse, WorkerFlowRunResponse

NAME = "runner"

# Runs under way at once; those beyond wait in their queue.
RUNS_AT_ONCE = 8
# Events say at once that a run was scheduled; what they miss is found so often.
POLL_SECONDS = 2.0
SETTLED_SECONDS = 1.0
# A deployment that is changed is seen within this.
STALE_SECONDS = 60.0
# How long a cancelled run may take to end, as Prefect's workers give it.
GRACE_SECONDS = 30.0
RECONNECT_SECONDS = 1.0

# Where our deployments find their flows.
OURS = "flows."

CANCELLING = "prefect.flow-run.Cancelling"
EVENTS = ("prefect.flow-run.Scheduled", "prefect.flow-run.Late", CANCELLING)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """A flow run to make, as JSON, with what its deployment says of how: its entrypoint and its pull steps."""

    flow_run: str
    entrypoint: str
    pull_steps: list[dict[str, Any]]


@dataclass(eq=False)
class Warm:
    """A process that waits for one run, or makes it."""

    process: "ForkServerProcess"
    pipe: Connection
    run: UUID | None = None
    began: float = 0.0
    cancelled: bool = False


@dataclass
class _Runner:
    client: "PrefectClient"
    settings: Settings
    pools: tuple[str, ...]
    # Entrypoints of flows that are loaded before a run needs them.
    preload: list[str]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ready: deque[Warm] = field(default_factory=deque)
    all: set[Warm] = field(default_factory=set)
    given: list[Warm] = field(default_factory=list)
    deployments: "dict[UUID, DeploymentResponse]" = field(default_factory=dict)
    read_at: float = -math.inf
    may_be_cancelled: bool = False
    leaving: bool = False
    ended: list[Warm] = field(default_factory=list)

    # -- processes -----------------------------------------------------------------------------------------------------

    def fill_up(self) -> None:
        """Have as many wait as are to, while there is room for their runs."""
        waiting = sum(1 for one in self.all if one.run is None)
        running = len(self.all) - waiting
        for _ in range(min(self.settings.warm_processes - waiting, RUNS_AT_ONCE - running)):
            self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        process = context.Process(target=_wait_for_a_run, args=(theirs, self.preload), daemon=True)
        process.start()
        theirs.close()
        warm = Warm(process, ours)
        self.all.add(warm)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours.fileno(), partial(self._has_said, warm))
        loop.add_reader(process.sentinel, partial(self._has_ended, warm))

    def _has_said(self, warm: Warm) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(warm.pipe.fileno())
        with suppress(EOFError, OSError):
            warm.pipe.recv()
            self.ready.append(warm)
            self.wake.set()

    def _has_ended(self, warm: Warm) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(warm.process.sentinel)
        loop.remove_reader(warm.pipe.fileno())
        warm.process.join()
        warm.pipe.close()
        self.all.discard(warm)
        with suppress(ValueError):
            self.ready.remove(warm)
        if warm.run is not None:
            self.ended.append(warm)
            self.wake.set()
        elif not self.leaving:
            _log.warning("A warm process ended with status %s before it had a run", warm.process.exitcode)
            loop.call_later(POLL_SECONDS, self.fill_up)

    # -- runs ----------------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Take what is scheduled, and cancel what is to be cancelled, for ever."""
        while True:
            try:
                await asyncio.wait_for(self.wake.wait(), POLL_SECONDS)
            except TimeoutError:
                self.may_be_cancelled = True
            self.wake.clear()
            try:
                # First, so that nothing is said of a run that somebody has begun again meanwhile.
                while self.ended:
                    await self._close(self.ended[0])
                    self.ended.pop(0)
                for pool in self.pools:
                    # Where some were found, each further question would hold up what they ask the API themselves.
                    if await self._take(pool):
                        break
                if self.may_be_cancelled:
                    await self._cancel()
                    self.may_be_cancelled = False
                await self._note()
                await self._refresh()
            except Exception as error:  # the API is away for a moment; the next look finds the same
                _log.warning("The Prefect API did not answer (%s: %s); asking again", type(error).__name__, error)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _take(self, pool: str) -> bool:
        """Have what is scheduled in a pool made, as far as processes are ready; say whether there was any."""
        if not self.ready:
            return False
        found = await self.client.get_scheduled_flow_runs_for_work_pool(
            pool, work_queue_names=[INTERACTIVE], scheduled_before=datetime.now(UTC)
        )
        mine = {one.run for one in self.all}
        for one in found:
            # Whoever is left over is found again when the next process is ready.
            if self.ready and one.flow_run.id not in mine:
                await self._give(one)
        return bool(found)

    async def _give(self, found: "WorkerFlowRunResponse") -> None:
        from prefect.exceptions import Abort  # noqa: PLC0415
        from prefect.states import Pending, Scheduled  # noqa: PLC0415
        from prefect.utilities.engine import propose_state  # noqa: PLC0415

        run = found.flow_run
        assert run.deployment_id is not None  # noqa: S101 - what a queue holds has one
        # Whoever else wants the run is told that it is taken.
        state, deployment = await asyncio.gather(
            propose_state(self.client, Pending(), flow_run_id=run.id),
            self._deployment(run.deployment_id),
            return_exceptions=True,
        )
        if isinstance(state, Abort):
            return
        if isinstance(state, BaseException):
            raise state
        if not state.is_pending():
            return
        if not isinstance(deployment, BaseException):
            taken = run.model_copy(update={"state": state})
            given = Given(taken.model_dump_json(), deployment.entrypoint or "", deployment.pull_steps or [])
            if self._send(run.id, given):
                return
        # Taken, and nobody makes it: it waits again.
        await self.client.set_flow_run_state(run.id, Scheduled(), force=True)
        if isinstance(deployment, BaseException):
            raise deployment

    async def _deployment(self, id: UUID) -> "DeploymentResponse":  # noqa: A002 - it is Prefect's word
        """Return a deployment as it was less than a minute ago."""
        known = self.deployments.get(id) if time.monotonic() - self.read_at < STALE_SECONDS else None
        return known or await self.client.read_deployment(id)

    def _send(self, run: UUID, given: Given) -> bool:
        """Give a run to a process that waits; say whether there was one that lives."""
        while self.ready:
            warm = self.ready.popleft()
            with suppress(OSError):
                warm.pipe.send(given)
                warm.run, warm.began = run, time.monotonic()
                self.given.append(warm)
                return True
        return False

    async def _note(self) -> None:
        """Say where the runs are made that have just begun, and have others wait in their place.

        Getting ready takes a core for a second, which a run needs more until it has asked for its first picture.
        """
        from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

        while self.given and time.monotonic() - self.given[0].began > SETTLED_SECONDS:
            warm = self.given[0]
            if warm.run is not None:
                here = f"{socket.gethostname()}:{warm.process.pid}"
                with suppress(ObjectNotFound):  # somebody has deleted it
                    await self.client.update_flow_run(warm.run, infrastructure_pid=here)
            # Not before it was said: a run of which nobody knows where it is made is taken for dead.
            self.given.pop(0)
        self.fill_up()

    async def _refresh(self) -> None:
        """Read the deployments anew while nothing else is to be done, before somebody has to wait for it."""
        if not self.given and time.monotonic() - self.read_at > STALE_SECONDS / 2:
            self.deployments = {one.id: one for one in await self.client.read_deployments()}
            self.read_at = time.monotonic()

    async def _cancel(self) -> None:
        from prefect.client.schemas.filters import FlowRunFilter  # noqa: PLC0415

        under_way = {one.run: one for one in self.all if one.run is not None and not one.cancelled}
        if not under_way:
            return
        asked = FlowRunFilter.model_validate(
            {"id": {"any_": list(under_way)}, "state": {"type": {"any_": ["CANCELLING"]}}}
        )
        for run in await self.client.read_flow_runs(flow_run_filter=asked):
            warm = under_way[run.id]
            warm.cancelled = True
            warm.process.terminate()
            asyncio.get_running_loop().call_later(GRACE_SECONDS, _kill, warm.process)

    async def _close(self, warm: Warm) -> None:
        """Say of a run whose process has ended that it is cancelled or crashed, where nothing else was said."""
        from prefect.exceptions import ObjectNotFound  # noqa: PLC0415
        from prefect.states import Cancelled, Crashed  # noqa: PLC0415

        assert warm.run is not None  # noqa: S101 - only those are closed
        if not (warm.cancelled or warm.process.exitcode):
            return
        try:
            run = await self.client.read_flow_run(warm.run)
        except ObjectNotFound:  # somebody has deleted it
            return
        if warm.cancelled:
            if run.state is None or not run.state.is_completed():
                await self.client.set_flow_run_state(run.id, Cancelled(), force=True)
        elif _is_open(run):
            said = f"The process of the run ended with status {warm.process.exitcode}."
            await self.client.set_flow_run_state(run.id, Crashed(message=said))

    # -- signs of life -------------------------------------------------------------------------------------------------

    async def beat(self) -> None:
        name = f"limner-{NAME}-{socket.gethostname()}-{os.getpid()}"
        while True:
            with suppress(Exception):  # the API is away for a moment
                for pool in self.pools:
                    await self.client.send_worker_heartbeat(pool, name, heartbeat_interval_seconds=BEAT_SECONDS)
            if any(one.run is not None or one.process.is_alive() for one in self.all):
                beat(self.settings.home, NAME)
            await asyncio.sleep(BEAT_SECONDS)

    async def listen(self) -> None:
        """Wake whenever a run is scheduled or cancelled."""
        from prefect.events.clients import get_events_subscriber  # noqa: PLC0415
        from prefect.events.filters import EventFilter, EventNameFilter  # noqa: PLC0415

        wanted = EventFilter(event=EventNameFilter(name=list(EVENTS)))
        while True:
            with suppress(Exception):  # the API is away for a moment; polling goes on
                async with get_events_subscriber(wanted) as events:
                    self.wake.set()
                    async for event in events:
                        self.may_be_cancelled |= event.event == CANCELLING
                        self.wake.set()
            await asyncio.sleep(RECONNECT_SECONDS)


def _is_open(run: "FlowRun") -> bool:
    return run.state is None or not run.state.is_final()


def _kill(process: "ForkServerProcess") -> None:
    if process.is_alive():
        process.kill()


def _wait_for_a_run(pipe: Connection, preload: list[str]) -> None:
    from deployments.warm import wait_for_a_run  # noqa: PLC0415 - loaded by the fork server, once

    wait_for_a_run(pipe, preload)


def serve(settings: Settings) -> None:
    """Serve interactive runs until SIGTERM or SIGINT; runs under way are ended with it."""
    with prefect_api(settings):
        multiprocessing.get_context("forkserver").set_forkserver_preload(["deployments.warm"])
        asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with get_client() as client:
        pools = tuple(pool.name for pool in load_pools().pools)
        runner = _Runner(client, settings, pools, await _entrypoints(client))
        runner.fill_up()
        work = [asyncio.create_task(one) for one in (runner.serve(), runner.beat(), runner.listen())]
        await ended.wait()
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await _end(runner)


async def _entrypoints(client: "PrefectClient") -> list[str]:
    """Return the flows that are deployed, or are about to be; what others have deployed here is theirs to load."""
    found = {one.entrypoint for one in await client.read_deployments() if (one.entrypoint or "").startswith(OURS)}
    with suppress(BadInput):  # it is not where we are
        found.update(entrypoints(prefect_yaml()))
    return sorted(one for one in found if one)


async def _end(runner: _Runner) -> None:
    """End all processes; a run under way is told, and says itself that it was ended."""
    runner.leaving = True
    for warm in runner.all:
        warm.process.terminate()
    for warm in list(runner.all):
        await asyncio.to_thread(warm.process.join, GRACE_SECONDS)
        _kill(warm.process)
