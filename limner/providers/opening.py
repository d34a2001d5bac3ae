"""Which providers there are, what each is opened with, and which of them the environment turns on.

The one place that knows them all by name; each is imported only where it is opened.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from limner.errors import BadInput
from limner.providers.seam import Limits, Provider
from limner.settings import Settings, web_address

Kind = Literal["sketch", "openai", "fal", "replicate", "pollinations", "diffusers"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# The variable that turns a provider on.
VARIABLES: Mapping[Kind, str] = {
    "openai": "OPENAI_API_KEY",
    "fal": "FAL_KEY",
    "replicate": "REPLICATE_API_TOKEN",
    "pollinations": "POLLINATIONS_API_KEY",
    "diffusers": "LIMNER_DIFFUSERS_MODEL",
}

_OWN_SERVER = "give one, or, for a server of your own, set LIMNER_ALLOW_PRIVATE_ADDRESSES=true"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a provider is opened with; None and "" leave it to the provider's own data.

    connections: of this process. limits: over all processes. quality: of openai. enhance, price_usd: of pollinations.
    batch, steps, guidance: of diffusers; pictures a call, and the only steps and scale that its model draws with. With
    addresses in base_url, separated by commas, the owners there draw; the key is then their token.
    allow_private: addresses of this machine and of private networks too.
    """

    kind: Kind
    key: SecretStr | None = None
    base_url: str = ""
    model: str = ""
    quality: str = ""
    enhance: bool = False
    price_usd: float | None = None
    batch: int = 1
    steps: int | None = None
    guidance: float | None = None
    limits: Limits | None = None
    timeout_seconds: float | None = None
    allow_private: bool = False

    def secret(self) -> str:
        if self.key is None:
            raise BadInput(
                f"{self.kind} has no API key; save one in its block limner-provider, or set {VARIABLES[self.kind]}."
            )
        return self.key.get_secret_value()

    def address(self) -> str | None:
        """Return where the service is; None is its own address.

        Raises BadInput for what is no address, where whoever stands on the way could read the key, or where nobody may
        be asked.
        """
        if not self.base_url:
            return None
        try:
            told = web_address(self.base_url)
        except ValueError as error:
            raise BadInput(f"{self.kind}: {error}; mend its address.") from None
        if not (self.allow_private or told.lower().startswith("https://")):
            raise BadInput(f"{self.kind}: {told} is no https address; {_OWN_SERVER}.")
        from limner.web import network  # noqa: PLC0415 - a library of HTTP

        if network.is_forbidden(urlsplit(told).hostname or "", allow_private=self.allow_private):
            mend = "give another" if self.allow_private else _OWN_SERVER
            raise BadInput(f"{self.kind}: {told} is no address of the open Internet; {mend}.")
        return told


def wirings_of(settings: Settings) -> dict[str, Wiring]:
    """Return every provider that the environment turns on, by name; `sketch` needs nothing."""
    private = settings.allow_private_addresses
    found = {"sketch": Wiring("sketch")}
    for kind, key, url, model, a_minute in _services(settings):
        if key is not None:
            limits = limits_of(None, a_minute)
            found[kind] = Wiring(kind, key, url or "", model or "", limits=limits, allow_private=private)
    if "openai" in found:
        found["openai"] = replace(found["openai"], quality=settings.openai_quality or "")
    if settings.diffusers_model is not None:
        found["diffusers"] = Wiring(
            "diffusers",
            model=settings.diffusers_model,
            batch=settings.diffusers_batch,
            steps=settings.diffusers_steps,
            guidance=settings.diffusers_guidance,
        )
    if settings.diffusers_url is not None:
        found["diffusers"] = with_token(Wiring("diffusers", base_url=settings.diffusers_url), settings)
    return found


def with_token(wiring: Wiring, settings: Settings) -> Wiring:
    """Return the wiring with this installation's token, where the owners of GPUs are asked and no other is told."""
    if wiring.kind != "diffusers" or not wiring.base_url or wiring.key is not None:
        return wiring
    from limner.providers.diffusers.wire import token_of  # noqa: PLC0415

    return replace(wiring, key=SecretStr(token_of(settings)))


def limits_of(calls_at_once: int | None, calls_a_minute: float | None) -> Limits | None:
    """Return limits as they are told: 0 is without limit; None where nothing is told, and the provider's own hold."""
    if calls_at_once is None and calls_a_minute is None:
        return None
    return Limits(calls_at_once or None, calls_a_minute or None)


def _services(
    told: Settings,
) -> Iterator[tuple[Kind, SecretStr | None, str | None, str | None, float | None]]:
    """Yield what the environment says of each service: its key, address, model, calls a minute."""
    yield "openai", told.openai_key, told.openai_url, told.openai_model, told.openai_calls_a_minute
    yield "fal", told.fal_key, told.fal_url, told.fal_model, told.fal_calls_a_minute
    yield "replicate", told.replicate_key, told.replicate_url, told.replicate_model, told.replicate_calls_a_minute
    yield (
        "pollinations",
        told.pollinations_key,
        told.pollinations_url,
        told.pollinations_model,
        told.pollinations_calls_a_minute,
    )


def open_provider(wiring: Wiring, connections: int) -> Provider:
    """Return the provider, for that many calls at once from this process; raises BadInput when it lacks its key."""
    return _OPENERS[wiring.kind](wiring, connections)


def _sketch(_wiring: Wiring, _connections: int) -> Provider:
    from limner.providers.sketch import Sketch  # noqa: PLC0415

    return Sketch()


def _openai(wiring: Wiring, connections: int) -> Provider:
    from limner.providers.openai import OpenAI  # noqa: PLC0415

    return OpenAI(
        wiring.secret(),
        base_url=wiring.address(),
        model=wiring.model or None,
        quality=wiring.quality or None,
        timeout_seconds=wiring.timeout_seconds,
        connections=connections,
        limits=wiring.limits,
        allow_private=wiring.allow_private,
    )


def _fal(wiring: Wiring, connections: int) -> Provider:
    from limner.providers.fal import Fal  # noqa: PLC0415

    return Fal(
        wiring.secret(),
        base_url=wiring.address(),
        model=wiring.model or None,
        timeout_seconds=wiring.timeout_seconds,
        connections=connections,
        limits=wiring.limits,
        allow_private=wiring.allow_private,
    )


def _replicate(wiring: Wiring, connections: int) -> Provider:
    from limner.providers.replicate import Replicate  # noqa: PLC0415

    return Replicate(
        wiring.secret(),
        base_url=wiring.address(),
        model=wiring.model or None,
        timeout_seconds=wiring.timeout_seconds,
        connections=connections,
        limits=wiring.limits,
        allow_private=wiring.allow_private,
    )


def _pollinations(wiring: Wiring, connections: int) -> Provider:
    from limner.providers.pollinations import Pollinations  # noqa: PLC0415

    return Pollinations(
        wiring.secret(),
        base_url=wiring.address(),
        model=wiring.model or None,
        enhance=wiring.enhance,
        price_usd=wiring.price_usd,
        timeout_seconds=wiring.timeout_seconds,
        connections=connections,
        limits=wiring.limits,
        allow_private=wiring.allow_private,
    )


def _diffusers(wiring: Wiring, connections: int) -> Provider:
    if wiring.base_url:
        return _owners(wiring, connections)
    from limner.providers.diffusers import Diffusers  # noqa: PLC0415

    return Diffusers(
        wiring.model,
        batch=wiring.batch,
        steps=wiring.steps,
        guidance=wiring.guidance,
        timeout_seconds=wiring.timeout_seconds,
        limits=wiring.limits,
    )


def _owners(wiring: Wiring, connections: int) -> Provider:
    from limner.providers.diffusers.owners import Owners  # noqa: PLC0415

    # Whoever runs Limner runs them.
    each = [replace(wiring, base_url=one.strip(), allow_private=True) for one in wiring.base_url.split(",")]
    addresses = [found for one in each if (found := one.address())]
    if not addresses:
        raise BadInput(f"diffusers: {wiring.base_url!r} names no owner; give http://host:port, or unset it.")
    return Owners(
        addresses,
        wiring.secret(),
        timeout_seconds=wiring.timeout_seconds,
        connections=connections,
        limits=wiring.limits,
    )


_OPENERS: dict[Kind, Callable[[Wiring, int], Provider]] = {
    "sketch": _sketch,
    "openai": _openai,
    "fal": _fal,
    "replicate": _replicate,
    "pollinations": _pollinations,
    "diffusers": _diffusers,
}
