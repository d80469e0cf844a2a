"""Splitting a text into sentences and the white space around them; joined, they are the text again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

LINE_BREAKS = frozenset("\n\r\u2028\u2029")
LONGEST_TOKEN = 40

# Full stop, exclamation and question mark of scripts that put no space behind them.
_WIDE_STOPS = "\u3002\uff01\uff1f"
_CLOSERS = r"\"'\u201d\u2019\u00bb)\]*_`"
_OPENERS = "\"'\u201c\u2018([*_"

# White space, or the place behind a wide stop.
_GAP = re.compile(rf"\s+|(?<=[{_WIDE_STOPS}])(?=[^\s{_WIDE_STOPS}\u300d\u300f\uff09{_CLOSERS}])")
_STOP = re.compile(rf"[.!?…{_WIDE_STOPS}][{_CLOSERS}]*$")
_STOP_OR_COLON = re.compile(rf"[.!?…:{_WIDE_STOPS}][{_CLOSERS}]*$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+$")
_NUMBER = re.compile(r"\d{1,3}[.)]*\.$")
_SHORT_FORMS = frozenset(("approx.", "cf.", "dr.", "eq.", "fig.", "mr.", "mrs.", "ms.", "prof.", "st.", "vs."))
# What is never cut within: fenced blocks, closed or not, and code within a line.
_CODE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*(?:\n.*?)??(?:\n {0,3}(?P=fence)[`~]*[ \t]*$|\Z)|`[^`\n]+`",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A text in pieces.

    Attributes:
        sentences: each with no white space at its edges, and none of them empty.
        gaps: the white space before, between and after them; a gap more than there are sentences.
    """

    sentences: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def text(self) -> str:
        """The pieces joined."""
        between = zip(self.sentences, self.gaps[1:], strict=True)
        return self.gaps[0] + "".join(sentence + gap for sentence, gap in between)

    def replaced(self, index: int, sentence: str) -> Split:
        """With another sentence in the same place."""
        return replace(self, sentences=(*self.sentences[:index], sentence, *self.sentences[index + 1 :]))

    def without(self, index: int) -> Split:
        """Without a sentence and a gap beside it: of two within the text, the gap with fewer line breaks."""
        last = len(self.sentences) - 1
        before, after = self.gaps[index], self.gaps[index + 1]
        if last == 0:
            kept = before + after
        elif index in {0, last}:
            kept = before if index == 0 else after
        else:
            kept = max(before, after, key=_breaks)
        sentences = (*self.sentences[:index], *self.sentences[index + 1 :])
        return Split(sentences, (*self.gaps[:index], kept, *self.gaps[index + 2 :]))

    def inserted(self, index: int, sentence: str) -> Split:
        """With another sentence at `index`: on a line of its own where the others are."""
        sentences = (*self.sentences[:index], sentence, *self.sentences[index:])
        if not self.sentences:
            return Split(sentences, (*self.gaps, ""))
        behind = max(index, 1)
        return Split(sentences, (*self.gaps[:behind], self._gap_for(index), *self.gaps[behind:]))

    def _gap_for(self, index: int) -> str:
        inner = self.gaps[1:-1]
        in_lines = bool(inner) and all(map(_breaks, inner))
        open_ended = index > 0 and not _STOP_OR_COLON.search(self.sentences[index - 1][-LONGEST_TOKEN:])
        if not (in_lines or open_ended):
            return " "
        return "\r\n" if any("\r\n" in gap for gap in self.gaps) else "\n"


@lru_cache(maxsize=256)
def split_sentences(text: str) -> Split:
    """The sentences of a text: lines, and within a line what a full stop, question or exclamation mark ends.

    Short forms, initials and numbers of a list end none; a line that goes on in small letters belongs to the next; a
    fenced block is a single sentence.
    """
    sentences, gaps, at = [], [""], 0
    for start, end in _cuts(text):
        sentences.append(text[at:start])
        gaps.append(text[start:end])
        at = end
    sentences.append(text[at:])
    gaps.append("")
    # White space at an edge has no sentence on its other side.
    if not sentences[0]:
        sentences, gaps = sentences[1:], ["".join(gaps[:2]), *gaps[2:]]
    if sentences and not sentences[-1]:
        sentences, gaps = sentences[:-1], [*gaps[:-2], "".join(gaps[-2:])]
    return Split(tuple(sentences), tuple(gaps))


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Where the gaps begin and end."""
    codes = iter(
        [(match.start("fence") if match["fence"] else match.start(), match.end()) for match in _CODE.finditer(text)]
    )
    first, last = next(codes, (len(text), len(text)))
    for gap in _GAP.finditer(text):
        start, end = gap.span()
        while last <= start and last < len(text):
            first, last = next(codes, (len(text), len(text)))
        at_edge = start == 0 or end == len(text)
        if at_edge or (not first <= start < last and _parts(text, start, end)):
            yield start, end


def _parts(text: str, start: int, end: int) -> bool:
    """Whether this white space, which has something on both sides, parts two sentences."""
    gap, following = text[start:end], text[end]
    if not gap:
        return True
    if breaks := _breaks(gap):
        return breaks > 1 or not (following.islower() and (text[start - 1].isalnum() or text[start - 1] == ","))
    return not following.islower() and _ends(text[max(0, start - LONGEST_TOKEN) : start])


def _ends(before: str) -> bool:
    """Whether the last word of a text ends a sentence."""
    token = before.split()[-1]
    word = token.lstrip(_OPENERS)
    if not _STOP.search(token) or _INITIALS.match(word) or word.lower() in _SHORT_FORMS:
        return False
    line = before[: -len(token)].rstrip(" \t")
    return not (_NUMBER.match(word) and (not line or line[-1] in LINE_BREAKS))


def _breaks(gap: str) -> int:
    return sum(1 for character in gap.replace("\r\n", "\n") if character in LINE_BREAKS)
