"""Whose account the embedded PostgreSQL runs under: ours, or, for root, one with fewer rights, since it refuses root.

Knows nothing of PostgreSQL's files. For root, folders above the data that nobody else may pass get the permission to
pass (never to read), and only where the account could not get through.
"""

import logging
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from limner.errors import LedgerUnreachable

_log = logging.getLogger(__name__)


class Arguments(TypedDict, total=False):
    """What `subprocess.run` is told about the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine; `other` when it is not the one we run as."""

    uid: int
    gid: int
    other: bool

    def as_arguments(self) -> Arguments:
        return Arguments(user=self.uid, group=self.gid, extra_groups=[]) if self.other else Arguments()

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`."""
        if self.other:
            os.chown(path, self.uid, self.gid)


def server_account(data: Path) -> Account:
    """Return the account for a server on `data`: the owner of what is there, or one that root can step down to."""
    us = os.geteuid()
    owner = data.stat() if data.exists() else None
    if us != 0:
        if owner is not None and owner.st_uid != us:
            raise LedgerUnreachable(
                f"{data} belongs to another user; run as that user, or set LIMNER_HOME to a folder of your own."
            )
        return Account(us, os.getegid(), other=False)
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, other=True)
    entry = _unprivileged()
    return Account(entry.pw_uid, entry.pw_gid, other=True)


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        for entry in pwd.getpwall():
            if entry.pw_uid != 0:
                return entry
    raise LedgerUnreachable(
        "PostgreSQL refuses to run as root and there is no other user; add one, or set DATABASE_URL."
    )


def open_the_way(account: Account, place: Path, program: Path) -> None:
    """Let the account reach `place` and run `program`; changes nothing when it already can."""
    if not account.other or _can(account, place, program):
        return
    for end in (place, program):
        for above in end.parents:
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                _log.info("Letting other users pass through %s (not read it): PostgreSQL does not run as root", above)
                above.chmod(mode | stat.S_IXOTH)
    if not _can(account, place, program):
        _let_read(program.parent.parent)


def _can(account: Account, place: Path, program: Path) -> bool:
    # The shell changes folder after it became the account; `cwd=` would change it before.
    attempt = ["/bin/sh", "-c", 'cd -- "$1" && exec "$2" --version', "sh", str(place), str(program)]
    return subprocess.run(attempt, cwd="/", capture_output=True, check=False, **account.as_arguments()).returncode == 0


def _let_read(tree: Path) -> None:
    """Programs and libraries of a public wheel, installed under a tight umask: let others read and run them."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
