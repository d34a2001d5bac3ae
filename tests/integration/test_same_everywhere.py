"""The same request on two homes: the same orders and seeds and, from the sketch, the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from limner.jobs import derive_seed
from tests.conftest import ask

_HOME = """
import json, sys
from pathlib import Path
from limner.illustrating import plan_illustrations
from limner.providers.sketch import Sketch
from limner.requests import ChapterRequest
from tests.integration.books import rows
from tests.integration.pressing import illustrate, rooms

request = ChapterRequest(book=sys.argv[3], genre="horror", limit=3, aspect_ratio="4:3").pinned()
with rooms(sys.argv[1], Path(sys.argv[2])) as open_room:
    room = open_room(Sketch())
    illustrate(room, plan_illustrations(request))
    made = "select job_key, order_key, fingerprint, seed, prompt, sha256 from attempts order by job_key"
    print(json.dumps([request.hash(), rows(room.ledger, made)]))
"""


def test_two_homes_make_the_same_pictures_of_the_same_request(postgres: str, tmp_path: Path) -> None:
    book = Path(__file__).parents[2] / "samples" / "viy.txt"
    elsewhere = tmp_path / "another place" / "viy.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(book.read_bytes())
    told = []
    for number, path in enumerate((book, elsewhere), 1):
        url = postgres.replace("/limner?", f"/home_{number}?")
        ask(postgres, f"create database home_{number} template template_limner")
        # Neither the order of sets nor the time of day nor the language of the machine may tell.
        surroundings = {**os.environ, "PYTHONHASHSEED": str(number), "TZ": ("UTC", "Asia/Tokyo")[number - 1]}
        command = [sys.executable, "-c", _HOME, url, str(tmp_path / f"bucket {number}"), str(path)]
        done = subprocess.run(command, env=surroundings, check=True, capture_output=True, text=True)
        told.append(json.loads(done.stdout))
        ask(postgres, f"drop database home_{number} with (force)")
    first, second = told
    assert first == second
    assert len(first[1]) == 3
    assert len({made["sha256"] for made in first[1]}) == 3
    pictures = [sorted(file.name for file in (tmp_path / f"bucket {one}" / "images").rglob("*.*")) for one in (1, 2)]
    assert pictures[0] == pictures[1] == sorted(f"{made['sha256']}.png" for made in first[1])


def test_seeds_are_what_they_have_always_been() -> None:
    """Literal values: a change of these would make every stored attempt impossible to replay."""
    assert [derive_seed("alice-1", "alice-1-0001", number) for number in (1, 2)] == [1457736189, 77644106]
    assert derive_seed("сессия", "ключ", 1) == 1167754336
