"""A whole region, or a whole unmarked file, rewritten in a fenced block.

Of several blocks that one counts that defines most of what the file's regions define (see `_preferred`); with several
files each block follows a line that names its file, and files that are not named stay as they are. A block may hold
the region alone, or show it between its markers, or in the whole file without them, in which case all else in it must
be as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from evo.errors import GenomeError
from evo.genomes import Program
from evo.regions import END, START, frozen_text, region_texts, with_regions
from operators.llm.fences import CodeBlock, fenced_blocks
from operators.llm.languages import tags_of
from operators.llm.python_text import code_among_words, defined_in, parses
from operators.llm.replies import file_named, none_found
from operators.llm.text import common_indent, dedented, indented_like, newline_of, trimmed
from operators.llm.whole_files import regions_of_whole_file
from operators.refusal import RefusalError

MAX_CANDIDATES = 500


def rewritten(text: str, program: Program, *, cut_off: bool = False) -> Program:
    """The program with the regions that a reply rewrites.

    Args:
        cut_off: the reply's end is missing, so that only closed blocks count.

    Raises:
        RefusalError: no block, a block whose file or regions are unclear, or that changes frozen text.
    """
    python = any(name.endswith(".py") for name in program.files)
    blocks = fenced_blocks(text, python=python, most=MAX_CANDIDATES + 1)
    if len(blocks) > MAX_CANDIDATES and any(block.text.strip() for block in blocks):
        raise RefusalError("unparsable", f"the reply holds more than {MAX_CANDIDATES} blocks of code")
    if len(program.files) == 1:
        chosen = {program.main: _of_single_file(text, blocks, program, cut_off=cut_off)}
    else:
        chosen = _by_file(_closed(text, blocks), program)
    changed = {name: _with_block(name, program.files[name], block) for name, block in chosen.items()}
    return Program({**program.files, **changed})


def names_wanted(name: str, text: str) -> frozenset[str]:
    """What the regions of a Python file define: functions and classes, or variables where there are neither."""
    if not name.endswith(".py"):
        return frozenset()
    return frozenset().union(*map(defined_in, region_texts(text)))


def _of_single_file(text: str, blocks: Sequence[CodeBlock], program: Program, *, cut_off: bool) -> str:
    """The text of the block that counts, or of code that stands without a fence."""
    wanted = names_wanted(program.main, program.text)
    whole = [block for block in blocks if block.closed or (wanted and not cut_off and _is_complete(block.text))]
    defined = [wanted & names for names in _names_of(whole, program)] if wanted else []
    if any(defined):
        return _preferred(whole, defined, program).text
    alone = len(blocks) <= 1 and not cut_off and wanted & defined_in(text, nested=True)
    bare = _without_fence(text, blocks) if alone else None
    if bare is not None and any(wanted & names for names in _names_of([CodeBlock(bare)], program)):
        return bare
    closed = _closed(text, blocks)
    return _preferred(closed, [frozenset()] * len(closed), program).text


def _closed(text: str, blocks: Sequence[CodeBlock]) -> list[CodeBlock]:
    closed = [block for block in blocks if block.closed]
    if not closed:
        raise none_found(text, closed=not blocks)
    return closed


def _is_complete(code: str) -> bool:
    return bool(code.strip()) and parses(dedented(code))


def _without_fence(text: str, blocks: Sequence[CodeBlock]) -> str | None:
    """Code without a fence, or with the closing one alone."""
    if blocks and (blocks[0].closed or blocks[0].text.strip()):
        return None
    lines = text.split("\n")
    return code_among_words("\n".join(lines[: blocks[0].line - 1] if blocks else lines))


def _preferred(blocks: Sequence[CodeBlock], defined: Sequence[frozenset[str]], program: Program) -> CodeBlock:
    """The last block of those that define most of what is wanted, closed ones and those of the file's language first.

    A block that quotes the program as it is counts only where no other defines anything.

    Args:
        defined: what is wanted and each block defines.

    Raises:
        RefusalError: another block defines what this one lacks.
    """
    tags, old = tags_of(program.main), _bare(program.text)
    quoted = [bool(names) and _bare(block.text) in old for block, names in zip(blocks, defined, strict=True)]

    def merit(number: int) -> tuple[bool, bool, int, bool, int, int]:
        block, count = blocks[number], len(defined[number])
        rank = 2 if block.language in tags else 0 if block.tag else 1
        return bool(block.text.strip()), bool(count) and not quoted[number], count, block.closed, rank, number

    best = max(range(len(blocks)), key=merit)
    for number, names in enumerate(defined):
        if (missing := names - defined[best]) and not quoted[number]:
            raise _spread(blocks[number], missing, blocks[best], defined[best])
    return blocks[best]


def _spread(block: CodeBlock, missing: frozenset[str], best: CodeBlock, defined: frozenset[str]) -> RefusalError:
    """The refusal of code that stands in several blocks."""
    words = f"the block at line {block.line} of the reply defines {', '.join(sorted(missing))}"
    others = f"the block at line {best.line} {', '.join(sorted(defined)) or 'none of that'}"
    return RefusalError("unparsable", f"{words}, and {others}; a single block must hold all of the region")


def _names_of(blocks: Sequence[CodeBlock], program: Program) -> list[frozenset[str]]:
    """What each block defines; regions within a class or a function may be shown within it."""
    nested = any(common_indent(region) for region in region_texts(program.text))
    return [defined_in(block.text, nested=nested) for block in blocks]


def _by_file(blocks: Sequence[CodeBlock], program: Program) -> dict[str, str]:
    files = tuple(program.files)
    chosen: dict[str, str] = {}
    for block in blocks:
        words = [word for word in block.tag.split() if word in files]
        name = words[0] if words else file_named(block.above, files)
        if name is not None:
            chosen[name] = block.text
    if not chosen:
        raise RefusalError("unparsable", f"no block of code says which file it is: {', '.join(files)}")
    return chosen


def _with_block(name: str, old: str, block: str) -> str:
    new = "\n".join(trimmed(block.split("\n")))
    if not new:
        raise RefusalError("unparsable", "the block of code is empty")
    before = region_texts(old)
    after = _texts_of_regions(old, new)
    if len(before) != len(after):
        reason = f"the file has {len(before)} regions; the reply has {len(after)}, or does not keep the markers"
        raise RefusalError("unparsable", reason)
    newline = newline_of(old)
    end = newline.removesuffix("\n")
    moved = (_placed(name, text, model) for text, model in zip(after, before, strict=True))
    return with_regions(old, tuple(text.replace("\n", newline) + end if text else "" for text in moved))


def _placed(name: str, text: str, model: str) -> str:
    """A region's text at the indentation of the old one."""
    at_margin = name.endswith(".py") and not common_indent(model)
    return dedented(text) if at_margin else indented_like(text, model)


def _texts_of_regions(old: str, new: str) -> tuple[str, ...]:
    if START in new or END in new:
        return _marked_texts(old, new)
    return regions_of_whole_file(old, new) or (new,)


def _marked_texts(old: str, new: str) -> tuple[str, ...]:
    """The texts between the markers of `new`, whose other lines are those of `old` or none."""
    if START not in old:
        raise RefusalError("refused", "the reply writes region markers into a file that has none")
    try:
        texts, outside = region_texts(new), _outside(new)
    except GenomeError as error:
        raise RefusalError("unparsable", f"the reply's region markers do not pair up: {error}") from error
    before = _outside(old)
    if outside and outside != before:
        strange = next((line for line in outside if line not in set(before)), outside[0])
        raise RefusalError("refused", f"the reply changes frozen text; its line {strange!r:.120} is not in a region")
    return texts


def _outside(text: str) -> list[str]:
    lines = (_bare(line) for line in frozen_text(text).split("\n"))
    return [line for line in lines if line and START not in line and END not in line]


def _bare(text: str) -> str:
    return "".join(text.split())
