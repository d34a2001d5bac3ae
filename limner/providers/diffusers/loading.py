"""Loading a pipeline: the only place that reads weights.

Only safetensors, never a pickle, and never code that a model brings along. A folder on this machine never touches the
network; a model of the hub is fetched into the hub's own cache, as its library does. Knows nothing of who shares it.
"""

import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import BadInput, Broken, ProviderError, Unauthorised
from limner.providers.diffusers.model_folder import NAME, Described, Row, describe, known_by_its_call

PACKAGES = ("torch", "diffusers", "transformers", "accelerate")
SAID_CHARS = 300


@dataclass(frozen=True, slots=True)
class Source:
    """What is loaded, where to, and how precise. Empty is: no special revision or variant, the best of this machine.

    model: a folder on this machine, or a model's id on the hub.
    """

    model: str
    revision: str = ""
    variant: str = ""
    device: str = ""
    dtype: str = ""

    @property
    def folder(self) -> Path | None:
        """The model's folder, where it is named as one; an id on the hub is `owner/name`, or a name alone."""
        path = Path(self.model).expanduser()
        is_path = path.is_dir() or self.model.startswith((".", "~")) or path.is_absolute() or len(path.parts) > 2
        return path.resolve() if self.model and is_path else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline that is ready to draw, and what is known of it now. described: by its folder and its own call."""

    pipeline: Any
    described: Described
    device: str


def missing_packages() -> str:
    """Say how to install what a local model needs, or nothing; imports none of it."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    named = ", ".join(missing)
    return f"{NAME}: not installed: {named}; pip install -r requirements-local.lock"


def load(source: Source) -> Loaded:
    """Return a new pipeline, on its device. Raises Broken or Unauthorised, in one sentence."""
    try:
        return _load(source)
    except Exception as error:
        meaning = _why(error, source)
    # Outside of the handler, so that a failed load's weights do not live as long as what is said of it.
    raise meaning


def _load(source: Source) -> Loaded:
    import diffusers  # noqa: PLC0415 - seconds, and only where a model runs
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    # It warns of image libraries that it would rather have, at every load.
    transformers.utils.logging.set_verbosity_error()
    device = source.device or best_device(torch)
    folder = source.folder or _fetched(source, diffusers)
    described = describe(folder)
    kind = _class_of(described, diffusers)
    call = inspect.signature(kind.__call__).parameters
    _check_call(call, described)
    # What is not a setting of a class would be warned of and left out.
    own = {"add_watermarker": False} if "add_watermarker" in inspect.signature(kind.__init__).parameters else {}
    pipeline = kind.from_pretrained(
        str(folder),
        dtype=getattr(torch, source.dtype) if source.dtype else best_dtype(torch, device),
        variant=source.variant or None,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        **own,
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    _save_memory(pipeline)
    return Loaded(pipeline, known_by_its_call(described, row_of(call)), device)


def _class_of(described: Described, diffusers: Any) -> Any:
    """Return the library's own class of a pipeline; raises BadInput for any other name."""
    found = getattr(diffusers, described.class_name, None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        raise BadInput(f"{NAME}: the installed diffusers has no {described.class_name}; install one that has.")
    return found


def _fetched(source: Source, diffusers: Any) -> Path:
    """Return the folder of a model of the hub in its library's cache; fetches what is missing there."""
    folder = diffusers.DiffusionPipeline.download(
        source.model,
        revision=source.revision or None,
        variant=source.variant or None,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return Path(folder)


def best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(torch: Any, device: str) -> Any:
    """Return the smallest type that a device is fast with; bfloat16 before float16, because it overflows less."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    return torch.float16 if kind == "mps" else torch.float32


def row_of(call: Any) -> Row:
    """Return what a pipeline's own call says of it. call: the parameters of `__call__` by name."""
    tokens = call["max_sequence_length"].default if "max_sequence_length" in call else None
    true = call.get("true_cfg_scale")
    is_true = true is not None and true.default > 1
    return Row(
        tokens=tokens if isinstance(tokens, int) else Row().tokens,
        # With a true scale of 1 by default, the pipeline leaves a negative prompt out.
        negative_prompts="negative_prompt" in call and (true is None or is_true),
        scale="true_cfg_scale" if is_true else "guidance_scale" if "guidance_scale" in call else "",
        cancels="callback_on_step_end" in call,
    )


def _check_call(call: Any, described: Described) -> None:
    """Raise BadInput for a pipeline that makes something else than pictures from words."""
    needed = {"prompt", "height", "width", "generator", "num_inference_steps"}
    needs_a_picture = described.row is None and {"image", "control_image"} & set(call)
    if not needed <= set(call) or needs_a_picture:
        raise BadInput(f"{NAME}: {described.class_name} makes no picture from words alone; name another model.")


def _save_memory(pipeline: Any) -> None:
    """Decode a batch picture by picture: the peak of memory is there, and each comes out as if it were alone."""
    vae = getattr(pipeline, "vae", None)
    if vae is not None and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()


def _why(error: Exception, source: Source) -> ProviderError:
    """Return what a failed load means."""
    from huggingface_hub import errors  # noqa: PLC0415 - it is there once a load was tried

    if isinstance(error, BadInput):
        return Broken(str(error))
    # The library looks into its cache when the hub says no, and complains of that.
    asked = error.__cause__ or error
    if isinstance(asked, errors.GatedRepoError):
        return Unauthorised(f"{NAME}: {source.model} is given out by request; ask the hub for it, and set HF_TOKEN.")
    if isinstance(asked, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return Broken(f"{NAME}: the hub has no model {source.model} that we may see; check its name and HF_TOKEN.")
    if is_out_of_memory(error):
        return Broken(f"{NAME}: {source.model} does not fit into the memory of this machine; name a smaller model.")
    return Broken(f"{NAME}: {source.model} cannot be loaded: {said(error)}")


def is_out_of_memory(error: Exception) -> bool:
    """Say whether a device had no memory left; of some devices only the words tell."""
    named = type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError)
    return named or "out of memory" in str(error).lower() or "can't allocate memory" in str(error)


def said(error: Exception) -> str:
    """Return a library's complaint on one line, and short."""
    return " ".join(str(error).split())[:SAID_CHARS] or type(error).__name__
