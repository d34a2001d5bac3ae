"""A leash: runs a command and ends it, with everything it started, when whoever holds the other end is gone.

    python -m deployments.leash COMMAND...     (standard input is the leash)

The holder keeps the writing end of our standard input; the kernel closes it however the holder dies.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import psutil

GRACE_SECONDS = 10


def main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    # A signal to us is a tug at the leash.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: threading.Thread(target=_end, args=(child,), daemon=True).start())
    threading.Thread(target=_hold, args=(child,), daemon=True).start()
    return child.wait()


def _hold(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1024):
        pass
    _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Ask the child to end, then end it and all that it started: a worker's flow runs lead sessions of their own."""
    family = _family(child.pid)
    for process in family:
        with suppress(psutil.Error):
            process.terminate()
    _gone, left = psutil.wait_procs(family, GRACE_SECONDS)
    for process in {*left, *_family(child.pid)}:
        with suppress(psutil.Error):
            process.kill()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


if __name__ == "__main__":
    sys.exit(main())
