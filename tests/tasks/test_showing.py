"""What the Prefect UI is given of a batch: nothing that somebody named becomes Markdown."""

from pathlib import Path
from types import SimpleNamespace

from limner.bucket.directory import DirectoryBucket
from limner.links import links_of
from limner.settings import Settings
from tasks.showing import THUMBNAILS, _page, _plain


def test_words_stay_words() -> None:
    assert _plain("Alice's Adventures (1865), ch. 1") == "Alice's Adventures (1865), ch. 1"
    assert _plain("a](http://evil)\n# <img src=x> `b` ![c]") == (r"a\](http://evil) \# \<img src=x\> \`b\` \!\[c\]")


def test_the_page_links_to_the_sheet_and_shows_so_many_thumbnails_at_most(tmp_path: Path) -> None:
    links = links_of(Settings(home=tmp_path, gateway_url="http://127.0.0.1:9"), DirectoryBucket(tmp_path / "b"), 60)
    rows = [SimpleNamespace(key=f"p](x){one}", sha256="ab" * 32, artifact="images/ab.png") for one in range(100)]
    page = _page("Alice", links.sheet("alice-1"), links, rows)
    assert page.count("\n![p\\](x)") == THUMBNAILS and f"The first {THUMBNAILS} are shown here." in page
    assert "[Contact sheet](http://127.0.0.1:9/batches/alice-1/sheet?until=" in page
    assert page.count("/thumb.webp?until=") == THUMBNAILS
