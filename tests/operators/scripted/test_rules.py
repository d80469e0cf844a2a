"""Laws of the rules by which the scripted server answers: changes to programs, and answers to tasks."""

from __future__ import annotations

import difflib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError, UnknownNameError
from evo.genomes import Program
from evo.models import Message
from evo.regions import frozen_text, region_texts
from evo.scoring import scored
from evo.testing.in_process import run_in_process
from operators.scripted import RULES, AnswerRule, find_rule
from problems.symbolic_regression import SymbolicRegression
from tests.operators.scripted.test_server import PROGRAM, PROMPT, rng, said


def body_of(reply: str) -> str:
    found = re.search(r"```python\n(.*)\n```$", reply, re.DOTALL)
    assert found is not None, reply
    return found[1] + "\n"


@given(st.integers(0, 2**32))
def test_constant_jitter_changes_one_number_of_the_region_and_nothing_else(seed: int) -> None:
    changed = body_of(find_rule("constant_jitter")(said(PROMPT), rng(seed)))
    assert frozen_text(changed) == frozen_text(PROGRAM)
    pieces = [re.split(r"([\d.]+)", text) for text in (region_texts(PROGRAM)[0], region_texts(changed)[0])]
    different = [piece for piece, other in zip(*pieces, strict=True) if piece != other]
    assert different in (["3"], ["0.25"], ["7"])
    assert '"""Of version 1."""' in changed
    assert "# 3 times" in changed


@given(st.integers(0, 2**32))
def test_search_replace_makes_the_same_change_and_matches_once(seed: int) -> None:
    reply = find_rule("search_replace")(said(PROMPT), rng(seed))
    found = re.fullmatch(r"<{7} SEARCH\n(.*)\n={7}\n(.*)\n>{7} REPLACE", reply, re.DOTALL)
    assert found is not None, reply
    assert PROGRAM.count(found[1]) == 1
    whole = body_of(find_rule("constant_jitter")(said(PROMPT), rng(seed)))
    assert PROGRAM.replace(found[1], found[2]) == whole


def test_search_replace_takes_more_lines_where_one_would_match_twice() -> None:
    text = "def f(x):\n    return x * 2.0\n\ndef g(x):\n    return x * 2.0\n"
    for seed in range(20):
        reply = find_rule("search_replace")(said(f"```python\n{text}```"), rng(seed))
        search = reply.removeprefix("<<<<<<< SEARCH\n").partition("\n=======")[0]
        assert text.count(search) == 1


def test_a_program_without_numbers_gets_a_term_that_still_parses() -> None:
    text = "# EVOLVE-BLOCK-START\ndef f(item, bins):\n    left = bins - item\n    return -left\n# EVOLVE-BLOCK-END\n"
    replies = set()
    for seed in range(30):
        changed = body_of(find_rule("constant_jitter")(said(f"```python\n{text}```"), rng(seed)))
        compile(changed, "changed", "exec")
        lines = [line for line in difflib.ndiff(text.splitlines(), changed.splitlines()) if line.startswith("+")]
        assert len(lines) == 1
        assert re.match(r"\+     return -left [+-] [\d.e+-]+ \* ", lines[0])
        replies.add(lines[0])
    assert len(replies) > 20


def test_the_program_is_found_bare_or_fenced_and_after_examples() -> None:
    rule = find_rule("constant_jitter")
    bare = f"Change this:\n{PROGRAM}\nThank you.\n"
    assert "EVOLVE-BLOCK-START\ndef priority" in rule(said(bare), rng())
    example = "```\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```\n"
    assert "y = " in rule(said(f"```rust\nlet y = 1.5;\n```\n{example}"), rng())
    assert rule(said(f"```rust\nlet y = 1.5;\n```\n{example}"), rng()).startswith("```rust\n")
    earlier = [*said("```python\na = 1\n```"), Message("assistant", "```python\nb = 1\n```"), *said("again")]
    assert body_of(rule(earlier, rng())).startswith("a = ")
    assert "no program" in rule(said("What a day."), rng())
    assert "no program" in find_rule("search_replace")(said("What a day."), rng())


def test_a_fence_inside_the_program_does_not_end_the_reply() -> None:
    text = 'x = 1.5\ny = """\n```\n"""\n'
    reply = find_rule("constant_jitter")(said(f"````python\n{text}````"), rng())
    assert reply.startswith("````python\nx = ")
    assert reply.endswith('"""\n````')


def test_thought_and_code_gives_the_idea_in_braces_first() -> None:
    reply = find_rule("thought_and_code")(said(PROMPT), rng(4))
    assert re.match(r"\{[^{}]+\}\n\n```python\n", reply)
    assert body_of(reply) == body_of(find_rule("constant_jitter")(said(PROMPT), rng(4)))


@given(st.sampled_from(sorted(RULES)), st.text(), st.integers(0, 100))
def test_every_rule_answers_any_text_and_always_the_same(name: str, text: str, seed: int) -> None:
    messages = said(f"```python\n{text}\n```")
    assert RULES[name](messages, rng(seed)) == RULES[name](messages, rng(seed))


def test_an_unknown_rule_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownNameError, match="no scripted rule 'jitter'; known: echo, constant_jitter"):
        find_rule("jitter")


def test_a_climb_by_the_scripted_model_really_improves_a_formula() -> None:
    problem = SymbolicRegression()
    best = Program.single(str(problem.seeds(1, rng())[0].to_json()["files"]["main.py"]))
    first = least = scored(problem, best, run_in_process, "train").objectives["error"]
    for seed in range(100):
        child = Program.single(body_of(find_rule("constant_jitter")(said(f"```python\n{best.text}```"), rng(seed))))
        error = scored(problem, child, run_in_process, "train").objectives.get("error", least)
        best, least = (child, error) if error < least else (best, least)
    assert least < 0.8 * first


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 12 + 7 * 3?", "33"),
        ("Example: 1 + 1 = 2\n((-1 + 2 + 9 * 5) - (-2 + -4 + -4 * -7)) =", "24"),
        ("Divide: 7 / 2.", "3.5"),
        ("- 1 bullet\n| --- | --- |\n1) 17 - 4 - 5\n- 2 bullets", "8"),
        ("What is 2 + 3?\nOptions:\n(A) 4\n(B) 5\n(C) 6", "(B)"),
        ("In all honesty, is it so? Answer yes or no.", "no"),
    ],
)
def test_a_certain_task_model_is_right_and_a_hopeless_one_wrong(question: str, answer: str) -> None:
    key = {"In all honesty, is it so?": "no"}
    for seed in range(20):
        assert AnswerRule(1.0, key)(said(question), rng(seed)) == answer
        assert AnswerRule(0.0, key)(said(question), rng(seed)) != answer
    spoken = [Message("system", "End with: the answer is X."), *said(question)]
    assert AnswerRule(1.0, key)(spoken, rng()) == f"The answer is {answer}."


def test_a_task_model_is_right_as_often_as_ordered_and_a_better_one_never_unlearns() -> None:
    right = {
        probability: {seed for seed in range(2000) if AnswerRule(probability)(said("3 * 4 ="), rng(seed)) == "12"}
        for probability in (0.3, 0.7)
    }
    assert len(right[0.7]) == pytest.approx(1400, abs=80)
    assert len(right[0.3]) == pytest.approx(600, abs=80)
    assert right[0.3] <= right[0.7]


def test_a_task_model_guesses_what_it_cannot_know() -> None:
    options = "Who is it?\n(A) Ann\n(B) Bob\n(C) Cid"
    assert {AnswerRule(1.0)(said(options), rng(seed)) for seed in range(50)} == {"(A)", "(B)", "(C)"}
    assert AnswerRule(1.0)(said("Who is it?"), rng()) == "unknown"
    with pytest.raises(ConfigError, match="probability of a right answer is 1.5"):
        AnswerRule(1.5)
