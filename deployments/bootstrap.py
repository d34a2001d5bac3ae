"""Bootstrap: what a Prefect API must know before it can run our flows; applied as often as anybody likes.

Blocks, then the pools, queues and automations of `deployments/pools.yaml`, then the deployments of `prefect.yaml`. What
is as it should be already is left alone.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from deployments.local_api import child_environment
from limner.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

POOLS = Path(__file__).with_name("pools.yaml")

# Flow runs that somebody waits for, and all others.
INTERACTIVE, BATCH = "interactive", "batch"

DEPLOY_SECONDS = 120


class Queue(BaseModel):
    """A work queue as `pools.yaml` describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    priority: int = Field(ge=1)
    concurrency_limit: int | None = Field(ge=0)


class Pool(BaseModel):
    """A work pool as `pools.yaml` describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Literal["process"] = "process"
    description: str = ""
    concurrency_limit: int | None = Field(ge=0)
    queues: tuple[Queue, ...]


class Wanted(BaseModel):
    """What `pools.yaml` holds; an automation is in Prefect's own terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pools: tuple[Pool, ...]
    automations: tuple[dict[str, Any], ...] = ()


def load_pools(file: Path = POOLS) -> Wanted:
    return Wanted.model_validate(yaml.safe_load(file.read_text()))


async def register() -> list[str]:
    """Make blocks, pools, queues and automations what they should be; return what had to be changed."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from blocks.registering import register_blocks  # noqa: PLC0415

    await register_blocks()
    wanted = load_pools()
    changed: list[str] = []
    async with get_client() as client:
        for pool in wanted.pools:
            changed += await _pool(client, pool)
        for automation in wanted.automations:
            changed += await _automation(client, automation)
    return changed


async def _pool(client: "PrefectClient", pool: Pool) -> list[str]:
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate  # noqa: PLC0415
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415
    from prefect.workers.process import ProcessWorker  # noqa: PLC0415

    about = pool.model_dump(include={"description", "concurrency_limit"})
    changed = []
    try:
        found = await client.read_work_pool(pool.name)
        if not _says(found, about):
            await client.update_work_pool(pool.name, WorkPoolUpdate(**about))
            changed.append(f"pool {pool.name}")
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        await client.create_work_pool(
            WorkPoolCreate(name=pool.name, type=pool.type, base_job_template=template, **about)
        )
        changed.append(f"pool {pool.name}")
    there = {queue.name: queue for queue in await client.read_work_queues(work_pool_name=pool.name)}
    for queue in pool.queues:
        about = queue.model_dump(exclude={"name"})
        if queue.name not in there:
            await client.create_work_queue(queue.name, work_pool_name=pool.name, **about)
        elif not _says(there[queue.name], about):
            await client.update_work_queue(there[queue.name].id, **about)
        else:
            continue
        changed.append(f"queue {pool.name}/{queue.name}")
    return changed


def _says(found: object, about: Mapping[str, object]) -> bool:
    return all(getattr(found, name) == value for name, value in about.items())


async def _automation(client: "PrefectClient", about: Mapping[str, Any]) -> list[str]:
    from prefect.events.schemas.automations import AutomationCore  # noqa: PLC0415

    wanted = AutomationCore.model_validate(about)
    there = await client.read_automations_by_name(wanted.name)
    if not there:
        await client.create_automation(wanted)
    elif _plain(AutomationCore.model_validate(there[0].model_dump(exclude={"id"}))) != _plain(wanted):
        await client.update_automation(there[0].id, wanted)
    else:
        return []
    return [f"automation {wanted.name}"]


def _plain(automation: "BaseModel") -> Any:
    """Return an automation without the ids that the server gives to its parts, and with its sets in one order."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items() if name != "id"}
        return sorted((plain(one) for one in value), key=str) if isinstance(value, list | set) else value

    return plain(automation.model_dump(mode="json"))


def prefect_yaml() -> Path:
    """Return the file with the deployments: beside our packages, or in the working folder."""
    for place in (Path(__file__).resolve().parent.parent, Path.cwd()):
        if (place / "prefect.yaml").is_file():
            return place / "prefect.yaml"
    raise BadInput("There is no prefect.yaml here; run limner up in the folder that you cloned.")


def entrypoints(file: Path) -> list[str]:
    """Return where the deployments of `file` find their flows."""
    return sorted({one["entrypoint"] for one in yaml.safe_load(file.read_text())["deployments"]})


def apply_deployments(file: Path) -> None:
    """Apply every deployment of `file` through Prefect's own command; raises Unreachable with its last words."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file.name]
    done = subprocess.run(
        command,
        cwd=file.parent,
        env={**child_environment(), "PWD": str(file.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEPLOY_SECONDS,
    )
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())
        raise Unreachable(f"Prefect could not apply {file}: {said[-500:]}")
