import pytest

from limner.translating.transliteration import transliterated


@pytest.mark.parametrize(
    ("name", "language", "latin"),
    [
        ("Хома", "ru", "Khoma"),
        ("Тиберий", "ru", "Tibery"),
        ("Евгений", "ru", "Yevgeny"),
        ("Щукин-Юрьев", "ru", "Shchukin-Yurev"),
        ("Ярослав", "uk", "Yaroslav"),
        ("Галина", "uk", "Halyna"),
        ("Юрій", "uk", "Yurii"),
    ],
)
def test_names_get_latin_letters(name: str, language: str, latin: str) -> None:
    assert transliterated(name, language) == latin
