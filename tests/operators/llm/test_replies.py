"""Laws of reading replies: what each kind of reply gives, and that the bad ones say why."""

from __future__ import annotations

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.genomes import Program
from operators.llm.budget import fitted, shared, shortened
from operators.llm.diffs import edited
from operators.llm.offspring import ReplyForm, offspring_of
from operators.llm.replies import MAX_CHARACTERS, blocks_of, direction_of, readable, thought_of
from operators.llm.rewrites import rewritten
from operators.llm.text import common_indent, indented_like
from operators.llm.views import fenced
from operators.refusal import RefusalError
from tests.support.model_replies import CORPUS, MARKED, NEW, PROGRAMS, TWO, C, block, code

# Of each reply that gives no offspring of the program with one region: the outcome and words of the reason.
BAD = {
    "empty": ("empty", "reply is empty"),
    "blank": ("empty", "reply is empty"),
    "words only": ("unparsable", "no fenced block"),
    "a refusal": ("refused", "I'm sorry, but I can't help with that."),
    "a refusal with a typographic apostrophe": ("refused", "model refused"),
    "a fence that is not closed and code that ends too soon": ("unparsable", "not closed"),
    "code without a fence that ends too soon": ("unparsable", "no fenced block"),
    "an empty block": ("unparsable", "block of code is empty"),
    "the whole file with frozen text changed": ("refused", "changes frozen text; its line 'LIMIT=99'"),
    "one marker": ("unparsable", "markers do not pair up"),
    "markers in the wrong order": ("unparsable", "markers do not pair up"),
    "markers within markers": ("unparsable", "markers do not pair up"),
    "a syntax error": ("unparsable", "main.py would not parse: '(' was never closed at line 7: 'def priority(item"),
    "code too deep to parse": ("unparsable", "too many nested parentheses"),
    "a number too long to parse": ("unparsable", "would not parse"),
    "no change": ("duplicate", "changes nothing"),
    "another comment only": ("duplicate", "means the same as a parent"),
    "NUL": ("unparsable", "NUL characters"),
    "a lone surrogate": ("unparsable", "lone surrogates"),
    "1 MB": ("unparsable", "a reply of 1020015 characters; at most 400000"),
    "1 MB of backticks": ("unparsable", "a reply of 1000000 characters"),
    "many braces": ("unparsable", "no fenced block"),
    "many braces before a fence": ("unparsable", "no fenced block"),
    "many spaces": ("unparsable", "no fenced block"),
    "many fences": ("unparsable", "block of code is empty"),
    "many colons": ("unparsable", "no fenced block"),
    "a diff that does not match": ("unparsable", "block at line 1 of the reply fits nowhere; it begins 'return +rest'"),
    "a diff of frozen text": ("refused", "changes frozen text at main.py:3"),
    "a diff over the edge": ("refused", "changes frozen text at main.py:9"),
    "a diff that writes a marker": ("refused", "writes region markers"),
    "a diff without an end": ("unparsable", "block at line 1 of the reply has no >>>>>>> REPLACE"),
    "a diff without a divider": ("unparsable", "block at line 1 of the reply has no ======="),
    "a diff that searches for nothing": ("unparsable", "searches for nothing, and 0 regions are empty"),
    "a diff that changes nothing": ("duplicate", "changes nothing"),
    "a good and a bad diff": ("unparsable", "block at line 6 of the reply fits nowhere"),
    "a thousand diffs": ("unparsable", "1000 SEARCH/REPLACE blocks; at most 50"),
    "a diff of a file": ("unparsable", "fits nowhere"),
    "a file of the program": ("unparsable", "would not parse"),
    "a frozen file of another name": ("unparsable", "fits nowhere"),
    "a file that is not of the program": ("unparsable", "no block of code defines priority"),
    "thinking without an end": ("unparsable", "ends within the model's thinking"),
    "JSON": ("unparsable", "no fenced block"),
    "a template": ("unparsable", "would not parse"),
}
GOOD = sorted(set(CORPUS) - set(BAD))
DIFFS = [name for name in GOOD if name.startswith("a di")]


def child(reply: str, program: Program, form: ReplyForm = "rewrite") -> Program:
    return offspring_of(readable(reply), [program], form)


def refusal(reply: str, program: Program, form: ReplyForm = "rewrite") -> RefusalError:
    with pytest.raises(RefusalError, match=r"\w+ \w+ \w+") as raised:
        child(reply, program, form)
    return raised.value


def marked(region: str) -> str:
    head, tail = MARKED.split("def priority(item, bins):\n    rest = bins - item\n    return -rest")
    return head + region + tail


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_is_refused_with_its_outcome_and_reason(name: str) -> None:
    outcome, words = BAD[name]
    found = refusal(CORPUS[name], PROGRAMS["one region"])
    assert found.outcome == outcome
    assert words in str(found)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_reply_gives_an_offspring(name: str) -> None:
    assert child(CORPUS[name], PROGRAMS["one region"]).text != MARKED


@pytest.mark.parametrize("name", sorted(set(GOOD) - set(DIFFS)))
def test_where_a_diff_is_wanted_a_block_of_code_is_no_answer(name: str) -> None:
    assert "no SEARCH/REPLACE block" in str(refusal(CORPUS[name], PROGRAMS["one region"], "diff"))


@pytest.mark.parametrize("name", CORPUS)
def test_no_reply_takes_long_to_read(name: str) -> None:
    began = time.process_time()
    for form in get_args(ReplyForm):
        try:
            child(CORPUS[name], PROGRAMS["several files"], form)
        except RefusalError:
            continue
    thought_of(CORPUS[name][:MAX_CHARACTERS], braces=True)
    direction_of(CORPUS[name][:MAX_CHARACTERS])
    assert time.process_time() - began < 2


def test_repeated_lines_do_not_take_long_to_search() -> None:
    program = Program.single("x = 1\n" * 20_000 + "# EVOLVE-BLOCK-START\ny = 1\n# EVOLVE-BLOCK-END\n")
    began = time.process_time()
    assert refusal(block("x = 1\n" * 9999 + "x = 1", "x = 2\n" * 9999) * 3, program).outcome == "refused"
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "name",
    ["code", "code in tildes", "code without a tag", "two blocks", "a block within its markers", "thinking aloud"],
)
def test_the_region_is_what_the_last_fitting_block_says(name: str) -> None:
    assert child(CORPUS[name], PROGRAMS["one region"]).text == marked(NEW)


@pytest.mark.parametrize("name", ["a usage block at the end", "a good block and one that is not closed"])
def test_blocks_of_another_language_and_unclosed_ones_do_not_count(name: str) -> None:
    assert child(CORPUS[name], PROGRAMS["one region"]).text == marked(NEW)


@pytest.mark.parametrize("name", ["a diff", "a diff in a fence", "a diff with other white space"])
def test_a_diff_changes_its_lines_only(name: str) -> None:
    for form in get_args(ReplyForm):
        assert child(CORPUS[name], PROGRAMS["one region"], form).text == MARKED.replace("-rest", "-rest ** 2")


def test_a_diff_that_fits_twice_is_refused_and_says_where() -> None:
    program = Program.single("x = 1\ny = 2\nx  = 1\n")
    assert child(block("x = 1", "x = 3"), program).text == "x = 3\ny = 2\nx  = 1\n"
    found = refusal(block("x=1", "x = 3"), program)
    assert found.outcome == "unparsable"
    assert str(found).endswith("fits more than once: main.py:1, main.py:3")


def test_a_line_that_also_stands_in_frozen_text_is_the_one_in_the_region() -> None:
    program = Program.single("x = 1\n# EVOLVE-BLOCK-START\nx = 1\n# EVOLVE-BLOCK-END\nx = 1\n")
    assert child(block("x = 1", "x = 2"), program).text == program.text.replace("START\nx = 1", "START\nx = 2")


def test_diffs_apply_one_after_the_other_and_all_or_none() -> None:
    base = Program.single("x = 1\ny = 2\n")
    assert edited(block("x = 1", "x = 5") + block("x = 5", "z = 5"), base).text == "z = 5\ny = 2\n"
    assert "fits nowhere" in str(refusal(block("x = 1", "x = 5") + block("x = 1", "z = 5"), base))


def test_a_diff_found_loosely_is_moved_in_as_far_as_what_it_replaces() -> None:
    reply = block("return x - 1", "if x:\n    return x\nreturn 0")
    expected = TWO.replace("return x - 1\n", "if x:\n            return x\n        return 0\n")
    assert child(reply, PROGRAMS["two regions"]).text == expected


def test_a_diff_that_searches_for_nothing_fills_the_one_empty_region() -> None:
    filled = child(block("", "y = 1"), PROGRAMS["an empty region"]).text
    assert filled == "x = 1\n# EVOLVE-BLOCK-START\ny = 1\n# EVOLVE-BLOCK-END\n"


def test_several_regions_come_between_their_markers() -> None:
    new = TWO.replace("x - 1", "x - 2").replace("y = self", "y = 2 * self")
    regions = "\n".join(line for line in new.split("\n") if "class" not in line and "run" not in line)
    assert child(code(new), PROGRAMS["two regions"]).text == new
    assert child(code(regions.replace("        return y\n", "")), PROGRAMS["two regions"]).text == new
    assert "has 2 regions; the reply has 1" in str(refusal(code("x = 1"), PROGRAMS["two regions"]))


def test_a_region_within_a_body_takes_code_that_stands_at_the_margin() -> None:
    body = "def f(x):\n    # EVOLVE-BLOCK-START\n    y = x\n    # EVOLVE-BLOCK-END\n    return y\n"
    reply = code("y = 0\nif x:\n    y = 2 * x")
    assert child(reply, Program.single(body)).text == body.replace("y = x\n", "y = 0\n    if x:\n        y = 2 * x\n")


def test_markers_in_a_file_that_has_none_are_refused() -> None:
    reply = code("# EVOLVE-BLOCK-START\nx = 1\n# EVOLVE-BLOCK-END")
    assert refusal(reply, PROGRAMS["no markers"]).outcome == "refused"


def test_files_are_chosen_by_the_line_above_or_the_tag_and_others_stay() -> None:
    base, new = PROGRAMS["several files"], "int f(int x) { return 2 * x; }"
    named = rewritten(f"**FILE: `kernel.c`**\n\n{code(new, 'c')}notes.txt:\n{code('other', '')}", base)
    tagged = rewritten(code(new, "c kernel.c"), base)
    assert named.files == {"main.py": MARKED, "kernel.c": C.replace("return x", "return 2 * x"), "notes.txt": "other\n"}
    assert tagged.files == {**base.files, "kernel.c": C.replace("return x", "return 2 * x")}
    assert "which file it is: main.py, kernel.c, notes.txt" in str(refusal(code(new, "c"), base))
    assert "no file '/etc/passwd'" in str(refusal(CORPUS["a file that is not of the program"], base))


def test_a_diff_of_several_files_needs_no_name_where_only_one_fits() -> None:
    base, reply = PROGRAMS["several files"], block("int f(int x) { return x; }", "int f(int x) { return 3; }")
    assert child(reply, base).files["kernel.c"] == C.replace("return x", "return 3")
    assert child(f"FILE: kernel.c\n{reply}", base).files["kernel.c"] == C.replace("return x", "return 3")
    assert "fits nowhere" in str(refusal(f"FILE: main.py\n{reply}", base))


def test_windows_newlines_of_a_file_are_kept_whatever_the_reply_has() -> None:
    for reply in (code(NEW), code(NEW).replace("\n", "\r\n"), block("    return -rest", "    return 1\n    pass")):
        text = child(reply, PROGRAMS["Windows newlines"]).text
        assert text.count("\r\n") == text.count("\n") == text.count("\r")


def test_another_language_is_not_parsed_as_python() -> None:
    text = child(code("int f(int x) {", "c"), PROGRAMS["another language"]).text
    assert text == C.replace("int f(int x) { return x; }", "int f(int x) {")


@given(st.text(alphabet="`~ab\n ", max_size=200))
def test_a_fenced_text_is_read_back_whole(text: str) -> None:
    assert [block.text for block in blocks_of(fenced(text, "python"))] == [text]


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_before_code_are_the_thought(words: str, after: str) -> None:
    if not any(mark in words for mark in "`~{:<\r\x00"):
        assert thought_of(f"{words}\n{code(NEW)}{after}") == words.strip()
        assert thought_of(f"{{{words}}}\n{code(NEW)}", braces=True) == words.strip()


SECTIONS = st.lists(st.tuples(st.integers(0, 500), st.sampled_from([1.0, 2.0, 8.0])), max_size=8)


@given(SECTIONS, st.integers(-10, 2000))
def test_shares_never_exceed_the_total_or_a_size_and_leave_little(
    sections: list[tuple[int, float]], total: int
) -> None:
    shares = shared(sections, total)
    assert all(0 <= share <= size for share, (size, _) in zip(shares, sections, strict=True))
    assert sum(shares) <= max(0, total)
    assert sum(shares) >= min(max(0, total), sum(size for size, _ in sections)) - len(sections)


@given(st.text(max_size=400), st.integers(0, 400))
def test_a_shortened_text_fits_and_a_short_one_stays(text: str, limit: int) -> None:
    assert len(shortened(text, limit)) <= limit
    assert len(text) > limit or shortened(text, limit) == text


@given(st.lists(st.text(max_size=300), max_size=6), st.integers(0, 900))
def test_a_fitted_text_fits_and_is_whole_where_it_can_be(texts: list[str], limit: int) -> None:
    whole = "".join(f"# {text}\n" for text in texts)
    shown = fitted(lambda cut: "".join(f"# {cut(text, 1.0)}\n" for text in texts), limit)
    assert len(shown) <= limit
    assert len(whole) > limit or shown == whole


def test_text_at_the_margin_is_moved_in_like_its_model() -> None:
    assert indented_like("a\n\n  b", "\t  x\n\t\ty") == "\ta\n\n\t  b"
    assert indented_like("  a", "    x") == "  a"
    assert common_indent("") == common_indent("\n  \n") == ""
