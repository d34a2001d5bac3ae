"""Diffusers: a model on this machine's GPU or CPU, or any other text-to-image pipeline of the diffusers library.

A picture costs nothing. Nothing of torch is loaded before the first is drawn; then one pipeline serves every provider
and thread of the process that names the same model, and calls that are alike are drawn together. Knows nothing of
retries or of who is asked next.
"""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from limner.errors import BadInput, Broken, Busy, Cancelled, Invalid, ProviderError
from limner.jobs import Order
from limner.providers.diffusers.drawing import Easel, Wanted
from limner.providers.diffusers.gathering import NOTHING_DRAWN, Tally
from limner.providers.diffusers.loading import Source, missing_packages
from limner.providers.diffusers.model_folder import NAME, Described, check_folder, describe, known_classes
from limner.providers.diffusers.sharing import Shared
from limner.providers.seam import Answer, Asked, Capabilities, Limits

# Large pictures shrink hardly at all beyond this, and take longer than a fast model draws.
PNG_LEVEL = 1

_DEVICE = re.compile(r"^(?:cpu|mps|(?:cuda|xpu)(?::\d{1,2})?)$")
_DTYPES = ("", "float32", "float16", "bfloat16")
_HUB_ID = re.compile(r"^[\w.-]{1,96}(?:/[\w.-]{1,96})?$", re.ASCII)

_easels: Shared[Source, Easel] = Shared(Easel)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture, as PNG, and the number of the batch that it was drawn in."""

    data: bytes
    batch: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a model is doing. loads: of models, by this process so far. memory_bytes: of its device, by what it is."""

    device: str
    loads: int
    tally: Tally
    memory_bytes: Mapping[str, int]


class Diffusers:
    """Draws with one model; safe to use from several threads.

    model: a folder that diffusers saved, or a model's id on the hub; revision, variant: of the id's, or the folder's,
    files. device, dtype: empty takes the best of this machine (cuda, mps, cpu; the smallest type that it is fast with).
    batch: pictures drawn in one call of the model, where that many alike are asked for at once. steps, guidance: set
    for a model that knows one way only (a turbo model: 4 and 0); orders' own are then dropped, and the record says so.
    limits: None is two batches at once. room: how many calls may wait; the next is Busy. None is any number.

        Diffusers("/models/sdxl", batch=4)
        Diffusers("stabilityai/sdxl-turbo", variant="fp16", steps=2, guidance=0)

    Raises BadInput where packages or the folder are missing, or an option is none.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str = "",
        variant: str = "",
        device: str = "",
        dtype: str = "",
        batch: int = 1,
        steps: int | None = None,
        guidance: float | None = None,
        timeout_seconds: float | None = None,
        limits: Limits | None = None,
        room: int | None = None,
    ) -> None:
        if missing := missing_packages():
            raise BadInput(missing)
        source = Source(model, revision, variant, device, dtype)
        _check(source, batch, steps)
        if (folder := source.folder) is not None:
            check_folder(folder)
            # However it is spelled, it is one model.
            source = replace(source, model=str(folder))
        self.timeout_seconds = timeout_seconds or known_classes().timeout_seconds
        # One batch is drawn while the next gathers.
        self._limits = limits or Limits(calls_at_once=2 * batch)
        self._source = source
        self.batch = batch
        self._steps = steps
        self._guidance = guidance
        self._room = room
        self.model = folder.name if folder else f"{model}@{revision}" if revision else model
        self._described = describe(folder) if folder else Described()

    def __repr__(self) -> str:
        return f"Diffusers({self.model!r}, batch={self.batch})"

    @property
    def name(self) -> str:
        return NAME

    @property
    def limits(self) -> Limits:
        return self._limits

    def estimate_usd(self, order: Order, model: str | None = None) -> float:  # noqa: ARG002 - nothing costs
        return 0.0

    def capabilities(self, model: str | None = None) -> Capabilities:  # noqa: ARG002 - there is one model
        """Return what the model can honour: by its folder's word, and once it is loaded by its pipeline's own call."""
        easel = _easels.made(self._source)
        described = easel.described if easel is not None else self._described
        return described.capabilities(self.model, steps=self._steps, guidance=self._guidance)

    def generate(self, asked: Asked) -> Answer:
        """Draw one picture, perhaps with others in one call; the first call loads the model.

        Raises Busy, Invalid, Refused, Broken or Cancelled; it is never unknown whether a picture was made.
        """
        return Answer(self.draw(asked, self.timeout_seconds).data, self.model, cost_usd=0.0)

    def draw(self, asked: Asked, seconds: float) -> Drawn:
        """Do what `generate` does, within a time of the caller's, and say in which batch."""
        refuse_what_would_be_lost(asked, self.model)
        call = _Call(asked.stop, seconds)
        fitted_to = self.capabilities()
        easel = _easels.get(self._source, call.check)
        call.check()
        if self.capabilities() != fitted_to:
            raise Busy(f"{NAME}: {self.model} has said what it takes only now that it is loaded; ask again.", 0)
        image, batch = easel.picture(
            self._wanted(asked, easel.described),
            call.leave,
            self.batch,
            priority=asked.priority,
            owner=asked.owner,
            room=self._room,
        )
        return Drawn(_png(image), batch)

    def load(self) -> None:
        """Load the model now, where it is not loaded; raises Broken or Unauthorised."""
        _easels.get(self._source, lambda: None)

    def status(self) -> Loaded:
        """Return what is known of the model, and of the line before it, without waiting for anything."""
        easel = _easels.made(self._source)
        if easel is None:
            return Loaded(self._source.device, _easels.count, NOTHING_DRAWN, {})
        return Loaded(easel.device, _easels.count, easel.tally, easel.memory_bytes())

    def send_away(self, why: str) -> None:
        """End the waiting of all who are not being drawn: they are told that it is busy, and why."""
        easel = _easels.made(self._source)
        if easel is not None:
            easel.send_away(lambda: Busy(why))

    def close(self) -> None:
        """Let go of the model, for all who share it; the next call would load it anew."""
        _easels.forget(self._source)

    def _wanted(self, asked: Asked, described: Described) -> Wanted:
        can = described.capabilities(self.model, steps=self._steps, guidance=self._guidance)
        guidance = self._guidance if self._guidance is not None else asked.order.guidance if described.guided else None
        if asked.negative_prompt and (not can.negative_prompts or _is_weak(guidance, described)):
            raise Invalid(f"{NAME}: with {self.model} and this guidance a negative prompt has no effect; leave it out.")
        return Wanted(
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt,
            width=asked.order.width,
            height=asked.order.height,
            steps=self._steps or asked.order.steps,
            guidance=guidance,
            seed=asked.seed,
        )


def refuse_what_would_be_lost(asked: Asked, model: str) -> None:
    """Raise Invalid for what `model` would draw without, and for another model."""
    if asked.references or asked.order.references or asked.order.controls:
        raise Invalid(f"{NAME}: takes no references or control images; name another provider.")
    if asked.order.adapters:
        raise Invalid(f"{NAME}: loads no finetunes of an order; name another provider.")
    if asked.model not in (None, model):
        raise Invalid(f"{NAME}: has {model}, not {asked.model}; name that, or none.")


class _Call:
    """How long one call is waited for: until its time is over, or nobody wants it."""

    def __init__(self, stop: threading.Event, seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def leave(self) -> ProviderError | None:
        if self._stop.is_set():
            return Cancelled(f"{NAME}: stopped; no picture was made.")
        if time.monotonic() > self._until:
            return Broken(f"{NAME}: no picture within {self._seconds:g} s; allow more time, or ask for fewer steps.")
        return None

    def check(self) -> None:
        """Raise why the model is not waited for any longer; that it is being loaded is no fault of the order."""
        if self._stop.is_set():
            raise Cancelled(f"{NAME}: stopped; no picture was made.")
        if time.monotonic() > self._until:
            raise Busy(f"{NAME}: the model was not loaded within {self._seconds:g} s; it may be soon.")


def _check(source: Source, batch: int, steps: int | None) -> None:
    """Raise BadInput for an option that is none."""
    if source.folder is None and not _HUB_ID.match(source.model):
        raise BadInput(f"{NAME}: {source.model!r} is no folder and no model's id; name one of them.")
    if source.folder is not None and source.revision:
        raise BadInput(f"{NAME}: a folder has no revision {source.revision!r}; leave it empty.")
    if source.device and not _DEVICE.match(source.device):
        raise BadInput(f"{NAME}: there is no device {source.device!r}; name cpu, cuda, cuda:1 or mps, or none.")
    if source.dtype not in _DTYPES:
        raise BadInput(f"{NAME}: there is no dtype {source.dtype!r}; name {', '.join(_DTYPES[1:])}, or none.")
    if batch < 1:
        raise BadInput(f"{NAME}: a batch of {batch} draws nothing; give 1 or more.")
    if steps is not None and steps < 1:
        raise BadInput(f"{NAME}: {steps} steps draw nothing; give 1 or more, or none.")


def _is_weak(guidance: float | None, described: Described) -> bool:
    return guidance is not None and guidance <= described.said.negative_above


def _png(image: Any) -> bytes:
    data = BytesIO()
    image.save(data, "PNG", compress_level=PNG_LEVEL)
    return data.getvalue()
