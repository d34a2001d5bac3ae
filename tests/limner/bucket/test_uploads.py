"""Uploads: what an app sent is the same request as the file it was, for its owner alone."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from limner.bucket.directory import DirectoryBucket
from limner.bucket.uploads import brought, keep
from limner.errors import BadInput
from limner.reading.descriptions_file import load_descriptions
from limner.requests import ChapterRequest
from limner.uploads import upload_of

BOOK = b"CHAPTER I\n\nDown the rabbit-hole."


@pytest.fixture
def bucket(tmp_path: Path) -> DirectoryBucket:
    return DirectoryBucket(tmp_path / "bucket")


def read(bucket: DirectoryBucket, owner: str, **asked: Any) -> str:
    with brought(bucket, ChapterRequest(**asked), owner) as readable:
        return Path(readable.book).read_text()


def test_an_uploaded_book_is_the_same_request_as_its_file(bucket: DirectoryBucket, tmp_path: Path) -> None:
    file = tmp_path / "alice in wonderland.txt"
    file.write_bytes(BOOK)
    book = keep(bucket, "mary", BOOK, file.name)
    there, here = ChapterRequest(book=book).pinned(), ChapterRequest(book=str(file)).pinned()
    assert there.hash() == here.hash() and there.slug == here.slug and there.book == book
    with brought(bucket, there, "mary") as readable:
        place = Path(readable.book)
        assert place.read_bytes() == BOOK and place.name == file.name
        assert readable.slug == here.slug and readable.book_sha256 == here.book_sha256
    assert not place.exists()


def test_descriptions_may_be_uploaded_too(bucket: DirectoryBucket) -> None:
    request = ChapterRequest(descriptions_file=keep(bucket, "mary", b"[]", "d.json")).pinned()
    assert request.descriptions_sha256 == hashlib.sha256(b"[]").hexdigest()
    with brought(bucket, request, "mary") as readable:
        assert Path(readable.descriptions_file).read_bytes() == b"[]"


def test_what_is_no_upload_is_left_as_it_is(bucket: DirectoryBucket) -> None:
    request = ChapterRequest(book="samples/alice.txt")
    with brought(bucket, request, "local") as readable:
        assert readable is request


def test_an_upload_is_read_for_its_owner_alone(bucket: DirectoryBucket) -> None:
    book = keep(bucket, "mary", BOOK, "a.txt")
    with pytest.raises(BadInput, match=r"a\.txt was uploaded by somebody else; upload it as john\."):
        read(bucket, "john", book=book)


def test_an_upload_that_is_gone_or_damaged_is_one_sentence(bucket: DirectoryBucket) -> None:
    book = keep(bucket, "mary", BOOK, "a.txt")
    upload = upload_of(book)
    assert upload is not None
    bucket.put(upload.key, b"other words", "text/plain")
    with pytest.raises(BadInput, match=r"a\.txt is damaged in the bucket; upload it again\."):
        read(bucket, "mary", book=book)
    bucket.delete(upload.key)
    with pytest.raises(BadInput, match=r"a\.txt is no longer among the uploads; upload it again\."):
        read(bucket, "mary", book=book)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "a\nb", "a\0", "-rf", "я" * 101])
def test_a_name_that_no_file_should_have_is_refused(bucket: DirectoryBucket, name: str) -> None:
    with pytest.raises(BadInput, match="is no name for a file"):
        keep(bucket, "mary", BOOK, name)
    assert upload_of(f"bucket:uploads/{'a' * 16}/{'b' * 64}/{name}") is None


@pytest.mark.parametrize(
    "path",
    [
        "bucket:images/ab/abc.png",
        f"bucket:uploads/../{'b' * 64}/a.txt",
        f"bucket:uploads/{'a' * 16}/{'b' * 63}/a.txt",
        f"bucket:uploads/{'a' * 16}/{'b' * 64}",
        f"uploads/{'a' * 16}/{'b' * 64}/a.txt",
    ],
)
def test_only_whole_references_are_uploads(path: str) -> None:
    assert upload_of(path) is None


def test_what_is_wrong_with_an_upload_is_said_by_its_name(bucket: DirectoryBucket) -> None:
    request = ChapterRequest(descriptions_file=keep(bucket, "mary", b"[]", "mine.json"))
    with (
        pytest.raises(BadInput, match=r"^mine\.json holds an empty list; give at least one description\.$"),
        brought(bucket, request, "mary") as readable,
    ):
        load_descriptions(readable.descriptions_file)
