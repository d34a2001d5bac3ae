"""Descriptions that the caller found, read from a JSON or YAML file.

The file is not trusted: its size, nesting, anchors and repeated keys are looked at before anything is built from it.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from limner.errors import BadInput
from limner.requests import Description, explain

MAX_FILE_BYTES = 5 * 1024 * 1024
# A list of descriptions in a mapping nests three deep; a file that nests far deeper is no such list.
MAX_NESTING = 16


class _RepeatedKey(ValueError):
    """One mapping names a key twice, so one of its values would be lost."""


def load_descriptions(path: str) -> tuple[Description, ...]:
    """Return the descriptions in the file at `path`, in its order.

    The file holds a list of descriptions, or a mapping with that list under `descriptions`, as JSON or YAML.
    Raises BadInput, in one sentence, for whatever else it holds.
    """
    items = _listed(_parse(_text(path), path), path)
    found = tuple(_description(item, position, path) for position, item in enumerate(items, 1))
    seen: dict[str, int] = {}
    for position, one in enumerate(found, 1):
        if one.id in seen:
            raise BadInput(
                f"{path}: descriptions {seen[one.id]} and {position} have the same id {one.id!r}; rename one."
            )
        seen[one.id] = position
    return found


def _text(path: str) -> str:
    file = Path(path)
    try:
        if not file.exists():
            raise BadInput(f"There is no descriptions file at {path}; check the path.")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise BadInput(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB; split it into parts.")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as JSON or YAML in UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{path} cannot be read ({reason}); name a JSON or YAML file.") from None


def _parse(text: str, path: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _RepeatedKey as error:
        raise BadInput(f"{path}: {error}; keep one of them.") from None
    except RecursionError:
        raise BadInput(f"{path} nests too deep for a list of descriptions.") from None
    except ValueError as error:
        if text.lstrip()[:1] in ("[", "{") and isinstance(error, json.JSONDecodeError):
            return _parse_yaml(text, path, f"{error.msg} in line {error.lineno}")
        return _parse_yaml(text, path, "")


def _parse_yaml(text: str, path: str, as_json: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_tricks(text, loader, path)
        node = yaml.compose(text, Loader=loader)
        _refuse_repeated_keys(node)
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except _RepeatedKey as error:
        raise BadInput(f"{path}: {error}; keep one of them.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = as_json or (f"line {mark.line + 1}" if mark else "its first character")
        raise BadInput(f"{path} is neither JSON nor YAML ({where}); mend it there.") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is neither JSON nor YAML ({error}); mend it there.") from None


def _refuse_tricks(text: str, loader: Any, path: str) -> None:
    """Look at the file's events alone, which costs its length, never what its aliases would expand to."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadInput(f"{path} uses a YAML anchor or alias in line {_line(event)}; write each description out.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_NESTING:
            raise BadInput(f"{path} nests too deep for a list of descriptions (line {_line(event)}).")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _refuse_repeated_keys(node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise _RepeatedKey(f"line {key.start_mark.line + 1} names {name!r} twice")
            seen.add(name)
            _refuse_repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeated_keys(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise _RepeatedKey(f"an object names {key!r} twice")
        built[key] = value
    return built


def _listed(parsed: Any, path: str) -> list[Any]:
    if isinstance(parsed, dict) and "descriptions" in parsed:
        unknown = [str(key) for key in parsed if key != "descriptions"]
        if unknown:
            raise BadInput(f"{path}: {', '.join(sorted(unknown)[:5])} is no known field; keep only descriptions.")
        parsed = parsed["descriptions"]
    if not isinstance(parsed, list):
        raise BadInput(f"{path} holds no list of descriptions; give a list, or a mapping with one under descriptions.")
    if not parsed:
        raise BadInput(f"{path} holds an empty list; give at least one description.")
    return parsed


def _description(item: Any, position: int, path: str) -> Description:
    if not isinstance(item, dict):
        raise BadInput(f"{path}: description {position} is no mapping; give id, content, type and priority.")
    try:
        return Description.model_validate(item)
    except ValidationError as error:
        raise BadInput(f"{path}: description {position}: {explain(error)}") from None
