"""What a gateway answers, as values. Fields that a newer gateway adds are passed over."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["waiting", "running", "complete", "short", "failed", "cancelled"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Counts(_Answer):
    """How many pictures were promised, and how those that are settled were."""

    asked: int
    made: int
    reused: int
    failed: int


class Links(_Answer):
    """Where more is to be had; the sheet opens in a browser, also while it grows."""

    reply: str
    sheet: str | None = None


class Standing(_Answer):
    """How a request stands. `batch`, `title` and `counts` are there once it was planned; `why` is for people."""

    id: str
    state: State
    why: str
    batch: str | None
    title: str | None
    counts: Counts | None
    links: Links

    @property
    def has_ended(self) -> bool:
        return self.state not in ("waiting", "running")


class Picture(_Answer):
    """One picture: how to fetch it, what it shows, who drew it and how. `link` opens for a day."""

    key: str
    sha256: str
    media_type: str
    width: int
    height: int
    bytes: int
    link: str
    thumbnail: str
    words: str
    prompt: str
    negative_prompt: str
    provider: str
    model: str | None
    seed: int | None
    score: int | None
    level: str | None
    reused: bool


class Reply(Standing):
    """The pictures so far; `complete` says whether all of them are there. `errors`: why others failed, by key."""

    complete: bool
    spend_usd: float
    errors: dict[str, str]
    pictures: tuple[Picture, ...]
