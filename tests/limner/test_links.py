"""Links: what is signed opens until its moment and nothing else does; without a gateway the bucket links itself."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from limner import links
from limner.bucket.directory import DirectoryBucket
from limner.links import Links, Seal, links_of
from limner.settings import Settings

SHA = "ab" * 32
DAY = 86_400.0


def opened(seal: Seal, address: str, **other: str) -> str | None:
    parts = urlsplit(address)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return seal.why_not(**({"path": unquote(parts.path)} | given | other))


def test_a_link_opens_what_it_was_made_for_and_nothing_else() -> None:
    seal = Seal(b"k" * 32)
    address = seal.sealed("/batches/вий-1-ab/sheet", DAY)
    assert opened(seal, address) is None
    for other in ({"path": "/batches/вий-2-ab/sheet"}, {"until": "9999999999"}, {"signature": ""}, {"until": ""}):
        assert opened(seal, address, **other) == "This link is not signed by this gateway; ask for a new one."
    assert opened(Seal(b"j" * 32), address) is not None


def test_a_link_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = Seal(b"k" * 32)
    address = seal.sealed("/artifacts/a", 60)
    now = links.time.time()
    monkeypatch.setattr(links.time, "time", lambda: now + 60)
    assert opened(seal, address) is None
    monkeypatch.setattr(links.time, "time", lambda: now + 60 + 3601)
    assert opened(seal, address) == "This link has expired; ask for a new one."


def test_the_same_link_asked_for_again_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = Seal(b"k" * 32)
    monkeypatch.setattr(links.time, "time", lambda: 7200.5)
    first = seal.sealed("/artifacts/a", DAY)
    monkeypatch.setattr(links.time, "time", lambda: 10_799.0)
    assert seal.sealed("/artifacts/a", DAY) == first


def test_with_a_gateway_everything_is_linked_through_it_and_a_home_signs_with_its_own_key(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, gateway_url="https://pictures.example/limner/")
    made = links_of(settings, DirectoryBucket(tmp_path / "bucket"), DAY)
    for address in (made.picture(SHA, "images/ab/x.png"), made.thumbnail(SHA), made.sheet("alice-1")):
        assert address.startswith("https://pictures.example/limner/") and "signature=" in address
    assert links_of(settings, made.bucket, DAY) == made


def test_without_one_the_bucket_links_to_pictures_and_nobody_to_sheets(tmp_path: Path) -> None:
    made: Links = links_of(Settings(home=tmp_path / "home"), DirectoryBucket(tmp_path / "bucket"), DAY)
    assert made.picture(SHA, "images/ab/x.png") == (tmp_path / "bucket/images/ab/x.png").as_uri()
    assert made.thumbnail(SHA) == made.sheet("alice-1") == ""
    assert not (tmp_path / "home").exists()
