"""Where things lie under LIMNER_HOME, made on demand.

Knows nothing of what is kept there. A home that cannot be used is refused in one sentence.

    LIMNER_HOME/
      postgres/   the embedded PostgreSQL: data, socket, its log
      bucket/     the directory bucket
      prefect/    Prefect's own home and its SQLite file
      run/        locks and addresses of what runs now
      logs/       what servers and workers say
      sheets/     contact sheets
      thumbs/     small copies of pictures, made again when they are gone
"""

import errno
import os
from pathlib import Path
from typing import NoReturn

from limner.errors import BadInput, DiskFull

FOLDERS = ("postgres", "bucket", "prefect", "run", "logs", "sheets", "thumbs")


def folder(home: Path, name: str) -> Path:
    """Return the folder `name` (one of FOLDERS) under `home`, made when it is not there.

    Raises BadInput where the home cannot be written, DiskFull where there is no room for it.
    """
    if name not in FOLDERS:
        raise ValueError(f"{name!r} is no folder of the home")
    path = home / name
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.mkdir(exist_ok=True, mode=0o700)
    except (OSError, ValueError) as error:
        refuse(home, error)
    if not os.access(path, os.W_OK | os.X_OK):
        refuse(home, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return path


def refuse(home: Path, error: Exception) -> NoReturn:
    """Raise the sentence for a home that cannot be used."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        raise DiskFull(f"There is no room left under {home}; make room, or set LIMNER_HOME elsewhere.") from None
    why = getattr(error, "strerror", None) or str(error)
    raise BadInput(
        f"{home} cannot be Limner's home ({why}); set LIMNER_HOME to a folder that you can write in."
    ) from None
