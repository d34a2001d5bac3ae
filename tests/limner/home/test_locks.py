"""Locks follow their holder: shared by many, alone with none, free when a process dies."""

import subprocess
import sys
from pathlib import Path

from limner.home.locks import Lock, alone

_HOLDER = "import sys,time;from pathlib import Path;from limner.home.locks import Lock;l=Lock(Path(sys.argv[1]))"


def test_many_may_share_and_none_may_then_have_it_alone(tmp_path: Path) -> None:
    first, second, third = (Lock(tmp_path / "lock") for _ in range(3))
    assert first.share() and second.share()
    assert not third.take()
    first.release()
    assert not third.take()
    second.release()
    assert third.take()
    assert not first.share()


def test_asking_again_for_what_is_held_is_harmless(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.take() and lock.take() and lock.held
    lock.release()
    lock.release()
    assert not lock.held


def test_waiting_ends_in_time(tmp_path: Path) -> None:
    holder = Lock(tmp_path / "lock")
    assert holder.take()
    with alone(tmp_path / "lock", 0.2) as mine:
        assert not mine


def test_the_kernel_frees_it_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = f"{_HOLDER};print(l.take(),flush=True);time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "True\n"
        assert not Lock(path).take()
        holder.kill()
    assert Lock(path).take()


def test_a_child_that_inherits_it_holds_it_on(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.take()
    command = [sys.executable, "-c", "import sys;sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(lock.descriptor,)) as child:
        lock.release()
        assert not Lock(lock.path).take()
        child.communicate()
    assert Lock(lock.path).take()
