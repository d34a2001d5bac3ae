"""The last translator: word for word from a list, in the order of the original.

It replaces whole words in all their forms, keeps names, drops particles, and passes through whatever the list does not
have. The result is no prose; it is what an illustrator's prompt needs: nouns, adjectives and where things stand.
"""

import re
from dataclasses import dataclass, field

from limner.translating import Translation, english
from limner.translating.grammar import Reading, Word, bases_by_ending, is_known, participle_base, words_of
from limner.translating.transliteration import transliterated
from limner.translating.word_lists import DROPPED, WordList, word_list

NAME = "word-list"

# How far a preposition looks ahead for the noun that it governs.
_AHEAD = 4
_OBJECTS = {"his": "him", "their": "them"}
_MODALS = ("can", "could", "must", "should")
_SPACES = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"\s+([,.;:!?…»”)])"), r"\1"),
    (re.compile(r"([«“(])\s+"), r"\1"),
    (re.compile(r"([,;:])(?:\s*[,;:])+"), r"\1"),
    (re.compile(r"^[\s,;:.]+"), ""),
)


def translate_by_word_list(text: str, language: str) -> Translation:
    """Return `text` in English words; always answers. language: "ru" or "uk"."""
    words, tail = words_of(text, language)
    line = _Line(words, word_list(language), language)
    at = 0
    while at < len(words):
        at += line.take(at)
    told = line.translated + len(line.passed)
    return Translation(
        text=_tidied(line.written + tail),
        by=NAME,
        untranslated=tuple(dict.fromkeys(line.passed)),
        coverage=line.translated / told if told else 1.0,
    )


@dataclass
class _Line:
    """The English line as it grows; `passed` are the words that nobody could translate."""

    words: list[Word]
    listed: WordList
    language: str
    written: str = ""
    translated: int = 0
    passed: list[str] = field(default_factory=list)
    negated: bool = False
    # The cases that the last preposition leaves open, until its noun is written.
    governed: frozenset[str] = frozenset()
    # How the word before was read, when it was one that the list has and nothing but a space follows it.
    last: Reading | None = None

    def take(self, at: int) -> int:
        """Write the English of the word at that place, and return how many words that took."""
        word = self.words[at]
        phrase = self._phrase(at)
        if phrase:
            taken, said = phrase
            if said.endswith(" of") and not self._genitive_follows(at + taken):
                said = said.removesuffix(" of")
            self._write(word, said)
            self.translated += 1
            self.last = None
            self.governed = frozenset({"gent"}) if said.endswith(" of") else frozenset()
            return taken
        if word.plain == "не" and self._next_is_a_verb(at):
            self.negated = True
            self._write(word, DROPPED)
            return 1
        self._write(word, self._one(at))
        return 1

    def _one(self, at: int) -> str:
        """Return the English of a single word; a word that nobody has comes back as it stands."""
        word = self.words[at]
        small = self._small_word(at) or self._name(word)
        if small:
            self.last = word.readings[0] if word.is_capitalised and word.readings[0].part == "NOUN" else None
            return small
        said = self._content(at)
        if said is None:
            self.passed.append(word.text)
            self.last = word.readings[0]
            return word.text
        return said

    def _write(self, word: Word, said: str) -> None:
        if self.written.endswith(" of") and said.startswith("of "):
            said = said.removeprefix("of ")
        self.written += word.gap + ("" if said == DROPPED else said)

    def _phrase(self, at: int) -> tuple[int, str] | None:
        for row, said in self.listed.phrases.get(self.words[at].plain, ()):
            run = self.words[at : at + len(row)]
            adjoin = all(one.joins for one in run[1:])
            if adjoin and tuple(one.plain for one in run) == row:
                return len(row), said
        return None

    def _genitive_follows(self, at: int) -> bool:
        return at < len(self.words) and self.words[at].joins and "gent" in self.words[at].cases()

    def _small_word(self, at: int) -> str | None:
        word = self.words[at]
        rules = self.listed.prepositions.get(word.plain)
        if rules:
            governed = self._cases_ahead(at)
            case, said = next(((case, said) for case, said in rules if case in governed), ("", None))
            self.governed = frozenset({case}) if case else frozenset()
            if word.plain == "из" and at and self._is_one(self.words[at - 1]):
                return "of"
            if said or not self._listed_elsewhere(word):
                return said or rules[0][1]
        form = self.listed.forms.get(word.plain)
        if form in _OBJECTS and not self._owns(at):
            return _OBJECTS[form]
        if word.plain == "не":
            return "not"
        return form

    def _is_one(self, word: Word) -> bool:
        return word.readings[0].kind in ("NUM", "ADJ") and (word.joins or word.opens)

    def _listed_elsewhere(self, word: Word) -> bool:
        return word.plain in self.listed.forms or any(
            self.listed.look_up(one.base, one.kind) for one in word.readings if one.kind
        )

    def _owns(self, at: int) -> bool:
        after = self.words[at + 1] if at + 1 < len(self.words) else None
        return bool(after and after.joins and after.readings[0].part in ("NOUN", "ADJF"))

    def _cases_ahead(self, at: int) -> frozenset[str]:
        """Return the cases that the next noun phrase may stand in; none when no noun follows."""
        left: frozenset[str] = frozenset()
        for word in self.words[at + 1 : at + 1 + _AHEAD]:
            if not word.joins:
                break
            cases = word.cases()
            if not cases:
                continue
            left = (left & cases) or left or cases
            if any(one.part in ("NOUN", "NPRO") for one in word.readings[:1]):
                break
        return left

    def _next_is_a_verb(self, at: int) -> bool:
        after = self.words[at + 1] if at + 1 < len(self.words) else None
        return bool(after and after.joins and after.readings[0].part == "VERB" and self._found(after))

    def _name(self, word: Word) -> str | None:
        """Return a name in Latin letters, in its base form; None when the word is none."""
        if not word.is_capitalised:
            return None
        named = next((one for one in word.readings if one.names_somebody), None)
        listed = self._found(word) is not None
        if word.opens and (listed or (not named and is_known(word.text, self.language))):
            return None
        if listed and not (named and (named is word.readings[0] or "Name" in named.marks)):
            return None
        base = named or next((one for one in word.readings if one.part == "NOUN"), None)
        spelled = base.spelled if base and len(base.spelled) > 1 else word.text
        return transliterated(spelled[:1].upper() + spelled[1:], self.language)

    def _content(self, at: int) -> str | None:
        word = self.words[at]
        found = self._found(word)
        if found is None:
            return None
        reading, said, how = self._in_context(at, found)
        self.translated += 1
        if reading.part == "NOUN":
            self.governed = frozenset()
        inflected = said if said == DROPPED else self._inflected(reading, said, how, self._is_counted(at))
        linked = self._link(at, reading) + inflected
        self.last = reading
        return linked

    def _found(self, word: Word) -> tuple[Reading, str, str] | None:
        """Return the first reading that the list has, its English, and how the list has it."""
        for reading in word.readings:
            if reading.part == "PRTF":
                base = participle_base(word.text, self.language)
                said = self.listed.look_up(base, "ADJ") if base else None
                if said:
                    return reading, said, "as it is"
            said = self.listed.look_up(reading.base, reading.kind)
            if said:
                return reading, said, ""
        for reading in word.readings:
            for base, kind, how in bases_by_ending(reading, self.language):
                said = self.listed.look_up(base, kind)
                if said:
                    return reading, said, how
        said = self.listed.look_up_any(word.plain)
        return (word.readings[0], said, "as it is") if said else None

    def _in_context(self, at: int, found: tuple[Reading, str, str]) -> tuple[Reading, str, str]:
        """Prefer, of the readings that the list has, the one whose case its place asks for."""
        word = self.words[at]
        if found[2] or not (found[0].is_nominal or self.governed):
            return found
        fitting = [one for one in word.readings if one.is_nominal and self._fits(one, at)]
        if self._qualifies(at):
            fitting.sort(key=lambda one: not one.is_adjective)
        for reading in fitting:
            said = self.listed.look_up(reading.base, reading.kind)
            if said:
                return reading, said, ""
        return found

    def _fits(self, reading: Reading, at: int) -> bool:
        last = self.last if self.words[at].joins else None
        if last and last.is_adjective:
            return reading.agrees_with(last)
        if self.governed:
            return reading.case in self.governed
        after_noun = last is not None and last.part == "NOUN" and "gent" in self.words[at].cases()
        return reading.case == "gent" if after_noun else reading.case in ("nomn", "accs")

    def _qualifies(self, at: int) -> bool:
        """Whether a noun phrase goes on behind the word, so that it is rather its adjective."""
        after = self.words[at + 1] if at + 1 < len(self.words) else None
        return bool(after and after.joins and after.cases() & self.words[at].cases())

    def _inflected(self, reading: Reading, said: str, how: str, several: bool) -> str:
        if how:
            return self._derived(reading, said, how)
        if reading.part == "NOUN" and ("plur" in reading.marks or several):
            return english.plural(said)
        if reading.part == "COMP" and reading.kind == "ADJ":
            return english.comparative(said)
        return self._conjugated(reading, said) if reading.kind == "VERB" else said

    def _derived(self, reading: Reading, said: str, how: str) -> str:
        """Return the English of a word whose list entry is another word: "slowly" where only "slow" is listed."""
        if how == "adverb":
            return said if said.endswith("ly") else said + "ly"
        if how == "gerund":
            return english.gerund(said)
        return self._undergone(reading, said) if how in ("participle", "reflexive") else said

    def _undergone(self, reading: Reading, said: str) -> str:
        """Return the passive: "covered" for "вкритий", "was built" for "строился" where only "строить" is listed."""
        done = english.participle(said)
        finite = reading.part in ("VERB", "INFN")
        return self._conjugated(reading, f"be {done}") if finite else done

    def _is_counted(self, at: int) -> bool:
        """Whether a number above one stands before the noun: "две хаты" is a singular to the dictionary."""
        for word in reversed(self.words[max(0, at - 2) : at]):
            first = word.readings[0]
            if first.part == "NUMR" or first.base in ("несколько", "кілька"):
                return first.base != "один"
            if first.part != "ADJF":
                return False
        return False

    def _conjugated(self, reading: Reading, said: str) -> str:
        if reading.part in ("PRTF", "PRTS", "GRND"):
            return self._participle(reading, said)
        if reading.part == "INFN":
            bare = said.startswith(_MODALS) or self.written.rstrip().endswith(_MODALS)
            return said if bare else f"to {said}"
        return self._finite(reading.marks, said)

    def _participle(self, reading: Reading, said: str) -> str:
        finished = {"past", "perf"} <= reading.marks and reading.part == "PRTF"
        return english.participle(said) if finished or "pssv" in reading.marks else english.gerund(said)

    def _finite(self, marks: frozenset[str], said: str) -> str:
        several = "plur" in marks
        if self.negated:
            self.negated = False
            return self._negative(said, several, "past" in marks)
        if "past" in marks:
            return english.past(said, several)
        if "futr" in marks and not said.startswith(_MODALS):
            return f"will {said}"
        asked = marks & {"impr", "1per", "2per"}
        return said if asked else english.present(said, several)

    def _negative(self, said: str, several: bool, before: bool) -> str:
        first, _, rest = said.partition(" ")
        if first == "be" or first in _MODALS:
            form = english.past(first, several) if before else english.present(first, several)
            return f"{form} not {rest}".strip()
        return f"{'did' if before else 'do' if several else 'does'} not {said}"

    def _link(self, at: int, reading: Reading) -> str:
        """Return the "of" or "with" that a case says and English needs a word for."""
        last = self.last
        if last is None or not self.words[at].joins or not reading.is_nominal:
            return ""
        cases = self.words[at].cases()
        if (
            last.part == "NOUN"
            and "gent" in cases
            and (reading.part == "NOUN" or self._opens_a_genitive(at, reading, last))
        ):
            return "of "
        acts = last.part in ("VERB", "PRTS", "GRND", "INFN")
        undergoes = (last.part == "PRTF" or "pssv" in last.marks) and last.case != "ablt"
        if (acts or undergoes) and "ablt" in cases and not cases & {"nomn", "accs", "gent"}:
            return "with "
        return ""

    def _opens_a_genitive(self, at: int, reading: Reading, noun: Reading) -> bool:
        """Whether the adjective belongs to a noun behind it in the genitive, not to the one before."""
        agrees = any(one.agrees_with(noun) for one in self.words[at].readings if one.is_adjective)
        return not agrees or (reading.part == "ADJF" and self._genitive_follows(at + 1))


def _tidied(line: str) -> str:
    for pattern, instead in _SPACES:
        line = pattern.sub(instead, line)
    return line.strip()
