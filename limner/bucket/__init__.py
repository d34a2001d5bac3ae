"""The bucket: one small protocol, a directory and S3 behind it.

Knows nothing of the ledger. Keys are relative, with `/`; bytes go in whole and come out whole.
"""

from datetime import datetime
from typing import Protocol


class Bucket(Protocol):
    """Where artifacts, reports and contact sheets lie. Every method raises BucketUnreachable or DiskFull."""

    def put(self, key: str, data: bytes, media_type: str) -> None:
        """Store `data` whole or not at all; the same key again is harmless."""

    def get(self, key: str) -> bytes:
        """Return the bytes, or raise KeyError."""

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Remove; a key that is not there is no error."""

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`, sorted."""

    def written_before(self, moment: datetime, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix` and were last written before a moment, sorted."""

    def location(self) -> str:
        """Return what stands before a key to name where it lies: a folder with `/`, or `s3://bucket/`."""

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return an address that a person on this network can open for that long."""

    def check(self) -> None:
        """Raise one clear sentence when the bucket cannot be written and read."""
