import pytest

from limner.translating.word_lists import parse_word_list, word_list


@pytest.mark.parametrize(("language", "rows"), [("ru", 2500), ("uk", 1500)])
def test_each_list_is_broad(language: str, rows: int) -> None:
    listed = word_list(language)
    assert len({base for base, _ in listed.words}) >= rows
    assert listed.phrases
    assert listed.prepositions


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("дом\n", "ru.tsv:1: no row"),
        ("дом\thouse\nдом\thome\n", "ru.tsv:2: дом  stands there twice"),
        ("Дом\thouse\n", "lower case"),
        ("дом\tдом\n", "English"),
        ("дом\thouse\tTHING\n", "THING is no kind"),
        ("с\twith\tPREP:none\n", "no kind"),
        ("в углу\tin the corner\tNOUN\n", "no kind"),
        ("дом\t house\n", "no row"),
    ],
)
def test_refuses_a_row_that_breaks_the_rules(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_word_list(text, "ru.tsv")
