"""Who holds a claim: a process, by host, boot, process id and start, so that its death can be told.

A holder on this host whose process is gone is dead at once; one elsewhere is dead when its lease has run out.
"""

import os
import socket
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil


@cache
def _here() -> str:
    """Name this host, boot and process-id space: a pid means the same thing only within it."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    return "|".join(
        (
            socket.gethostname(),
            boot.read_text().strip() if boot.exists() else str(int(psutil.boot_time())),
            str(space.readlink()) if space.exists() else "",
        )
    )


def new_holder() -> str:
    """Return a holder's name for this process: `<here>|<pid>|<start>|<nonce>`."""
    return f"{_here()}|{os.getpid()}|{_started(os.getpid()):.2f}|{uuid4().hex[:8]}"


def _started(pid: int) -> float:
    """Return when a process started: ticks since boot where the system says so, which no setting of the clock moves.

    Raises NoSuchProcess.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return psutil.Process(pid).create_time()
    return float(status.rpartition(")")[2].split()[19])


def is_here(holder: str) -> bool:
    """Say whether the holder's process runs, or ran, on this host, so that its death can be told."""
    return holder.rsplit("|", 3)[0] == _here()


def is_provably_dead(holder: str) -> bool:
    """Say whether the holder's process ran on this host and is gone; False where it can't be known."""
    place, pid, started, _nonce = holder.rsplit("|", 3)
    if place != _here():
        return False
    try:
        process = psutil.Process(int(pid))
        return abs(_started(process.pid) - float(started)) > 1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
