"""What only a directory can get wrong: a full disk, a folder that is not ours, a way out of it, a killed writer."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.bucket.directory import DirectoryBucket
from limner.errors import BadInput, BucketUnreachable, DiskFull


def mounted(folder: Path, options: str) -> bool:
    """Mount a small memory disk at `folder`; false where this machine does not let us."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return bool(shutil.which("mount")) and subprocess.run(mount, check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    if not mounted(disk, "size=1m"):
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    if not mounted(disk, "size=1m,ro"):
        pytest.skip("a read-only disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(small_disk: Path) -> None:
    bucket = DirectoryBucket(small_disk / "bucket")
    bucket.put("small.bin", b"kept", "")

    with pytest.raises(DiskFull, match="is full; free some room and run the same command again"):
        bucket.put("large.bin", b"x" * 3_000_000, "")
    with pytest.raises(DiskFull):
        bucket.put("small.bin", b"x" * 3_000_000, "")

    assert bucket.keys() == ["small.bin"]
    assert bucket.get("small.bin") == b"kept"
    assert [name for _, _, names in os.walk(small_disk) for name in names] == ["small.bin"]
    bucket.put("after.bin", b"x" * 500_000, "")


def test_a_read_only_disk_is_unreachable(read_only_disk: Path) -> None:
    bucket = DirectoryBucket(read_only_disk / "bucket")

    with pytest.raises(BucketUnreachable, match=r"cannot be written \(Read-only file system\)"):
        bucket.put("a", b"a", "")
    with pytest.raises(BucketUnreachable):
        bucket.check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_unreachable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(BucketUnreachable, match="Permission denied"):
        DirectoryBucket(tmp_path / "bucket").put("a", b"a", "")


def test_a_file_in_the_folders_place_is_unreachable_not_missing(tmp_path: Path) -> None:
    (tmp_path / "bucket").write_bytes(b"a file")
    bucket = DirectoryBucket(tmp_path / "bucket")

    uses = (
        lambda: bucket.put("a", b"a", ""),
        lambda: bucket.get("a"),
        lambda: bucket.exists("a"),
        lambda: bucket.delete("a"),
        bucket.keys,
    )
    for use in uses:
        with pytest.raises(BucketUnreachable, match="Not a directory"):
            use()


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"not ours")
    bucket = DirectoryBucket(tmp_path / "bucket")
    bucket.put("in.txt", b"in", "")
    (tmp_path / "bucket" / "way").symlink_to(outside)

    for use in (lambda: bucket.get("way/secret.txt"), lambda: bucket.put("way/new.txt", b"x", "")):
        with pytest.raises(BadInput, match="leads out of the bucket"):
            use()
    assert sorted(path.name for path in outside.iterdir()) == ["secret.txt"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "bucket").symlink_to(tmp_path / "real")

    DirectoryBucket(tmp_path / "bucket").put("a/b.txt", b"b", "")

    assert (tmp_path / "real" / "a" / "b.txt").read_bytes() == b"b"


def test_a_writer_killed_in_the_middle_leaves_the_old_bytes_and_no_key(tmp_path: Path) -> None:
    bucket = DirectoryBucket(tmp_path / "bucket")
    bucket.put("report.json", b"old", "")
    # Dies after the bytes were written and before they get their name.
    script = (
        "import os, signal, sys; from pathlib import Path; from limner.bucket.directory import DirectoryBucket\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "DirectoryBucket(Path(sys.argv[1])).put(sys.argv[2], b'new' * 100000, '')\n"
    )
    for key in ("report.json", "other.json"):
        subprocess.run([sys.executable, "-c", script, tmp_path / "bucket", key], check=False)

    assert len(list((tmp_path / "bucket" / ".parts").iterdir())) == 2
    assert bucket.keys() == ["report.json"]
    assert bucket.get("report.json") == b"old"


def test_what_killed_writers_left_is_swept_up_once_it_is_old(tmp_path: Path) -> None:
    parts = tmp_path / "bucket" / ".parts"
    DirectoryBucket(tmp_path / "bucket").put("a", b"a", "")
    (parts / "old").write_bytes(b"half")
    (parts / "young").write_bytes(b"half")
    os.utime(parts / "old", (0, 0))

    DirectoryBucket(tmp_path / "bucket").put("b", b"b", "")

    assert [part.name for part in parts.iterdir()] == ["young"]


def test_a_folder_that_was_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    bucket = DirectoryBucket(tmp_path / "bucket")
    bucket.put("a", b"a", "")
    shutil.rmtree(tmp_path / "bucket")

    bucket.put("b", b"b", "")

    assert bucket.keys() == ["b"]


def test_nothing_is_made_on_disk_before_the_first_put(tmp_path: Path) -> None:
    bucket = DirectoryBucket(tmp_path / "bucket")

    bucket.keys()
    bucket.exists("a")

    assert not (tmp_path / "bucket").exists()


def test_a_long_way_to_the_folder_works(tmp_path: Path) -> None:
    bucket = DirectoryBucket(tmp_path.joinpath(*["a long name of a folder " * 4] * 8))

    bucket.put("a/b.txt", b"b", "")

    assert bucket.get("a/b.txt") == b"b"
    assert bucket.link("a/b.txt").startswith("file:///")
