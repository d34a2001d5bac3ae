"""What every bucket does, tried on each: a directory, and S3 through a real server."""

import secrets
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from limner.bucket import Bucket
from limner.bucket.directory import DirectoryBucket
from limner.bucket.s3 import S3Bucket
from limner.errors import BadInput
from tests.servers.s3 import S3Settings, s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


def opened(settings: S3Settings, bucket: str) -> S3Bucket:
    return S3Bucket(settings.endpoint, bucket, settings.access_key, settings.secret_key, settings.region)


@pytest.fixture(params=["directory", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if request.param == "directory":
        return DirectoryBucket(tmp_path / "bucket")
    # A new name for every test: the bucket is not there before the first put.
    return opened(request.getfixturevalue("s3"), f"test-{secrets.token_hex(8)}")


def test_gives_back_the_bytes_it_was_given(bucket: Bucket) -> None:
    bucket.put("images/ab/abc.png", b"\x00\x01\xff" * 7, "image/png")

    assert bucket.get("images/ab/abc.png") == b"\x00\x01\xff" * 7
    assert bucket.exists("images/ab/abc.png")


def test_gives_back_three_million_bytes(bucket: Bucket) -> None:
    data = bytes(range(256)) * 11_719

    bucket.put("large.bin", data, "application/octet-stream")

    assert len(data) > 3_000_000
    assert bucket.get("large.bin") == data


def test_gives_back_an_empty_file(bucket: Bucket) -> None:
    bucket.put("empty.txt", b"", "text/plain")

    assert bucket.get("empty.txt") == b""


def test_the_second_put_of_a_key_wins(bucket: Bucket) -> None:
    bucket.put("report.json", b'{"made": 1, "long": "first"}', "application/json")
    bucket.put("report.json", b"{}", "application/json")

    assert bucket.get("report.json") == b"{}"


def test_a_missing_key_raises_key_error(bucket: Bucket) -> None:
    bucket.put("a.txt", b"a", "text/plain")

    with pytest.raises(KeyError):
        bucket.get("b.txt")
    with pytest.raises(KeyError):
        bucket.get("images")
    assert not bucket.exists("b.txt")


def test_a_bucket_that_nothing_was_put_in_is_empty(bucket: Bucket) -> None:
    with pytest.raises(KeyError):
        bucket.get("a.txt")
    assert not bucket.exists("a.txt")
    assert bucket.keys() == []
    bucket.delete("a.txt")


def test_a_deleted_key_is_gone_and_may_be_deleted_again(bucket: Bucket) -> None:
    bucket.put("a/b.txt", b"b", "text/plain")

    bucket.delete("a/b.txt")
    bucket.delete("a/b.txt")

    assert not bucket.exists("a/b.txt")
    assert bucket.keys() == []


def test_lists_the_keys_under_a_prefix_in_order(bucket: Bucket) -> None:
    for key in ("images/b/2.png", "images/a/1.png", "images/ab/3.png", "reports/r.json"):
        bucket.put(key, b"x", "text/plain")

    assert bucket.keys() == ["images/a/1.png", "images/ab/3.png", "images/b/2.png", "reports/r.json"]
    assert bucket.keys("images/") == ["images/a/1.png", "images/ab/3.png", "images/b/2.png"]
    assert bucket.keys("images/a") == ["images/a/1.png", "images/ab/3.png"]
    assert bucket.keys("images/a/") == ["images/a/1.png"]
    assert bucket.keys("nothing/") == []


def test_tells_what_was_written_before_a_moment(bucket: Bucket) -> None:
    bucket.put("uploads/a", b"old", "text/plain")
    bucket.put("images/b", b"old", "text/plain")
    later = datetime.now(UTC) + timedelta(seconds=5)
    assert bucket.written_before(later, "uploads/") == ["uploads/a"]
    assert bucket.written_before(later - timedelta(hours=1), "uploads/") == []


def test_keys_may_be_in_any_script(bucket: Bucket) -> None:
    key = "книги/Вий + 100% #1?.html"
    bucket.put(key, b"<p>", "text/html")

    assert bucket.get(key) == b"<p>"
    assert bucket.keys("книги/") == [key]


@pytest.mark.parametrize(
    "key", ["", "/a", "../a", "a/../../b", "a//b", "a/./b", "a/", "a\x00b", "a\\..\\b", ".parts/a", "a\nb", "x" * 300]
)
def test_refuses_what_is_no_key(bucket: Bucket, key: str) -> None:
    for use in (lambda: bucket.put(key, b"x", "text/plain"), lambda: bucket.get(key), lambda: bucket.delete(key)):
        with pytest.raises(BadInput):
            use()
    with pytest.raises(BadInput):
        bucket.link(key)


def test_eight_puts_of_one_key_at_once_leave_one_of_them_whole(bucket: Bucket) -> None:
    sent = [bytes([number]) * 200_000 for number in range(8)]
    raised: list[BaseException] = []

    def put(data: bytes) -> None:
        try:
            bucket.put("same.bin", data, "application/octet-stream")
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=put, args=(data,)) for data in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert raised == []
    assert bucket.get("same.bin") in sent
    # For a moment after the race, the server of the tests may list the one key twice.
    assert set(bucket.keys()) == {"same.bin"}


def test_the_check_passes_and_leaves_nothing_behind(bucket: Bucket) -> None:
    bucket.check()

    assert bucket.keys() == []


def test_a_link_opens_with_the_bytes_of_the_key(bucket: Bucket) -> None:
    bucket.put("images/вид 1.png", b"picture", "image/png")

    with urllib.request.urlopen(bucket.link("images/вид 1.png", 60)) as opened:  # noqa: S310 - our own address
        assert opened.read() == b"picture"
