"""Laws of operators that draw a lesson first: what they compare, what they keep, what they do with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.genomes import Program
from evo.models import BudgetSpentError, Completion, Request
from evo.testing.scripted import ScriptedModel
from evo.values import Ancestor, Evaluation, Lesson
from operators.llm.reflection import Distil, Reflect, ReflectiveOperator
from tests.support.model_operators import CONTEXT, always, but_for_call, proposed, sent_by
from tests.support.model_replies import CORPUS, FAILED, NEW, PROGRAMS, code, parents_of

PAIR = parents_of([PROGRAMS["one region"], PROGRAMS["two regions"]])
LESSON = "Look at the fullest bin first."
KIND = {Reflect: "short", Distil: "long"}
each_reflective = pytest.mark.parametrize("operator", [Reflect, Distil], ids=lambda operator: operator.purpose)


@each_reflective
def test_it_asks_for_a_lesson_and_then_for_a_child_that_heeds_it(operator: type[ReflectiveOperator]) -> None:
    model = ScriptedModel(but_for_call(0, LESSON, "Now fuller.\n" + code(NEW)))
    proposal = proposed(operator(), PAIR, model)
    assert tuple(request.purpose for request in model.requests) == operator.calls
    assert f'"{LESSON}"' in model.requests[1].messages[1].text
    assert proposal.outcome == "ok"
    assert proposal.thought == "Now fuller."
    assert [(lesson.kind, lesson.text) for lesson in proposal.lessons] == [(KIND[operator], LESSON)]


@each_reflective
@pytest.mark.parametrize("reply", [*CORPUS.values(), *FAILED.values()], ids=[*CORPUS, *FAILED])
def test_the_lesson_is_kept_whatever_the_second_call_gives(
    operator: type[ReflectiveOperator], reply: str | Completion
) -> None:
    proposal = proposed(operator(), PAIR, ScriptedModel(but_for_call(1, reply, LESSON)))
    assert [(lesson.kind, lesson.text) for lesson in proposal.lessons] == [(KIND[operator], LESSON)]


@each_reflective
@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (code(NEW), "unparsable"),
        ("", "empty"),
        (" \n", "empty"),
        ("**Lesson:**\n" + code(NEW), "unparsable"),
        ("I'm sorry, but I can't help with that.", "refused"),
        (FAILED["timeout"], "timeout"),
    ],
)
def test_without_a_lesson_there_is_no_second_call(
    operator: type[ReflectiveOperator], reply: str | Completion, outcome: str
) -> None:
    model = ScriptedModel(always(reply))
    proposal = proposed(operator(), PAIR, model)
    assert (proposal.outcome, proposal.lessons, len(model.requests)) == (outcome, (), 1)


@each_reflective
def test_a_cap_that_is_reached_at_the_second_call_ends_the_search(operator: type[ReflectiveOperator]) -> None:
    def rule(request: Request) -> str:
        if request.purpose == operator.calls[0]:
            return LESSON
        raise BudgetSpentError("the cap of $1 is reached")

    with pytest.raises(BudgetSpentError, match="the cap of"):
        proposed(operator(), PAIR, ScriptedModel(rule))


@each_reflective
@given(words=st.lists(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), min_size=1, max_size=300))
def test_a_lesson_is_one_line_of_no_more_words_than_were_asked_for(
    operator: type[ReflectiveOperator], words: list[str]
) -> None:
    reply = "Lesson: Always " + "\n".join(words)
    (lesson,) = proposed(operator(), PAIR, ScriptedModel(always(reply))).lessons
    assert lesson.text.startswith("Always")
    assert len(lesson.text.removesuffix(" ...").split()) <= operator.most_words
    assert len(lesson.text.splitlines()) == 1


def test_reflection_shows_the_worse_program_first_and_what_the_better_one_gained() -> None:
    sent = sent_by(Reflect(), PAIR)
    assert sent.index("# Worse program\nMeasured: excess = 5 %") < sent.index(
        "# Better program\nMeasured: excess = 4 %"
    )
    assert "From the worse to the better: excess 5 -> 4 (better), size 10 -> 9 (better)" in sent
    swapped = sent_by(Reflect(), PAIR[::-1])
    assert swapped.index("Measured: excess = 5 %") < swapped.index("Measured: excess = 4 %")


def test_two_parents_that_mean_the_same_are_not_compared_and_nothing_is_paid() -> None:
    model = ScriptedModel(always(LESSON))
    duplicate = replace(PAIR[0], id=7, genome=Program.single(PROGRAMS["one region"].text + "# another comment\n"))
    proposal = proposed(Reflect(), [PAIR[0], duplicate], model)
    assert proposal.outcome == "refused"
    assert "nothing to compare" in proposal.thought
    assert not model.requests


def test_a_failed_parent_is_the_worse_one() -> None:
    broken = replace(PAIR[0], evaluation=Evaluation("crash", feedback="ZeroDivisionError"))
    sent = sent_by(Reflect(), [broken, PAIR[1]])
    assert sent.index("Measured: failed: crash") < sent.index("Measured: excess = 5 %")
    assert "From the worse to the better" not in sent


def test_distilling_shows_the_last_long_lessons_and_the_short_ones_and_no_program() -> None:
    long = tuple(Lesson("long", f"Long {number}.", number) for number in (1, 9, 5))
    short = tuple(Lesson("short", f"Short {number}.", number) for number in range(20))
    sent = sent_by(Distil(), PAIR, replace(CONTEXT, lessons=(*long, *short)))
    shown = [line for line in sent.splitlines() if line.startswith('- "')]
    assert shown == ['- "Long 9."', '- "Long 5."', *(f'- "Short {number}."' for number in range(12))]
    assert "priority" not in sent


def test_without_lessons_one_is_drawn_from_the_past_and_the_feedback_of_the_base() -> None:
    past = (Ancestor(1, "seed", Evaluation("ok", {"excess": 6.0, "size": 9.0}), "Best fit."),)
    sent = sent_by(Distil(), [replace(PAIR[0], past=past)])
    assert '1. measured excess = 6 %, size = 9 nodes, idea "Best fit."' in sent
    assert "excess 6 -> 4 (better)" in sent
    assert "case 3: 5 bins of 4" in sent
    assert "priority" in sent


def test_earlier_lessons_guide_the_child_and_do_not_colour_the_comparison() -> None:
    model = ScriptedModel(but_for_call(0, LESSON, code(NEW)))
    proposed(Reflect(show_record=True), PAIR, model, replace(CONTEXT, lessons=(Lesson("short", "Old."),)))
    first, second = (request.messages[1].text for request in model.requests)
    assert "# Lessons so far" not in first
    assert "# Lessons so far\n" in second
    assert '- "Old."' in second
