"""What the ledger answers: the report, a picture's and a batch's lineage, the numbers; held against plain counts."""

import hashlib
import json
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest

from limner.errors import Refused
from limner.jobs import RECIPE, Reference
from limner.ledger import reports
from limner.ledger.opening import Ledger
from limner.studio import Room
from tests.integration.books import rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, plan_of, too_small

REPORT = "batch kind asked made reused rejected failed errors spend_usd seconds pictures"
PICTURE = (
    "key artifact sha256 path provider model seed width height bytes seconds score level reused prompt negative_prompt"
)


def _report(room: Room, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(room.bucket.get(key))
    return found


def test_the_report_in_the_bucket_has_exactly_the_promised_fields(open_room: OpenRoom) -> None:
    painter = Painter(whim=lambda asked: Refused("no") if "3 towers" in asked.prompt else None, price_usd=0.01)
    room = open_room(painter)
    illustrate(room, castles(1))
    short = illustrate(room, castles(3, title="A test", negative_prompt=""))
    report = _report(room, short.report)
    assert list(report) == REPORT.split()
    assert {name: report[name] for name in ("asked", "made", "reused", "rejected", "failed", "spend_usd")} == {
        "asked": 3,
        "made": 1,
        "reused": 1,
        "rejected": 0,
        "failed": 1,
        "spend_usd": 0.01,
    }
    assert report["errors"] == {"picture-3": "painter (refused): no"}
    for picture in report["pictures"]:
        assert list(picture) == PICTURE.split()
        data = room.bucket.get(picture["artifact"])
        assert picture["path"] == room.bucket.location() + picture["artifact"]
        assert hashlib.sha256(data).hexdigest() == picture["sha256"]
        assert picture["bytes"] == len(data)
        assert (picture["width"], picture["height"], picture["provider"]) == (320, 256, "painter")
    assert [(one["key"], one["reused"]) for one in report["pictures"]] == [("picture-1", True), ("picture-2", False)]
    asked = {one.prompt: one.seed for one in painter.asked}
    assert all(one["seed"] == asked[one["prompt"]] for one in report["pictures"])


def test_the_lineage_of_a_picture_tells_its_whole_story(open_room: OpenRoom) -> None:
    painter = Painter(references=1, price_usd=0.02)
    room = open_room(painter)
    illustrate(room, plan_of("a parent"))
    parent = value(room.ledger, "select sha256 from records")
    child = plan_of("a child", title="Child")
    order = replace(child.jobs[0].order, references=(Reference(parent, "style"),))
    job = replace(child.jobs[0], order=order, about={"original": "Дитя"})
    calls = painter.calls
    painter.whim = lambda asked: too_small(asked) if painter.calls == calls + 1 else None
    report = illustrate(room, replace(child, jobs=(job,)), run_id="run-7")
    assert painter.asked[-1].references == {parent: room.bucket.get(f"images/{parent[:2]}/{parent}.jpg")}
    sha256 = _report(room, report.report)["pictures"][0]["sha256"]

    found = room.ledger.run(lambda connection: reports.lineage_of_picture(connection, sha256))
    assert found is not None
    json.dumps(found, default=str)
    assert found["artifact"]["sha256"] == sha256
    (batch,), (told,) = found["batches"], found["jobs"]
    assert (batch["id"], batch["owner"], batch["tier"]) == (report.batch, "local", "local")
    assert (batch["recipe"], [run["id"] for run in batch["runs"]]) == (RECIPE, ["run-7"])
    assert batch["request"]["title"] == "Child"
    assert sum(entry["usd_used"] for entry in batch["entries"]) == pytest.approx(0.04)
    assert told["about"] == {"original": "Дитя"}
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["rejected", "made"]
    assert all(attempt["verdict"]["gate"] == "chapters" for attempt in told["attempts"])
    assert {attempt["run_id"] for attempt in told["attempts"]} == {"run-7"}
    assert told["made_by"]["seed"] == painter.asked[-1].seed
    assert told["verdict"]["accepted"] is True
    assert [(one["parent_sha256"], one["role"]) for one in told["parents"]] == [(parent, "style")]

    of_parent = room.ledger.run(lambda connection: reports.lineage_of_picture(connection, parent))
    assert of_parent is not None
    (child_row,) = of_parent["jobs"][0]["children"]
    assert child_row["record_id"] == told["record_id"]


def test_the_lineage_of_a_batch_names_every_job_also_the_reused_and_the_failed(open_room: OpenRoom) -> None:
    room = open_room(Painter(whim=lambda asked: Refused("no") if "3 towers" in asked.prompt else None))
    first = illustrate(room, castles(1))
    second = illustrate(room, castles(3))
    found = room.ledger.run(lambda connection: reports.lineage_of_batch(connection, second.batch))
    assert found is not None
    assert [job["status"] for job in found["jobs"]] == ["reused", "made", "failed"]
    reused, _, failed = found["jobs"]
    assert reused["made_by"]["batch_id"] == first.batch, "who made it is told where it is reused"
    assert reused["attempts"] == []
    assert failed["reason"] == "painter (refused): no"
    assert failed["record"] is None


def test_nothing_is_told_of_what_the_ledger_does_not_know(ledger: Ledger) -> None:
    assert ledger.run(lambda connection: reports.lineage_of_batch(connection, "chapter-x-1")) is None
    assert ledger.run(lambda connection: reports.lineage_of_picture(connection, "0" * 64)) is None


def _busy_month(open_room: OpenRoom) -> Room:
    one = Painter("one", price_usd=0.01)
    one.whim = lambda asked: (
        Refused("no") if "2 towers" in asked.prompt else too_small(asked) if "3 towers" in asked.prompt else None
    )
    two = Painter("two", whim=lambda asked: Refused("no") if "5 towers" in asked.prompt else None, price_usd=0.1)
    room = open_room(one, two)
    illustrate(room, castles(4, chain=("one", "two")))
    illustrate(room, castles(6, chain=("two", "one")), owner="anna", tier="free")
    illustrate(room, castles(6, chain=("two",)), owner="anna", tier="free", reuse="similar")
    return room


@pytest.mark.parametrize("owner", [None, "anna", "nobody"])
def test_the_numbers_by_provider_are_what_counting_by_hand_gives(open_room: OpenRoom, owner: str | None) -> None:
    room = _busy_month(open_room)
    batches = {row["id"]: row for row in rows(room.ledger, "select * from batches")}
    calls = [row for row in rows(room.ledger, "select * from attempts") if _of(owner, batches[row["batch_id"]])]
    jobs = [row for row in rows(room.ledger, "select * from jobs") if _of(owner, batches[row["batch_id"]])]
    maker = {row["id"]: row["provider"] for row in rows(room.ledger, "select * from records")}
    counted = {}
    for name in sorted({call["provider"] for call in calls}):
        its = [call for call in calls if call["provider"] == name]
        made = [call for call in its if call["outcome"] == "made"]
        rejected = sum(call["outcome"] == "rejected" for call in its)
        counted[name] = {
            "asked": len({(call["batch_id"], call["job_key"]) for call in its}),
            "made": len(made),
            "reused": sum(job["status"] == "reused" and maker[job["record_id"]] == name for job in jobs),
            "rejected": rejected,
            "failed": len(its) - len(made) - rejected,
            "success_rate": pytest.approx(len(made) / len(its), abs=1e-4),
            "mean_seconds": pytest.approx(mean(call["seconds"] for call in made), abs=1e-3) if made else None,
            "spend_usd": pytest.approx(float(sum(call["cost_usd"] for call in its))),
        }
    assert _numbers(room, "provider", owner, counted) == counted
    assert bool(counted) == (owner != "nobody")


@pytest.mark.parametrize("by", ["type", "tier"])
def test_the_numbers_by_type_and_tier_are_what_counting_by_hand_gives(open_room: OpenRoom, by: Any) -> None:
    room = _busy_month(open_room)
    tier = {row["id"]: row["tier"] for row in rows(room.ledger, "select * from batches")}
    calls = rows(room.ledger, "select * from attempts")
    jobs = rows(room.ledger, "select * from jobs")
    counted = {}
    for name in sorted({_group(by, job, tier) for job in jobs}):
        its = [job for job in jobs if _group(by, job, tier) == name]
        keys = {(job["batch_id"], job["key"]) for job in its}
        asked = [call for call in calls if (call["batch_id"], call["job_key"]) in keys]
        status = [job["status"] for job in its]
        counted[name] = {
            "asked": len(its),
            "made": status.count("made"),
            "reused": status.count("reused"),
            "rejected": sum(call["outcome"] == "rejected" for call in asked),
            "failed": status.count("failed"),
            "success_rate": pytest.approx((len(its) - status.count("failed")) / len(its), abs=1e-4),
            "mean_seconds": pytest.approx(mean(job["seconds"] for job in its if job["status"] == "made"), abs=1e-3),
            "spend_usd": pytest.approx(float(sum(call["cost_usd"] for call in asked))),
        }
    assert _numbers(room, by, None, counted) == counted
    assert len(counted) == 2


def _group(by: str, job: dict[str, Any], tier: dict[str, str]) -> str:
    return str(job["subject"] if by == "type" else tier[job["batch_id"]])


def _of(owner: str | None, batch: dict[str, Any]) -> bool:
    return owner is None or batch["owner"] == owner


def _numbers(room: Room, by: Any, owner: str | None, like: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the ledger's numbers by name, as far as they were counted by hand, as plain numbers."""
    fields = next(iter(like.values()), {})
    found = room.ledger.run(lambda connection: reports.numbers(connection, by, owner))
    return {row[by]: {name: _plain(row[name]) for name in fields} for row in found}


def _plain(number: Any) -> Any:
    return number if number is None or isinstance(number, int) else float(number)
