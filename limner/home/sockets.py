"""Where the embedded PostgreSQL's Unix socket lies: beside its data, or in a short folder when the home's path is long.

The answer depends on the home alone, never on TMPDIR or the like: every process must find the same server.
"""

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from limner.errors import LedgerUnreachable

# sun_path holds 104 bytes on macOS and 108 on Linux, the final zero included.
LONGEST = 103
_NAME = "/.s.PGSQL.5432"
_SHORT = Path("/tmp")  # noqa: S108 (a folder of our own is made in it, and refused unless it is ours)


def socket_folder(home: Path, uid: int, *, make: bool = False) -> Path:
    """Return the socket's folder for the server of `home` (resolved), run by user `uid`; made on demand.

    Raises LedgerUnreachable when the short folder belongs to somebody else.
    """
    beside = home / "postgres" / "socket"
    path = beside if len(os.fsencode(beside)) + len(_NAME) <= LONGEST else _short(home, uid)
    if make:
        _make(path, uid)
    return path


def forget_short_folder(home: Path, uid: int) -> None:
    """Remove the short folder of a server that has stopped, where it has one."""
    with suppress(OSError):
        _short(home, uid).rmdir()


def _short(home: Path, uid: int) -> Path:
    return _SHORT / f"limner-{uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"


def _make(path: Path, uid: int) -> None:
    try:
        path.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(path, uid, -1)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise LedgerUnreachable(f"{path} belongs to somebody else; remove it, or set LIMNER_HOME to a shorter path.")
    path.chmod(0o700)
