"""compose.yaml and the Dockerfile as values, the way Docker reads them; for the tests that hold them to the code."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# ${NAME}, ${NAME:-default} or ${NAME:?what to do}.
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


def ours() -> dict[str, dict[str, Any]]:
    """Return the services that run an image of ours."""
    return {name: service for name, service in SERVICES.items() if "build" in service}


def is_one_shot(service: dict[str, Any]) -> bool:
    return bool(service.get("restart") == "no")


def environment(name: str) -> dict[str, str]:
    return dict(SERVICES[name].get("environment", {}))


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a document, keys left out."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile: its name, and what follows it."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of its exec form, or of a shell's."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


def stages() -> dict[str, list[Instruction]]:
    """Return the Dockerfile's stages by name, each with what it inherits from those above it."""
    text = "\n".join(line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#"))
    found: dict[str, list[Instruction]] = {}
    stage: list[Instruction] = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            base, _as, called = rest.split()
            stage = found[called] = [*found.get(base, [])]
        stage.append(Instruction(name, " ".join(rest.split())))
    return found


def home_of(target: str) -> str:
    """Return the folder of an image that is written in."""
    said = " ".join(one.text for one in stages()[target] if one.name == "ENV")
    (home,) = re.findall(r"\bLIMNER_HOME=(\S+)", said)
    return str(home)


def last(stage: list[Instruction], name: str) -> Instruction:
    """Return the instruction that counts: the last of its name."""
    return [one for one in stage if one.name == name][-1]
