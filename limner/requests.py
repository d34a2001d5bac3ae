"""What a person or an app asks for, validated at the edge; unknown fields are refused.

The models are shallow on purpose: the Prefect UI renders them as forms, in the order of their fields. What a form need
not show is left out of the schema: what the run fills in, and that a field may be null.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from limner.errors import BadBook, BadInput
from limner.jobs import sha256_of
from limner.uploads import upload_of

Language = Literal["auto", "en", "ru", "uk"]
DescriptionType = Literal["location", "character", "atmosphere", "object", "action"]

# A book larger than this is refused before it is read.
MAX_BOOK_BYTES = 32 * 1024 * 1024

_RATIO = re.compile(r"^([1-9]\d?):([1-9]\d?)$")

# Filled in when the run starts: no questions of a form.
PINS = ("book_sha256", "descriptions_sha256")

# What is said of a field that there is not.
UNKNOWN = "is no known field"

Words = Annotated[str, Field(max_length=500)]


def _refuse_controls(*said: Any) -> None:
    """Refuse what no database, log or provider takes; line ends and tabs are spaces."""
    for words in said:
        if isinstance(words, str) and any(unicodedata.category(sign) == "Cc" and not sign.isspace() for sign in words):
            raise ValueError(f"there is a control character in {words[:40]!r}; remove it")


def _as_form(schema: dict[str, Any]) -> None:
    """Leave out of the schema what makes no form: the pins, and that a field may be null.

    Prefect takes null for whatever is not required and has no default in the schema, and a form asks one thing.
    """
    schema["properties"] = {name: field for name, field in schema["properties"].items() if name not in PINS}
    for field in schema["properties"].values():
        choices = [one for one in field.get("anyOf", ()) if one != {"type": "null"}]
        if len(choices) == 1:
            del field["anyOf"], field["default"]
            field.update(choices[0])


class Description(BaseModel):
    """One passage worth a picture, in the book's own language."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, json_schema_extra=_as_form)

    id: str = Field(min_length=1, max_length=100)
    content: str = Field(min_length=1, max_length=4000)
    type: DescriptionType
    priority: int = Field(ge=0, le=100)
    chapter: int | None = Field(default=None, ge=1)

    @field_validator("id", mode="before")
    @classmethod
    def _number_or_text(cls, given: Any) -> Any:
        return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


class IllustrationRequest(BaseModel):
    """What a chapter and a whole book have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, json_schema_extra=_as_form)

    book: str = Field(
        default="",
        title="Book",
        description="A plain-text book: its path on the machine where the flow runs, or an upload. "
        "May be empty with descriptions.",
        examples=["samples/alice.txt"],
    )
    title: str = Field(
        default="",
        max_length=200,
        title="Title",
        description="Taken from the file's name when empty.",
        examples=["Alice's Adventures in Wonderland"],
    )
    author: str = Field(default="", max_length=200, title="Author", examples=["Lewis Carroll"])
    genre: str = Field(
        default="other",
        max_length=50,
        title="Genre",
        description="fantasy, detective, historical, horror, romance, science fiction, adventure, children's, classic; "
        "any other falls to `other`.",
        examples=["fantasy", "science fiction", "horror"],
    )
    language: Language = Field(default="auto", title="Language", description="Of the book; `auto` looks.")
    limit: int = Field(
        default=10, ge=1, le=20_000, title="Limit", description="Pictures a chapter, the best first.", examples=[5]
    )
    min_priority: int = Field(
        default=70,
        ge=0,
        le=100,
        title="Minimum priority",
        description="How telling a description must be: 0 takes all, 100 hardly one.",
    )
    aspect_ratio: str | None = Field(
        default=None,
        title="Aspect ratio",
        examples=["16:9", "1:1"],
        description="Width to height; when empty, by what is shown.",
    )
    style_modifiers: tuple[Words, ...] = Field(
        default=(),
        max_length=20,
        title="Style modifiers",
        description="Added to each prompt.",
        examples=[["ink wash", "muted colours"]],
    )
    negative_prompt: str = Field(
        default="",
        max_length=1000,
        title="Negative prompt",
        description="What must not be seen.",
        examples=["people, text"],
    )
    high_quality: bool = Field(default=False, title="High quality", description="50 steps, guidance + 1.0.")
    provider: tuple[str, ...] = Field(
        default=(),
        title="Provider",
        description="Asked in turn; empty leaves it to the studio.",
        examples=[["pollinations", "sketch"]],
    )
    model: str | None = Field(
        default=None, max_length=200, title="Model", description="Of the provider.", examples=["flux"]
    )
    max_usd: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        title="Money at most",
        description="In USD, for the whole batch.",
        examples=[0.5],
    )
    reuse: Literal["same", "similar"] = Field(
        default="same", title="Reuse", description="`similar`: words that only ask for quality do not count."
    )
    force: bool = Field(default=False, title="Force", description="Make anew what exists.")
    owner: str = Field(
        default="local", pattern=r"^[\w.@-]{1,100}$", title="Owner", description="Who asks.", examples=["mary"]
    )
    descriptions_file: str = Field(
        default="",
        title="Descriptions file",
        description="JSON or YAML with descriptions, instead of the reader's: a path, or an upload.",
        examples=["descriptions.yaml"],
    )
    descriptions: tuple[Description, ...] | None = Field(
        default=None, title="Descriptions", description="The same, given here; when empty, the reader finds them."
    )
    only: str | None = Field(
        default=None, title="Only", description="Illustrate this one description, by its id.", examples=["hall"]
    )
    book_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    descriptions_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @field_validator("aspect_ratio", "model", "only", "descriptions", mode="before")
    @classmethod
    def _empty_is_none(cls, given: Any) -> Any:
        # A form that was left empty says it so.
        return None if given in ("", [], ()) else given

    @field_validator("title", "author", "genre", "only", "model", "negative_prompt")
    @classmethod
    def _is_plain(cls, given: str | None) -> str | None:
        _refuse_controls(given)
        return given

    @field_validator("style_modifiers", "provider")
    @classmethod
    def _are_plain(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_controls(*given)
        return given

    @field_validator("provider")
    @classmethod
    def _each_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        # Whoever has refused an order is not asked for it again.
        return tuple(dict.fromkeys(given))

    @field_validator("descriptions")
    @classmethod
    def _read_plainly(cls, given: tuple[Description, ...] | None) -> tuple[Description, ...] | None:
        # All of them are stored with the request, also those that nobody chooses.
        _refuse_controls(*(words for one in given or () for words in (one.id, one.content)))
        return given

    @field_validator("aspect_ratio")
    @classmethod
    def _ratio(cls, given: str | None) -> str | None:
        if given is not None and not _RATIO.match(given):
            raise ValueError(f"{given!r} is no aspect ratio: give two whole numbers from 1 to 99, like 16:9")
        return given

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not (self.book or self.descriptions_file) and self.descriptions is None:
            raise ValueError("name a book or give descriptions")
        if self.descriptions_file and self.descriptions is not None:
            raise ValueError("give descriptions or a descriptions file, not both")
        return self

    @property
    def name(self) -> str:
        """The book's title, or its file's name."""
        return self.title or Path(self.book).stem or "untitled"

    @property
    def slug(self) -> str:
        """A short name for runs and batches: letters, digits and hyphens."""
        return slugged(self.name)

    def ratio(self) -> tuple[int, int] | None:
        found = _RATIO.match(self.aspect_ratio) if self.aspect_ratio else None
        return (int(found[1]), int(found[2])) if found else None

    def pinned(self) -> Self:
        """Return the request tied to its files' present content; raises BadBook or BadInput when they can't be read."""
        pins = {}
        if self.book and not self.book_sha256:
            pins["book_sha256"] = _sha256_of_file(self.book, BadBook)
        if self.descriptions_file and not self.descriptions_sha256:
            pins["descriptions_sha256"] = _sha256_of_file(self.descriptions_file, BadInput)
        return self.model_copy(update=pins)

    def hash(self) -> str:
        """Return what makes two requests the same request: where its files lie does not count, what they say does."""
        asked = self.model_dump(mode="json")
        if self.book_sha256:
            asked |= {"book": "", "title": self.name}
        if self.descriptions_sha256:
            asked["descriptions_file"] = ""
        return sha256_of([type(self).__name__, asked])


def _chapter_beside_book(schema: dict[str, Any]) -> None:
    """Show the chapter's number next to the book in forms, which follow the order of the schema."""
    _as_form(schema)
    fields = schema["properties"]
    schema["properties"] = {"book": fields["book"], "chapter": fields["chapter"]} | fields


class ChapterRequest(IllustrationRequest):
    """Illustrate one chapter of a book."""

    model_config = ConfigDict(json_schema_extra=_chapter_beside_book)

    chapter: int = Field(default=1, ge=1, le=100_000, title="Chapter", description="Counted from 1.")

    @property
    def slug(self) -> str:
        return f"{slugged(self.name)}-{self.chapter}"


class BookRequest(IllustrationRequest):
    """Illustrate every chapter of a book."""


def slugged(name: str) -> str:
    """Return `name` in lower-case letters and digits of any script, joined by hyphens, at most 40 characters."""
    return "-".join(re.findall(r"[^\W_]+", name.casefold()))[:40].strip("-") or "untitled"


def book_bytes(path: str) -> bytes:
    """Return a book's bytes; raises BadBook in one sentence."""
    return _file_bytes(path, BadBook)


def _sha256_of_file(path: str, refusal: type[BadBook | BadInput]) -> str:
    """Return what a file says; an upload says it in its name."""
    upload = upload_of(path)
    return upload.sha256 if upload else hashlib.sha256(_file_bytes(path, refusal)).hexdigest()


def _file_bytes(path: str, refusal: type[BadBook | BadInput]) -> bytes:
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BOOK_BYTES:
            raise refusal(f"{path} is larger than {MAX_BOOK_BYTES // 2**20} MiB; split it into parts.")
        return file.read_bytes()
    except FileNotFoundError:
        raise refusal(f"There is no file at {path}; check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refusal(f"{path} cannot be read ({reason}); name a plain-text file.") from None


def explain(error: ValidationError) -> BadInput:
    """Return pydantic's findings as one sentence that names each field."""
    said = [_fault(where, message) for where, message in faults(error)]
    return BadInput("; ".join(said[:5]) + ("; ..." if len(said) > 5 else "") + ".")


def faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Yield each field that pydantic found fault with, and what is wrong with it; an empty one is the whole."""
    for one in error.errors(include_url=False, include_input=True):
        is_unknown = one["type"] == "extra_forbidden"
        message = UNKNOWN if is_unknown else one["msg"].removeprefix("Value error, ")
        yield ".".join(str(part) for part in one["loc"]), message


def _fault(where: str, message: str) -> str:
    if message == UNKNOWN:
        return f"{where} {message}"
    return f"{where}: {message}" if where else message
