"""Uploads by name: how a request names a file that an app has sent.

    bucket:uploads/<scope>/<sha256>/<name>

The scope is its owner's alone; the name says nothing but what the file was called. The object's key is all before it.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from limner.errors import BadInput

_PREFIX = "bucket:"
_REFERENCE = re.compile(r"bucket:(uploads/([0-9a-f]{16})/([0-9a-f]{64}))/([^/]+)")

# What may be called so on every system; a file system takes 255 bytes.
_NAME = re.compile(r"\w[\w .,'()+&-]*")
_MAX_NAME_BYTES = 200

# A request's fields that name files.
FILES = ("book", "descriptions_file")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the bucket: its object's key, the scope of its owner, what it says, what it was called."""

    key: str
    scope: str
    sha256: str
    name: str

    @classmethod
    def of(cls, owner: str, data: bytes, name: str) -> Self:
        """Return the upload that an owner's file is; raises BadInput for a name that no file can have."""
        if not _is_name(name):
            raise BadInput(f"{name[:100]!r} is no name for a file; give letters, digits, spaces, dots and hyphens.")
        scope, sha256 = _scope_of(owner), hashlib.sha256(data).hexdigest()
        return cls(f"uploads/{scope}/{sha256}", scope, sha256, name)

    @property
    def reference(self) -> str:
        """Return how a request names it."""
        return f"{_PREFIX}{self.key}/{self.name}"

    def belongs_to(self, owner: str) -> bool:
        return self.scope == _scope_of(owner)


def upload_of(path: str) -> Upload | None:
    """Return the upload that a request's field names; None for any other path."""
    found = _REFERENCE.fullmatch(path)
    return Upload(*found.groups()) if found and _is_name(found[4]) else None


def _scope_of(owner: str) -> str:
    """Return an owner as letters that every bucket takes."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= _MAX_NAME_BYTES
