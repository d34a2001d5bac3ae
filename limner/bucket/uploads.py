"""Files that apps send, kept in the bucket by what they say, and read by the run that plans with them."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pydantic import BaseModel

from limner.bucket import Bucket
from limner.errors import BadInput, RefusedRequest
from limner.uploads import FILES, Upload, upload_of

Request = TypeVar("Request")


def keep(bucket: Bucket, owner: str, data: bytes, name: str) -> str:
    """Store an owner's file, and return how a request names it; raises BadInput for a name that no file can have."""
    upload = Upload.of(owner, data, name)
    # Also one that is there: its age is counted from the last time that somebody wanted it.
    bucket.put(upload.key, data, "application/octet-stream")
    return upload.reference


@contextmanager
def brought(bucket: Bucket, request: Request, owner: str) -> Iterator[Request]:
    """Yield the request with its uploads as files of this machine, for as long as they are read.

    Raises BadInput for an upload of somebody else, or one that is gone or damaged.
    """
    if not isinstance(request, BaseModel) or not (named := _uploads_of(request)):
        yield request
        return
    with TemporaryDirectory(prefix="limner-uploads-") as place:
        files = {field: str(_fetch(bucket, upload, owner, Path(place))) for field, upload in named.items()}
        try:
            yield request.model_copy(update=files)
        except RefusedRequest as error:
            # Whoever sent it knows its name, not where it lay.
            said = re.sub(rf"{re.escape(place)}/\w+/", "", str(error))
            raise type(error)(said) from None


def _uploads_of(request: BaseModel) -> dict[str, Upload]:
    found = {field: upload_of(getattr(request, field, "")) for field in FILES}
    return {field: upload for field, upload in found.items() if upload is not None}


def _fetch(bucket: Bucket, upload: Upload, owner: str, place: Path) -> Path:
    if not upload.belongs_to(owner):
        raise BadInput(f"{upload.name} was uploaded by somebody else; upload it as {owner}.")
    try:
        data = bucket.get(upload.key)
    except KeyError:
        raise BadInput(f"{upload.name} is no longer among the uploads; upload it again.") from None
    if hashlib.sha256(data).hexdigest() != upload.sha256:
        raise BadInput(f"{upload.name} is damaged in the bucket; upload it again.")
    file = place / upload.sha256 / upload.name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return file
