"""Python text that need not parse: where a fence stands outside its strings, what it defines, code without a fence.

Every pattern reads a text once: its repetitions are possessive, or bounded by the line.
"""

from __future__ import annotations

import re

from evo.genomes import UNPARSABLE, parse_python

_LITERALS = r"""
    \#[^\n]*+
    | \"\"\" (?: [^"\\]++ | \\. | "(?!"") )* (?P<closed>\"\"\")?
    | ''' (?: [^'\\]++ | \\. | '(?!'') )* (?P<ended>''')?
    | " (?: [^"\\\n]++ | \\. )* "?
    | ' (?: [^'\\\n]++ | \\. )* '?
"""
_FLAGS = re.VERBOSE | re.DOTALL | re.MULTILINE
_LITERAL = re.compile(_LITERALS, _FLAGS)
_TOKENS = {
    "`": re.compile(rf"{_LITERALS} | ```(?P<more>`*+)", _FLAGS),
    "~": re.compile(rf"{_LITERALS} | ~~~(?P<more>~*+)(?=[ \t]*$)", _FLAGS),
}
_DEFINITION = re.compile(r"^([ \t]*+)(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"^([ \t]*+)(\w++)[ \t]*+(?::[^=\n]*+)?=(?!=)", re.MULTILINE)
# Words may begin with "class" or "from"; the rest of the line tells.
_BEGINNING = re.compile(
    r"^(?:@\w|(?:async )?def \w+\(|class \w+[(:]|import [\w.]+(?: as \w+)?$|from [\w.]+ import |\w+ = \S)", re.MULTILINE
)
_WORDS = re.compile(
    r"^(?![ \t@#)\]}\n]|(?:async|def|class|import|from|if|elif|for|while|with)\ |(?:else|try|finally|except)\b[^\n]*:"
    r"|[\w.\[\]]+(?:, [\w.]+)* ?(?::[^=\n]*)?[-+*/]?= ?\S)",
    re.MULTILINE,
)
_MOST_BEGINNINGS = 3


def fence_outside_strings(text: str, start: int, fence: str) -> re.Match[str] | None:
    """The first fence of that character, at least as long, that no string or comment behind `start` holds.

    None where there is none, or where a string in triple quotes is not closed: what follows it cannot be told apart.
    """
    for found in _TOKENS[fence[0]].finditer(text, start):
        if found["more"] is not None:
            if 3 + len(found["more"]) >= len(fence):
                return found
        elif found[0].startswith(('"""', "'''")) and not (found["closed"] or found["ended"]):
            return None
    return None


def defined_in(text: str, *, nested: bool = False) -> frozenset[str]:
    """Functions and classes that a text defines; the names it assigns where it defines none.

    Args:
        nested: those within classes and functions too.
    """
    if not text.strip():
        return frozenset()
    bare = _LITERAL.sub("''", text)
    for pattern in (_DEFINITION, _ASSIGNMENT):
        found = pattern.findall(bare)
        least = min((len(indent) for indent, _ in found), default=0)
        if found:
            return frozenset(name for indent, name in found if nested or len(indent) == least)
    return frozenset()


def parses(text: str) -> bool:
    """Whether a text is a Python program."""
    try:
        parse_python(text)
    except UNPARSABLE:
        return False
    return True


def beginning_of_code(text: str) -> int | None:
    """Where the first line begins that only code begins with."""
    found = _BEGINNING.search(text)
    return found.start() if found else None


def code_among_words(text: str) -> str | None:
    """The code of a reply without fences: from a line that only code begins with, as far as the lines read as code.

    None where there is none, or where more code follows behind words.
    """
    for tried, found in enumerate(_BEGINNING.finditer(text)):
        if tried == _MOST_BEGINNINGS:
            break
        rest = text[found.start() :]
        # A string over several lines becomes a single line of the same length.
        bare = _LITERAL.sub(lambda literal: "#" * len(literal[0]), rest)
        words = _WORDS.search(bare)
        end = words.start() if words else len(rest)
        if parses(rest[:end]):
            return None if _BEGINNING.search(rest, end) else rest[:end]
    return None
