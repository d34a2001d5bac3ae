"""What only S3 can do or get wrong: content types, signatures, keys, a server that is away, answers that lie."""

import http.server
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from limner.bucket.s3 import S3Bucket
from limner.errors import BadInput, BucketUnreachable, DiskFull
from tests.servers.s3 import SECRET_KEY, S3Settings, s3_server

# An address without a signature, or with an old one: servers differ in the status they refuse it with.
REFUSED = (400, 403)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture
def bucket(s3: S3Settings) -> S3Bucket:
    return S3Bucket(s3.endpoint, s3.bucket, s3.access_key, s3.secret_key, s3.region)


def status_of(address: str) -> int:
    try:
        with urllib.request.urlopen(address) as opened:  # noqa: S310 - our own address
            return int(opened.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)


def test_a_picture_is_served_as_a_picture(bucket: S3Bucket) -> None:
    bucket.put("a.png", b"\x89PNG", "image/png")

    with urllib.request.urlopen(bucket.link("a.png")) as opened:  # noqa: S310 - our own address
        assert opened.headers["Content-Type"] == "image/png"


def test_a_link_that_was_tampered_with_is_refused(bucket: S3Bucket) -> None:
    bucket.put("a.png", b"a", "image/png")
    bucket.put("b.png", b"b", "image/png")
    address = bucket.link("a.png", 60)

    assert status_of(address) == 200
    assert status_of(address.replace("/a.png?", "/b.png?")) == 403
    assert status_of(address.replace("X-Amz-Expires=60", "X-Amz-Expires=600000")) == 403
    assert status_of(address.partition("?")[0]) in REFUSED


def test_a_link_expires(bucket: S3Bucket) -> None:
    bucket.put("a.png", b"a", "image/png")
    address = bucket.link("a.png", 1)

    assert status_of(address) == 200
    time.sleep(2.2)
    assert status_of(address) in REFUSED


def test_a_link_lasts_a_week_at_most(bucket: S3Bucket) -> None:
    assert "X-Amz-Expires=604800" in bucket.link("a.png", 10**9)


def test_a_wrong_secret_is_one_sentence_without_the_secret(s3: S3Settings) -> None:
    wrong = "another-secret-key-of-normal-length00000"
    bucket = S3Bucket(s3.endpoint, s3.bucket, s3.access_key, wrong)

    for use in (lambda: bucket.get("a.png"), lambda: bucket.put("a.png", b"a", "image/png"), bucket.keys, bucket.check):
        with pytest.raises(BucketUnreachable, match="check both keys") as raised:
            use()
        assert wrong not in str(raised.value)
        assert s3.access_key not in str(raised.value)
        assert s3.bucket in str(raised.value)
    assert wrong not in repr(bucket)
    assert s3.access_key not in repr(bucket)


def test_an_unknown_access_key_is_refused_keys(s3: S3Settings) -> None:
    with pytest.raises(BucketUnreachable, match="check both keys"):
        S3Bucket(s3.endpoint, s3.bucket, "NOBODYOFTHATNAME0000", SECRET_KEY).exists("a.png")


def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    with s3_server(tmp_path) as gone:
        pass
    bucket = S3Bucket(gone.endpoint, gone.bucket, gone.access_key, gone.secret_key)

    for use in (lambda: bucket.get("a"), lambda: bucket.put("a", b"", ""), lambda: bucket.exists("a"), bucket.keys):
        with pytest.raises(BucketUnreachable, match=f"{gone.bucket} at {gone.endpoint} does not answer"):
            use()


def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    with s3_server(tmp_path) as first:
        bucket = S3Bucket(first.endpoint, first.bucket, first.access_key, first.secret_key)
        bucket.put("a", b"kept", "text/plain")
    with pytest.raises(BucketUnreachable):
        bucket.get("a")
    with s3_server(tmp_path, port=int(first.endpoint.rpartition(":")[2])):
        assert bucket.get("a") == b"kept"


@pytest.mark.parametrize("endpoint", ["", "ftp://a", "a b", "http://host/path", "http://key:secret@host"])
def test_refuses_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(BadInput) as raised:
        S3Bucket(endpoint, "limner", "k", "s")
    assert "secret@" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "ab", "Limner", "a_b", "x" * 64])
def test_refuses_what_is_no_bucket_name(name: str) -> None:
    with pytest.raises(BadInput):
        S3Bucket("127.0.0.1:9000", name, "k", "s")


# An answer of this type breaks off five bytes before its announced end.
CUT_SHORT = "application/x-cut-short"


@contextmanager
def answering(answers: list[tuple[int, str, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives `answers` in turn (the last one for ever), and the requests it got."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(f"{self.command} {self.path}")
            status, media_type, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body) + 5 * (media_type == CUT_SHORT)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = media_type == CUT_SHORT

        do_GET = do_PUT = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *said: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def error_body(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET_KEY}</Message></Error>".encode()


@pytest.mark.parametrize(
    "answer",
    [
        (507, "application/xml", error_body("InsufficientStorage")),
        (507, "application/xml", error_body("XMinioStorageFull")),
        (507, "text/html", b"<html>full</html>"),
    ],
)
def test_a_full_server_is_a_full_disk(answer: tuple[int, str, bytes]) -> None:
    with answering([answer]) as (endpoint, asked):
        with pytest.raises(DiskFull, match="free some room"):
            S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False).put("a", b"a", "text/plain")
        assert len(asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (400, "application/xml", error_body("InvalidRequest")),
        (400, "text/html", b"<html>a proxy</html>"),
        (404, "text/html", b"<html>a proxy</html>"),
        (404, "application/xml", b"not xml at all"),
        (403, "application/octet-stream", b"\xff\xfe\x00"),
    ],
)
def test_whatever_a_server_answers_is_one_sentence_without_secrets(answer: tuple[int, str, bytes]) -> None:
    with answering([answer]) as (endpoint, _):
        bucket = S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False)
        for use in (lambda: bucket.put("a", b"a", "text/plain"), lambda: bucket.get("a"), bucket.keys):
            with pytest.raises(BucketUnreachable) as raised:
                use()
            assert SECRET_KEY not in str(raised.value)
            assert "\n" not in str(raised.value)


def test_a_missing_key_is_missing_even_when_said_in_text_xml() -> None:
    with answering([(404, "text/xml", error_body("NoSuchKey"))]) as (endpoint, _), pytest.raises(KeyError):
        S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False).get("a")


def test_a_server_that_stumbles_is_asked_again() -> None:
    stumbles = (503, "text/plain", b"")
    with answering([stumbles, stumbles, (200, "text/plain", b"here")]) as (endpoint, asked):
        assert S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False).get("a") == b"here"
        assert asked == ["GET /limner/a"] * 3


def test_a_body_that_breaks_off_is_asked_for_once_more() -> None:
    with answering([(200, CUT_SHORT, b"he"), (200, "text/plain", b"here")]) as (endpoint, asked):
        assert S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False).get("a") == b"here"
        assert len(asked) == 2


def test_half_a_body_is_never_taken_for_the_whole() -> None:
    with answering([(200, CUT_SHORT, b"he")]) as (endpoint, asked):
        with pytest.raises(BucketUnreachable):
            S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False).get("a")
        assert len(asked) == 2


def test_a_server_that_keeps_failing_is_given_up_after_four_calls() -> None:
    with answering([(503, "text/plain", b"")]) as (endpoint, asked):
        with pytest.raises(BucketUnreachable, match="503"):
            S3Bucket(endpoint, "limner", "KEY", SECRET_KEY, secure=False).put("a", b"a", "text/plain")
        assert len(asked) == 4
