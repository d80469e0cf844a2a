"""Where a model's reply gives its answer: marks such as "the answer is", corrections, refusals and explanations.

Wrong readings are worse than none: two different answers, a choice of several, or a refusal give no answer, and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass

TAIL_CHARACTERS = 16_000
LONGEST_REPLY = 500_000
STATEMENTS_READ = 8

STATED = re.compile(
    r"(?P<strong>final\s)?answers?(?P<part>\s(?:to|for)\s[^.:\n]{1,60}?)?\W{0,4}"
    r"(?:is\b|are\b|(?:would|should|must)\sbe\b|[:=])|####|\\boxed\s?\{|(?<=\n)\W{0,4}(?:result|solution)\W{0,4}:",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?;](?=\s)|[.!?][\"')*]{1,3}(?=\s)|\n")
CORRECTION = re.compile(
    r"(?:^|[.!?;:,(\u2013\u2014-]\s?|\n|\b(?:oh|hmm|but|or|and)\s)\W{0,3}"
    r"(?P<word>wait|no|nope|actually|correction|scratch that|sorry|oops|hold on|on second thoughts?"
    r"|make that|i mean|or rather"
    r"|(?:that|this|it)(?:'s| is| was) (?:wrong|incorrect|not right|a mistake)|i (?:made a mistake|was wrong)"
    r"|let me (?:re-?check|re-?do|correct|re-?compute|re-?calculate))\b(?=\W|$)",
    re.IGNORECASE,
)
# Taken back, even if no other answer follows.
TAKEN_BACK = re.compile(r"wrong|incorrect|not right|mistake|scratch", re.IGNORECASE)
REFUSAL = re.compile(
    r"\b(?:can ?not|can't|could ?n[o']t|unable to|not able to|impossible to)\s(?:\w{1,12}\s){0,2}?"
    r"(?:determined?|answer(?:ed)?|say|tell|sol[vd]e|help|calculated?|computed?|provide|decide|know|be sure"
    r"|be certain)\b"
    r"|\b(?:do not|don't|does not) know\b|\bno (?:single |definite |unique |final )?answer\b|\bnot (?:sure"
    r"|certain|enough)\b|\bunsure\b|\bdepends\b"
    r"|\binsufficient\b|\bundefined\b|\bas an ai\b|\bno idea\b|\bwho knows\b|\bunknown\b|\bnone of (?:the"
    r"|these|them)\b",
    re.IGNORECASE,
)
EXPLANATION = re.compile(
    r"[,;:(\u2013\u2014-]*\s(?:because|since|as|so|which|where|given|hence|for example|due to|and (?:not"
    r"|so)|not)\b|\s\((?!\W?\d)|,\sbut\s",
    re.IGNORECASE,
)

REASON = re.compile(r"[,;(]?\s\(?(?:because|since)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in a reply.

    Attributes:
        found: the answer as it is written; empty where there is none.
        meaning: equal for answers that mean the same.
        reason: why there is no answer, where something was found that could not be read safely.
    """

    found: str = ""
    meaning: Hashable = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a mark of an answer announces.

    Attributes:
        text: the rest of the line, the next line that is not blank, or what the braces of \\boxed hold.
        start: index of its mark.
        end: index behind its mark.
        strength: 2 of a box, "####" or "final answer", 1 of "answer is", 0 of "answer to PART is".
    """

    text: str
    start: int
    end: int
    strength: int


def statements(reply: str) -> list[Statement]:
    """The last statements of a reply, in its order. "####" counts in the last line only: elsewhere it is a heading."""
    last_line = reply.rstrip().rfind("\n") + 1
    marks = _marks(reply, len(reply) - TAIL_CHARACTERS, last_line) or _marks(
        reply, len(reply) - LONGEST_REPLY, last_line
    )
    marks = marks[-STATEMENTS_READ:]
    ends = [*(mark.start() for mark in marks[1:]), len(reply)]
    return [_statement(reply, mark, end) for mark, end in zip(marks, ends, strict=False)]


def settled(reply: str, stated: Callable[[str], Reading], free: Callable[[str], Reading]) -> Reading:
    """The answer that a reply ends with.

    Args:
        stated: reads what a mark announces.
        free: reads a text without such marks.
    """
    read = [(statement, stated(_uncorrected(statement.text))) for statement in statements(reply)]
    read = [(statement, reading) for statement, reading in read if reading.found or reading.reason]
    if not read:
        return _unmarked(reply[-TAIL_CHARACTERS:], free)
    last, answer = read[-1]
    later = _corrected(reply[last.end : last.end + TAIL_CHARACTERS], free)
    if later is not None:
        return later
    for earlier, other in read[:-1]:
        between = reply[earlier.end : last.start][-TAIL_CHARACTERS:]
        if _rivals(earlier, other, last, answer) and not CORRECTION.search(between + " "):
            return Reading(reason=f"two different answers: {other.found} and {answer.found}")
    if REFUSAL.search(reply[last.end : last.end + TAIL_CHARACTERS]):
        return Reading(reason="the answer is doubted or refused")
    return answer


def sentences(text: str) -> list[str]:
    """The sentences of a text, without blank ones; a line ends a sentence."""
    return [part.strip() for part in SENTENCE_END.sub(lambda end: end[0] + "\n", text).split("\n") if part.strip()]


def before_reason(sentence: str) -> str:
    """A sentence up to its "because" or "since"."""
    found = REASON.search(sentence, 1)
    return sentence[: found.start()] if found else sentence


def answer_part(line: str) -> str:
    """A line up to the explanation of its answer."""
    found = EXPLANATION.search(line, 1)
    return line[: found.start()] if found else line


def _unmarked(text: str, free: Callable[[str], Reading]) -> Reading:
    later = _corrected(text, free)
    if later is not None:
        return later
    if REFUSAL.search(text):
        return Reading(reason="the answer is doubted or refused")
    return free(text)


def _corrected(text: str, free: Callable[[str], Reading]) -> Reading | None:
    """What the last correction in a text says; None without a correction."""
    start = len(text) - len(text.lstrip())  # with it a reply begins, and corrects nothing
    found = [one for one in CORRECTION.finditer(text) if one.start("word") > start][-STATEMENTS_READ:]
    for correction in reversed(found):
        reading = free(text[correction.end() :])
        if reading.found or reading.reason:
            return reading
        if TAKEN_BACK.search(correction["word"]):
            return Reading(reason="the answer is taken back")
    return None


def _uncorrected(line: str) -> str:
    found = CORRECTION.search(line, 1)
    return line[: found.start()] if found else line


def _rivals(earlier: Statement, other: Reading, last: Statement, answer: Reading) -> bool:
    different = bool(other.found and answer.found) and other.meaning != answer.meaning
    return different and earlier.strength >= max(1, last.strength)


def _marks(reply: str, start: int, last_line: int) -> list[re.Match[str]]:
    marks = STATED.finditer(reply, max(0, start))
    return [mark for mark in marks if mark[0] != "####" or mark.start() >= last_line]


def _statement(reply: str, mark: re.Match[str], limit: int) -> Statement:
    strong = mark[0].startswith(("#", "\\")) or bool(mark["strong"])
    end = mark.end()
    if mark[0].endswith("{"):
        text = reply[end : _closing(reply, end)].strip()
    else:
        following = reply[end : min(limit, end + TAIL_CHARACTERS)].lstrip(" \t\r\n*_:")
        text = following.partition("\n")[0].strip()
    return Statement(text, mark.start(), end, 2 if strong else 0 if mark["part"] else 1)


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the brace before `start`, or the end of the text."""
    nesting = 1
    for place in range(start, min(len(text), start + TAIL_CHARACTERS)):
        nesting += {"{": 1, "}": -1}.get(text[place], 0)
        if not nesting:
            return place
    return min(len(text), start + TAIL_CHARACTERS)
