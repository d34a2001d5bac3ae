"""Uploads: files that apps send, kept in the bucket by what they say, and read by the run that plans with them.

    bucket:uploads/<scope>/<sha256>/<name>

The scope is its owner's alone; the name says nothing but what the file was called. The object's key is all before it.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pydantic import BaseModel

from limner.bucket import Bucket
from limner.errors import BadInput, RefusedRequest

_PREFIX = "bucket:"
_REFERENCE = re.compile(r"bucket:(uploads/([0-9a-f]{16})/([0-9a-f]{64}))/([^/]+)")

# What may be called so on every system; a file system takes 255 bytes.
_NAME = re.compile(r"\w[\w .,'()+&-]*")
_MAX_NAME_BYTES = 200

# A request's fields that name files.
FILES = ("book", "descriptions_file")

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the bucket: its object's key, the scope of its owner, what it says, what it was called."""

    key: str
    scope: str
    sha256: str
    name: str

    def belongs_to(self, owner: str) -> bool:
        return self.scope == _scope_of(owner)


def upload_of(path: str) -> Upload | None:
    """Return the upload that a request's field names; None for any other path."""
    found = _REFERENCE.fullmatch(path)
    return Upload(*found.groups()) if found and _is_name(found[4]) else None


def keep(bucket: Bucket, owner: str, data: bytes, name: str) -> str:
    """Store an owner's file, and return how a request names it; raises BadInput for a name that no file can have."""
    if not _is_name(name):
        raise BadInput(f"{name[:100]!r} is no name for a file; give letters, digits, spaces, dots and hyphens.")
    sha256 = hashlib.sha256(data).hexdigest()
    key = f"uploads/{_scope_of(owner)}/{sha256}"
    if not bucket.exists(key):
        bucket.put(key, data, "application/octet-stream")
    return f"{_PREFIX}{key}/{name}"


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


def _scope_of(owner: str) -> str:
    """Return an owner as letters that every bucket takes."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= _MAX_NAME_BYTES
