"""Laws of lessons: which are kept, who sees them, and what near duplicates are."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.genomes import Program, Vector
from evo.protocols import Arm
from evo.search.duplicates import DuplicateFilter, vector_of
from evo.search.lessons import LONG_LIMIT, SHORT_LIMIT, LessonMemory
from evo.search.search import SearchSettings
from evo.values import PAST_LIMIT, Ask, Candidate, Evaluation, Individual, Lesson, Proposal
from tests.support.made import advance, evaluation, search, searching

lessons = st.builds(
    Lesson,
    st.sampled_from(["short", "long"]),
    st.text(max_size=3),
    st.integers(-1, 99),
    st.sampled_from([0.0, 0.5, 1.0]),
)


@given(st.lists(st.lists(lessons, max_size=8).map(tuple), max_size=20))
def test_the_best_lessons_are_kept_long_ones_first_and_none_twice(given_tips: list[tuple[Lesson, ...]]) -> None:
    memory = LessonMemory()
    for some in given_tips:
        memory.add(some)
    kinds = [one.kind for one in memory.best]
    assert kinds == sorted(kinds)
    assert kinds.count("long") <= LONG_LIMIT
    assert kinds.count("short") <= SHORT_LIMIT
    assert len({one.text for one in memory.best}) == len(memory.best)
    short = [one.gain for one in memory.best if one.kind == "short"]
    assert short == sorted(short, reverse=True)
    best = max((one.gain for some in given_tips for one in some), default=None)
    if best is not None and all(one.kind == "short" for some in given_tips for one in some):
        assert short[0] == best


def test_a_lesson_is_seen_by_asks_after_the_result_of_its_offspring_and_has_its_gain() -> None:
    one = search(seeds=1)
    advance(one, Vector((0.0,)), evaluation(1, 1))
    first, second = one.ask(), one.ask()
    assert first is not None
    assert second is not None
    candidate = one.admit(first, Proposal("ok", Vector((1.0,)), lessons=(Lesson("short", "smaller is better"),)))
    assert isinstance(candidate, Candidate)
    one.tell(candidate, evaluation(0, 2))
    third = one.ask()
    assert third is not None
    assert one.ask_snapshot(second).lessons == ()
    assert one.ask_snapshot(third).lessons == (Lesson("short", "smaller is better", first.id, 1.0),)


def test_a_lesson_of_a_proposal_without_a_genome_is_kept() -> None:
    one = search(seeds=1)
    advance(one, Vector((0.0,)), evaluation(1, 1))
    ask = one.ask()
    assert ask is not None
    one.drop(ask, (Lesson("long", "less is more"),))
    assert one.lessons.best == (Lesson("long", "less is more", ask.id, 0.0),)


def test_an_individual_remembers_its_nearest_ancestors_the_oldest_first() -> None:
    one = search(seeds=1, population=2, parents="best")
    for number in range(PAST_LIMIT + 4):
        advance(one, Vector((float(number),)), evaluation(-number, number))
    youngest = max(one.population, key=lambda individual: individual.id)
    ids = [step.id for step in youngest.past]
    assert ids == list(range(youngest.id - PAST_LIMIT, youngest.id))


def living(identity: int, text: str, vector: tuple[float, ...] = ()) -> Individual:
    return Individual(
        identity, identity, Ask(identity, "seed"), Program.single(text), Evaluation("ok", {"cost": 1.0}), vector=vector
    )


def test_a_text_nearly_like_that_of_a_member_is_a_duplicate_and_another_is_not() -> None:
    others = [living(3, "def f(x):\n    return x + 1\n"), living(7, "def g(items):\n    return sorted(items)[0]\n")]
    near = Program.single("def g(items):\n    return sorted(items)[1]\n")
    far = Program.single("class Tree:\n    pass\n")
    assert DuplicateFilter(text=0.95).duplicate(near, (), others) == "its text is 0.980 like that of 7"
    assert DuplicateFilter(text=0.95).duplicate(far, (), others) == ""
    assert DuplicateFilter().duplicate(others[0].genome, (), others) == ""


def test_embeddings_of_almost_the_same_direction_are_duplicates() -> None:
    others = [living(3, "a = 1\n", (1.0, 0.0)), living(4, "b = 1\n"), living(5, "c = 1\n", (0.0, 2.0))]
    genome = Program.single("d = 1\n")
    assert (
        DuplicateFilter(vectors=0.99).duplicate(genome, (0.01, 5.0), others) == "its embedding is 1.000 like that of 5"
    )
    assert DuplicateFilter(vectors=0.99).duplicate(genome, (1.0, 1.0), others) == ""
    assert DuplicateFilter(vectors=0.99).duplicate(genome, (), others) == ""
    assert DuplicateFilter(vectors=0.99).duplicate(genome, (1.0, 0.0, 0.0), others) == ""


def test_a_near_duplicate_is_rejected_before_its_evaluation_and_names_the_member() -> None:
    one = search(seeds=1, duplicate_filter=DuplicateFilter(text=0.9))
    advance(one, Program.single("value = 1234567890\n"), evaluation(1, 1))
    ask = one.ask()
    assert ask is not None
    answer = one.admit(ask, Proposal("ok", Program.single("value = 1234567891\n")))
    assert answer == "its text is 0.964 like that of 0"
    assert one.admitted == 1


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20))
def test_a_vector_is_read_back_as_it_was_written(values: list[float]) -> None:
    text = base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()
    assert vector_of(text) == tuple(values)


@pytest.mark.parametrize("text", ["no base64!", "AAA=", base64.b64encode(np.array([np.nan], "<f4").tobytes()).decode()])
def test_what_is_no_vector_is_none(text: str) -> None:
    assert vector_of(text) == ()


def test_an_operator_that_mends_gets_each_failure_once_and_then_what_the_others_get() -> None:
    one = searching((Arm("repair", "model", 1, 1.0, repairs=True),), SearchSettings(0, 100))
    advance(one, Vector((0.0,)), evaluation(1, 1))
    advance(one, Vector((1.0,)), evaluation(0, 0, outcome="crash"))
    ask, following = one.ask(), one.ask()
    assert ask is not None
    assert following is not None
    assert [parent.id for parent in ask.parents] == [1]
    assert one.ask_snapshot(ask).parents[0].evaluation.outcome == "crash"
    assert [parent.id for parent in following.parents] == [0]
