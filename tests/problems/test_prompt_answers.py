"""The laws of reading answers: a table of replies with the verdict of a careful reader, and none is read wrongly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

import pytest

from problems.prompt_cases import Case
from problems.prompt_metrics import METRICS

# What a reader would say: the right answer, another answer, or that it is unclear.
Said: TypeAlias = Literal["right", "wrong", "unclear"]
Row: TypeAlias = tuple[str, str, Said]

COLOURS = "What colour is the sky?\n(A) red\n(B) blue\n(C) green\n(D) blue-green"
CHOICES: Sequence[Row] = [
    (reply, "B", "right")
    for reply in [
        "B", "b", "(B)", "B.", "B)", "**B**", "**(B)**", "`B`", '"B"', "[B]", "B: blue", "B) blue", "(B) blue", "B. blue", "B - blue",
        "Blue.", "blue", "**Blue**", "It is blue.", "The sky is blue, of course.", "Option B", "option (B)", "Choice B.",
        "B. Because the sky scatters short waves.", "B, because A is the colour of fire.", "B\n\nExplanation: the sky is blue, so option A is wrong and C is green.",
        "B\n\nA is wrong: red is the colour of fire.", "(B) since the others are absurd", "B. Not A, as the sky is not red.",
        "The answer is B, since A is red.", "The answer is (B), because (A) and (C) are wrong.", "The answer is B.", "The correct answer is option B.",
        "Answer: B", "**Answer:** B", "**Answer: B**", "Answer: (B) blue", "ANSWER: B", "Final answer: B", "The final answer is **B**.", "Answer = B",
        "The answer is: **(B)**.", "So the answer is blue.", "#### B", r"\boxed{B}", r"$\boxed{\text{B}}$", r"The answer is $\text{(B)}$.", r"\boxed{\textbf{(B)}}",
        "The answer is not A; it is B.", "Not A; B", "Not (A), but (B).", "It isn't A. It's B.", "The answer is (A). Wait, no: the answer is (B).",
        "A. No, wait: B.", "I first thought A. Actually, B.", "The answer is A. Sorry, I mean B.", "(A) is red. (C) is green. I choose (B).",
        "A is wrong. C is wrong. D is wrong. B is right.", "Option A is incorrect, and option B is correct.", "I would pick B.", "I think it's B.",
        "Let me see.\nThe sky scatters light.\nB", "Reasoning: light scatters.\n\nTherefore, (B).", "B is the correct answer.", "B is correct.", "(B) is right, I think.",
        "The answer to the question is B.", "The answer should be B.", "Probably B.", "What colour is the sky? The answer is B.",
        "A) red - no\nB) blue - yes\nThe answer is B", "Rather than A, I choose B.", "The answer is B rather than A.", "Blue is the answer, so B.",
        "The answer is\n\n(B)", "The answer is option **B**: blue.", "Answer - B", "My answer: b", "**B) blue**", "Answer: 'B'.", "B\n", "  (B)  ",
    ]
] + [
    (reply, "B", "wrong")
    for reply in ["A", "(C)", "Red.", "The answer is (D) blue-green.", "The answer is C, since B is blue.", "B. No, wait: C.", "Not B; C.", "It is blue-green.", "The answer is (B). Correction: (A)."]
] + [
    (reply, "B", "unclear")
    for reply in [
        "A or B", "Either A or B.", "A and B", "(A), (B)", "The answer is A or B.", "The answer is A/B.", "The answer is either B or C.", "A, B and C are all possible.",
        "The answer is A. The answer is B.", "Final answer: B\nFinal answer: C", r"\boxed{A} or maybe \boxed{B}", "I do not know.", "I cannot determine this.",
        "None of the above.", "none of them", "It depends on the weather.", "No answer.", "", "The answer is Z.", "A penguin is old.", "(A) blue", "The answer is A: blue.",
        "The answer is not B.", "Not B.", "B is wrong.", "B is not the answer.", "Purple.", "Red or blue.", "As an AI, I cannot see the sky.", "I'm not sure: A, or B.",
        "The answer is B. Wait, that is wrong.", "B? C? Who knows.", "I am unable to answer, but B is listed.", "It is red and blue.", "The answer is B and C.",
    ]
]

NUMBERS: Sequence[Row] = [
    (reply, "18", "right")
    for reply in [
        "18", "18.", "18.0", "18.00", "**18**", "*18*", "`18`", "__18__", "$18", "$18.00", "18 $", "\u20ac18", "18\u20ac", "\u00a318", "18 USD", "18 dollars", "18 apples", "18kg", "18 km/h", "18 m/s", "18\u00b0C", "18 cm\u00b2",
        r"$18$", r"$$18$$", r"\(18\)", r"\[18\]", r"\boxed{18}", r"$\boxed{18}$", r"\boxed{18 \text{ apples}}", r"\boxed{\text{18}}", r"\boxed{\$18}", r"18\text{ km}", r"\mathbf{18}", r"18^\circ",
        "The answer is 18.", "The answer is **18**.", "The answer is: 18", "Answer: 18", "**Answer:** 18", "**Answer: 18 apples**", "Final answer: 18", "Final Answer:\n18", "#### 18", "The answer is $18.", "The answer is 18 apples.",
        "The answer is 18, which is 2 more than 16.", "The answer is 18, since 16 + 2 = 18.", "The answer is 18 because 3 times 6 is that.", "The answer is 18 (not 20).", "The answer is 18, not 20.",
        "The answer is 9 * 2 = 18.", "The answer is 9 \u00d7 2 = 18 apples.", "16 - 3 - 4 = 9, and 9 * 2 = 18", "9 + 7 = 16\n16 + 2 = 18", "2x = 36, so x = 18", "x = 18", r"$x = 18$", "= 18", "= 9 * 2", "9 * 2", "18 = 9 * 2", r"9 \times 2 = 18", r"9 \cdot 2",
        "not 5, it is 18", "It is not 5; it is 18.", "It isn't 20 but 18.", "20. Wait, 18.", "20, no, wait, 18", "The answer is 20. Wait, the answer is 18.", "The answer is 20. Actually, it is 18.", "The answer is 20. Correction: 18", "20? No, 18.", "I said 20. Sorry, 18.", "The answer is 20, I mean 18.", "The answer is 20. I made a mistake: 9 * 2 = 18.",
        "She makes $18 a day.", "So she has 18 apples.", "There are 18 left.", "Therefore, 3 people have 18 apples.", "Altogether that makes 18", "In step 3 we get 18.", "That is 18 in total.", "After 3 days there are 18 left.", "Each of the 4 friends gets 18 apples.",
        "18\n\nExplanation: 9 eggs at 2 dollars each.", "18. That took 3 steps.", "18\n\nBecause 9 * 2 = 18.", "18 (nine times two)", "18 is the answer.", "18 is the correct answer, as 20 - 2 = 18.", "I think it is 18.", "It is probably 18.", "About 18.", "approximately 18", r"\approx 18", "\u2248 18",
        "How many eggs are in 2 boxes of 9? There are 18 eggs.", "First, 16 eggs. Then 2 more. In total, 18 eggs.", "1. Nine eggs.\n2. Two dollars.\nThe answer is 18.", "<<9*2=18>>18 dollars\n#### 18", "9 * 2 = <<9*2=18>>18", "The total is 18 dollars.", "The answer is 18 dollars per day.", "The answer is 18 dollars. I hope this answer is clear.", "The answer to the first part is 9. The answer is 18.", "Total: 18", "Result: 18", "The answer is 20. The final answer is 18.", "36/2", "36 / 2 = 18", "The answer is 36/2.", "20 - 2", "20 - 2 = 18", "Answer: 18!", "1.8e1", "1.8 x 10^1", "The sum is 18.", "18 = x", "(18)", "[18]", "{18}", "18,00", "18,0",
    ]
] + [
    (reply, "18", "wrong") for reply in ["17", "-18", "The answer is -18.", "\u221218", "\u201318", "180", "1.8", "18.5", "18 million", "x = 17", "The answer is 20, not 18.", "18. Wait, 19.", "18, no, 19", "2^18", "18^2", "18k", "18 1/2", "18/2", "The answer is 18 * 2 = 36.", "9 * 2 = 18, and 18 + 1 = 19"]
] + [
    (reply, "18", "unclear")
    for reply in [
        "", "eighteen", "No answer.", "I do not know.", "I cannot answer that: 18 is only one possibility.", "It depends: 18 or 20.", "either 18 or 19", "18 or 19", "The answer is 18 or 19.", "The answer is either 18 or 19.", "18 and then 19", "between 18 and 20", "18-20", "18\u201320", "18 \u2013 20", "18\u201420", "18 to 20", "from 18 to 20", "The answer is 18 to 20.", "The answer is between 16 and 18.",
        "The answer is 18. The answer is 19.", r"\boxed{18} \boxed{19}", "Final answer: 18\nFinal answer: 19", "x = 18, y = 19", "x = 18 and y = 3", "x > 18", r"x \ge 18", "\u00b118", "+/- 18", r"\pm 18", "18:30", "18:1", "18:00:00", "2018-01-18", "18/01/2018", "1.18.2", "The answer is not 18.", "not 18", "It isn't 18.", "more than 18", "less than 18", "18, 19, 20", "1,8,18", "(1,8)", "[1, 18]", "{18, 19}", r"18\pi", r"\sqrt{18}", r"\frac{18}{0}", "18/0", "18!!! or 19", "x18", "18 hours 30 minutes", "The answer is 18 hours and 30 minutes.", "The answer is 18 feet 3 inches.", "The answer is 18. Wait, that is wrong.", "The answer is 18. Hmm, I am not sure.", "Maybe 18, maybe 19.", "The answer is twice 18.", "The answer is 2 more than 18.", "5 apples and 18 pears", "The answer is 5 apples and 18 pears.", "18 \u00b1 2", "18 +/- 2", "18\n\nSo there are 19 left.", "Answer - 18 or - 19", "2(18)", "18x", "18 * x",
    ]
]
OTHERS: Sequence[Row] = [
    ("1,200", "1200", "right"), ("$1,200", "1200", "right"), ("$1,200.00", "1200", "right"), ("1\u2009200", "1200", "right"), ("1\u00a0200", "1200", "right"), ("1\u202f200", "1200", "right"), ("1'200", "1200", "right"), ("1\u2019200", "1200", "right"), ("1_200", "1200", "right"), (r"1{,}200", "1200", "right"), (r"1\,200", "1200", "right"), ("1.2k", "1200", "right"), ("1.2 thousand", "1200", "right"), ("1.200,00", "1200", "right"), ("1.2e3", "1200", "right"), ("1.2E+3", "1200", "right"), ("1.2 \u00d7 10^3", "1200", "right"), ("1.2 x 10\u00b3", "1200", "right"), (r"1.2 \times 10^{3}", "1200", "right"), (r"$1.2 \cdot 10^3$", "1200", "right"), ("1.2*10**3", "1200", "right"), ("12 hundred", "1200", "right"), ("The answer is $1,200, or 1200 dollars.", "1200", "right"), ("1.200", "1200", "wrong"), ("1,200,300", "1200", "wrong"), ("1200 000", "1200", "unclear"),
    ("1000000", "1000000", "right"), ("1,000,000", "1000000", "right"), ("1 000 000", "1000000", "right"), ("1\u202f000\u202f000", "1000000", "right"), ("1.000.000", "1000000", "right"), ("10^6", "1000000", "right"), ("10**6", "1000000", "right"), ("10\u2076", "1000000", "right"), ("1e6", "1000000", "right"), ("1E6", "1000000", "right"), ("$10^6$", "1000000", "right"), (r"10^{6}", "1000000", "right"), ("1 million", "1000000", "right"), ("$1 million", "1000000", "right"), ("one: 1M", "1000000", "right"), ("0.001 billion", "1000000", "right"), ("1000 thousand", "1000000", "right"), ("10 lakh", "1000000", "right"), ("10,00,000", "1000000", "right"), ("1 million people", "1000000", "right"), ("1 billion", "1000000", "wrong"),
    ("2^10", "1024", "right"), ("2**10", "1024", "right"), ("2\u00b9\u2070", "1024", "right"), ("2^10 = 1024", "1024", "right"), ("The answer is 2^10.", "1024", "right"), ("The answer is **1024**, that is 2^10.", "1024", "right"), ("2 \u00d7 512", "1024", "right"), ("4 x 256", "1024", "right"), ("4 \u00b7 256", "1024", "right"), ("1000 + 24", "1024", "right"), ("2^11", "1024", "wrong"),
    ("300000", "3 \u00d7 10^5".replace("3 \u00d7 10^5", "300000"), "right"), ("3 \u00d7 10^5", "300000", "right"), ("3 * 10^5", "300000", "right"), ("3\u00d710\u2075", "300000", "right"), ("3x10^5", "300000", "right"), ("0.3 million", "300000", "right"), ("300k", "300000", "right"), ("3 \u00d7 10^-5", "0.00003", "right"), ("3 \u00d7 10\u207b\u2075", "0.00003", "right"), ("3e-5", "0.00003", "right"), (r"3 \times 10^{-5}", "0.00003", "right"),
    ("3/4", "0.75", "right"), ("0.75", "3/4", "right"), (r"\frac{3}{4}", "0.75", "right"), (r"\dfrac{3}{4}", "0.75", "right"), (r"\frac34", "0.75", "right"), ("\u00be", "0.75", "right"), ("75%", "0.75", "right"), (r"75\%", "0.75", "right"), ("75 percent", "0.75", "right"), ("75 per cent", "0.75", "right"), ("75%", "75", "right"), ("0.75", "75%", "right"), ("0,75", "0.75", "right"), (".75", "0.75", "right"), ("The answer is 3/4 of a cup.", "0.75", "right"), ("3:4", "0.75", "unclear"), ("3 out of 4 or 5", "0.75", "wrong"), ("4/3", "0.75", "wrong"), (r"-\frac{3}{4}", "-0.75", "right"), (r"\boxed{\frac{3}{4}}", "0.75", "right"), (r"$\frac{3}{4}$", "0.75", "right"), ("6/8 = 3/4", "0.75", "right"),
    ("1 1/2", "1.5", "right"), ("1\u00bd", "1.5", "right"), ("1 \u00bd cups", "1.5", "right"), (r"1\frac{1}{2}", "1.5", "right"), ("1 and 1/2", "1.5", "right"), ("3/2", "1.5", "right"), ("1,5", "1.5", "right"), ("1,50 \u20ac", "1.5", "right"), ("-1 1/2", "-1.5", "right"), ("The answer is 1 1/2 cups.", "1.5", "right"), ("1-1/2", "1.5", "unclear"),
    ("3rd", "3", "right"), ("The 3rd.", "3", "right"), ("On the 2nd day there are 3 left.", "3", "right"), ("The answer is 21st", "21", "right"), ("3:15", "3", "unclear"), ("3:15", "15", "unclear"), ("The train leaves at 3:15.", "3", "unclear"), ("2:1", "2", "unclear"),
    ("-5", "-5", "right"), ("\u22125", "-5", "right"), ("\u20135", "-5", "right"), ("The answer is \u20135.", "-5", "right"), ("The answer is -5.", "-5", "right"), ("x = -5", "-5", "right"), ("x = - 5", "-5", "right"), ("-$5", "-5", "right"), ("$-5", "-5", "right"), (r"$-5$", "-5", "right"), ("10 - 15 = -5", "-5", "right"), ("Total \u2014 5", "5", "right"), ("Total\u20145", "5", "right"), ("Total - 5", "5", "unclear"), ("Answer:\n- 5", "5", "unclear"), ("3\u20135", "-5", "unclear"), ("-5 degrees", "-5", "right"), ("minus nothing: -5", "-5", "right"),
    ("3.14159", "3.14159", "right"), ("\u03c0 \u2248 3.14159", "3.14159", "right"), ("3,14159", "3.14159", "right"), ("3.15", "3.14159", "wrong"), ("1.234,56", "1234.56", "right"), ("1,234.56", "1234.56", "right"), ("12.345.678,9", "12345678.9", "right"), ("1,234", "1234", "right"), ("1,23,4", "1234", "unclear"), ("0", "0", "right"), ("zero: 0", "0", "right"), ("-0", "0", "right"), ("0.0", "0", "right"), ("The answer is 0, as nothing is left.", "0", "right"), ("7 days a week for 3 weeks is 21 days", "21", "right"), ("The ratio is 3 to 4.", "3", "unclear"), ("$5 and $6", "6", "unclear"), ("Each costs $5, so 2 cost $10.", "10", "right"), ("At 3 o'clock or 4 o'clock", "3", "unclear"), ("They sold 7 on Monday and 5 on Tuesday.", "5", "unclear"), ("It costs $5m", "5", "unclear"),
]
TEXTS: Sequence[Row] = [
    ("Paris", "Paris", "right"), ("paris.", "Paris", "right"), ("**Paris**", "Paris", "right"), ('"Paris"', "Paris", "right"), ("The answer is Paris.", "Paris", "right"), ("The answer is Paris, since it is the capital.", "Paris", "right"), ("The answer is Paris because it is the capital.", "Paris", "right"), ("Answer: Paris", "Paris", "right"), (r"\boxed{Paris}", "Paris", "right"), ("It is Paris.", "Paris", "right"), ("The capital of France is Paris.", "Paris", "right"), ("Paris, because it is the capital.", "Paris", "right"), ("Paris. It has been the capital for centuries.", "Paris", "right"), ("Let me think.\nParis", "Paris", "right"), ("Paris\n\nExplanation: it is the capital of France.", "Paris", "right"), ("The answer is London. Wait, the answer is Paris.", "Paris", "right"),
    ("London", "Paris", "wrong"), ("The answer is London.", "Paris", "wrong"), ("The answer is Paris. Wait, no: London.", "Paris", "unclear"), ("The answer is not Paris.", "Paris", "unclear"), ("Not Paris.", "Paris", "unclear"), ("Paris or London", "Paris", "unclear"), ("Either Paris or London.", "Paris", "unclear"), ("The answer is Paris or London.", "Paris", "unclear"), ("The answer is Paris. The answer is London.", "Paris", "unclear"), ("I do not know.", "Paris", "unclear"), ("It isn't Paris.", "Paris", "unclear"), ("Paris. No, London.", "Paris", "unclear"), ("Yes. No.", "Yes", "unclear"), ("Yes, because it is so.", "Yes", "right"), ("No. The sky is not green at all.", "No", "right"), ("3:15", "3:15", "right"), ("It is 3:15.", "3:15", "right"),
]
TABLE = [
    *(("multiple_choice", COLOURS, *row) for row in CHOICES),
    *(("numeric", "How many?", *row) for row in [*NUMBERS, *OTHERS]),
    *(("exact", "Which?", *row) for row in TEXTS),
]


@pytest.mark.parametrize(("metric", "question", "reply", "answer", "said"), TABLE)
def test_a_reply_is_read_as_a_careful_reader_reads_it(
    metric: str, question: str, reply: str, answer: str, said: Said
) -> None:
    verdict = METRICS[metric](reply, Case(question, answer))
    assert verdict.correct == (said == "right")
    if said == "unclear" and metric != "exact":
        assert verdict.found == ""


def test_the_table_is_large_and_without_repeats() -> None:
    assert len(TABLE) == len(set(TABLE)) >= 300


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("18 or 19", "several numbers: 18"), ("The answer is 18. The answer is 19.", "two different answers: 18 and 19"), ("3:15", "3:15 is no single number"), ("I cannot tell.", "doubted or refused")],
)
def test_an_answer_that_is_not_read_has_a_reason(reply: str, reason: str) -> None:
    verdict = METRICS["numeric"](reply, Case("?", "18"))
    assert (verdict.correct, verdict.found) == (False, "")
    assert reason in verdict.reason


HOSTILE = ["the answer is 5 or ", "answer to ", "\\boxed{", "1,111 ", "1/1 1 ", "no, wait, ", "(B) A. ", "$1 ", "**1** ", "not 5 ", "1\u00bd\u00b2", "= 5 ", "<<1", "\\text{", "because 3 ", "is - "]


def seconds(metric: str, reply: str) -> float:
    """The least of three, of the thread alone: others run beside this test."""
    taken = []
    for _ in range(3):
        started = time.thread_time()
        METRICS[metric](reply, Case(COLOURS, "B" if metric == "multiple_choice" else "18"))
        taken.append(time.thread_time() - started)
    return min(taken)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_length_of_a_reply_and_no_faster(metric: str, unit: str) -> None:
    short, long = (seconds(metric, unit * (size // len(unit))) for size in (100_000, 400_000))
    assert long <= 10 * short + 0.01
