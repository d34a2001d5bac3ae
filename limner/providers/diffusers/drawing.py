"""Drawing with a loaded pipeline: one batch at a time, stopped between two steps when nobody waits for it any more.

A picture is the same whether it is drawn alone or in a batch, up to rounding: its noise comes from a generator of its
own. The generator is the CPU's, whatever draws: the same seed begins with the same noise on every kind of device.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from limner.errors import Broken, Busy, Cancelled, Invalid, ProviderError, Refused
from limner.providers.diffusers import prompts
from limner.providers.diffusers.gathering import Gathering, Place, Tally
from limner.providers.diffusers.loading import Loaded, Source, is_out_of_memory, load, said
from limner.providers.diffusers.model_folder import NAME, Described

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One picture as the pipeline is asked for it. guidance: None where the model takes none. Sides in pixels."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float | None
    seed: int


@dataclass(frozen=True, slots=True)
class _Like:
    """What pictures of one batch have in common; `length` is that of what the words are encoded to."""

    width: int
    height: int
    steps: int
    guidance: float | None
    length: int
    has_negative: bool


class _NobodyWaits(Exception):
    """Ends a call of the pipeline between two steps."""


class Easel:
    """One loaded pipeline and the queue before it; safe to use from several threads."""

    def __init__(self, source: Source) -> None:
        self._loaded: Loaded = load(source)
        self._reader = prompts.Reader(self._loaded.pipeline, self.described.said)
        self._gathering: Gathering[Wanted, Any] = Gathering(self._draw)
        # After a batch that did not fit into memory, smaller ones.
        self._fits: int | None = None

    @property
    def described(self) -> Described:
        return self._loaded.described

    @property
    def device(self) -> str:
        return self._loaded.device

    def memory_bytes(self) -> dict[str, int]:
        """Return what of the device's memory is in use, reserved by us, and free; empty where it is the machine's."""
        import torch  # noqa: PLC0415 - it is loaded by now

        if torch.device(self.device).type != "cuda":
            return {}
        free, total = torch.cuda.mem_get_info(self.device)
        return {
            "used": torch.cuda.memory_allocated(self.device),
            "reserved": torch.cuda.memory_reserved(self.device),
            "free": free,
            "total": total,
        }

    @property
    def tally(self) -> Tally:
        return self._gathering.tally()

    def picture(
        self,
        wanted: Wanted,
        leave: Callable[[], ProviderError | None],
        batch: int,
        *,
        priority: int = 100,
        owner: str = "",
        room: int | None = None,
    ) -> tuple[Any, int]:
        """Return the picture, a Pillow image, and the number of the batch that it was drawn in, of up to `batch`.

        leave: returns why it is not waited for any longer, or None. room: how many may wait; None is any.
        """
        self._reader.check(wanted.prompt)
        self._reader.check(wanted.negative_prompt)
        place: Place[Wanted, Any] = Place(wanted, self._like(wanted), leave, priority, owner)
        return self._gathering.take_part(place, lambda: min(batch, self._fits or batch), room), place.batch

    def send_away(self, why: Callable[[], ProviderError]) -> None:
        """End the waiting of all who are not being drawn."""
        self._gathering.send_away(why)

    def _like(self, wanted: Wanted) -> _Like:
        return _Like(
            wanted.width,
            wanted.height,
            wanted.steps,
            wanted.guidance,
            max(len(self._reader.pieces(words)) for words in (wanted.prompt, wanted.negative_prompt)),
            bool(wanted.negative_prompt),
        )

    def _draw(self, places: Sequence[Place[Wanted, Any]]) -> None:
        """End every place with its picture, or with what went wrong."""
        try:
            ends: list[Any] = self._called(places)
        except _NobodyWaits:
            ends = [place.reason_to_leave() or Cancelled(f"{NAME}: stopped between two steps.") for place in places]
        except Exception as error:
            meaning = self._meaning(error, len(places))
            ends = [meaning() for _ in places]
        # Not in the handlers: the error's frames hold what the device has no room for.
        if isinstance(ends[0], ProviderError):
            _free_memory(self._loaded.device)
        for place, end in zip(places, ends, strict=True):
            place.end(end)

    def _called(self, places: Sequence[Place[Wanted, Any]]) -> list[Any]:
        """Call the pipeline once; return each place's picture, or the refusal of one that its checker blackened."""

        def between_steps(_pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if not any(place.is_wanted() for place in places):
                raise _NobodyWaits
            return tensors

        wanted = [place.wanted for place in places]
        arguments = self._arguments(wanted[0]) | self._generators(wanted) | self._words(wanted)
        if self.described.said.cancels:
            arguments["callback_on_step_end"] = between_steps
        result = self._loaded.pipeline(**arguments)
        unsafe = getattr(result, "nsfw_content_detected", None) or [False] * len(places)
        if len(result.images) != len(places):
            raise RuntimeError(f"it gave {len(result.images)} pictures for {len(places)}")
        return [_refused() if is_unsafe else image for image, is_unsafe in zip(result.images, unsafe, strict=True)]

    def _arguments(self, wanted: Wanted) -> dict[str, Any]:
        """Return what is the same for the whole batch."""
        arguments: dict[str, Any] = {
            "width": wanted.width,
            "height": wanted.height,
            "num_inference_steps": wanted.steps,
            "output_type": "pil",
        }
        if wanted.guidance is not None:
            arguments[self.described.said.scale] = wanted.guidance
        return arguments

    def _generators(self, wanted: Sequence[Wanted]) -> dict[str, Any]:
        import torch  # noqa: PLC0415 - it is loaded by now

        return {"generator": [torch.Generator("cpu").manual_seed(one.seed) for one in wanted]}

    def _words(self, wanted: Sequence[Wanted]) -> dict[str, Any]:
        """Return the words of the batch as the pipeline takes them."""
        if self.described.said.in_pieces:
            return self._embeddings(wanted)
        words: dict[str, Any] = {"prompt": [one.prompt for one in wanted]}
        # Where the scale is the true one, it has no effect without a negative prompt, and a space says nothing.
        nothing = " " if self.described.said.scale == "true_cfg_scale" else ""
        if self.described.negative_prompts and (nothing or wanted[0].negative_prompt):
            words["negative_prompt"] = [one.negative_prompt or nothing for one in wanted]
        return words

    def _embeddings(self, wanted: Sequence[Wanted]) -> dict[str, Any]:
        import torch  # noqa: PLC0415 - see above

        # One by one, so that each is encoded as if it were alone.
        rows = [self._encoded(one) for one in wanted]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _encoded(self, wanted: Wanted) -> dict[str, Any]:
        is_guided = self.described.negative_prompts and (wanted.guidance or 0) > self.described.said.negative_above
        return prompts.embeddings(
            self._loaded.pipeline,
            self._reader.pieces(wanted.prompt),
            self._reader.pieces(wanted.negative_prompt) if is_guided else ("",),
            is_guided=is_guided,
        )

    def _meaning(self, error: Exception, count: int) -> Callable[[], ProviderError]:
        """Return how to make what a failed call means; each of the batch raises one of its own."""
        log.debug("%s failed to draw %d pictures", NAME, count, exc_info=error)
        words = said(error)
        if is_out_of_memory(error) and count > 1:
            self._fits = count // 2
            return lambda: Busy(
                f"{NAME}: {count} pictures at once do not fit into the device's memory; it will be {count // 2}."
            )
        if is_out_of_memory(error):
            return lambda: Broken(
                f"{NAME}: one picture of this size does not fit into the device's memory; ask for a smaller one."
            )
        if isinstance(error, ValueError):
            return lambda: Invalid(f"{NAME}: the model cannot take this order: {words}")
        return lambda: Broken(f"{NAME}: the model failed: {words}")


def _refused() -> Refused:
    return Refused(f"{NAME}: the model's safety checker blackened the picture; change the words.", ("nsfw",))


def _free_memory(device: str) -> None:
    """Give back what a failed call left reserved, so that a smaller one has room."""
    import torch  # noqa: PLC0415 - it is loaded by now

    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
