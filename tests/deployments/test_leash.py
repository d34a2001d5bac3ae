"""The leash: a command and all that it started end when the other end of the leash is let go."""

import signal
import subprocess
import sys

import psutil

from tests.deployments.users import becomes

# A child in a session of its own that ignores SIGTERM, as a flow run under a worker may.
_CHILD = "import signal,time;signal.signal(signal.SIGTERM,signal.SIG_IGN);print('ready',flush=True);time.sleep(60)"
_PARENT = (
    "import subprocess,sys,time;"
    f"c=subprocess.Popen([sys.executable,'-c',{_CHILD!r}],start_new_session=True,stdout=subprocess.PIPE);"
    "c.stdout.readline();print(c.pid,flush=True);time.sleep(60)"
)
_HOLDER = (
    "import subprocess,sys,time;"
    f"subprocess.Popen([sys.executable,'-m','deployments.leash',sys.executable,'-c',{_PARENT!r}],stdin=subprocess.PIPE);"
    "time.sleep(60)"
)


def test_everything_ends_when_the_holder_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        grandchild = psutil.Process(int(holder.stdout.readline()))
        family = [*psutil.Process(holder.pid).children(recursive=True), grandchild]
        holder.send_signal(signal.SIGKILL)
        assert becomes(lambda: not any(one.is_running() and one.status() != "zombie" for one in family), 20)


def test_the_status_is_that_of_the_command() -> None:
    command = [sys.executable, "-m", "deployments.leash", sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as leash:
        assert leash.wait(20) == 7
