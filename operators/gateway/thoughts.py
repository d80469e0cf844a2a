"""A model's thoughts, separated from its answer: the one place where a reply's text is told from its reasoning.

Models put thoughts into fields of their own, or into the text: within tags (whose opening tag the server's template may
have eaten), or into channels (gpt-oss's harmony format). A tag within code is code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from operators.gateway.code_spans import Span, blocks_of_code, quoted_in
from operators.gateway.endpoint_replies import EndpointReply

ONLY_THOUGHTS = "the reply has no text but the model's thoughts"
UNENDED_THOUGHTS = "the reply ends within the model's thinking"

_NAMES = "think|thinking|thoughts?|reasoning|seed:think"
# Of each pair the first opens and the second closes: HTML-like tags, Mistral's and Kimi's.
_TAG = re.compile(
    rf"(?P<open><(?:{_NAMES})>|\[THINK\]|◁think▷)|(?P<close></(?:{_NAMES})>|\[/THINK\]|◁/think▷)", re.IGNORECASE
)
_CHANNEL = re.compile(r"<\|(start|channel|message|end|return|call|constrain)\|>")
# What is left of the channels where a server took the special tokens out of the text.
_BARE_THOUGHTS, _BARE_ANSWER = "analysis", "assistantfinal"
_BLANK_LINES = re.compile(r"\A\s*\n")


class Separated(NamedTuple):
    """A text without its thoughts, and these.

    Attributes:
        ended: the thoughts have an end; what comes after them is an answer, if anything does.
    """

    text: str
    reasoning: str = ""
    ended: bool = True


@dataclass(frozen=True, slots=True)
class _Mark:
    """A tag in a text.

    Attributes:
        opens: it begins thoughts; otherwise it ends them.
        coded: it is a part of code.
        first: nothing but white space is in front of it on its line.
    """

    start: int
    end: int
    opens: bool
    coded: bool
    first: bool


def answered(reply: EndpointReply, most_tokens: int) -> EndpointReply:
    """The reply with its thoughts in `reasoning` and nothing but the answer in `text`.

    Args:
        most_tokens: that the reply was allowed.
    """
    if reply.outcome not in ("ok", "empty", "truncated"):
        return reply
    parted = separated(reply.text)
    reasoning = "\n".join(filter(None, (reply.reasoning.strip(), parted.reasoning)))
    reply = replace(reply, text=parted.text, reasoning=reasoning)
    if parted.text.strip():
        return reply
    if reply.outcome == "truncated":
        return replace(reply, error=cut_off(most_tokens))
    if reply.outcome == "ok":
        return replace(reply, outcome="empty", error=ONLY_THOUGHTS if parted.ended else UNENDED_THOUGHTS)
    return reply


def cut_off(most_tokens: int) -> str:
    """Why a reply has no text, where its tokens went into thoughts."""
    return f"cut off at {most_tokens} tokens while thinking: raise reply_tokens"


def separated(text: str) -> Separated:
    """The answer that a text holds, and the thoughts; the text as it is where it has none."""
    if "<|" in text and (found := _by_channel(text)):
        return found
    if text.startswith(_BARE_THOUGHTS) and _BARE_ANSWER in text:
        thoughts, _, answer = text.removeprefix(_BARE_THOUGHTS).partition(_BARE_ANSWER)
        return Separated(answer, thoughts.strip())
    if not _TAG.search(text):
        return Separated(text)
    marks = list(_marks(text))
    spans, ended = _thoughts(text, marks)
    return _without(text, spans, ended) if spans else Separated(text)


# Tags


def _marks(text: str) -> Iterator[_Mark]:
    """The tags of a text, in order."""
    coded = _Coded(text)
    for found in _TAG.finditer(text):
        yield _Mark(*found.span(), bool(found["open"]), coded.holds(found.start()), coded.first)


class _Coded:
    """Whether places of a text, asked for in order, are code."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._blocks = blocks_of_code(text)
        self._block: Span = (0, 0)
        self._line: Span = (0, 0)
        self._quoted: list[Span] = []
        self.first = False

    def holds(self, at: int) -> bool:
        """Whether the place is code; `first` says whether it is the first on its line."""
        while self._block[1] <= at:
            self._block = next(self._blocks, (len(self._text), len(self._text) + 1))
        if self._line[1] <= at:
            start, end = self._text.rfind("\n", 0, at) + 1, self._text.find("\n", at)
            self._line = start, end + 1 if end >= 0 else len(self._text) + 1
            self._quoted = [(start + first, start + last) for first, last in quoted_in(self._text[slice(*self._line)])]
            self._quoted.reverse()
            self.first = not self._text[start:at].strip()
        else:
            self.first = False
        while self._quoted and self._quoted[-1][1] <= at:
            self._quoted.pop()
        return self._block[0] <= at or bool(self._quoted and self._quoted[-1][0] <= at)


def _thoughts(text: str, marks: Sequence[_Mark]) -> tuple[list[Span], bool]:
    """Where thoughts are, tags included, and whether the last of them have an end."""
    spans: list[Span] = []
    opened: _Mark | None = None
    last = len(text.rstrip())
    for mark in marks:
        if mark.coded:
            continue
        if mark.opens:
            opened = opened or mark
        elif opened:
            spans.append((opened.start, mark.end))
            opened = None
        elif spans and mark.end >= last:
            spans.append((mark.start, mark.end))  # behind the answer: it ends nothing
        else:
            spans = [(0, mark.end)]
    if opened is None or not (opened.first or (spans and not text[spans[-1][1] : opened.start].strip())):
        return spans, True
    # A block of code or a quote that the thoughts did not close may hide their end.
    closing = next((mark for mark in marks if mark.start > opened.start and not mark.opens), None)
    return [*spans, (opened.start, closing.end if closing else len(text))], closing is not None


def _without(text: str, spans: Sequence[Span], ended: bool) -> Separated:
    rest, thoughts, at = [], [], 0
    for start, end in spans:
        rest.append(text[at:start])
        thoughts.append(_TAG.sub("", text[start:end]).strip())
        at = end
    rest.append(text[at:])
    return Separated(_BLANK_LINES.sub("", "".join(rest)), "\n".join(filter(None, thoughts)), ended)


# Channels


def _by_channel(text: str) -> Separated | None:
    """By the channels of the harmony format; None where the text has none."""
    coded = _Coded(text)
    found = [(token, coded.holds(token.start())) for token in _CHANNEL.finditer(text)]
    bare = [token for token, is_code in found if not is_code]
    if not any(token[1] == "channel" for token in bare):
        return None
    parted = _channelled(text, bare)
    # Thoughts with a block of code that is not closed, which hides the channels behind it.
    return parted if parted.ended else _channelled(text, [token for token, _ in found])


def _channelled(text: str, tokens: Sequence[re.Match[str]]) -> Separated:
    answers: list[str] = []
    thoughts = [text[: tokens[0].start()]]
    channel, ended = "", False
    ends = (*(token.start() for token in tokens[1:]), len(text))
    for token, end in zip(tokens, ends, strict=True):
        piece = text[token.end() : end]
        if token[1] == "start":
            channel = "final"  # a message without a channel is an answer
        elif token[1] == "channel":
            channel = piece.strip().partition(" ")[0].lower()
        elif token[1] == "message":
            ended = ended or channel == "final"
            (answers if channel == "final" else thoughts).append(piece)
    reasoning = "\n".join(thought.strip() for thought in thoughts if thought.strip())
    return Separated("".join(answers).lstrip("\n"), reasoning, ended)
