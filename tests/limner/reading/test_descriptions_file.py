import json
import time
from pathlib import Path

import pytest

from limner.errors import BadInput
from limner.reading.descriptions_file import MAX_FILE_BYTES, load_descriptions

GOOD = {"id": "d1", "content": "An old mill by the river.", "type": "location", "priority": 80, "chapter": 1}


def _file(tmp_path: Path, text: str | bytes, name: str = "descriptions.yaml") -> str:
    file = tmp_path / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(file)


def _refusal(path: str) -> str:
    with pytest.raises(BadInput) as raised:
        load_descriptions(path)
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_reads_a_json_list(tmp_path: Path) -> None:
    found = load_descriptions(_file(tmp_path, json.dumps([GOOD, GOOD | {"id": 2, "type": "object"}])))
    assert [(one.id, one.type, one.priority) for one in found] == [("d1", "location", 80), ("2", "object", 80)]


def test_reads_a_yaml_mapping_with_descriptions(tmp_path: Path) -> None:
    text = "descriptions:\n  - {id: a, content: Тёмный лес., type: atmosphere, priority: 71}\n"
    found = load_descriptions(_file(tmp_path, text))
    assert [(one.id, one.content, one.chapter) for one in found] == [("a", "Тёмный лес.", None)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("just words", "no list"),
        ("{}", "no list"),
        ("[]", "empty list"),
        ("", "no list"),
        ("[1, 2]", "description 1 is no mapping"),
        (json.dumps([GOOD, GOOD]), "descriptions 1 and 2 have the same id 'd1'"),
        (json.dumps([GOOD, GOOD | {"id": "e", "colour": "red"}]), "description 2: colour is no known field"),
        (json.dumps([GOOD | {"priority": 101}]), "description 1: priority"),
        (json.dumps([GOOD | {"type": "smell"}]), "description 1: type"),
        (json.dumps([{"id": "x"}]), "content"),
        (json.dumps({"descriptions": [GOOD], "book": "x"}), "book is no known field"),
        ('[{"id": "a", "id": "b"}]', "'id' twice"),
        ("- id: a\n  content: x\n  id: b\n", "line 3 names 'id' twice"),
        ('[{"id": "a",\n "content" "x"}]', "line 2"),
        ("- id: a\n content: [\n", "neither JSON nor YAML (line"),
        ("- &a {id: a}\n- *a\n", "anchor or alias in line 1"),
        ("[" * 100_000, "too deep"),
        ("- " * 2000, "too deep"),
        ("- !!python/object:os.system {}\n", "neither JSON nor YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_refuses_in_one_sentence(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in _refusal(_file(tmp_path, text))


def test_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "There is no descriptions file" in _refusal(str(tmp_path / "none.json"))
    assert "cannot be read" in _refusal(str(tmp_path))


def test_refuses_a_large_file_unread(tmp_path: Path) -> None:
    assert "larger than 5 MiB" in _refusal(_file(tmp_path, b" " * (MAX_FILE_BYTES + 1)))


def test_refuses_an_alias_bomb_cheaply(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    began = time.perf_counter()
    assert "anchor or alias" in _refusal(_file(tmp_path, "\n".join(rows)))
    assert time.perf_counter() - began < 1
