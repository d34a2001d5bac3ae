"""Signs of life: a long-lived process touches a file of the home, and whoever asks looks how old that is.

Only for processes of one machine. Knows nothing of what they do.
"""

import time
from pathlib import Path

from limner.home.layout import folder

# A process beats at least this often.
BEAT_SECONDS = 5.0
# And has stopped, or hangs, when nothing was heard of it for so long.
SILENT_SECONDS = 20.0


def beat(home: Path, name: str) -> None:
    """Say that the process `name` is at work; raises BadInput or DiskFull where the home cannot be used."""
    (folder(home.resolve(), "run") / f"{name}.alive").touch()


def is_alive(home: Path, name: str, within_seconds: float = SILENT_SECONDS) -> bool:
    """Say whether the process `name` has beaten lately."""
    try:
        beaten = (home.resolve() / "run" / f"{name}.alive").stat().st_mtime
    except OSError:
        return False
    return time.time() - beaten < within_seconds


def forget(home: Path, name: str) -> None:
    """Forget a process that has ended."""
    (home.resolve() / "run" / f"{name}.alive").unlink(missing_ok=True)
