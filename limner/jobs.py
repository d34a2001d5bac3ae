"""The words of the press as values: job, plan, order, image, verdict, artifact.

Knows nothing of providers, storage or Prefect. Everything here is frozen, and everything that is
compared across machines (keys, seeds) is derived from sha256 of canonical JSON alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["excellent", "good", "acceptable", "poor"]

MAX_SEED = 2**31 - 1

# Changes when the same job would be asked for in other words; part of every order key.
RECIPE = "2026-11"


def sha256_of(value: Any) -> str:
    """Return the hex sha256 of `value` as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def derive_seed(session: str, key: str, attempt: int) -> int:
    """Return a seed from 1 to 2**31 - 1, the same on every machine and in every process."""
    return int(sha256_of([session, key, attempt])[:16], 16) % MAX_SEED + 1


def normal_form(words: str) -> str:
    """Return `words` as they are compared: case and runs of spaces do not count."""
    return " ".join(words.casefold().split())


def plain(words: str) -> str:
    """Return a stranger's words as every database takes them: without NUL and halves of surrogate pairs."""
    return words.replace("\0", "�").encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture that the order leans on: an artifact's sha256 (in an order) or a job's key above (in a plan)."""

    of: str
    role: str = "reference"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A trained finetune that the picture leans on, loaded by the provider.

    kind: `lora` or `finetune`, as capabilities name them. of: a path, an address or a service's id. weight: 0 to 4.
    """

    kind: str
    of: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a provider: a job whose references and controls are content hashes.

    width, height: pixels. guidance: classifier-free guidance scale. `session` names the set of pictures
    whose seeds are derived together. `droppable` names the fields that a provider may leave out.
    """

    kind: str
    prompt: str
    negative_prompt: str = ""
    width: int = 1024
    height: int = 768
    steps: int = 30
    guidance: float = 7.5
    session: str = ""
    references: tuple[Reference, ...] = ()
    controls: tuple[Reference, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    generation: int = 0
    droppable: tuple[str, ...] = ()

    def key(self, owner: str) -> str:
        """Return the order key: known before a provider is chosen, equal for equal settings and equal words."""
        asked = asdict(self) | {
            "owner": owner,
            "recipe": RECIPE,
            "prompt": normal_form(self.prompt),
            "negative_prompt": normal_form(self.negative_prompt),
        }
        del asked["droppable"]
        if not self.adapters:
            # Most orders have none; their keys are those of before there were any.
            del asked["adapters"]
        return sha256_of(asked)


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to make. `subject` is what the numbers are counted by (a description's type, an angle).

    `similar_prompt` is the prompt without the words that only ask for quality; empty where the two are the same.
    `about` is what a person may want to read beside the picture: the words it was drawn from, who translated them.
    """

    key: str
    order: Order
    gate: str
    subject: str = ""
    max_tries: int = 3
    similar_prompt: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered jobs that answer a request; a job may refer only to jobs above it.

    `chain`: names of the providers to ask, in turn; empty leaves it to the studio.
    `notes`: what the planner wants said to the caller (a genre it did not know, words left untranslated).
    """

    kind: str
    title: str
    jobs: tuple[Job, ...]
    chain: tuple[str, ...] = ()
    model: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """Bytes verified to be one complete picture."""

    data: bytes
    media_type: str
    extension: str
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Finding:
    """One named check's answer: what it measured, whether it held, and what that cost in points."""

    check: str
    passed: bool
    measured: float | str | None = None
    points: int = 0
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the quality gate says of an image: score 0-100, level, every check that was made."""

    gate: str
    score: int
    level: Level
    accepted: bool
    findings: tuple[Finding, ...]

    @property
    def issues(self) -> tuple[str, ...]:
        return tuple(finding.check for finding in self.findings if not finding.passed)


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image in the bucket, named by its sha256. `key` is its bucket key."""

    sha256: str
    key: str
    media_type: str
    width: int
    height: int
    size_bytes: int


def artifact_key(sha256: str, extension: str) -> str:
    """Return the bucket key of a picture: `images/<sha[:2]>/<sha>.<ext>`."""
    return f"images/{sha256[:2]}/{sha256}.{extension}"


def order_from(stored: Mapping[str, Any]) -> Order:
    """Return the order that `asdict` took apart."""
    lists: dict[str, Any] = {
        "references": tuple(Reference(**one) for one in stored["references"]),
        "controls": tuple(Reference(**one) for one in stored["controls"]),
        "adapters": tuple(Adapter(**one) for one in stored.get("adapters", ())),
        "droppable": tuple(stored["droppable"]),
    }
    return Order(**{**stored, **lists})


def refers_only_upwards(jobs: Sequence[Job]) -> bool:
    """Say whether every reference of every job points at a job above it (or at an artifact's hash)."""
    above: set[str] = set()
    keys = {job.key for job in jobs}
    for job in jobs:
        if any(reference.of in keys and reference.of not in above for reference in job.order.references):
            return False
        above.add(job.key)
    return True
