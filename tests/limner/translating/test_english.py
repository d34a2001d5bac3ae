import pytest

from limner.translating import english


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("church", "churches"),
        ("bell tower", "bell towers"),
        ("back of the head", "backs of the head"),
        ("leaf", "leaves"),
        ("city", "cities"),
        ("moss", "moss"),
        ("little child", "little children"),
    ],
)
def test_makes_plurals(one: str, many: str) -> None:
    assert english.plural(one) == many


@pytest.mark.parametrize(
    ("verb", "past", "participle", "gerund", "present"),
    [
        ("stand", "stood", "stood", "standing", "stands"),
        ("lie", "lay", "lain", "lying", "lies"),
        ("wrap", "wrapped", "wrapped", "wrapping", "wraps"),
        ("turn pale", "turned pale", "turned pale", "turning pale", "turns pale"),
        ("carry", "carried", "carried", "carrying", "carries"),
        ("go out", "went out", "gone out", "going out", "goes out"),
        ("be visible", "was visible", "been visible", "being visible", "is visible"),
        ("glow", "glowed", "glowed", "glowing", "glows"),
        ("peep", "peeped", "peeped", "peeping", "peeps"),
    ],
)
def test_conjugates(verb: str, past: str, participle: str, gerund: str, present: str) -> None:
    assert english.past(verb) == past
    assert english.participle(verb) == participle
    assert english.gerund(verb) == gerund
    assert english.present(verb) == present


def test_be_minds_how_many() -> None:
    assert english.past("be", several=True) == "were"
    assert english.present("be called", several=True) == "are called"


@pytest.mark.parametrize(
    ("word", "more"), [("dark", "darker"), ("big", "bigger"), ("good", "better"), ("gloomy", "gloomier")]
)
def test_compares(word: str, more: str) -> None:
    assert english.comparative(word) == more
