"""The number that a text answers with, among the other numbers that it mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from problems.prompt_numbers import CURRENCY, Quantity, quantities, readable
from problems.prompt_replies import TAIL_CHARACTERS, Reading, answer_part, before_reason, sentences

LONGEST_LINE = 4_000
DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\brather than|\binstead of|\bcannot be|\bexcept)\s(?:be\s)?(?:just\s|only\s"
    r"|equal to\s)?[$\u20ac\u00a3]?-?$",
    re.IGNORECASE,
)
# A number that counts or compares something on the way, or is a name.
LABEL = re.compile(
    r"(?:\b(?:step|part|question|problem|line|row|equation|case|page|figure|chapter|option|day|week|year"
    r"|round|in|version|no\.|number|method|example)|#)\s?$",
    re.IGNORECASE,
)
COMPARED = re.compile(
    r"\s?(?:\w{1,12}\s)?(?:more|less|fewer|greater|higher|lower|bigger|smaller|larger|older|younger|times"
    r"|percent of)\b|\s?(?:dozen|squared|cubed)\b|-[A-Za-z]|\s?(?:steps|ways to|cases|options|possibilities to)\b"
)
DERIVED = re.compile(
    r"\b(?:twice|half|double|triple|thrice|squared?|root|product|sum|difference|cube"
    r"|factorial)\s(?:of\s)?(?:the\s)?(?:(?:number|amount)\s(?:of\s)?)?\$?$",
    re.IGNORECASE,
)
CONCLUSION = re.compile(r"[,;]?\s(?:so|therefore|thus|hence)\b", re.IGNORECASE)
ALTERNATIVE = re.compile(r"\W*(?:or|maybe|perhaps|possibly)\b", re.IGNORECASE)
JOINED = re.compile(
    r"\s?[\w%\u00b0/$\\]{0,20}(?:,?\s?\b(?:or|and|to|and/or|through|versus|vs\.?)\s|\s?[/,&\u2013\u2014]\s?"
    r"|\s)(?:\w{1,9}\s){0,2}[$\u20ac\u00a3(]{0,2}-?$",
    re.IGNORECASE,
)
CUE = re.compile(
    rf"(?:\b(?:is|are|was|be|equals?|equal to|makes?|totals?|gives?|gets?|got|have|has|had|costs?|needs?"
    rf"|earns?|left with|total|answer|left|pays?|takes?|yields?)|[:=\u2248\u2192])\s"
    rf"(?:(?:about|exactly|only|now|just|approximately|roughly|a total of|still|therefore|thus|then"
    rf"|at least|at most)\s){{0,2}}[{CURRENCY}]?\s?-?$",
    re.IGNORECASE,
)
ASSIGNED = re.compile(r"(?<![\w\\])([a-zA-Z])\s?=")
REVERSE = re.compile(
    r"\s?[^.!?\n\d]{0,30}?\b(?:is|was) (?:the|my|our) (?:\w{1,10} )?(?:answer|result|solution)\b", re.IGNORECASE
)


def stated_number(line: str) -> Reading:
    """The number in what a mark of an answer announces: the first, behind the last "=" before the explanation."""
    for sentence in sentences(readable(line[:LONGEST_LINE])):
        if not quantities(sentence):
            continue
        part = answer_part(sentence)
        part = part if quantities(part) else sentence
        if _several_variables(part):
            return Reading(reason="several variables are given")
        behind = "=" + part.rpartition("=")[2]
        return _first(behind if "=" in part and quantities(behind) else part)
    return Reading()


def free_number(text: str) -> Reading:
    """The number of a text without marks: the only one, that of its first line, or that of its last sentence."""
    text = readable(text[-TAIL_CHARACTERS:])
    said = [sentence for sentence in sentences(text) if quantities(sentence)]
    if not said:
        return Reading()
    named = _reverse(said)
    if named.found:
        return named
    opening = _bare(said[0]) if text.lstrip(" \t\r\n*_$").startswith(said[0].lstrip("*_$ ")[:40]) else Reading()
    ending, firm = _ending(said[-1])
    if len(said) > 1 and ALTERNATIVE.match(said[1]):
        return Reading(reason="several numbers are thought possible")
    if opening.found and len(said) > 1:
        if firm and ending.found and ending.meaning != opening.meaning:
            return Reading(reason=f"two different numbers: {opening.found} and {ending.found}")
        return opening
    if not ending.found and not firm:
        return _only(said) or ending
    return ending


def _only(said: list[str]) -> Reading | None:
    """The single number of all sentences, whatever they say with it."""
    usable = [number for sentence in said for number in _candidates(sentence)]
    values = {number.values for number in usable}
    return _reading(usable[0]) if len(values) == 1 else None


def _first(part: str) -> Reading:
    every = quantities(part)
    usable = [number for number in every if not _denied(part, number) and not _labelled(part, number)]
    if not usable:
        return Reading(reason="every number is denied or compared") if every else Reading()
    first = usable[0]
    if _compared(part, first):
        return Reading(reason=f"{first.written} is compared or derived")
    for other in usable[1:2]:
        between = part[first.end : other.start]
        if other.values != first.values and JOINED.fullmatch(between):
            return Reading(reason=f"several numbers: {first.written} and {other.written}")
    return _reading(first)


def _ending(sentence: str) -> tuple[Reading, bool]:
    """The number of a last sentence, and whether the sentence says clearly that it is the result."""
    if _several_variables(sentence):
        return Reading(reason="several variables are given"), True
    part = before_reason(sentence)
    sentence = part if _candidates(part) else sentence
    conclusion = CONCLUSION.split(sentence)[-1]
    sentence = conclusion if _candidates(conclusion) else sentence
    behind = "=" + sentence.rpartition("=")[2]
    if "=" in sentence and _candidates(behind):
        return _first(behind), True
    usable = _candidates(sentence)
    if len({number.values for number in usable}) == 1:
        bare = _bare(sentence)
        cue = CUE.search(sentence[max(0, usable[0].start - 60) : usable[0].start])
        return _reading(usable[0]), bool(bare.found or cue)
    cued = [number for number in usable if CUE.search(sentence[max(0, number.start - 60) : number.start])]
    if cued:
        last = cued[-1]
        others = [number for number in usable if number.start > last.start]
        joined = others and JOINED.fullmatch(sentence[last.end : others[0].start])
        if not joined and len({number.values for number in cued}) == 1:
            return _reading(last), True
    if not usable:
        return Reading(), False
    return Reading(reason="several numbers: " + " and ".join(number.written for number in usable[:3])), False


@lru_cache(maxsize=64)
def _candidates(sentence: str) -> Sequence[Quantity]:
    """The numbers that may be an answer: not denied, no label, not compared; an ordinal if there is no other."""
    usable = [
        number
        for number in quantities(sentence)
        if not _denied(sentence, number) and not _labelled(sentence, number) and not _compared(sentence, number)
    ]
    return [number for number in usable if not number.ordinal] or usable


def _bare(sentence: str) -> Reading:
    """The number of a sentence that is a number and at most a unit."""
    found = quantities(sentence)
    if len(found) != 1:
        return Reading()
    before, after = sentence[: found[0].start], sentence[found[0].end :]
    unit = re.fullmatch(r"\W{0,3}(?:[\w\u00b0/^]{1,15}\W{0,3}){0,2}", after)
    verb = re.search(r"\b(?:is|are|was|has|have|plus|minus|times|more|less|or)\b|\?", after)
    return (
        _reading(found[0]) if unit and not verb and re.fullmatch(rf"[\s*_(\[{CURRENCY}-]{{0,8}}", before) else Reading()
    )


def _reverse(said: list[str]) -> Reading:
    """The number in "18 is the answer"."""
    for sentence in reversed(said[-3:]):
        for number in quantities(sentence):
            if REVERSE.match(sentence, number.end) and not _denied(sentence, number):
                return _reading(number)
    return Reading()


def _reading(quantity: Quantity) -> Reading:
    if not quantity.values:
        return Reading(reason=f"{quantity.written[:40]} is no single number")
    return Reading(quantity.written, quantity.values)


def _several_variables(text: str) -> bool:
    several = len(set(ASSIGNED.findall(text))) > 1 or re.search(r"=[^=]{0,40}\b(?:or|and)\b[^=\d]{0,20}=", text)
    return bool(several) and len({number.values for number in quantities(text)}) > 1


def _denied(text: str, quantity: Quantity) -> bool:
    return bool(DENIED.search(text[max(0, quantity.start - 40) : quantity.start]))


def _labelled(text: str, quantity: Quantity) -> bool:
    return bool(LABEL.search(text[max(0, quantity.start - 20) : quantity.start]))


def _compared(text: str, quantity: Quantity) -> bool:
    before = text[max(0, quantity.start - 40) : quantity.start]
    return bool(COMPARED.match(text, quantity.end)) or bool(DERIVED.search(before))
