"""Keys and seeds: alike on every machine and in every process, for ever; and what makes two orders the same order.

The golden values must never change by accident: a changed key makes every picture anew, a changed seed makes another
picture. Whoever changes the recipe on purpose changes RECIPE and the golden keys with it; the seeds stay.
"""

import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from limner.jobs import (
    MAX_SEED,
    RECIPE,
    Adapter,
    Finding,
    Image,
    Job,
    Order,
    Reference,
    Verdict,
    artifact_key,
    derive_seed,
    normal_form,
    order_from,
    refers_only_upwards,
    sha256_of,
)

ORDER = Order(
    kind="chapters",
    prompt="A  Castle",
    negative_prompt="blurry",
    width=768,
    height=1024,
    steps=50,
    guidance=8.5,
    session="alice",
    references=(Reference("0" * 64),),
    controls=(Reference("1" * 64, "canny"),),
    generation=2,
    droppable=("references",),
)

GOLDEN_KEY = "f5d2385c6749e9b78847a31865c7c23e6a7ffa89d37a62b8d648fb1ad081327f"
GOLDEN_CYRILLIC_KEY = "ce896230573e9b696b30a16eff8712032d409ea136acc7c735a47a385b162bc8"

# Another value for each field of an order.
CHANGES: dict[str, object] = {
    "kind": "cars",
    "prompt": "A Castle at night",
    "negative_prompt": "blurry, dark",
    "width": 1024,
    "height": 768,
    "steps": 30,
    "guidance": 8.0,
    "session": "viy",
    "references": (Reference("2" * 64),),
    "controls": (Reference("1" * 64, "depth"),),
    "adapters": (Adapter("lora", "mary.safetensors"),),
    "generation": 3,
}


def test_the_golden_keys_and_seeds_stand() -> None:
    assert RECIPE == "2026-11"
    assert ORDER.key("local") == GOLDEN_KEY
    assert Order("chapters", "Замок у реки").key("local") == GOLDEN_CYRILLIC_KEY
    assert [derive_seed("alice", "alice-1-3", number) for number in (1, 2, 3)] == [222482449, 874074283, 220235957]
    assert derive_seed("вий", "панночка", 1) == 84490897
    assert sha256_of({"b": [1, 2.5, None, True], "a": "ключ"}) == (
        "53b01a1322037771706b5302325a8db125ec42d322bb89edf1c3f7058933838d"
    )


def test_another_process_finds_the_same_key_and_seed() -> None:
    program = (
        "from limner.jobs import Order, derive_seed;"
        "print(Order('chapters', 'Замок у реки').key('local'), derive_seed('вий', 'панночка', 1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "12345", "PYTHONUTF8": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [GOLDEN_CYRILLIC_KEY, "84490897"]


def test_case_and_runs_of_spaces_do_not_make_another_order() -> None:
    shouted = replace(ORDER, prompt="  a\tCASTLE \n", negative_prompt="BLURRY")
    assert shouted.key("local") == GOLDEN_KEY
    assert normal_form(" ЗАМОК \u00a0 у  Реки") == "замок у реки"


def test_words_that_differ_make_another_order() -> None:
    assert replace(ORDER, prompt="A-Castle").key("local") != GOLDEN_KEY
    assert replace(ORDER, prompt="blurry", negative_prompt="a castle").key("local") != GOLDEN_KEY


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_each_field_of_an_order_makes_another_key(name: str) -> None:
    assert replace(ORDER, **{name: CHANGES[name]}).key("local") != GOLDEN_KEY  # type: ignore[arg-type]


def test_every_field_is_tried_above_but_the_one_that_does_not_count() -> None:
    assert {one.name for one in fields(Order)} - set(CHANGES) == {"droppable"}
    assert replace(ORDER, droppable=()).key("local") == GOLDEN_KEY


def test_owners_do_not_share_keys() -> None:
    assert ORDER.key("someone") != ORDER.key("local")


def test_seeds_are_within_their_range_and_spread_over_it() -> None:
    seeds = [derive_seed("session", str(number), 1) for number in range(20_000)]
    assert min(seeds) >= 1 and max(seeds) <= MAX_SEED == 2**31 - 1
    assert len(set(seeds)) > 19_990
    assert min(seeds) < MAX_SEED // 1000 and max(seeds) > MAX_SEED - MAX_SEED // 1000


def test_each_part_of_a_seed_counts() -> None:
    seeds = {derive_seed("a", "b", 1), derive_seed("a", "b", 2), derive_seed("a", "c", 1), derive_seed("c", "b", 1)}
    assert len(seeds) == 4
    assert derive_seed("ab", "c", 1) != derive_seed("a", "bc", 1), "parts do not run together"


def test_an_order_comes_back_from_its_stored_form() -> None:
    import json

    assert order_from(json.loads(json.dumps(asdict(ORDER)))) == ORDER


def test_a_job_may_lean_on_jobs_above_it_and_on_artifacts_only() -> None:
    def job(key: str, *of: str) -> Job:
        return Job(key, Order("chapters", "x", references=tuple(Reference(one) for one in of)), gate="chapters")

    assert refers_only_upwards([job("a"), job("b", "a"), job("c", "a", "b", "9" * 64)])
    assert not refers_only_upwards([job("a", "b"), job("b")])
    assert not refers_only_upwards([job("a", "a")])


def test_a_picture_is_named_by_its_bytes() -> None:
    image = Image(b"bytes", "image/png", "png", 1, 1)
    assert artifact_key(image.sha256, "png") == (
        "images/27/277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9.png"
    )


def test_a_verdict_names_the_checks_that_failed() -> None:
    verdict = Verdict("chapters", 60, "acceptable", True, (Finding("is_large", True), Finding("has_no_seams", False)))
    assert verdict.issues == ("has_no_seams",)
