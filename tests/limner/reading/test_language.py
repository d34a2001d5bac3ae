import pytest

from limner.reading.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The old house stood on a hill.", "en"),
        ("Старый дом стоял на холме, и был вечер; объявлен сбор.", "ru"),
        ("Стара хата стояла на пагорбі, і її дах потемнів.", "uk"),
        ("Вдали темнела церковь", "ru"),
        ("Façade, naïve", "en"),
        ("12345 ...", "en"),
        ("", "en"),
        ("Алиса met «Алису» in the garden of the old house", "en"),
    ],
)
def test_tells_the_language_by_its_letters(text: str, language: str) -> None:
    assert detect_language(text) == language
