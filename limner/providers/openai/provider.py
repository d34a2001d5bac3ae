"""OpenAI: one picture by its Images API, drawn from words alone or from words and up to 16 references.

Knows this service's endpoints, what its models take and cost (as data), and what its errors mean. The package `openai`
builds and reads the requests, over our own guarded connections and without its repeats. Knows nothing of retries,
limits or who is asked next: those are the chain's.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Invalid,
    OutOfCredit,
    ProviderError,
    Unauthorised,
)
from limner.jobs import Order
from limner.providers.openai.contract import Besides, Family, Incoming, Prices, Usage, contract
from limner.providers.seam import Answer, Asked, Capabilities, Limits
from limner.web import Reply, Web
from limner.web.service import check_key

NAME = "openai"

# How long a start waits for a look at the model and the key.
LOOK_SECONDS = 5.0

_KNOW_A_KEY = "set OPENAI_API_KEY"
_VIOLATIONS = re.compile(r"safety_violations=\[([^\]]*)\]")
_MEDIA = {b"\x89PNG": ("png", "image/png"), b"\xff\xd8\xff": ("jpg", "image/jpeg"), b"RIFF": ("webp", "image/webp")}


class _Picture(BaseModel):
    b64_json: str
    revised_prompt: Any = None


class _Pictures(BaseModel):
    """The answer to either endpoint, as far as it matters here; `usage` is looked at apart."""

    data: Annotated[tuple[_Picture, ...], Field(min_length=1)]
    usage: Any = None


@dataclass(frozen=True, slots=True)
class _Told:
    """An error's own fields, as far as the body has them."""

    code: str
    type: str
    message: str
    details: Mapping[str, Any]

    @classmethod
    def of(cls, reply: Reply) -> "_Told":
        body = reply.json()
        error = body.get("error", body) if isinstance(body, dict) else body
        fields = error if isinstance(error, dict) else {"message": error or ""}
        details = fields.get("moderation_details")
        return cls(
            str(fields.get("code") or ""),
            str(fields.get("type") or ""),
            str(fields.get("message") or "no reason given"),
            details if isinstance(details, dict) else {},
        )

    def means(self, names: frozenset[str]) -> bool:
        return self.code in names or self.type in names

    @property
    def categories(self) -> tuple[str, ...]:
        """The service's words for why it refused: its categories, else the kind of error."""
        named = self.details.get("categories")
        in_message = _VIOLATIONS.search(self.message)
        listed = named if isinstance(named, list) else in_message[1].split(",") if in_message else []
        return tuple(str(one).strip() for one in listed if str(one).strip()) or (self.code or self.type,)

    @property
    def was_drawn(self) -> bool:
        """Whether the picture was made and then held back, which may be charged."""
        return self.details.get("moderation_stage") == "output"


# -- the provider -----------------------------------------------------------------------------------------------------


class OpenAI:
    """Draws with one of OpenAI's image models; safe to use from several threads, until `close`.

    quality: `auto`, or one that the model has. moderation: `auto` or `low` where there are no references, the service's
    own where None; with references it is always the service's own.
    timeout_seconds: for a whole call. connections: kept at most. allow_private: also addresses of this machine and of
    private networks, for a stand-in.

        OpenAI("sk-...")
        OpenAI("sk-...", model="gpt-image-2.6-sunburst", quality="high", limits=Limits(calls_a_minute=20))
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str | None = None,
        model: str | None = None,
        quality: str | None = None,
        moderation: str | None = None,
        output_format: str | None = None,
        timeout_seconds: float | None = None,
        connections: int = 3,
        limits: Limits | None = None,
        allow_private: bool = False,
    ) -> None:
        told = contract()
        self._key = check_key(NAME, key, _KNOW_A_KEY)
        self._model = model or told.model
        self._quality = quality or told.quality
        self._moderation = moderation
        self._output_format = output_format or told.output_format
        self._check()
        # What an account may ask in a minute is by its tier, which only it knows.
        self.limits = Limits(calls_a_minute=told.calls_a_minute) if limits is None else limits
        self.timeout_seconds = timeout_seconds or told.timeout_seconds
        self._web = Web(
            NAME,
            base_url or told.base_url,
            headers={"Authorization": f"Bearer {key}"},
            secrets=(key,),
            allow_private=allow_private,
            connections=connections,
            timeout_seconds=self.timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"OpenAI({self._web.base_url!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        return NAME

    def capabilities(self, model: str | None = None) -> Capabilities:
        told = contract()
        asked = model or self._model
        family = told.family(asked)
        known = tuple(name for one in told.families for name in one.models)
        makes = family or told.families[0]
        return Capabilities(
            models=tuple(dict.fromkeys((*known, asked))) if family else known,
            seeds=False,
            negative_prompts=False,
            steps=False,
            guidance=False,
            references=makes.max_references,
            max_prompt=told.max_prompt,
            licence=told.licence,
            **makes.sizes.model_dump(),
        )

    def estimate_usd(self, order: Order, model: str | None = None) -> float:
        """Return what a call takes at most: all its tokens at the full price, `auto` as the dearest quality."""
        family = self._family(model)
        into = Incoming(
            # No token is shorter than a byte; the rest are the words that fold the negative prompt in.
            text_tokens=len(f"{order.prompt}{order.negative_prompt}".encode()) + 64,
            image_tokens=family.reference_tokens * len(order.references),
        )
        out = family.output.tokens(self._quality, order.width, order.height)
        return family.prices.usd(Usage(input_tokens_details=into, output_tokens=out))

    def generate(self, asked: Asked) -> Answer:
        """Ask for one picture and return its bytes as they came; whether they are a picture is for others to say.

        Raises the ProviderError family: UnknownOutcome wherever the order may have been taken, for it has no id by
        which it could be looked for.
        """
        self._refuse_what_would_be_lost(asked)
        with self._web.call():
            reply = self._edited(asked) if asked.order.references else self._drawn(asked)
        if not reply.is_fine:
            raise self._error(reply)
        return self._answer(asked, reply)

    def warnings(self) -> Sequence[str]:
        """Return what whoever starts it should know of the key and the model; offline, what the data know."""
        reply = self._look()
        said = () if reply is None else self._said_of(reply)
        day = _shutdown_date(reply) or contract().shutdown(self._model, datetime.now(UTC).date())
        return said if day is None else (*said, f"{NAME}: {self._model} shuts down on {day}; {self._other()}.")

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._web.close()

    # What is checked before anything is sent.

    def _check(self) -> None:
        """Refuse settings that no call could use."""
        told = contract()
        family = told.family(self._model)
        if family is None:
            raise BadInput(f"{NAME}: there is no model {self._model!r} that draws; {self._other()}.")
        _one_of("quality", self._quality, ("auto", *family.qualities), f" of {self._model}")
        _one_of("output format", self._output_format, told.output_formats)
        if self._moderation is not None:
            _one_of("moderation", self._moderation, told.moderations)

    def _refuse_what_would_be_lost(self, asked: Asked) -> None:
        family = self._family(asked.model)
        if not self._key:
            raise Unauthorised(f"{NAME}: no API key; {_KNOW_A_KEY}.")
        if asked.order.controls or asked.order.adapters:
            raise Invalid(f"{NAME}: takes no control images or adapters; name another provider.")
        if asked.negative_prompt:
            raise Invalid(f"{NAME}: takes no negative prompt; fold it into the prompt.")
        if len(asked.order.references) > family.max_references:
            raise Invalid(f"{NAME}: takes {family.max_references} references, not {len(asked.order.references)}.")
        if self._quality not in ("auto", *family.qualities):
            raise Invalid(f"{NAME}: {asked.model} has no quality {self._quality}; set one of its own.")

    def _family(self, model: str | None) -> Family:
        told = contract()
        return told.family(model or self._model) or told.families[0]

    def _other(self) -> str:
        """Return what to do about a model."""
        best = contract().model
        return "name another model" if best == self._model else f"name another model, such as {best}"

    # The request.

    def _drawn(self, asked: Asked) -> Reply:
        fields = self._fields(asked, self._family(asked.model).generate)
        return self._send("/images/generations", lambda images: images.generate(**fields))

    def _edited(self, asked: Asked) -> Reply:
        fields = self._fields(asked, self._family(asked.model).edit)
        pictures = [_file(number, asked.references[one.of]) for number, one in enumerate(asked.order.references, 1)]
        return self._send("/images/edits", lambda images: images.edit(image=pictures, **fields))

    def _fields(self, asked: Asked, besides: Besides) -> dict[str, Any]:
        fields = {
            "prompt": asked.prompt,
            "model": asked.model or self._model,
            "n": 1,
            "size": f"{asked.order.width}x{asked.order.height}",
            "quality": self._quality,
            "output_format": self._output_format,
            "background": besides.background,
            "input_fidelity": besides.input_fidelity,
            "moderation": self._moderation if besides.moderation else None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _send(self, path: str, ask: Callable[[Any], Any]) -> Reply:
        """Send one order by the service's own library and return the whole answer, whatever its status."""
        import openai  # noqa: PLC0415 - a third of a second, which no start should take

        with self._web.lent(path, submits=True) as http:
            client = openai.OpenAI(
                api_key=self._key,
                base_url=self._web.base_url,
                max_retries=0,
                # Named, for it takes the HTTP library's default of 5 s to mean its own of 600 s.
                timeout=cast(Any, http.timeout),
                # Its types know its own HTTP library alone; it takes the older one all the same.
                http_client=cast(Any, http),
                default_headers={"Authorization": f"Bearer {self._key}"},
            )
            # It reads these from the environment, which would charge another account than the settings say.
            client.organization = client.project = None
            try:
                answered = ask(client.images.with_raw_response).http_response
            except openai.APIStatusError as error:
                answered = error.response
            except openai.APIConnectionError as error:
                raise _broken_off(error) from None
        return Reply(answered.status_code, answered.headers, answered.content)

    # What came back.

    def _answer(self, asked: Asked, reply: Reply) -> Answer:
        model = asked.model or self._model
        try:
            pictures = _Pictures.model_validate_json(reply.data)
            # Some gateways break the lines.
            data = base64.b64decode("".join(pictures.data[0].b64_json.split()), validate=True)
        except (ValidationError, binascii.Error, ValueError):
            raise Broken(
                f"{NAME}: said that it drew the picture and sent none that can be read; it may charge for it.",
                may_be_paid=True,
            ) from None
        revised = pictures.data[0].revised_prompt
        return Answer(
            data,
            model,
            revised_prompt=self._web.masked(revised) if isinstance(revised, str) else None,
            cost_usd=_cost_usd(self._family(model).prices, pictures.usage),
            provider_id=self._web.masked(reply.headers.get("x-request-id", "")) or None,
        )

    def _error(self, reply: Reply) -> ProviderError:
        """Return what an answer other than 200 means; its code says more than its status."""
        told, means = _Told.of(reply), contract().meanings
        reason = self._web.said(told.message)
        if told.means(means.refused):
            why = f"refused by its safety system: {reason}"
            return self._web.refused(why, told.categories, may_be_paid=told.was_drawn)
        if told.means(means.out_of_credit):
            return OutOfCredit(f"{NAME}: the account's credit or limit is used up; raise it: {reason}")
        if told.means(means.invalid):
            return Invalid(f"{NAME}: cannot take this order ({reply.status}): {reason}")
        if told.means(means.busy) or reply.status in (429, 503):
            return Busy(f"{NAME}: too busy ({reply.status}): {reason}", _wait_seconds(reply))
        return self._web.meaning(reply, told.message, mend_key=_KNOW_A_KEY)

    # The look ahead.

    def _look(self) -> Reply | None:
        """Return what the service says of the model; None where it cannot be asked or does not answer in time."""
        if not self._key:
            return None
        try:
            with self._web.call(min(LOOK_SECONDS, self.timeout_seconds)):
                return self._web.send("GET", f"/models/{quote(self._model, safe='')}", submits=False)
        except ProviderError:
            return None

    def _said_of(self, reply: Reply) -> tuple[str, ...]:
        # A 403 is no word on the key: one that may only draw may not look.
        if reply.status == httpx.codes.UNAUTHORIZED:
            return (f"{NAME}: the API key was not accepted; {_KNOW_A_KEY}: {self._web.said(_Told.of(reply).message)}",)
        if reply.status == httpx.codes.NOT_FOUND:
            return (f"{NAME}: {self._model} is not there for this key; {self._other()}.",)
        return ()


def _one_of(what: str, given: str, known: Sequence[str], where: str = "") -> None:
    if given not in known:
        raise BadInput(f"{NAME}: {given!r} is no {what}{where}; give one of {', '.join(known)}.")


def _file(number: int, data: bytes) -> tuple[str, bytes, str]:
    """Return a picture as a form's file: its name, bytes and media type."""
    kind = next((kind for start, kind in _MEDIA.items() if data.startswith(start)), None)
    if kind is None:
        raise Invalid(f"{NAME}: reference {number} is no PNG, JPEG or WebP; give another.")
    return f"reference-{number}.{kind[0]}", data, kind[1]


def _broken_off(error: Exception) -> httpx.HTTPError:
    """Return the HTTP library's own error, which tells where it broke."""
    return error.__cause__ if isinstance(error.__cause__, httpx.HTTPError) else httpx.ReadError(str(error))


def _cost_usd(prices: Prices, usage: object) -> float | None:
    """Return what a call took; None where the service did not count, or not so that it can be read."""
    try:
        return prices.usd(Usage.model_validate(usage))
    except ValidationError:
        return None


def _wait_seconds(reply: Reply) -> float | None:
    """Return for how long the service asked for quiet: its own header is finer than the standard's."""
    try:
        wait = float(reply.headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        return reply.retry_after_seconds
    return wait if 0 <= wait < float("inf") else reply.retry_after_seconds


def _shutdown_date(reply: Reply | None) -> date | None:
    """Return the day on which the service says that it will shut the model down."""
    told = reply.json() if reply is not None and reply.is_fine else None
    given = told.get("shutdown_date") if isinstance(told, dict) else None
    try:
        return date.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None
