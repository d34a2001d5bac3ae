"""Prompts as a pipeline reads them: whole, or not at all.

CLIP reads 77 tokens, and the library drops the rest of a prompt with no more than a line in its log. A chapter's prompt
has about a hundred. So a pipeline that has nothing but CLIP is given longer prompts in pieces: each is encoded by the
pipeline's own `encode_prompt`, and the picture is drawn from all of them, side by side. Any other pipeline refuses a
prompt that it would not read whole.
"""

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

from limner.errors import Invalid
from limner.providers.diffusers.model_folder import NAME, Row

# Where a prompt is cut into pieces: between phrases, else between words, else inside one.
_CUTS = (", ", " ", "")
# What `encode_prompt` returns, in its order: a pipeline with one text encoder returns the first two.
_EMBEDDINGS = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")


class Reader:
    """Counts as a pipeline's tokenizers do; safe to use from several threads, also while the pipeline draws."""

    def __init__(self, pipeline: Any, row: Row) -> None:
        self._row = row
        self._lock = threading.Lock()
        # Copies: a tokenizer that cuts and pads in another thread cannot count in this one.
        found = [one for name, one in sorted(pipeline.components.items()) if name.startswith("tokenizer") and one]
        self._tokenizers = [copy.deepcopy(getattr(one, "tokenizer", one)) for one in found]

    def check(self, prompt: str) -> None:
        """Raise Invalid for a prompt that no text encoder of the pipeline reads whole."""
        if (
            self._row.in_pieces
            or not self._tokenizers
            or any(self._reads_whole(one, prompt) for one in self._tokenizers)
        ):
            return
        raise Invalid(
            f"{NAME}: the model reads {max(map(self._most, self._tokenizers))} tokens of a prompt, and this one has "
            "more; shorten it, or name a model that reads longer ones."
        )

    def pieces(self, prompt: str) -> tuple[str, ...]:
        """Return a prompt in pieces, each of which every text encoder reads whole."""
        if not self._row.in_pieces:
            return (prompt,)
        return tuple(_cut(prompt, lambda text: all(self._reads_whole(one, text) for one in self._tokenizers), _CUTS))

    def _most(self, tokenizer: Any) -> int:
        """Return how many tokens the encoder behind a tokenizer reads: CLIP its own number, others the pipeline's."""
        own = int(tokenizer.model_max_length)
        return own if "CLIP" in type(tokenizer).__name__ else min(own, self._row.tokens)

    def _reads_whole(self, tokenizer: Any, text: str) -> bool:
        with self._lock:
            return len(tokenizer(text, verbose=False).input_ids) <= self._most(tokenizer)


def embeddings(
    pipeline: Any, pieces: Sequence[str], negative_pieces: Sequence[str], *, is_guided: bool
) -> dict[str, Any]:
    """Return one picture's words as the arguments that its pipeline takes in place of a prompt.

    is_guided: the pipeline will compare with the negative prompt, or with none.
    """
    import torch  # noqa: PLC0415 - it is loaded where this is called

    count = max(len(pieces), len(negative_pieces))
    with torch.no_grad():
        encoded = [
            pipeline.encode_prompt(
                prompt=piece,
                device=pipeline._execution_device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=is_guided,
                # None, where there is no negative prompt at all: some models are trained on zeros there.
                negative_prompt=negative if any(negative_pieces) else None,
            )
            for piece, negative in zip(_filled(pieces, count), _filled(negative_pieces, count), strict=True)
        ]
    columns = zip(_EMBEDDINGS, zip(*encoded, strict=True), strict=False)
    return {name: _joined(torch, parts) for name, parts in columns if parts[0] is not None}


def _joined(torch: Any, parts: Sequence[Any]) -> Any:
    # What is pooled stands for a whole prompt; the first piece has its subject.
    return torch.cat(parts, dim=1) if parts[0].ndim == 3 else parts[0]


def _filled(pieces: Sequence[str], count: int) -> list[str]:
    return [*pieces, *[""] * (count - len(pieces))]


def _cut(text: str, fits: Callable[[str], bool], cuts: Sequence[str]) -> list[str]:
    """Return the text in as few pieces as its phrases allow; all of its words are in them."""
    if not cuts or fits(text):
        return [text]
    cut, *finer = cuts
    pieces: list[str] = []
    for part in text.split(cut) if cut else text:
        if pieces and fits(longer := f"{pieces[-1]}{cut}{part}"):
            pieces[-1] = longer
        else:
            pieces += _cut(part, fits, finer)
    return pieces
