"""A local model behind the press: alike jobs are drawn together, and every picture is recorded with its own seed."""

import importlib
from pathlib import Path

import pytest

from limner.ledger.opening import Ledger
from limner.providers.diffusers import Diffusers
from tests.integration.books import assert_the_books_balance, rows
from tests.integration.pressing import OpenRoom, castles, illustrate, plan_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

pytest.importorskip("torch", reason="torch is not installed: make local")
pytest.importorskip("diffusers", reason="diffusers is not installed: make local")
tiny_models = importlib.import_module("tests.limner.providers.diffusers.tiny_models")

SMALL = {"width": 128, "height": 96, "steps": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_models.save_xl(tmp_path_factory.mktemp("models") / "tiny"))


def test_a_plan_is_drawn_in_fewer_calls_than_it_has_pictures(open_room: OpenRoom, ledger: Ledger, model: Path) -> None:
    room = open_room(Diffusers(str(model), batch=4), concurrency=4)
    with tiny_models.watched() as forwards:
        report = illustrate(room, castles(8, chain=("diffusers",), **SMALL))
    assert (report.made, report.failed, report.spend_usd) == (8, 0, 0.0)
    assert sum(forwards.rows) == 16 and len(forwards.rows) < 16
    found = rows(ledger, "select outcome, seed, dropped from attempts")
    assert {row["outcome"] for row in found} == {"made"} and len({row["seed"] for row in found}) == 8
    assert [row["dropped"] for row in found if row["dropped"]] == []
    assert_the_books_balance(ledger, room.bucket)


def test_what_a_model_says_only_once_it_is_loaded_is_heeded_from_the_first_picture_on(
    open_room: OpenRoom, ledger: Ledger, model: Path, tmp_path: Path
) -> None:
    index = model / "model_index.json"
    known = index.read_text("utf-8")
    index.write_text(known.replace("XLPipeline", "XLPAGPipeline"), "utf-8")
    try:
        room = open_room(Diffusers(str(model), device="cpu"))
        plan = plan_of("a castle", chain=("diffusers",), negative_prompt="fog", **SMALL)
        assert illustrate(room, plan).made == 1
    finally:
        index.write_text(known, "utf-8")
    found = rows(ledger, "select outcome, negative_prompt, dropped from attempts order by number")
    # Fitted to what loses nothing with any model, and then to this one.
    assert [row["outcome"] for row in found] == ["busy", "made"]
    assert "negative prompt folded into the prompt" in found[0]["dropped"] and not found[1]["dropped"]
