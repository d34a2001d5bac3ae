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
    started = psutil.Process().create_time()
    return f"{_here()}|{os.getpid()}|{started:.2f}|{uuid4().hex[:8]}"


def is_provably_dead(holder: str) -> bool:
    """Say whether the holder's process ran on this host and is gone; False where it can't be known."""
    place, pid, started, _nonce = holder.rsplit("|", 3)
    if place != _here():
        return False
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(started)) > 1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
