"""The studio's engine: what it takes to run on a cluster, and who may not share one machine's ledger and bucket."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from blocks.bucket import LimnerBucket
from blocks.database import LimnerDatabase
from blocks.studio import LimnerStudio
from limner.errors import BadInput
from limner.ledger.holders import new_holder
from limner.settings import Settings

ELSEWHERE = "elsewhere|its-boot|pid:[1]|17|1.00|0a1b2c3d"


def test_the_engine_is_the_environments_where_no_block_is_saved(tmp_path: Path) -> None:
    told = Settings(home=tmp_path, engine="dask", dask_address="tcp://cluster:8786")
    assert LimnerStudio.from_settings(told).rules().cluster == "tcp://cluster:8786"
    told = Settings(home=tmp_path, engine="threads", dask_address="tcp://cluster:8786")
    assert LimnerStudio.from_settings(told).rules().cluster == ""
    assert LimnerStudio.from_settings(Settings(home=tmp_path)).rules().cluster == ""


def test_dask_without_an_address_or_its_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="LIMNER_DASK_ADDRESS"):
        LimnerStudio(engine="dask").rules()
    monkeypatch.setattr("blocks.studio.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"limner\[cluster\]"):
        LimnerStudio(engine="dask", dask_address="tcp://cluster:8786").rules()
    LimnerStudio(dask_address="tcp://cluster:8786").rules()


POSTGRES = {"database_url": "postgresql://somebody@db/limner"}
S3 = {"s3_endpoint": "s3:9000", "s3_access_key": "a", "s3_secret_key": "b"}


@pytest.mark.parametrize("shared", [{}, POSTGRES, S3])
def test_a_worker_elsewhere_refuses_what_is_of_one_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: dict[str, Any]
) -> None:
    _no_block_is_saved(monkeypatch)
    settings = Settings(home=tmp_path, **shared)
    asyncio.run(LimnerStudio().refuse_elsewhere(settings, new_holder()))
    with pytest.raises(BadInput, match="are for one machine, and this worker is on another"):
        asyncio.run(LimnerStudio().refuse_elsewhere(settings, ELSEWHERE))


def test_a_worker_elsewhere_may_use_a_postgresql_and_an_s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _no_block_is_saved(monkeypatch)
    asyncio.run(LimnerStudio().refuse_elsewhere(Settings(home=tmp_path, **POSTGRES, **S3), ELSEWHERE))


def _no_block_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in (LimnerBucket, LimnerDatabase):

        async def named(_name: str, settings: Settings, block: Any = block) -> Any:
            return block.from_settings(settings)

        monkeypatch.setattr(block, "named", named)
