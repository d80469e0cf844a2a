"""From a reply to a prompt that may be evaluated: each fenced block is the new text of the part that is named above it.

A reply may be anything: what cannot be read is refused here with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evo.genomes import Prompt
from operators.llm.fences import CodeBlock
from operators.llm.prompt_views import shown_name
from operators.llm.replies import blocks_of, thought_of
from operators.llm.text import newline_of, trimmed
from operators.prompt_offspring import checked
from operators.refusal import RefusalError

_ORNAMENTS = " \t#*`\"'/:-"
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})", re.MULTILINE)


def rewritten(text: str, prompts: Sequence[Prompt]) -> Prompt:
    """The base, the first of the prompts, with the parts that a reply rewrites.

    Raises:
        RefusalError: no block, a block whose part is unclear or unknown, or an offspring that fails its checks.
    """
    base = prompts[0]
    chosen = _by_part(blocks_of(text), tuple(base.parts))
    changed = {name: _with_edges(base.parts[name], _text_of(block, name)) for name, block in chosen.items()}
    return checked(Prompt({**base.parts, **changed}, base.demonstrations, base.format), prompts)


def words_before_parts(text: str) -> str:
    """The words in front of the first block, without the line that names its part."""
    words = thought_of(text)
    above, _, last = words.rpartition("\n")
    return above.rstrip() if _said(last) is not None else words


def _by_part(blocks: Sequence[CodeBlock], names: Sequence[str]) -> dict[str, CodeBlock]:
    """The last block of each part; a block that names no part is the only part's, and counts where none is named."""
    named = [(_part_named(block.above, names), block) for block in blocks]
    chosen = {name: block for name, block in named if name is not None}
    if not chosen and len(names) == 1:
        chosen = {names[0]: blocks[-1]}
    if not chosen:
        raise RefusalError("unparsable", f"no block says which part it is; the parts are {_listed(names)}")
    return chosen


def _part_named(line: str, names: Sequence[str]) -> str | None:
    """The part that a line names ("PART: name", or the name alone); None where it names none."""
    said = _said(line)
    wanted = _key(line if said is None else said)
    found = [name for name in names if wanted and _key(name) == wanted]
    if len(found) > 1:
        raise RefusalError(
            "unparsable", f"{len(found)} parts are called {wanted!r:.80}; it is ambiguous which is meant"
        )
    if said is not None and not found:
        raise RefusalError("refused", f"the prompt has no part {said!r:.80}; its parts are {_listed(names)}")
    return found[0] if found else None


def _said(line: str) -> str | None:
    """What follows "PART:" at the beginning of a line, with or without Markdown around it."""
    head, colon, rest = line.partition(":")
    return rest.strip(_ORNAMENTS) if colon and head.strip(_ORNAMENTS).lower() == "part" else None


def _key(name: str) -> str:
    return shown_name(name.strip(_ORNAMENTS)).strip(_ORNAMENTS).casefold()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(shown_name(name) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _text_of(block: CodeBlock, name: str) -> str:
    text = "\n".join(trimmed(block.text.split("\n"))).strip()
    if not text:
        raise RefusalError("unparsable", f"the block for part {shown_name(name)} is empty")
    if len(_FENCE.findall(text)) % 2:
        reason = f"the block for part {shown_name(name)} ends at a fence within it, so its end is missing"
        raise RefusalError("unparsable", reason)
    return text


def _with_edges(old: str, new: str) -> str:
    """The new text between the white space that the old text begins and ends with, with its newlines."""
    start = len(old) - len(old.lstrip())
    end = len(old.rstrip()) if old.strip() else len(old)
    return old[:start] + new.replace("\n", newline_of(old)) + old[end:]
