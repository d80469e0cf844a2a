"""The option that a text chooses, by its letter or its text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from problems.prompt_replies import TAIL_CHARACTERS, Reading, answer_part, sentences

QUOTES = re.compile(r"[\"'`*\u2018\u2019\u201c\u201d]")
WORD_END = re.compile(r"(?<![.,;:!?])[.,;:!?]++(?=\s|$)")
OPTION = re.compile(r"^[ \t]*\(?([A-Z])[).:][ \t]*(\S.*)$", re.MULTILINE)
LETTER_ALONE = re.compile(r"[\W_]{0,9}([A-Za-z])[\W_]{0,9}")
LETTER_FIRST = re.compile(
    r"[\W_]{0,9}(?:(?:option|choice|letter)\s)?[\W_]{0,9}\(?([A-Z])\b(?!['\u2019]\w)", re.IGNORECASE
)
# "A" and "I" are words too.
LETTER = re.compile(
    r"\(([A-Za-z])\)|(?<!\w)([A-Z])[.):](?!\w)|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)\s\W{0,3}([A-Za-z])\b"
    r"|(?<![\w'\u2019])([B-HJ-Z]|A(?!\s\w))(?![\w'\u2019])"
    r"|(?<![\w'\u2019])(A)(?=\s(?:is|or|and|was)\b)|\*\*([A-Z])\*\*|\\text\w{0,2}\{\(?([A-Z])\)?\}"
)
DENIED_BEFORE = re.compile(
    r"(?:\bnot|n't|\bnever|\brather than|\binstead of|\bexcept|\bnor|\bneither|\bunlike|\brule out"
    r"|\beliminate|\bexclude)\s(?:\w{1,8}\s){0,2}?\W{0,4}$",
    re.IGNORECASE,
)
DENIED_AFTER = re.compile(
    r"\W{0,4}(?:[^.\n]{0,40}?\b)?(?:is|are|was|were|would be|looks|seems)(?:n't| not| also| clearly| both"
    r"| definitely|\stoo|\s){1,2}\s?"
    r"(?:wrong|incorrect|false|not|out|too|impossible|excluded|eliminated|ruled out|invalid|unlikely|n't)"
    r"|\W{0,4}(?:isn't|is not|can't|cannot|does not|doesn't)\b",
    re.IGNORECASE,
)
CONFIRMED_AFTER = re.compile(
    r"\W{0,4}(?:is|must be|seems|looks)\s(?:the\s)?(?:right|correct|best|true|answer|one)", re.IGNORECASE
)
CHOSEN_BEFORE = re.compile(
    r"\b(?:choose|pick|select|go with|choosing|it's|it is|must be|therefore|thus|hence|so|is"
    r"|be)\W{0,4}(?:(?:option|choice|letter)\s)?\W{0,4}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A letter in a text, whether the text denies it, and whether it says that it is the right one."""

    letter: str
    start: int
    denied: bool
    confirmed: bool


def plain(text: str) -> str:
    """A text without what `exact` ignores; the text itself where that leaves nothing."""
    folded = QUOTES.sub("", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(WORD_END.sub("", folded).split()) or " ".join(text.split())


@lru_cache(maxsize=4096)
def options_of(question: str) -> Mapping[str, str]:
    """Letter to plain text of the options that a question lists."""
    return {letter: plain(text) for letter, text in OPTION.findall(question)}


def letter_of(answer: str, options: Mapping[str, str]) -> str:
    """The letter of an expected answer, which is a letter or an option's text; "" where it is neither."""
    alone = LETTER_ALONE.fullmatch(answer)
    letter = alone[1].upper() if alone else _with_text(answer, options)
    return letter if not options or letter in options else ""


def stated_choice(options: Mapping[str, str], line: str) -> Reading:
    """The choice in what a mark announces: its first letter, unless another is joined to it."""
    whole = _whole(line, options)
    if whole:
        return Reading(whole, _meaning(whole, options))
    part = answer_part(line)
    first = LETTER_FIRST.match(part)
    mentions = [one for one in _mentions(line, options) if not one.denied]
    if first and _is_choice(part, first, options) and not DENIED_AFTER.match(part, first.end()):
        mentions = [Mention(first[1].upper(), first.start(1), denied=False, confirmed=False), *mentions]
    near = {one.letter for one in mentions if one.start < len(part)} or {one.letter for one in mentions[:1]}
    if len({_meaning(letter, options) for letter in near}) > 1:
        return Reading(reason=f"several choices: {', '.join(sorted(near))}")
    if near:
        letter = near.pop()
        other = _text_after(part, letter, options)
        return (
            Reading(reason=f"the letter {letter} with the text of {other}")
            if other
            else Reading(letter, _meaning(letter, options))
        )
    return _by_text(part, options)


def _is_choice(part: str, first: re.Match[str], options: Mapping[str, str]) -> bool:
    """Whether the first letter of a statement is a choice: not the word "a" or "I", nor a small letter with a text."""
    word = first[1] in "AI" and re.match(r"\s[a-z]", part[first.end() :])
    small = first[1].islower() and first.end() < len(part.rstrip(" .*)"))
    return _known(first[1].upper(), options) and not word and not small


def free_choice(options: Mapping[str, str], text: str) -> Reading:
    """The choice of a text without marks: its first line, if that is a choice, or its last sentence with any."""
    text = text[-TAIL_CHARACTERS:]
    whole = _whole(text, options)
    if whole:
        return Reading(whole, _meaning(whole, options))
    said = sentences(text)
    if not said:
        return Reading()
    opening, ending = _opening(said, options), _ending(said, options)
    if opening and ending.found and ending.meaning != _meaning(opening, options) and _is_firm(said[-1], options):
        return Reading(reason=f"two different choices: {opening} and {ending.found}")
    return Reading(opening, _meaning(opening, options)) if opening else ending


def _opening(said: list[str], options: Mapping[str, str]) -> str:
    """The letter with which a reply opens: "B", "(B)", "B. Because", "B) TEXT"; not of a list of options."""
    found = re.match(
        r"[\W_]{0,4}(?:(?:[Oo]ption|[Cc]hoice)\s)?\(?\**([A-Z])\b(?:\s*$|[\])*]{1,4}(?=\W*$|[\s.:,])"
        r"|[.:,](?=\s|$)|\s[-\u2013\u2014]\s)(?!\W{0,4}(?:or |and )?\(?[A-Z]\b)",
        said[0],
    )
    if not found or not _known(found[1], options) or said[0].endswith("?"):
        return ""
    rest = said[0][found.end() :].strip(" .:)*,-")
    if re.match(r"(?:is|was|or|and|cannot|can't|seems|looks)\b", rest) or _text_after(said[0], found[1], options):
        return ""
    listed = sum(bool(re.match(r"[\W_]{0,4}(?:[Oo]ption\s)?\(?[A-Z][).:]", line)) for line in said)
    return found[1] if listed <= 1 or not re.match(r"[\W_]{0,4}\(?[A-Z][).:]", said[min(1, len(said) - 1)]) else ""


def _ending(said: list[str], options: Mapping[str, str]) -> Reading:
    for sentence in reversed([sentence for sentence in said if not sentence.endswith("?")]):
        mentions = [one for one in _mentions(sentence, options) if not one.denied]
        if any(one.confirmed for one in mentions):
            mentions = [one for one in mentions if one.confirmed]
        letters = {one.letter for one in mentions}
        if len({_meaning(letter, options) for letter in letters}) > 1:
            return Reading(reason=f"several choices: {', '.join(sorted(letters))}")
        if letters:
            letter = letters.pop()
            other = _text_after(sentence, letter, options)
            return (
                Reading(reason=f"the letter {letter} with the text of {other}")
                if other
                else Reading(letter, _meaning(letter, options))
            )
        if not _mentions(sentence, options):
            found = _by_text(sentence, options)
            if found.found or found.reason:
                return found
    return Reading()


def _is_firm(sentence: str, options: Mapping[str, str]) -> bool:
    return bool(_whole(sentence, options)) or any(one.confirmed for one in _mentions(sentence, options))


def _mentions(text: str, options: Mapping[str, str]) -> list[Mention]:
    found = []
    for match in LETTER.finditer(text):
        letter = match[match.lastindex or 0].upper()
        bare = match.lastindex in (4, 5)
        if (options and letter not in options) or (bare and not options):
            continue
        before = text[max(0, match.start() - 40) : match.start()]
        denied = bool(DENIED_BEFORE.search(before)) or bool(DENIED_AFTER.match(text, match.end()))
        confirmed = bool(CONFIRMED_AFTER.match(text, match.end())) or bool(CHOSEN_BEFORE.search(before))
        found.append(Mention(letter, match.start(), denied, confirmed and not denied))
    return found


def _by_text(text: str, options: Mapping[str, str]) -> Reading:
    """The only option whose text a short text mentions; a text within a longer one that is mentioned does not count."""
    words = f" {plain(text)} "
    spans = []
    for letter, option in options.items():
        place = words.rfind(f" {option} ")
        if place >= 0 and not DENIED_BEFORE.search(words[max(0, place - 40) : place + 1]):
            spans.append((place, place + len(option), letter))
    outer = {
        letter
        for start, end, letter in spans
        if not any(s <= start and end <= e and (e - s) > (end - start) for s, e, _ in spans)
    }
    if len({_meaning(letter, options) for letter in outer}) > 1:
        return Reading(reason=f"several choices: {', '.join(sorted(outer))}")
    letter = min(outer, default="")
    return Reading(letter, _meaning(letter, options)) if letter else Reading()


def _whole(text: str, options: Mapping[str, str]) -> str:
    alone = LETTER_ALONE.fullmatch(text)
    letter = alone[1].upper() if alone else _with_text(text, options)
    return letter if letter and _known(letter, options) else ""


def _with_text(text: str, options: Mapping[str, str]) -> str:
    if not options or len(text) > 1000:
        return ""
    wanted = plain(text)
    return next((letter for letter, option in options.items() if option == wanted), "")


def _text_after(text: str, letter: str, options: Mapping[str, str]) -> str:
    """The letter of another option, where its text follows this letter: the two contradict each other."""
    rest = re.split(rf"(?<!\w){letter}(?!\w)", text, maxsplit=1)[-1]
    following = plain(answer_part(rest[:1000]).strip(" ().:*-"))
    own = options.get(letter, "")
    same = [other for other, option in options.items() if following == option and option != own]
    return same[0] if same else ""


def _known(letter: str, options: Mapping[str, str]) -> bool:
    return not options or letter in options


def _meaning(letter: str, options: Mapping[str, str]) -> str:
    return options.get(letter, letter)
