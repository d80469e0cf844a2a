"""What a reply holds: fenced blocks of code and the words before them. Pure; raises nothing but RefusalError.

A reply may be anything: what cannot be read is refused here with a reason that names the place.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from evo.models import Completion
from evo.values import clip_text
from operators.llm.fences import CodeBlock, fenced_blocks, first_fence
from operators.llm.python_text import beginning_of_code
from operators.refusal import RefusalError

MAX_CHARACTERS = 400_000
MAX_BLOCKS = 16_000
THOUGHT_BYTES = 2000

SEARCH = re.compile(r"^[ \t]*+<{5,9} ?SEARCH\b[ \t]*+(.*+)$", re.MULTILINE)
_FILE = re.compile(r"^[ \t#*`\"'/-]*+file[ \t#*`\"'/-]*+:(?=[ \t*`\"':]*+[^ \t*`\"':\n])", re.MULTILINE | re.IGNORECASE)
_DIRECTION = re.compile(r"^[ \t#*`\"'/-]*+direction[ \t#*`\"'/-]*+:[^\n]*+", re.MULTILINE | re.IGNORECASE)
_ORNAMENTS = " \t#*`\"'/-"
_REFUSAL = re.compile(
    r"\W*((i'?m|i am) (very |really )?(sorry|afraid|unable|not able)|sorry\b|as an ai\b|unfortunately, i can"
    r"|i (cannot|can't|can not|will not|won't|must decline))",
    re.IGNORECASE,
)


def text_of(completion: Completion) -> str:
    """The text to read, its newlines unified and the model's reasoning left out.

    Raises:
        RefusalError: the completion failed, or its text is empty, too long or no text.
    """
    if completion.outcome in ("ok", "truncated"):
        return readable(completion.text)
    if completion.outcome == "refused":
        raise RefusalError("refused", f"the model refused: {_reason(completion) or 'no reason given'}")
    reason = clip_text(completion.error, THOUGHT_BYTES) or "no reason given"
    raise RefusalError(completion.outcome, f"the completion is {completion.outcome}: {reason}")


def readable(reply: str) -> str:
    """A reply's text, its newlines unified and the model's reasoning left out.

    Raises:
        RefusalError: it is empty, too long or no text.
    """
    if len(reply) > MAX_CHARACTERS:
        raise RefusalError("unparsable", f"a reply of {len(reply)} characters; at most {MAX_CHARACTERS} are read")
    if "\0" in reply or not _encodable(reply):
        raise RefusalError("unparsable", "the reply holds NUL characters or lone surrogates, so it is no text")
    text = reply.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().startswith("<think>"):
        _, closed, text = text.rpartition("</think>")
        if not closed:
            raise RefusalError("unparsable", "the reply ends within the model's thinking")
    if not text.strip():
        raise RefusalError("empty", "the reply is empty")
    return text


def blocks_of(text: str) -> tuple[CodeBlock, ...]:
    """The closed blocks, in order. A block that is never closed is left out: what is missing of it is unknown.

    Raises:
        RefusalError: there is none, or there are too many to be read in reasonable time.
    """
    blocks = fenced_blocks(text, most=MAX_BLOCKS + 1)
    if len(blocks) > MAX_BLOCKS:
        raise RefusalError("unparsable", f"the reply holds more than {MAX_BLOCKS} blocks of code")
    closed = tuple(block for block in blocks if block.closed)
    if not closed:
        raise none_found(text, closed=not blocks)
    return closed


def thought_of(text: str, *, braces: bool = False) -> str:
    """The words in front of the code, at most 2,000 bytes of them.

    Args:
        braces: take only what stands within the first and the last brace, where there are any.
    """
    words = text[: _start_of_code(text)].strip()
    first, last = words.find("{"), words.rfind("}")
    return clip_text(words[first + 1 : last].strip() if braces and 0 <= first < last else words, THOUGHT_BYTES)


def direction_of(text: str) -> str:
    """The line that states a direction; the words in front of the code where none does."""
    words = text[: _start_of_code(text)]
    said = (_said(found[0], "direction") for found in _DIRECTION.finditer(words))
    return clip_text(next(filter(None, said), ""), THOUGHT_BYTES) or clip_text(words.strip(), THOUGHT_BYTES)


def file_named(line: str, files: Collection[str]) -> str | None:
    """The file that a line names ("FILE: name", or the name alone); None where it names none.

    Raises:
        RefusalError: it says FILE and names a file that the program does not have.
    """
    if (bare := line.strip(f"{_ORNAMENTS}:")) in files:
        return bare
    said = _said(line, "file")
    if not said or said in files:
        return said
    raise RefusalError("unparsable", f"the program has no file {said!r:.80}; its files are {', '.join(files)}")


def refuses(text: str) -> bool:
    """Whether a text without code begins as refusals do."""
    return bool(_REFUSAL.match(text[:200].replace("\u2019", "'")))


def without_code(text: str, reason: str) -> RefusalError:
    """The refusal of a reply that holds no code: the model's own where its words say so."""
    if refuses(text):
        return RefusalError("refused", f"the model refused: {clip_text(text.strip(), THOUGHT_BYTES)}")
    return RefusalError("unparsable", reason)


def none_found(text: str, *, closed: bool) -> RefusalError:
    """The refusal of a reply without a block of code that can be read, or with one that is not closed."""
    if closed:
        return without_code(text, "the reply holds no fenced block of code")
    return RefusalError("unparsable", "the block of code is not closed, so its end is missing")


def _start_of_code(text: str) -> int:
    """Where the first block begins, or the line that names its file; without either, the first line of code."""
    found = [place for place in (first_fence(text), _start_of_edits(text)) if place is not None]
    bare = None if found else beginning_of_code(text)
    end = min(found, default=len(text) if bare is None else bare)
    named = _FILE.search(text, 0, end)
    return named.start() if named else end


def _start_of_edits(text: str) -> int | None:
    found = SEARCH.search(text) if "SEARCH" in text else None
    return found.start() if found else None


def _said(line: str, what: str) -> str | None:
    """What follows "WHAT:" at the beginning of a line, with or without Markdown around it."""
    head, colon, rest = line.partition(":")
    return (rest.strip(" \t*`\"':") or None) if colon and head.strip(_ORNAMENTS).lower() == what else None


def _reason(completion: Completion) -> str:
    return clip_text(completion.error or completion.text.strip(), THOUGHT_BYTES)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
