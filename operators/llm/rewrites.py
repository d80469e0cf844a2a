"""A whole region, or a whole unmarked file, rewritten in a fenced block.

The last closed block counts, of those that are tagged with the file's language where any are, else of the untagged
ones; with several files each block follows a line that names its file, and files that are not named stay as they are.
A block may hold the region alone, or show it between its markers, in which case all else in it must be as it was.
"""

from __future__ import annotations

from evo.errors import GenomeError
from evo.genomes import Program
from evo.regions import END, START, frozen_text, region_texts, with_regions
from operators.llm.languages import tags_of
from operators.llm.replies import CodeBlock, blocks_of, file_named
from operators.llm.text import indented_like, newline_of, trimmed
from operators.refusal import RefusalError


def rewritten(text: str, program: Program) -> Program:
    """The program with the regions that a reply rewrites.

    Raises:
        RefusalError: no block, a block whose file or regions are unclear, or that changes frozen text.
    """
    blocks = blocks_of(text)
    if len(program.files) == 1:
        chosen = {program.main: _preferred(blocks, program.main).text}
    else:
        chosen = _by_file(blocks, program)
    changed = {name: _with_block(program.files[name], block) for name, block in chosen.items()}
    return Program({**program.files, **changed})


def _preferred(blocks: tuple[CodeBlock, ...], file: str) -> CodeBlock:
    tags = tags_of(file)
    fitting = [block for block in blocks if block.tag.lower().partition(" ")[0] in tags]
    return (fitting or [block for block in blocks if not block.tag] or list(blocks))[-1]


def _by_file(blocks: tuple[CodeBlock, ...], program: Program) -> dict[str, str]:
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


def _with_block(old: str, block: str) -> str:
    new = "\n".join(trimmed(block.split("\n")))
    if not new:
        raise RefusalError("unparsable", "the block of code is empty")
    before = region_texts(old)
    after = _marked_texts(old, new) if START in new or END in new else (new,)
    if len(before) != len(after):
        reason = f"the file has {len(before)} regions; the reply has {len(after)}, or does not keep the markers"
        raise RefusalError("unparsable", reason)
    newline = newline_of(old)
    end = newline.removesuffix("\n")
    moved = (indented_like(text, model) for text, model in zip(after, before, strict=True))
    return with_regions(old, tuple(text.replace("\n", newline) + end if text else "" for text in moved))


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
    lines = ("".join(line.split()) for line in frozen_text(text).split("\n"))
    return [line for line in lines if line and START not in line and END not in line]
