"""Metrics of a prompt task: whether a model's reply gives the answer that a case expects.

Replies are hostile: a metric never raises and never takes long. It reads the last 16,000 characters of a reply; a
pattern of the user's, which may backtrack, the last 4,000. Every metric but `regex` trusts most what follows the last
"answer is", "answer:", "####" or "\\boxed{" of a reply.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import TypeAlias

from evo.errors import ConfigError
from problems.prompt_cases import Case

TAIL_CHARACTERS = 16_000
PATTERN_TAIL_CHARACTERS = 4_000
TOLERANCE = Decimal("1e-6")
GUESSED_SHARE = 0.9

STATED = re.compile(
    r"answers?(?:\s(?:to|for)\s[^.:\n]{1,80}?)?\W{0,4}(?:is\b|are\b|(?:would|should|must)\sbe\b|[:=])|####|\\boxed\s?\{",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?;]\s")
QUOTES = re.compile(r"[\"'`*\u2018\u2019\u201c\u201d]")
WORD_END = re.compile(r"(?<![.,;:!?])[.,;:!?]++(?=\s|$)")

OPTION = re.compile(r"^[ \t]*\(?([A-Z])[).:][ \t]*(\S.*)$", re.MULTILINE)
LETTER_ALONE = re.compile(r"\W{0,9}([A-Za-z])\W{0,9}")
LETTER_FIRST = re.compile(r"[\W_]{0,9}(?:(?:option|choice)\s)?[\W_]{0,9}(?:text\w{0,2}\{)?\(?([A-Z])\b(?!')")
LETTER = re.compile(
    r"\(([A-Za-z])\)|(?<!\w)([A-Z])[.):](?!\w)|^[^\w\n]{0,9}([A-Za-z])[^\w\n]{0,9}$|\b(?:[Oo]ption|[Cc]hoice)\s([A-Z])\b",
    re.MULTILINE,
)
# A last resort; "A" and "I" are words too.
LETTER_BARE = re.compile(r"(?<![\w'])([B-HJ-Z]|A(?!\s\w))(?![\w'])")

THOUSANDS = r"[,_'\u2019\u00a0\u2009\u202f]\d{3}(?!\d)"
DIGITS = rf"(?:\d+(?:{THOUSANDS})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\w.])\.\d+)(?:[eE][-+]?\d{{1,4}}(?!\w))?"
NUMBER = re.compile(
    rf"(?<!\w)(?<!\d\.)(?:(?P<whole>\d{{1,9}}) (?=\d{{1,9}}/\d))?(?P<top>{DIGITS})(?: ?/ ?(?P<bottom>\d{{1,9}}))?"
    r"(?P<percent>\s?\\?%)?"
)
SIGN = r"[-\u2212]?"
CURRENCY = r"[$\u20ac\u00a3\u00a5\u20b9\\]{0,2}"
BEFORE_NUMBER = re.compile(rf"(?:^|[^\w)\]}}])({SIGN}){CURRENCY}({SIGN})$")
FRACTION = re.compile(r"\\[dt]?frac\{(-?\d[\d.]{0,20})\}\{(\d[\d.]{0,20})\}")
# Without traps: numbers of any length are rounded to 40 digits, and nothing raises.
ARITHMETIC = Context(prec=40, Emax=999_999, Emin=-999_999, traps=[])


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """A metric's verdict on a reply.

    Attributes:
        found: the answer that was read in the reply; empty where there was none.
    """

    correct: bool
    found: str = ""


Metric: TypeAlias = Callable[[str, Case], AnswerVerdict]


def exact(reply: str, case: Case) -> AnswerVerdict:
    """The reply, or the answer that it states, is the expected text.

    Case, spacing, quotes, asterisks, and punctuation at the end of words do not count; brackets and signs do.
    """
    stated = stated_answer(reply)
    found = SENTENCE_END.split(stated, 1)[0] if stated else reply.strip()
    wanted = plain(case.answer)
    # A longer text cannot reduce to the expected answer, so it is not worth normalising.
    most = 16 * len(case.answer) + 1000
    return AnswerVerdict(
        any(len(text) <= most and plain(text) == wanted for text in (found, stated or reply, reply)), found
    )


def multiple_choice(reply: str, case: Case) -> AnswerVerdict:
    """The reply's choice is the expected letter: "(B)", "B.", "answer is B", or the text of option B.

    A choice that is stated as the answer counts before any other; otherwise the last choice does. Options are the lines
    "(A) TEXT" of the question; where the expected answer is none of them, it is compared as by `exact`.
    """
    options = options_of(case.question)
    wanted = _letter_of(case.answer, options)
    if not wanted:
        return exact(reply, case)
    letter = _chosen(stated_answer(reply), options, stated=True) or _chosen(_tail(reply), options, stated=False)
    return AnswerVerdict(letter == wanted, f"({letter})" if letter else "")


def numeric(reply: str, case: Case) -> AnswerVerdict:
    """The reply's number is the expected number, within a relative error of 1e-6.

    It is the first number of what is stated as the answer, after the last "=" of that line, or else the last number of
    the reply. Thousands separators, currency, fractions ("3/4", "1 1/2") and percent are read; 50% is both 50 and 0.5.
    """
    found, readings = _read_number(reply)
    wanted = _read_number(case.answer)[1]
    return AnswerVerdict(any(_close(value, expected) for value in readings for expected in wanted), found)


def regex(pattern: str) -> Metric:
    """The metric that takes for the answer what the pattern's group (or all of it, without a group) matches last.

    The answer is compared as by `exact`, and as a number where both are numbers. A pattern in which repeats are nested
    can take for ever on a few thousand characters: write it with possessive repeats, as in "(?:a+)++".

    Raises:
        ConfigError: it is not a regular expression, or has several groups.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        raise ConfigError(f"pattern {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups > 1:
        raise ConfigError(
            f"pattern {pattern!r} has {compiled.groups} groups; keep a single group, and write the others as (?:...)"
        )

    def metric(reply: str, case: Case) -> AnswerVerdict:
        found = ""
        for match in compiled.finditer(reply[-PATTERN_TAIL_CHARACTERS:]):
            found = match[compiled.groups] or found
        return AnswerVerdict(bool(found) and _same(found, case.answer), found)

    return metric


METRICS: Mapping[str, Metric] = {"exact": exact, "multiple_choice": multiple_choice, "numeric": numeric}


def guessed(cases: Sequence[Case]) -> str:
    """Name of the metric that suits the answers: nine in ten are letters as in "(B)", all are numbers, or neither."""
    letters = sum(bool(re.fullmatch(r"\([A-Z]\)|[A-Z]", case.answer)) for case in cases)
    if letters >= GUESSED_SHARE * len(cases):
        return "multiple_choice"
    return "numeric" if all(is_number(case.answer) for case in cases) else "exact"


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else but a currency or percent sign."""
    match = NUMBER.search(text)
    if match is None or match.end() < len(text) or not _values(match, 1):
        return False
    return bool(re.fullmatch(SIGN + CURRENCY + SIGN, text[: match.start()]))


def stated_answer(reply: str) -> str:
    """The rest of the line after the last mark of an answer, or the next line that is not blank; "" without a mark.

    "####" is a mark in the last line only: elsewhere it is a heading.
    """
    tail = _tail(reply).rstrip()
    last_line = tail.rfind("\n") + 1
    marks = [mark for mark in STATED.finditer(tail) if mark[0] != "####" or mark.start() >= last_line]
    if not marks:
        return ""
    end = marks[-1].end()
    if marks[-1][0].endswith("{"):
        return tail[end : _closing(tail, end)].strip()
    return tail[end:].lstrip(" \t\r\n*_:").partition("\n")[0].strip()


def plain(text: str) -> str:
    """A text without what `exact` ignores; the text itself where that leaves nothing."""
    folded = QUOTES.sub("", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(WORD_END.sub("", folded).split()) or " ".join(text.split())


@lru_cache(maxsize=4096)
def options_of(question: str) -> Mapping[str, str]:
    """Letter to plain text of the options that a question lists."""
    return {letter: plain(text) for letter, text in OPTION.findall(question)}


def _letter_of(answer: str, options: Mapping[str, str]) -> str:
    alone = LETTER_ALONE.fullmatch(answer)
    letter = alone[1].upper() if alone else _with_text(answer, options)
    return letter if not options or letter in options else ""


def _chosen(text: str, options: Mapping[str, str], *, stated: bool) -> str:
    """The letter that a text chooses, or "": the first in a stated answer, the last in a whole reply."""
    alone = LETTER_ALONE.fullmatch(text)
    first = LETTER_FIRST.match(text) if stated else None
    found = [letter for letter in _letters(text) if not options or letter in options]
    for letter in (alone[1].upper() if alone else "", _with_text(text, options), first[1] if first else ""):
        if letter and (not options or letter in options):
            return letter
    bare = [letter for letter in LETTER_BARE.findall(text) if letter in options]
    return found[0 if stated else -1] if found else _mentioned(text, options) or "".join(bare[-1:])


def _letters(text: str) -> Iterator[str]:
    for match in LETTER.finditer(text):
        yield match[match.lastindex or 0].upper()


def _with_text(text: str, options: Mapping[str, str]) -> str:
    if not options or len(text) > 1000:
        return ""
    wanted = (plain(text), plain(SENTENCE_END.split(text, 1)[0]))
    return next((letter for letter, option in options.items() if option in wanted), "")


def _mentioned(text: str, options: Mapping[str, str]) -> str:
    """The option whose text is mentioned last; of those that end together, the longest."""
    words, best = f" {plain(text)} ", (-1, 0, "")
    for letter, option in options.items():
        place = words.rfind(f" {option} ")
        if place >= 0:
            best = max(best, (place + len(option), len(option), letter))
    return best[2]


def _read_number(text: str) -> tuple[str, tuple[Decimal, ...]]:
    """A number as it is written, and the values that it may mean; ("", ()) where there is none."""
    stated = stated_answer(text).rpartition("=")[2]
    for place, last in ((stated, False), (_tail(text), True)):
        readable = FRACTION.sub(r" \1/\2", place.replace("{,}", ","))
        matches = list(NUMBER.finditer(readable))
        if matches:
            match = matches[-1 if last else 0]
            sign = _sign(readable[max(0, match.start() - 4) : match.start()])
            return sign + match[0].strip(), _values(match, -1 if sign else 1)
    return "", ()


def _sign(before: str) -> str:
    match = BEFORE_NUMBER.search(before)
    return "-" if match and (match[1] or match[2]) else ""


def _values(match: re.Match[str], sign: int) -> tuple[Decimal, ...]:
    top = ARITHMETIC.create_decimal(re.sub(r"[^\d.eE+-]", "", match["top"]))
    if match["bottom"]:
        bottom = Decimal(match["bottom"])
        if not bottom:
            return ()
        top = ARITHMETIC.divide(top, bottom)
    if match["whole"]:
        top = ARITHMETIC.add(top, Decimal(match["whole"]))
    value = ARITHMETIC.multiply(top, Decimal(sign))
    return (value, ARITHMETIC.divide(value, Decimal(100))) if match["percent"] else (value,)


def _close(found: Decimal, wanted: Decimal) -> bool:
    off = ARITHMETIC.abs(ARITHMETIC.subtract(found, wanted))
    return off <= ARITHMETIC.multiply(ARITHMETIC.abs(wanted), TOLERANCE)


def _same(found: str, answer: str) -> bool:
    if is_number(found) and is_number(answer):
        return numeric(found, Case("", answer)).correct
    return plain(found) == plain(answer)


def _tail(reply: str) -> str:
    return reply[-TAIL_CHARACTERS:]


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the brace before `start`, or the end of the text."""
    nesting = 1
    for place in range(start, len(text)):
        nesting += {"{": 1, "}": -1}.get(text[place], 0)
        if not nesting:
            return place
    return len(text)
