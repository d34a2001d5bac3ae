"""Who holds a claim: dead only when its process is provably gone, whatever the clock does."""

import subprocess
import sys

import psutil
import pytest

from limner.ledger.holders import is_provably_dead, new_holder


def test_a_living_holder_is_not_dead_though_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = new_holder()
    told = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: told(process) + 5)
    if sys.platform == "linux":
        assert not is_provably_dead(holder), "its orders would be made and paid for twice"


def test_a_process_that_is_gone_or_whose_number_another_bears_is_dead() -> None:
    place, _pid, started, nonce = new_holder().rsplit("|", 3)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_provably_dead("|".join((place, str(gone.pid), started, nonce)))
    assert is_provably_dead("|".join((place, str(psutil.Process().pid), "1.00", nonce)))
    assert not is_provably_dead("|".join(("elsewhere", str(gone.pid), started, nonce)))
