"""The laws of the metrics: they read the answer that a reply states, and no reply makes them raise or hang."""

from __future__ import annotations

import gc
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.prompt_cases import Case
from problems.prompt_metrics import (
    METRICS,
    Metric,
    exact,
    guessed,
    is_number,
    multiple_choice,
    numeric,
    regex,
    stated_answer,
)

OLDEST = "Which is the oldest penguin?\nOptions:\n(A) Louis\n(B) Bernard Shaw\n(C) Bernard\n(D) Vitamin C"
ALL: dict[str, Metric] = {**METRICS, "regex": regex(r"is\s+(\S+)")}
CASES = {
    "exact": Case("Sort: b a", "a b"),
    "multiple_choice": Case(OLDEST, "(B)"),
    "numeric": Case("How many?", "1,234.50"),
    "regex": Case("How many?", "12"),
}
WORDS = st.text("abcdefghijklmnopqrstuvwxyz ", min_size=1).filter(str.strip)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("(B)", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("B) Bernard Shaw", "B"),
        ("The answer is B", "B"),
        ("The answer is: **(B)**.", "B"),
        ("the final answer is option B, since he is older", "B"),
        ("Answer: B", "B"),
        ("**Answer:** B", "B"),
        ("The answer to the question is (B).", "B"),
        (r"So \boxed{B}", "B"),
        (r"So $\boxed{\text{(B)}}$, not (A).", "B"),
        ("#### B", "B"),
        ("The answer is\n\n(B)", "B"),
        ("(A) is too young. (C) died. I choose (B)", "B"),
        ("The answer is (A). Wait: the answer is (B).", "B"),
        ("The answer is (B), because (A) is too young.", "B"),
        ("I compared them all.\nB", "B"),
        ("Option B", "B"),
        ("Bernard Shaw", "B"),
        ("bernard shaw.", "B"),
        ("The answer is Bernard Shaw.", "B"),
        ("It is Bernard Shaw, I think", "B"),
        ("It is Bernard, I think", "C"),
        ("The answer should be B", "B"),
        ("I think it's B", "B"),
        ("B is right", "B"),
        ("A penguin is old", ""),
        ("Vitamin C.", "D"),
        ("(Z) or (Q)", ""),
        ("none of them", ""),
        ("", ""),
        ("\0\0", ""),
    ],
)
def test_the_choice_that_is_stated_last_counts(reply: str, letter: str) -> None:
    verdict = multiple_choice(reply, Case(OLDEST, "(B)"))
    assert verdict.found == (f"({letter})" if letter else "")
    assert verdict.correct == (letter == "B")


@pytest.mark.parametrize("answer", ["(B)", "B", "b)", "Bernard Shaw"])
def test_the_expected_choice_may_be_written_in_any_way(answer: str) -> None:
    assert multiple_choice("(B)", Case(OLDEST, answer)).correct
    assert not multiple_choice("(C)", Case(OLDEST, answer)).correct


def test_an_expected_answer_that_is_not_an_option_is_compared_as_text() -> None:
    case = Case("A film?\nOptions:\n(A) Monsters\n(B) Inc", "Monsters, Inc")
    assert multiple_choice("The answer is Monsters, Inc.", case).correct
    assert not multiple_choice("(A)", case).correct


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.text("xyz ,\n", max_size=50))
def test_a_stated_choice_is_read_whatever_stands_before_it(letter: str, other: str, noise: str) -> None:
    verdict = multiple_choice(f"({other}) {noise}\nThe answer is ({letter}).", Case(OLDEST, "(B)"))
    assert verdict.found == f"({letter})"
    assert verdict.correct == (letter == "B")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("18", "18"),
        ("18.0", "18"),
        ("She makes $18 a day.", "18"),
        ("16 - 3 - 4 = 9, and 9 * 2 = 18", "18"),
        ("<<9*2=18>>18 dollars\n#### 18", "18"),
        ("The answer is 18, which is 2 more than 16.", "18"),
        ("The answer is 9 * 2 = 18.", "18"),
        ("The answer is eighteen; 18 then", "18"),
        (r"\boxed{18}. That took 3 steps.", "18"),
        ("#### Step 1\n2 + 16\nThat makes 18", "18"),
        ("Answer: -5", "-5"),
        ("10-5", "5"),
        ("It is \u22125.", "-5"),
        ("It is -$5.", "-5"),
        (r"It is $-5$.", "-5"),
        ("1,234,567", "1234567"),
        ("1_000", "1000"),
        ("1'000.5", "1000.5"),
        ("1\u202f000", "1,000"),
        (r"1{,}000", "1000"),
        ("$1,234.50.", "1234.5"),
        ("3/4", "0.75"),
        ("1 1/2 cups", "1.5"),
        (r"The answer is \frac{3}{4}", "3/4"),
        ("25%", "25"),
        ("25 %", "0.25"),
        ("0.25", "25%"),
        ("1.5e3", "1500"),
        (".5", "0.5"),
        ("18kg", "18"),
        ("0", "0"),
        ("0.33333333", "1/3"),
        ("9" * 1000, "9" * 1000),
    ],
)
def test_a_number_is_read_however_it_is_written(reply: str, answer: str) -> None:
    assert numeric(reply, Case("?", answer)).correct


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("", "18"),
        ("eighteen", "18"),
        ("18 and then 19", "18"),
        ("18.001", "18"),
        ("-18", "18"),
        ("0.0001", "0"),
        ("1/0", "1"),
        ("x18", "18"),
        ("9" * 999, "9" * 1000),
        ("1e9999", "18"),
        ("nan", "18"),
        ("inf", "18"),
    ],
)
def test_another_number_or_none_is_wrong(reply: str, answer: str) -> None:
    assert not numeric(reply, Case("?", answer)).correct


@given(
    st.decimals(-(10**12), 10**12, places=3),
    st.sampled_from(["{}", "${}", "The answer is {}.", "so = {} km", "#### {}"]),
)
def test_a_number_is_itself_in_any_frame_and_with_separators(value: Decimal, frame: str) -> None:
    for written in (f"{value}", f"{value:,}", f"{value:,}".replace(",", "_")):
        assert is_number(written)
        assert numeric(frame.format(written), Case("?", str(value))).correct
        assert not numeric(frame.format(written), Case("?", str(value * 2 + 1))).correct or value == -1


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_two_numbers_are_the_same_within_a_millionth_only(first: int, second: int) -> None:
    same = abs(first - second) * 10**6 <= abs(second)
    assert numeric(str(first), Case("?", str(second))).correct == same


@pytest.mark.parametrize(
    ("reply", "answer", "correct"),
    [
        ("False", "false", True),
        ("  'False'.  ", "False", True),
        ("**False**", "False", True),
        ("\u201cfalse\u201d", "False", True),
        ("The answer is False.", "False", True),
        ("The answer is False. This is why.", "False", True),
        ("Let me see.\nAnswer: abc, ada, ron", "abc ada ron", True),
        ("not False", "False", False),
        ("True. The answer is False", "True", False),
        ("", "False", False),
        ("] ]", "] ]", True),
        ("The answer is ] ]", "] ]", True),
        ("] ] >", "] ]", False),
        ("35", "3.5", False),
        ("5", "-5", False),
        (".", "!", False),
        ("!", "!", True),
    ],
)
def test_exact_lets_pass_case_quotes_and_punctuation_at_the_end_of_words(
    reply: str, answer: str, correct: bool
) -> None:
    assert exact(reply, Case("?", answer)).correct == correct


@given(st.text(min_size=1).filter(str.strip))
def test_every_text_is_exactly_itself(text: str) -> None:
    assert exact(text, Case("?", text)).correct
    assert exact(f"  {text}\n", Case("?", text)).correct


@given(WORDS, WORDS)
def test_exact_distinguishes_words_and_nothing_else(first: str, second: str) -> None:
    reply = f' "{first.upper().replace(" ", "  ")}". '
    assert exact(reply, Case("?", second)).correct == (first.split() == second.split())


def test_a_pattern_finds_its_last_match_by_its_group_or_as_a_whole() -> None:
    assert regex(r"= (\d+)")("= 3, = 4", Case("?", "4")).correct
    assert not regex(r"= (\d+)")("= 3, = 4", Case("?", "3")).correct
    assert regex(r"\d+")("3 and 4", Case("?", "4")).correct
    assert regex(r"<(.*?)>")("<Yes.>", Case("?", "yes")).correct
    assert regex(r"<(.*?)>")("<1,000>", Case("?", "1000")).correct
    assert regex(r"<(.*?)>")("no brackets", Case("?", "no brackets")).found == ""


def test_a_pattern_sees_the_end_of_a_long_reply_only() -> None:
    assert not regex(r"= (\d+)")("= 3" + " " * 4000, Case("?", "3")).correct
    assert regex(r"= (\d+)")(" " * 100_000 + "= 3", Case("?", "3")).correct


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is not a regular expression: missing"), ("(a)(b)", "has 2 groups; keep a single group")],
)
def test_a_pattern_that_means_nothing_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        regex(pattern)


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        (["(A)", "(C)", "B"], "multiple_choice"),
        (["(A)"] * 20 + ["Monsters, Inc"], "multiple_choice"),
        (["(A)", "Yes"], "exact"),
        (["3", "-1,000", "$2.50", "3/4", "50%"], "numeric"),
        (["3", "three"], "exact"),
        (["3/0", "3"], "exact"),
        (["Yes", "No"], "exact"),
    ],
)
def test_the_metric_is_guessed_from_the_answers(answers: list[str], name: str) -> None:
    assert guessed([Case("?", answer) for answer in answers]) == name


@pytest.mark.parametrize("name", ALL)
@given(
    reply=st.one_of(st.text(), st.text("aA1B.,()/-%$ \n#={}'!is"), st.binary().map(lambda raw: raw.decode("latin-1")))
)
def test_any_reply_has_a_verdict(name: str, reply: str) -> None:
    verdict = ALL[name](reply, CASES[name])
    assert type(verdict.correct) is bool
    assert type(verdict.found) is str
    assert ALL[name](reply, CASES[name]) == verdict


@given(st.text("aA1. \n#=:*{}answeris\\boxed"))
def test_what_is_stated_is_part_of_the_reply_and_one_line(reply: str) -> None:
    assert stated_answer(reply) in reply


LONG = 1_000_000
HOSTILE = {
    "zeros": "0" * LONG,
    "ones with commas": "1,111" * (LONG // 5),
    "lists": "1, 1 1/1 " * (LONG // 9),
    "full stops": "." * LONG + "x",
    "exclamation marks": "!" * LONG,
    "dotted": "1." * (LONG // 2),
    "spaces": " " * LONG,
    "lines": "\n" * LONG,
    "tabs": "\t" * LONG + "x",
    "marks": "answer is " * (LONG // 10),
    "headings": "#" * LONG,
    "long headings": "#### " * (LONG // 5) + "x",
    "boxes": "\\boxed{" * (LONG // 7),
    "fractions": "\\frac{1" * (LONG // 7),
    "answers to": "answer to " * (LONG // 10),
    "brackets": "(" * LONG,
    "choices": "(B) (A) " * (LONG // 8),
    "letters": "A\n" * (LONG // 2),
    "names": "Bernard Shaw Louis " * (LONG // 19),
    "quotes": "'" * LONG,
    "nul": "\0" * LONG,
    "surrogates": "\ud800" * LONG,
    "ligatures": "\ufdfa" * LONG,
    "signs": "-" * LONG + "5",
    "percents": "1%" * (LONG // 2),
    "exponents": "1e1" * (LONG // 3),
    "is": "is " * (LONG // 3),
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ALL)
def test_a_megabyte_of_reply_is_scored_at_once(name: str, reply: str) -> None:
    gc.disable()  # collecting what other tests left would take longer than this; their threads are not counted either
    try:
        started = time.thread_time()
        assert not ALL[name](reply, CASES[name]).correct
        assert time.thread_time() - started < 0.5
    finally:
        gc.enable()
