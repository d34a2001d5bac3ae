"""What a link opens: the picture, its small copy, the sheet of a batch, and nothing without a signature."""

import io
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image as Pillow
from sqlalchemy import text

from limner.links import Seal, artifact_path, sheet_path, thumbnail_path
from limner.signing import derived_key, signing_key
from tests.deployments.gateway.house import DESCRIPTIONS, House
from tests.deployments.users import becomes


@pytest.fixture(scope="module")
def made(house: House) -> dict[str, Any]:
    """The reply of a request of two pictures."""
    request = {"title": "Pictures <b>of</b>", "descriptions": DESCRIPTIONS, "provider": ["sketch"]}
    with house.app("painter") as app:
        asked = {"kind": "illustrate-chapter", "request": request}
        asked = app.post("/v1/requests", json=asked, headers={"Idempotency-Key": uuid4().hex}).json()
        ended = app.get(f"{asked['links']['self']}?wait=60").json()
        assert ended["state"] == "complete", ended
        reply: dict[str, Any] = app.get(ended["links"]["reply"]).json()
        return reply


def get(address: str) -> httpx.Response:
    return httpx.get(address, trust_env=False, timeout=30)


def sealed(house: House, path: str, seconds: float = 60) -> str:
    return house.url + Seal(signing_key(house.settings)).sealed(path, seconds)


def test_a_picture_is_given_as_it_is_and_says_nothing_of_who_asked_in_which_words(made: dict[str, Any]) -> None:
    picture = made["pictures"][0]
    got = get(picture["link"])
    assert got.status_code == 200 and got.headers["content-type"] == picture["media_type"]
    assert got.headers["x-content-type-options"] == "nosniff" and "immutable" in got.headers["cache-control"]
    said = str(got.headers) + picture["link"]
    assert "painter" not in said and "hall" not in said


def test_a_small_copy_is_made_once_and_small(made: dict[str, Any], house: House) -> None:
    picture = made["pictures"][0]
    first, again = get(picture["thumbnail"]), get(picture["thumbnail"])
    assert first.content == again.content and first.headers["content-type"] == "image/webp"
    assert max(Pillow.open(io.BytesIO(first.content)).size) <= 640 and len(first.content) < 100_000
    assert (house.home / "thumbs" / f"{picture['sha256']}.webp").read_bytes() == first.content


def test_the_sheet_shows_every_picture_by_link(made: dict[str, Any]) -> None:
    page = get(made["links"]["sheet"])
    assert page.text.count('<img src="../../artifacts/') == 2 and "&lt;b&gt;of&lt;/b&gt;" in page.text
    assert len(page.content) < 20_000 and "refresh" not in page.headers
    assert "img-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"


def test_a_link_of_the_sheet_leads_to_the_picture(made: dict[str, Any]) -> None:
    sheet = made["links"]["sheet"]
    address = get(sheet).text.split('<img src="')[1].split('"')[0].replace("&amp;", "&")
    assert get(str(httpx.URL(sheet).join(address))).headers["content-type"] == "image/webp"


def test_without_its_own_signature_nothing_is_opened(made: dict[str, Any], house: House) -> None:
    one, other = (picture["link"] for picture in made["pictures"])
    bare, _, seal = one.partition("?")
    swapped = f"{other.partition('?')[0]}?{seal}"
    for address in (bare, bare + "?until=9999999999&signature=", swapped, one + "0", one.replace("?", "/thumb.webp?")):
        refused = get(address)
        assert refused.status_code == 403, address
        assert refused.json() == {"error": "This link is not signed by this gateway; ask for a new one."}
    expired = get(sealed(house, artifact_path(made["pictures"][0]["sha256"]), seconds=-7200))
    assert expired.status_code == 403 and "has expired" in expired.json()["error"]
    # What another purpose signs is worth nothing here.
    until = "9999999999"
    webhooks = derived_key(signing_key(house.settings), "webhook", f"{until}\n{bare.removeprefix(house.url)}").hex()
    assert get(f"{bare}?until={until}&signature={webhooks}").status_code == 403


@pytest.mark.parametrize(
    "odd", ["../../../../etc/passwd", "a" * 64, "A" * 64, "%00", "..%2f..%2fetc%2fpasswd", "x y", "a\0b"]
)
def test_what_there_is_not_is_not_found_even_when_it_was_signed(house: House, odd: str) -> None:
    for path in (artifact_path(odd), thumbnail_path(odd), sheet_path(odd)):
        assert get(sealed(house, path)).status_code == 404, path


def test_what_was_deleted_is_gone_its_small_copy_too(made: dict[str, Any], house: House) -> None:
    sha256 = made["pictures"][1]["sha256"]
    get(made["pictures"][1]["thumbnail"])
    set_to = text("update artifacts set tombstoned_at = :at where sha256 = :sha")
    house.ledger.run(lambda connection: connection.execute(set_to, {"at": "2020-01-01", "sha": sha256}))
    try:
        for address in (made["pictures"][1]["link"], made["pictures"][1]["thumbnail"]):
            assert get(address).status_code == 404
        assert not (house.home / "thumbs" / f"{sha256}.webp").exists()
    finally:
        house.ledger.run(lambda connection: connection.execute(set_to, {"at": None, "sha": sha256}))


def test_a_sheet_is_there_while_its_batch_is_under_way(made: dict[str, Any], house: House) -> None:
    opened = text("update batches set status = :status where id = :batch")
    house.ledger.run(lambda connection: connection.execute(opened, {"status": "open", "batch": made["batch"]}))
    try:
        assert get(made["links"]["sheet"]).headers["refresh"] == "5"
    finally:
        house.ledger.run(lambda connection: connection.execute(opened, {"status": "complete", "batch": made["batch"]}))


def test_the_prefect_ui_is_given_the_pictures(made: dict[str, Any], house: House) -> None:
    api = (house.home / "run" / "api.json").read_text()
    url = api.split('"url": "')[1].split('"')[0]

    def shown() -> dict[str, Any]:
        found = httpx.post(f"{url}/artifacts/filter", json={}, trust_env=False, timeout=30).json()
        return {one["type"]: one for one in found if (one["key"] or "").startswith(made["batch"])}

    # The batch is complete a moment before its run is.
    assert becomes(lambda: set(shown()) == {"progress", "table", "markdown"}), shown()
    of_batch = shown()
    page = of_batch["markdown"]["data"]
    thumbnails = [one.split(")")[0] for one in page.split("](") if "thumb.webp" in one]
    assert len(thumbnails) == 2 and all(get(one).status_code == 200 for one in thumbnails)
    assert r"\<b\>of\</b\>" in page and "[Contact sheet](" in of_batch["progress"]["description"]
    assert house.url in of_batch["table"]["data"]
