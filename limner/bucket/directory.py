"""A bucket in a directory: the embedded default, for one machine.

Knows nothing of what the bytes are; a file is either whole under its name or not there at all.
"""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from limner.bucket.naming import checked_key, checked_prefix
from limner.errors import BadInput, BucketUnreachable, DiskFull

# Files that are being written lie here, and those whose writer died; no key begins with a dot.
_PARTS = ".parts"
# A part this old has no writer any more.
_ABANDONED_SECONDS = 3600

_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class DirectoryBucket:
    """Artifacts as files under `root`, which is made at the first `put`.

    Keys become relative paths, so one key cannot also be the folder of another (`a` and `a/b`).
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root).absolute()
        self._swept = False

    def __repr__(self) -> str:
        return f"DirectoryBucket({str(self._root)!r})"

    def put(self, key: str, data: bytes, media_type: str) -> None:  # noqa: ARG002 - a file's name says its type
        path = self._path(key)
        with self._said("written"):
            self._refuse_a_root_that_is_a_file()
            _make_folders(self._root / _PARTS)
            self._sweep()
            _make_folders(path.parent)
            _write_whole(path, self._root / _PARTS / secrets.token_hex(8), data)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with self._said("read"):
            try:
                return path.read_bytes()
            except _MISSING:
                self._refuse_a_root_that_is_a_file()
                raise KeyError(key) from None

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with self._said("read"):
            self._refuse_a_root_that_is_a_file()
            return path.is_file()

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._said("changed"):
            try:
                path.unlink()
            except _MISSING:
                self._refuse_a_root_that_is_a_file()

    def keys(self, prefix: str = "") -> list[str]:
        start = self._root / checked_prefix(prefix).rpartition("/")[0]
        with self._said("read"):
            self._refuse_a_root_that_is_a_file()
            return sorted(key for key in self._walk(start) if key.startswith(prefix))

    def written_before(self, moment: datetime, prefix: str = "") -> list[str]:
        found = []
        for key in self.keys(prefix):
            with self._said("read"), contextlib.suppress(*_MISSING):
                if self._path(key).stat().st_mtime < moment.timestamp():
                    found.append(key)
        return found

    def location(self) -> str:
        """Return the folder, with a `/` at its end."""
        return f"{self._root}/"

    def link(self, key: str, seconds: int = 3600) -> str:  # noqa: ARG002 - a file's address does not expire
        """Return a `file://` address: it opens on this machine only."""
        return self._path(key).as_uri()

    def check(self) -> None:
        key = f"checks/{secrets.token_hex(8)}.txt"
        self.put(key, b"limner", "text/plain")
        read = self.get(key)
        self.delete(key)
        if read != b"limner":
            raise BucketUnreachable(
                f"The folder {self._root} does not give back what is written there; use another disk."
            )

    def _path(self, key: str) -> Path:
        path = self._root / checked_key(key)
        # A link inside the folder must not lead out of it.
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise BadInput(
                f"The key {key!r} leads out of the bucket's folder {self._root}; remove the link in its way."
            )
        return path

    def _walk(self, start: Path) -> Iterator[str]:
        for folder, inside, names in os.walk(start, onerror=_raise_unless_missing):
            if Path(folder) == self._root and _PARTS in inside:
                inside.remove(_PARTS)
            yield from ((Path(folder) / name).relative_to(self._root).as_posix() for name in names)

    def _sweep(self) -> None:
        """Once in a process, remove what writers that died left behind."""
        if self._swept:
            return
        for part in (self._root / _PARTS).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                    part.unlink()
        self._swept = True

    def _refuse_a_root_that_is_a_file(self) -> None:
        if self._root.exists() and not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    @contextlib.contextmanager
    def _said(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(
                    f"The disk that holds {self._root} is full; free some room and run the same command again."
                ) from None
            raise BucketUnreachable(
                f"The bucket's folder {self._root} cannot be {done} ({error.strerror or error}); "
                "see that it is a folder of yours on a working disk and run the same command again."
            ) from None


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, _MISSING):
        raise error


def _make_folders(folder: Path) -> None:
    """Make `folder` and what leads to it, each name on the disk before anything is put under it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _write_whole(path: Path, part: Path, data: bytes) -> None:
    """Write `part` on the same disk, flush, rename: at every moment `path` is absent, what it was, or whole."""
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power cut, where the system can (Windows cannot open a folder)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
