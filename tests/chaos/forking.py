"""Commands of `limner` in processes that are forked from one that has imported everything already.

    python -m tests.chaos.forking      (a line of JSON in for each command to start, a line out when it began or ended)

A kill test starts dozens of commands; what they import is the same each time. Knows nothing of what commands do.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.local_api import child_environment
from deployments.prefect_settings import CLIENT

# What a command imports on its way to a picture.
_IMPORTED = (
    "blocks.studio",
    "deployments.command_line",
    "deployments.running",
    "flows.chapters",
    "limner.bucket.directory",
    "limner.illustrating",
    "limner.providers.pollinations",
    "limner.providers.sketch",
    "limner.quality.judging",
)


def main() -> None:
    for name in _IMPORTED:
        __import__(name)
    # A thread would not come along with a fork.
    assert threading.active_count() == 1, threading.enumerate()
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_command(told)
        print(json.dumps({"id": told["id"], "pid": pid}), flush=True)
        threading.Thread(target=_wait_for, args=(told["id"], pid), daemon=True).start()


def _wait_for(number: int, pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    sys.stdout.write(json.dumps({"id": number, "ended": os.waitstatus_to_exitcode(status)}) + "\n")
    sys.stdout.flush()


def _be_the_command(told: Mapping[str, Any]) -> None:
    status: Any = 70
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(told[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(told["environment"])
        from deployments.command_line import main as command

        try:
            command(told["arguments"])
            status = 0
        except SystemExit as end:
            status = end.code or 0
        except Exception:  # as the interpreter would have it
            traceback.print_exc()
            status = 1
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(int(status))


@dataclass
class Command:
    """A command under way, or ended: its exit status (negative: the signal that ended it) and what it said."""

    out: Path
    err: Path
    pid: int = 0
    status: int | None = None
    began: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def ends(self, seconds: float = 120) -> int:
        """Wait for its end; return its exit status."""
        assert self.over.wait(seconds), f"it still runs after {seconds} s: {self.err.read_text()}"
        assert self.status is not None
        return self.status

    def report(self) -> dict[str, Any]:
        """Wait for its success; return the JSON object it printed."""
        assert self.ends() == 0, self.err.read_text()
        found: dict[str, Any] = json.loads(self.out.read_text())
        return found

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


class Forks:
    """Starts commands; used through `forks`."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._commands: list[Command] = []
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the commands could not be imported"
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, arguments: list[str], environment: Mapping[str, str]) -> Command:
        number = len(self._commands)
        command = Command(self._folder / f"{number}.out", self._folder / f"{number}.err")
        self._commands.append(command)
        told = {
            "id": number,
            "arguments": arguments,
            "environment": dict(environment),
            "out": str(command.out),
            "err": str(command.err),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        assert command.began.wait(20)
        return command

    def end_all(self) -> None:
        for command in self._commands:
            if not command.over.is_set():
                with suppress(ProcessLookupError):
                    command.send(signal.SIGKILL)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            command = self._commands[said["id"]]
            if "pid" in said:
                command.pid = said["pid"]
                command.began.set()
            else:
                command.status = said["ended"]
                command.over.set()


@contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    """Run the process that forks; with it end all commands that are still under way."""
    folder.mkdir(parents=True, exist_ok=True)
    # Prefect sets its logging up when it is imported: as our commands have it.
    environment = {**child_environment(), **CLIENT, "PREFECT_HOME": str(folder / "prefect"), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.chaos.forking"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        started: Forks | None = None
        try:
            started = Forks(process, folder)
            yield started
        finally:
            if started is not None:
                started.end_all()
                time.sleep(0.05)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


if __name__ == "__main__":
    main()
