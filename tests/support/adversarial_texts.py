"""Texts made to take long to read: every mark of a reply repeated, alternating, nested and never closed."""

from __future__ import annotations

MARKS = {
    "backticks": "`",
    "tildes": "~",
    "opened braces": "{",
    "closed braces": "}",
    "double quotes": '"',
    "single quotes": "'",
    "backslashes": "\\",
    "spaces": " ",
    "tabs": "\t",
    "newlines": "\n",
    "colons": ":",
    "hashes": "#",
    "asterisks": "*",
    "quotation marks": ">",
    "less-than signs": "<",
    "equals signs": "=",
    "opened parentheses": "(",
    "dots": ".",
    "commas": ", a",
    "words": "a ",
    "letters": "a",
}
LINES = {
    "fences": "```",
    "Python fences": "```python",
    "tilde fences": "~~~",
    "fences with words": "``` and words",
    "fences behind words": "words: ```",
    "one-line fences": "```python x = 1```",
    "fences in quotations": "> > ```",
    "fences in list items": "1. ```",
    "indented fences": "        ```",
    "SEARCH lines": "<<<<<<< SEARCH",
    "dividers": "=======",
    "REPLACE lines": ">>>>>>> REPLACE",
    "whole edits": "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE",
    "FILE lines": "FILE: main.py",
    "empty FILE lines": "FILE:",
    "PART lines": "PART: role",
    "DIRECTION lines": "DIRECTION: on",
    "triple quotes": '"""',
    "other triple quotes": "'''",
    "escaped triple quotes": '\\"""',
    "definitions": "def f(x):",
    "assignments": "x = 1",
    "imports": "import a",
    "start markers": "# EVOLVE-BLOCK-START",
    "end markers": "# EVOLVE-BLOCK-END",
    "thoughts": "<think>",
}
MIXTURES = {
    "braces before a fence": "} ```",
    "braces and spaces": "}  ",
    "spaces and backticks": " ``",
    "backticks and tildes": "```~~~",
    "runs of two backticks": "``a",
    "a fence and a triple quote": '```python\n"""\n```\n',
    "a fence and an escaped triple quote": '```\n\\"""\n```\n',
    "a fence and a quote that the next one closes": '```python\n"""\n',
    "a fence behind an unclosed quote": "```python\n'''\n```\n```python\n\"\"\"\n```\n",
    "longer fences within shorter ones": "```\n````\n",
    "blocks that define": "```python\ndef f(x):\n    return x\n```\n",
    "blocks without a divider": "<<<<<<< SEARCH\nx\n>>>>>>> REPLACE\n",
    "dividers in a block": "=====\n=======\n",
    "named parts": "PART: role\n```\nx\n```\n",
    "named files": "FILE: main.py\n```\nx = 1\n```\n",
    "code and words": "x = 1\nwords here\n",
    "definitions and words": "def f(x):\n    return x\nwords here\n",
}


def adversarial_texts(characters: int) -> dict[str, str]:
    """Texts of that length, by what they are made of."""
    pieces = {
        **MARKS,
        **{name: f"{line}\n" for name, line in LINES.items()},
        **{f"{name} without newlines": line.replace("\n", " ") for name, line in LINES.items()},
        **MIXTURES,
    }
    repeated = {name: (piece * (characters // len(piece) + 1))[:characters] for name, piece in pieces.items()}
    return repeated | _opened(characters) | _growing(characters)


def _opened(characters: int) -> dict[str, str]:
    """Something that begins and never ends, with another mark behind it."""
    openings = {
        "an open block": "```python\n",
        "an open block of tildes": "~~~\n",
        "an open string": '```python\n"""\n',
        "an open edit": "<<<<<<< SEARCH\n",
        "an open replacement": "<<<<<<< SEARCH\nx = 1\n=======\n",
    }
    behind = {"backslashes": "\\", "fences": "````` x\n", "tildes": "~~\n", "quotes": "'''a", "dividers": "====\n"}
    return {
        f"{opening} with {mark}": (start + piece * characters)[:characters]
        for opening, start in openings.items()
        for mark, piece in behind.items()
    }


def _growing(characters: int) -> dict[str, str]:
    """Fences each longer or shorter than the one before."""
    lengths = range(3, int((2 * characters) ** 0.5))
    longer = "".join(f"{'`' * length}\n" for length in lengths)[:characters]
    shorter = "".join(f"{'`' * length}\n" for length in reversed(lengths))[:characters]
    return {"longer and longer fences": longer, "shorter and shorter fences": shorter}
