"""Metrics of a prompt task: whether a model's reply gives the answer that a case expects.

Replies are hostile: a metric never raises and takes time in proportion to the length of the reply; a pattern of the
user's, which may backtrack, sees the last 4,000 characters. Every metric but `regex` trusts most what follows the last
"answer is", "answer:", "####" or "\\boxed{" of a reply; where a careful reader could not be sure, there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from typing import TypeAlias

from evo.errors import ConfigError
from problems.prompt_cases import Case
from problems.prompt_choices import free_choice, letter_of, options_of, plain, stated_choice
from problems.prompt_numbers import ARITHMETIC, quantities, readable, whole_number_text
from problems.prompt_quantities import free_number, stated_number
from problems.prompt_replies import TAIL_CHARACTERS, Reading, answer_part, sentences, settled, statements

PATTERN_TAIL_CHARACTERS = 4_000
TOLERANCE = Decimal("1e-6")
GUESSED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """A metric's verdict on a reply.

    Attributes:
        found: the answer that was read in the reply; empty where there was none.
        reason: why none was read, where the reply holds something that could be one.
    """

    correct: bool
    found: str = ""
    reason: str = ""


Metric: TypeAlias = Callable[[str, Case], AnswerVerdict]


def exact(reply: str, case: Case) -> AnswerVerdict:
    """The reply, or the answer that it states, is the expected text.

    Case, spacing, quotes, asterisks, and punctuation at the end of words do not count; brackets and signs do.
    """
    wanted = plain(case.answer)
    # A longer text cannot reduce to the expected answer, so it is not worth normalising.
    most = 16 * len(case.answer) + 1000
    if len(reply) <= most and plain(reply) == wanted:
        return AnswerVerdict(True, reply.strip())
    reading = settled(reply, partial(_stated_text, wanted, most), partial(_free_text, wanted, most))
    return AnswerVerdict(reading.meaning == wanted, reading.found, reading.reason)


def multiple_choice(reply: str, case: Case) -> AnswerVerdict:
    """The reply's choice is the expected letter: "(B)", "B.", "answer is B", or the text of option B.

    Options are the lines "(A) TEXT" of the question; where the expected answer is none of them, it is compared as by
    `exact`. Letters whose options have the same text are the same choice.
    """
    options = options_of(case.question)
    wanted = letter_of(case.answer, options)
    if not wanted:
        return exact(reply, case)
    reading = settled(reply, partial(stated_choice, options), partial(free_choice, options))
    same = options.get(reading.found, reading.found) == options.get(wanted, wanted)
    return AnswerVerdict(bool(reading.found) and same, f"({reading.found})" if reading.found else "", reading.reason)


def numeric(reply: str, case: Case) -> AnswerVerdict:
    """The reply's number is the expected number, within a relative error of 1e-6.

    Separators, currency, fractions ("3/4", "1 1/2"), powers, products and scales ("3 million") are read; 50% is both 50
    and 0.5. Where a careful reader could not tell which number is meant, there is no answer.
    """
    reading = settled(reply, stated_number, free_number)
    values = reading.meaning if isinstance(reading.meaning, tuple) else ()
    wanted = _expected(case.answer)
    return AnswerVerdict(
        any(_close(value, expected) for value in values for expected in wanted), reading.found, reading.reason
    )


def regex(pattern: str) -> Metric:
    """The metric that takes for the answer what the pattern's group (or all of it, without a group) matches last.

    The answer is compared as by `exact`, and as a number where both are numbers. A pattern in which repeats are nested
    can take for ever on a few thousand characters: write it without repeats of repeats.

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
    return "numeric" if all(is_number(answer) for case in cases for answer in case.answers) else "exact"


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else but a currency or percent sign."""
    return whole_number_text(text)


def stated_answer(reply: str) -> str:
    """The rest of the line after the last mark of an answer, or the next line that is not blank; "" without a mark."""
    found = statements(reply)
    return found[-1].text if found else ""


def _stated_text(wanted: str, most: int, line: str) -> Reading:
    """The statement, its first sentence or its part before an explanation: the expected one where there is such."""
    first = sentences(line)[0] if line else ""
    for text in (line, first, answer_part(line), answer_part(first)):
        if text and len(text) <= most and plain(text) == wanted:
            return Reading(text, wanted)
    shown = answer_part(first)
    return Reading(shown, plain(shown[:most]))


def _free_text(wanted: str, most: int, text: str) -> Reading:
    """The only sentence, the first or the last that is an answer by itself."""
    said = sentences(text[-TAIL_CHARACTERS:])
    if not said:
        return Reading()
    ends = [said[0], said[-1]] if len(said) > 1 else [said[0]]
    read = [plain(_without_lead(answer_part(end))) if len(end) <= most else "" for end in ends]
    right = [place for place, end in enumerate(read) if end == wanted]
    if not right:
        return Reading(ends[-1][:most])
    others = [end for place, end in enumerate(read) if place not in right]
    if others and len(others[0].split()) <= len(wanted.split()) + 1:
        return Reading(reason="two different answers")
    return Reading(ends[right[0]], wanted)


def _without_lead(sentence: str) -> str:
    """A sentence without "So it is", "The capital of France is" and the like; as it is where it denies or doubts."""
    if re.search(r"\b(?:not|never|or|neither|false that|if|maybe)\b|n't\b", sentence):
        return sentence
    return re.sub(
        r"^(?:\W{0,3}(?:so|thus|hence|therefore|it|this|that|the|he|she)\b"
        r"[^.:]{0,80}?(?:\bis|\bwas|\bare|'s)|yes, it is)\s",
        "",
        sentence,
        flags=re.IGNORECASE,
    )


@lru_cache(maxsize=4096)
def _expected(answer: str) -> tuple[Decimal, ...]:
    found = quantities(readable(answer))
    return found[0].values if found else ()


def _close(found: Decimal, wanted: Decimal) -> bool:
    off = ARITHMETIC.abs(ARITHMETIC.subtract(found, wanted))
    return off <= ARITHMETIC.multiply(ARITHMETIC.abs(wanted), TOLERANCE)


def _same(found: str, answer: str) -> bool:
    if is_number(found) and is_number(answer):
        return any(_close(value, expected) for value in _expected(found) for expected in _expected(answer))
    return plain(found) == plain(answer)
