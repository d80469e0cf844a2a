"""Laws of what a careful reader takes from a reply: a table of cases, and replies built from parts of known meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evo.genomes import Program
from operators.llm.offspring import offspring_of
from operators.llm.python_text import code_among_words, defined_in, fence_outside_strings
from operators.llm.replies import readable, thought_of
from operators.refusal import RefusalError

REPLIES = Path(__file__).parents[4] / "shared" / "cases" / "server" / "replies"
BASE = Program.single("def f(x):\n    return x\n")
HEAD, TAIL = (
    "import math\n\nLIMIT = 3\n\n\n# EVOLVE-BLOCK-START\n",
    "# EVOLVE-BLOCK-END\n\n\ndef unused():\n    return f(1)\n",
)
REGION = """def helper(x):
    total = 0
    for i in range(x):
        total = total + 1
    return total


def f(x):
    total = 0
    if x > LIMIT:
        return -1
    return total
"""
MARKED = Program.single(HEAD + REGION + TAIL)
NEW = "def f(x):\n    return 2 ** x"
USAGE = "```python\nfor x in (1, 2):\n    print(x, f(x))\n```\n"
DOCUMENTED = 'def f(x):\n    """Power.\n\n```\n    f(2) == 4\n```\n    """\n    return 2 ** x'
INDENTED = "\n".join(f"    {line}" for line in NEW.split("\n"))

TAKEN = {
    "an example behind it": (f"```python\n{NEW}\n```\nUsage:\n\n{USAGE}", NEW),
    "an example in front of it": (f"{USAGE}\n```python\n{NEW}\n```\n", NEW),
    "a shell snippet behind it": (f"```\n{NEW}\n```\n```bash\npip install x\n```\n", NEW),
    "an example that is tagged and a program that is not": (f"```\n{NEW}\n```\n{USAGE}", NEW),
    "the old program quoted behind it": (f"```python\n{NEW}\n```\nBefore:\n```python\n{BASE.text}```\n", NEW),
    "another language's tag": (f"```cpp\n{NEW}\n```\n", NEW),
    "a fence in a docstring": (f"```python\n{DOCUMENTED}\n```\n", DOCUMENTED),
    "a fence in a docstring and an example": (f"```python\n{DOCUMENTED}\n```\n{USAGE}", DOCUMENTED),
    "a tagged fence in a docstring": (f"```python\n{DOCUMENTED.replace('```', '```python', 1)}\n```\n", None),
    "a fence in a comment": ("```python\ndef f(x):  # not ```\n    return 2 ** x\n```\n", None),
    "a block of Markdown": (f"````markdown\nHere:\n```python\n{NEW}\n```\n````\n", NEW),
    "a block of Markdown with the same fence": (f"```markdown\n```python\n{NEW}\n```\n```\n", NEW),
    "a longer fence": (f"`````python\n{NEW}\n`````\n", NEW),
    "tildes": (f"~~~ python\n{NEW}\n~~~\n", NEW),
    "tildes around backticks": (f"~~~python\n{DOCUMENTED}\n~~~\n", DOCUMENTED),
    "a list item": (f"1. So:\n\n    ```python\n{INDENTED}\n    ```\n2. Done.\n", NEW),
    "a fence on the line of a list item": (f"1. ```python\n   {NEW.replace(chr(10), chr(10) + '   ')}\n   ```\n", NEW),
    "a list item within tabs": (f"-\t```python\n\t{NEW.replace(chr(10), chr(10) + chr(9))}\n\t```\n", NEW),
    "a quotation": (f"> So:\n>\n> ```python\n> {NEW.replace(chr(10), chr(10) + '> ')}\n> ```\n", NEW),
    "words in front of the fence": (f"Here it is: ```python\n{NEW}\n```\n", NEW),
    "words behind the closing fence": (f"```python\n{NEW}\n``` That is all.\n", NEW),
    "a closing fence on the last line": (f"```python\n{NEW}```\nDone.", NEW),
    "code on the line of the fence": (f"```python {NEW}\n```\n", NEW),
    "all on one line": ("So: ```python def f(x): return 2 ** x``` is it.", "def f(x): return 2 ** x"),
    "no fence": (NEW, NEW),
    "no fence and words around it": (f"Here it is:\n\n{NEW}\n\nIt is exact.\n", NEW),
    "a closing fence alone": (f"{NEW}\n```\n", NEW),
    "no closing fence": (f"Here.\n```python\n{NEW}\n", NEW),
    "no closing fence in front of an example": (f"```python\n{NEW}\n{USAGE}", NEW),
    "code that is indented as a whole": (f"```python\n{INDENTED}\n```\n", NEW),
}
REFUSED = {
    "an example alone": (USAGE, "no block of code defines f"),
    "prose": ("It is from the class of powers.", "no fenced block"),
    "no closing fence and words behind": (f"```python\n{NEW}\n\nThat is all.", "not closed"),
    "two programs without a fence": (f"{NEW}\n\nOr else:\n\n{NEW}", "no fenced block"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_block_that_defines_what_is_wanted_is_taken_whole(name: str) -> None:
    reply, expected = TAKEN[name]
    child = offspring_of(readable(reply), [BASE], "rewrite")
    if expected is not None:
        assert child.text == f"{expected}\n"
    assert defined_in(child.text) == {"f"}
    assert "return 2 ** x" in child.text


@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_doubt_is_refused(name: str) -> None:
    reply, words = REFUSED[name]
    assert words in refusal(reply, BASE)


@pytest.mark.parametrize("name", ["no fence", "no closing fence", "a closing fence alone"])
def test_code_whose_end_may_be_missing_with_that_of_the_reply_is_refused(name: str) -> None:
    with pytest.raises(RefusalError, match="no fenced block|not closed"):
        offspring_of(TAKEN[name][0], [BASE], "rewrite", cut_off=True)


def test_code_in_several_blocks_is_refused_with_their_lines() -> None:
    reply = f"```python\ndef helper(x):\n    return x\n```\nand\n```python\n{NEW}\n```\n"
    words = "block at line 1 of the reply defines helper, and the block at line 6 f; a single block must hold all"
    assert words in refusal(reply, MARKED)


def test_a_region_without_one_of_its_functions_is_taken() -> None:
    assert offspring_of(f"```python\n{NEW}\n```", [MARKED], "rewrite").text == f"{HEAD}{NEW}\n{TAIL}"


def test_a_whole_file_without_markers_is_taken_where_frozen_text_is_as_it_was() -> None:
    whole = f"{HEAD}{NEW}\n{TAIL}".replace("# EVOLVE-BLOCK-START\n", "").replace("# EVOLVE-BLOCK-END\n", "")
    for text in (whole, whole.replace("\n\n\n", "\n"), whole.replace("LIMIT = 3", "LIMIT=3")):
        assert offspring_of(f"```python\n{text}```", [MARKED], "rewrite").text == f"{HEAD}{NEW}\n{TAIL}"
    changed = refusal(f"```python\n{whole.replace('LIMIT = 3', 'LIMIT = 4')}```", MARKED)
    assert "whole file without region markers" in changed
    assert "it has no line 'LIMIT = 3'" in changed
    assert "it has no line 'return f(1)'" in refusal(f"```python\n{whole.replace('f(1)', 'f(2)')}```", MARKED)


def test_a_whole_file_of_several_regions_needs_frozen_text_between_them() -> None:
    regions = ("def g(x):\n    return x\n", "def f(x):\n    return x\n")
    base = Program.single(f"A = 1\n{marked(regions[0])}B = 2\n{marked(regions[1])}")
    whole = f"A = 1\n{regions[0]}B = 2\n{NEW}\n"
    expected = f"A = 1\n{marked(regions[0])}B = 2\n{marked(NEW + chr(10))}"
    assert offspring_of(f"```python\n{whole}```", [base], "rewrite").text == expected
    assert "the file has 2 regions" in refusal(f"```python\n{regions[0]}{NEW}\n```", base)


EDITS = {
    "as it is": ("        return -1\n    return total", "        return -1\n    return 2 ** x", "    return 2 ** x\n"),
    "further out": ("      return -1\n  return total", "      return -1\n  return 2 ** x", "    return 2 ** x\n"),
    "further in": (
        "            return -1\n        return total",
        "            return -1\n        if x:\n            return 1\n        return 2",
        "    if x:\n        return 1\n    return 2\n",
    ),
    "tabs": ("\t\treturn -1\n\treturn total", "\t\treturn -1\n\tif x:\n\t\treturn 1", "    if x:\n        return 1\n"),
    "a tab": ("\tif x > LIMIT:", "\tif x < 0:\n\t\treturn 0\n\tif x > LIMIT:", None),
    "steps of two": (
        "    return -1\n  return total",
        "    return -1\n  if x:\n    return 1",
        "    if x:\n        return 1\n",
    ),
    "at the margin": ("if x > LIMIT:", "if x < 0:\n    return 0\nif x > LIMIT:", None),
}


@pytest.mark.parametrize("divider", ["=====", "=======", "=========="])
@pytest.mark.parametrize("length", [5, 7, 9])
@pytest.mark.parametrize("name", EDITS)
def test_a_block_moves_as_a_whole_to_the_indentation_of_what_it_fits(name: str, length: int, divider: str) -> None:
    search, replacement, tail = EDITS[name]
    reply = f"{'<' * length} SEARCH\n{search}\n{divider}\n{replacement}\n{'>' * length} REPLACE\n"
    text = offspring_of(reply, [MARKED], "diff").text
    if tail is None:
        assert text == MARKED.text.replace("    if x >", "    if x < 0:\n        return 0\n    if x >")
    else:
        assert text == MARKED.text.replace("        return -1\n    return total\n", f"        return -1\n{tail}")


def test_a_file_of_tabs_takes_blocks_of_spaces() -> None:
    base = Program.single(BASE.text.replace("    ", "\t"))
    reply = edit("    return x", "    if x:\n        return 1\n    return 2")
    assert offspring_of(reply, [base], "diff").text == "def f(x):\n\tif x:\n\t\treturn 1\n\treturn 2\n"


def test_a_block_off_by_several_amounts_is_refused() -> None:
    words = refusal(edit("return -1\nreturn total", "return -1\nreturn 2"), MARKED, "diff")
    assert "fits main.py:17 but for its indentation, which is off by another amount from line to line" in words


def test_a_block_that_fits_nowhere_names_the_nearest_place() -> None:
    near = refusal("\n\n" + edit("    if x > LIMIT:\n        return 0\n    return total", "x = 1"), MARKED, "diff")
    assert "block at line 3 of the reply fits nowhere; it begins 'if x > LIMIT:'" in near
    assert "nearest place is line 16 of main.py, where line 17 is 'return -1' and the block has 'return 0'" in near
    assert "nearest place is line 16 of main.py: 'if x > LIMIT:'" in refusal(edit("if x > LIMITS:", ""), MARKED, "diff")
    assert "nearest" not in refusal(edit("@@@@", ""), MARKED, "diff")


def test_a_divider_within_a_block_is_told_by_what_the_program_holds() -> None:
    title = Program.single('"""Title\n=====\n"""\nx = 1\n')
    assert offspring_of(edit("x = 1", 'x = 2\n"""\n=====\n"""'), [title], "diff").text.endswith('=====\n"""\n')
    longer = edit('"""Title\n=====\n"""', '"""Name\n====\n"""')
    assert offspring_of(longer, [title], "diff").text == '"""Name\n====\n"""\nx = 1\n'
    unclear = '<<<<<<< SEARCH\n"""Title\n=====\n"""\n=====\nx = 1\n>>>>>>> REPLACE\n'
    assert "several ======= lines" in refusal(unclear, title, "diff")


def test_a_fence_within_strings_is_told_from_one_outside() -> None:
    for text in ('"""\n```\n"""', "'''\n```\n'''", '"```"', "# ```", "'\\'```'", '"""\\"""```"""'):
        assert fence_outside_strings(text, 0, "```") is None
        assert fence_outside_strings(f"{text}\n```", 0, "```") is not None
    assert fence_outside_strings('"""\n```', 0, "```") is None
    assert fence_outside_strings("```", 0, "````") is None


def test_code_among_words_ends_where_words_begin() -> None:
    assert code_among_words(f"So:\n{NEW}\n\nIt is exact.") == f"{NEW}\n\n"
    assert (
        code_among_words('def f(x):\n    """\nWords here.\n    """\n') == 'def f(x):\n    """\nWords here.\n    """\n'
    )
    assert code_among_words("Nothing of that kind.") is None


def test_the_words_in_front_of_code_without_a_fence_are_the_thought() -> None:
    assert thought_of(f"Powers are better.\n\n{NEW}") == "Powers are better."


SHARED = {
    "usage": "    return 2 ** x + 7 / 1000\n",
    "nested": '```\n    f(2) == 4\n```\n    """\n    return 2 ** x + 7 / 1000\n',
    "list4": "def f(x):\n    return 2 ** x + 7 / 1000\n",
    "raw": "def f(x):\n    return 2 ** x + 7 / 1000\n",
    "d_wrongws": "        return -1\n    return 2 ** x + 7 / 1000\n# EVOLVE-BLOCK-END",
    "d_tab": "        return -1\n    return 2 ** x + 7 / 1000\n# EVOLVE-BLOCK-END",
    "d_eq5": "        return -1\n    return 2 ** x + 7 / 1000\n# EVOLVE-BLOCK-END",
    "m_fullnomark": "LIMIT = 3\n\n\n# EVOLVE-BLOCK-START\ndef f(x):\n    return 2 ** x + 7 / 1000\n# EVOLVE-BLOCK-END",
}


@pytest.mark.parametrize("name", SHARED)
def test_the_shared_replies_are_read_as_they_are_meant(name: str) -> None:
    path = REPLIES / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in ../shared/cases beside the checkout")
    base = MARKED if name.startswith(("d_", "m_")) else BASE
    child = offspring_of(readable(path.read_text("utf-8").replace("@N@", "7")), [base], "rewrite")
    assert SHARED[name] in child.text


WORDS = ("Powers grow faster.", "It's exact, isn't it?", "Note: x > 0.", "- a point", "2. a step", "`f` is new.", "")
EXAMPLES = (
    USAGE,
    "```bash\npip install numpy\n```\n",
    "~~~text\n4 8 16\n~~~\n",
    "```\n>>> f(2)\n4\n```\n",
    '```json\n{"f": 1}\n```\n',
    "```python\ndef g(x):\n    return f(x)\n```\n",
)
BODIES = (
    "    return {n} ** x",
    "    if x:\n        return {n}\n    return x + {n}",
    '    """Doc.\n\n    ```python\n    f(2)\n    ```\n    """\n    return {n} * x',
    "    '''Doc.\n```\nf(2)\n```\n'''\n    return {n} * x",
    "    text = '```'  # ```\n    return len(text) * {n}",
    "\n    y = {{'a': {n}}}\n\n    return y['a']",
)
TAGS = ("", "python", "py", "Python", " python", "python3", "text", "cpp", 'python title="f.py"', "{{python}}")
CUT = 5


@dataclass(frozen=True)
class Reply:
    """A reply and the program that it means."""

    text: str
    program: str
    cut_off: bool


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """Words and examples around a program in a fence of any kind; perhaps cut off anywhere."""
    program = "def f(x):\n" + draw(st.sampled_from(BODIES)).format(n=draw(st.integers(2, 99)))
    parts = st.lists(st.sampled_from([*WORDS, *EXAMPLES]), max_size=3)
    indent = draw(st.sampled_from(["", "  ", "   ", "    ", "        ", "\t"])) if "\n```\nf" not in program else ""
    fence = draw(st.sampled_from("`~")) * draw(st.integers(3, 6))
    lines = [f"{fence}{draw(st.sampled_from(TAGS))}", *program.split("\n"), fence]
    block = "\n".join(indent + line if line else line for line in lines)
    if (wrapped := draw(st.integers(0, 9))) == 0:
        block = "\n".join(f"> {line}" for line in block.split("\n"))
    elif wrapped == 1:
        block = f"{fence[0] * 8}markdown\n{block}\n{fence[0] * 8}"
    block += draw(st.sampled_from(["", " "])) + "\n"
    before, after = draw(parts), draw(parts)
    if not after and wrapped == 2:
        block = block.rstrip().removesuffix(fence)
    text = "\n".join([*before, block, *after])
    if draw(st.integers(0, CUT)):
        return Reply(text, program, False)
    return Reply(text[: draw(st.integers(1, len(text)))], program, True)


def check_that_it_is_read_as_meant_or_refused(reply: Reply) -> None:
    try:
        child = offspring_of(readable(reply.text), [BASE], "rewrite", cut_off=reply.cut_off)
    except RefusalError:
        assert reply.cut_off, reply.text
    else:
        assert child.text == f"{reply.program}\n"


@settings(max_examples=300, deadline=None)
@given(replies())
def test_a_reply_gives_the_program_that_it_means_or_none(reply: Reply) -> None:
    check_that_it_is_read_as_meant_or_refused(reply)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(replies())
def test_ten_thousand_replies_give_the_program_that_they_mean_or_none(reply: Reply) -> None:
    check_that_it_is_read_as_meant_or_refused(reply)


def edit(search: str, replacement: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replacement}\n>>>>>>> REPLACE\n"


def marked(text: str) -> str:
    return f"# EVOLVE-BLOCK-START\n{text}# EVOLVE-BLOCK-END\n"


def refusal(reply: str, base: Program, form: str = "rewrite") -> str:
    with pytest.raises(RefusalError, match=r"\w+ \w+ \w+") as raised:
        offspring_of(readable(reply), [base], "diff" if form == "diff" else "rewrite")
    return str(raised.value)
