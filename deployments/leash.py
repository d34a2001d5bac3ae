"""A leash: runs a command and ends it, with everything it started, when whoever holds the other end is gone.

    python -m deployments.leash COMMAND...     (standard input is the leash)

The holder keeps the writing end of our standard input; the kernel closes it however the holder dies.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import psutil

GRACE_SECONDS = 5
POLL_SECONDS = 0.2

# Linux: what our descendants leave behind becomes our child, and so is found when everything ends.
_BE_THE_REAPER = 36


def main() -> int:
    _adopt_orphans()
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    let_go = threading.Event()
    # A signal to us is a tug at the leash.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: let_go.set())
    threading.Thread(target=_hold, args=(let_go,), daemon=True).start()
    while child.poll() is None and not let_go.wait(POLL_SECONDS):
        pass
    _end_all()
    return child.wait()


def _hold(let_go: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    let_go.set()


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_BE_THE_REAPER, 1, 0, 0, 0)


def _end_all() -> None:
    """Ask all that we started to end, then end it: a worker's flow runs lead sessions of their own."""
    family = psutil.Process().children(recursive=True)
    for process in family:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(family, GRACE_SECONDS)
    for process in {*family, *psutil.Process().children(recursive=True)}:
        with suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
