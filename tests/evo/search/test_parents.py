"""Laws of choosing parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evo.errors import ConfigError
from evo.genomes import Vector
from evo.registry import make, names
from evo.search.parents import (
    EpsilonLexicase,
    Lexicase,
    Novelty,
    ParentPool,
    ParetoPerCase,
    PowerLaw,
    RankProportional,
    Tournament,
)
from evo.search.population import RankedPopulation
from evo.survival import Newest, RankAndCrowding
from evo.survival.protocols import MatingPool
from evo.values import Ask, Evaluation, Individual, Objective

ONE = (Objective("cost", "min"),)
TWO = (Objective("cost", "min"), Objective("other", "min"))
BY_CASE = ("pareto_per_case", "lexicase", "epsilon_lexicase")
LIVING = [name for name in names("parents") if name != "seed"]

scores = st.integers(0, 3).map(float)
costs = st.integers(0, 4).map(float)


@st.composite
def tables(draw: st.DrawFn, most: int = 12) -> list[dict[str, float]]:
    """Scores of some individuals on the same cases."""
    cases = draw(st.integers(1, 5))
    rows = draw(st.lists(st.tuples(*[scores] * cases), min_size=1, max_size=most))
    return [{f"case {number}": score for number, score in enumerate(row)} for row in rows]


def member(identity: int, objectives: Mapping[str, float], **more: Any) -> Individual:
    evaluation = Evaluation("ok", objectives, **more)
    return Individual(identity, identity, Ask(identity, "seed"), Vector((float(identity),)), evaluation)


def population(members: Sequence[Individual], objectives: Sequence[Objective] = ONE) -> RankedPopulation:
    living = RankedPopulation(1000, objectives, RankAndCrowding())
    for one in members:
        living.add(one)
    return living


def scored(rows: Sequence[Mapping[str, float]]) -> RankedPopulation:
    """Individuals with these cases, the better by objective the later."""
    return population([member(number, {"cost": -float(number)}, cases=row) for number, row in enumerate(rows)])


def ids(chosen: Sequence[Individual]) -> list[int]:
    return [member.id for member in chosen]


def chosen_by(choice: Any, living: MatingPool, count: int = 1, seed: int = 0) -> list[int]:
    choose = (make("parents", choice, {}) if isinstance(choice, str) else choice).choose
    return ids(choose(ParentPool(living, list(living)[:2]), count, np.random.default_rng(seed)))


def frequencies(choice: Any, living: MatingPool, draws: int = 3000) -> list[int]:
    """How often each of the living was the base."""
    rng = np.random.default_rng(7)
    choosable = ParentPool(living, ())
    counts = Counter(choice.choose(choosable, 1, rng)[0].id for _ in range(draws))
    return [counts[member.id] for member in living]


def fits(observed: Sequence[int], weights: Sequence[float]) -> bool:
    """Whether counts are likely for these weights; where one weighs nothing it must not have come up."""
    pairs = [(count, weight) for count, weight in zip(observed, weights, strict=True) if weight]
    if sum(count for count, _ in pairs) != sum(observed):
        return False
    expected = np.array([weight for _, weight in pairs]) * sum(observed) / sum(weights)
    return len(pairs) == 1 or bool(stats.chisquare([count for count, _ in pairs], expected).pvalue > 1e-3)


class Plain:
    """The living with nothing but what the protocol promises."""

    def __init__(self, living: MatingPool, better: Callable[[int, int], int] | None = None) -> None:
        self._living = living
        self._better = better or living.better

    def __len__(self) -> int:
        return len(self._living)

    def __iter__(self) -> Iterator[Individual]:
        return iter(self._living)

    def __getitem__(self, position: int) -> Individual:
        return self._living[position]

    def add(self, newcomer: Individual) -> list[int]:
        return self._living.add(newcomer)

    def better(self, one: int, other: int) -> int:
        return self._better(one, other)


@pytest.mark.parametrize("name", LIVING)
@given(rows=tables(), count=st.integers(1, 4), seed=st.integers(0, 99), cases=st.booleans())
def test_as_many_parents_as_asked_for_come_all_different_where_there_are_enough(
    name: str, rows: list[dict[str, float]], count: int, seed: int, cases: bool
) -> None:
    living = scored(rows if cases else [{}] * len(rows))
    chosen = chosen_by(name, living, count, seed)
    assert len(chosen) == count
    assert set(chosen) <= set(ids(list(living)))
    if len(living) >= count:
        assert len(set(chosen)) == count


def test_seeds_are_chosen_among_the_seeds_alone() -> None:
    living = scored([{}] * 10)
    assert sorted(chosen_by("seed", living, 2)) == [0, 1]
    assert set(chosen_by("seed", living, 8)) <= {0, 1}


@pytest.mark.parametrize("name", LIVING)
@given(rows=tables(), seed=st.integers(0, 99), random=st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(name: str, rows: list[dict[str, float]], seed: int, random: Any) -> None:
    members = list(scored(rows))
    random.shuffle(members)
    assert chosen_by(name, population(members), 2, seed) == chosen_by(name, scored(rows), 2, seed)


@pytest.mark.parametrize("name", BY_CASE)
@given(rows=tables(), seed=st.integers(0, 99))
def test_what_a_choice_has_seen_before_does_not_matter(name: str, rows: list[dict[str, float]], seed: int) -> None:
    choice = {"pareto_per_case": ParetoPerCase, "lexicase": Lexicase, "epsilon_lexicase": EpsilonLexicase}[name]
    seasoned, members = choice(), list(scored(rows))
    for stop in range(1, len(members) + 1):
        others = [replace(member, evaluation=Evaluation("ok", {"cost": 0.0}, cases={"z": 1.0})) for member in members]
        chosen_by(seasoned, population(others), 1, seed)
        now = population(members[:stop])
        assert chosen_by(seasoned, now, 2, seed) == chosen_by(choice(), now, 2, seed)


@pytest.mark.parametrize("name", BY_CASE)
@given(rows=tables(), seed=st.integers(0, 99))
def test_cases_by_other_names_in_the_same_order_give_the_same_choice(
    name: str, rows: list[dict[str, float]], seed: int
) -> None:
    renamed = [{f"other {case}": score for case, score in reversed(row.items())} for row in rows]
    assert chosen_by(name, scored(renamed), 2, seed) == chosen_by(name, scored(rows), 2, seed)


@given(tables(), st.integers(0, 99))
def test_whatever_the_names_of_the_cases_those_best_on_them_are_the_same(
    rows: list[dict[str, float]], seed: int
) -> None:
    renamed = [{f"{-int(case.split()[1]):03}": score for case, score in row.items()} for row in rows]
    assert chosen_by("pareto_per_case", scored(renamed), 3, seed) == chosen_by("pareto_per_case", scored(rows), 3, seed)


def test_lexicase_takes_the_cases_in_any_order_whatever_their_names() -> None:
    # First on a: 0 and 1, then b or c decides; first on b: 1; first on c: 2.
    rows = [{"a": 2.0, "b": 1.0, "c": 1.0}, {"a": 2.0, "b": 2.0, "c": 0.0}, {"a": 0.0, "b": 0.0, "c": 2.0}]
    exact = [1 / 6, 1 / 2, 1 / 3]
    for letters in ("abc", "bca", "cba"):
        renamed = [dict(zip(letters, row.values(), strict=True)) for row in rows]
        assert fits(frequencies(Lexicase(), scored(renamed)), exact)


@given(tables(), st.integers(0, 99))
def test_the_base_of_lexicase_is_not_dominated_over_the_cases(rows: list[dict[str, float]], seed: int) -> None:
    base = rows[chosen_by("lexicase", scored(rows), 2, seed)[0]]
    assert not [row for row in rows if row != base and all(row[case] >= base[case] for case in base)]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9), st.integers(0, 9))
def test_lexicase_knows_the_order_of_any_numbers(values: list[float], seed: int) -> None:
    # Behind a case on which all are equal, so that rows of several cases are compared.
    rows = [{"a": 0.0, "b": 0.0, "c": value} for value in values]
    assert values[chosen_by("lexicase", scored(rows), 1, seed)[0]] == max(values)


def worthy(rows: Sequence[Mapping[str, float]], among: set[int]) -> set[int]:
    """Those best on some case whose cases are not some of another's."""
    best = {case: max(rows[one][case] for one in among) for case in rows[0]}
    wins = {one: {case for case in best if rows[one][case] == best[case]} for one in among}
    return {one for one, won in wins.items() if won and not any(won < other for other in wins.values())}


@given(tables(), st.integers(0, 99))
def test_those_best_on_some_case_come_first_and_then_those_best_among_the_others(
    rows: list[dict[str, float]], seed: int
) -> None:
    rest, allowed = set(range(len(rows))), worthy(rows, set(range(len(rows))))
    for one in chosen_by("pareto_per_case", scored(rows), len(rows), seed):
        assert one in allowed
        rest.remove(one)
        allowed = allowed & rest or (worthy(rows, rest) if rest else set())


def test_a_case_that_none_of_the_others_has_a_score_on_says_nothing_about_them() -> None:
    rows = [dict.fromkeys("abcdz", 9.0), dict.fromkeys("abc", 5.0), {"d": 5.0}]
    living, rng = scored(rows), np.random.default_rng(0)
    mates = Counter(ParetoPerCase().choose(ParentPool(living, ()), 2, rng)[1].id for _ in range(3000))
    assert fits([mates[1], mates[2]], [3, 1])


def test_those_best_on_more_cases_are_chosen_the_more_often() -> None:
    rows = [
        {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0},
        {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0},
        {"a": 0.0, "b": 0.0, "c": 0.9, "d": 1.0},
        {"a": 0.9, "b": 0.9, "c": 0.9, "d": 0.9},
        {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0},
    ]
    # The second is best where the first is and nowhere else, the third where the last is, the fourth nowhere.
    assert fits(frequencies(ParetoPerCase(), scored(rows)), [3, 0, 0, 0, 2])


@pytest.mark.parametrize("name", BY_CASE)
def test_an_individual_without_a_score_on_a_case_is_worst_there(name: str) -> None:
    living = scored([{"a": -5.0, "b": -5.0}, {"b": -5.0}, {"a": -5.0}, {}])
    assert {chosen_by(name, living, 1, seed)[0] for seed in range(30)} == {0}


@pytest.mark.parametrize("name", BY_CASE)
def test_without_cases_they_choose_by_tournament(name: str) -> None:
    living = scored([{}] * 10)
    for seed in range(10):
        assert chosen_by(name, living, 3, seed) == chosen_by("tournament", living, 3, seed)


def test_tournaments_draw_what_they_always_drew() -> None:
    living = scored([{}] * 50)
    drawn = [chosen_by("tournament", living, 3, seed) for seed in range(4)]
    assert drawn == [[31, 2, 45], [47, 12, 41], [14, 40, 36], [11, 40, 21]]
    assert chosen_by(Tournament(size=5), living, 3, 0) == [40, 46, 42]


def test_epsilon_lexicase_lets_all_within_a_median_deviation_of_the_best_pass() -> None:
    # On "a" the median is 5 and the deviation 1, so 9 and more pass; on "b", which three know, it is 2 and 0.
    first = [10.0, 9.0, 8.9, 5.0, 5.0, 5.0, 4.0, 5.0, 6.0]
    rows: list[dict[str, float]] = [{"a": score} for score in first]
    assert fits(frequencies(EpsilonLexicase(), scored(rows)), [1, 1, 0, 0, 0, 0, 0, 0, 0])
    for place, score in ((1, 2.0), (0, 1.9), (3, 2.0)):
        rows[place]["b"] = score
    # By "a" first: 0 and 1, of whom 1 passes "b"; by "b" first: 1 and 3, of whom 1 passes "a".
    assert fits(frequencies(EpsilonLexicase(), scored(rows)), [0, 1, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("pressure", [1.0, 1.5, 2.0])
def test_rank_proportional_draws_with_the_probabilities_of_linear_ranking(pressure: float) -> None:
    living = scored([{}] * 8)
    best_last = [pressure - 2 * (pressure - 1) * place / 7 for place in range(8)][::-1]
    assert fits(frequencies(RankProportional(pressure), living), best_last)
    assert fits(frequencies(RankProportional(pressure), Plain(living)), best_last)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5])
def test_power_law_draws_with_a_power_of_the_rank(alpha: float) -> None:
    living = scored([{}] * 8)
    best_last = [(8 - place) ** -alpha for place in range(8)]
    assert fits(frequencies(PowerLaw(alpha), living), best_last)
    assert fits(frequencies(PowerLaw(alpha), Plain(living)), best_last)


@pytest.mark.parametrize("choice", [RankProportional(2.0), PowerLaw(3.0)])
def test_equals_are_chosen_equally_often(choice: Any) -> None:
    living = RankedPopulation(9, ONE, Newest())
    for number in range(5):
        living.add(member(number, {"cost": float(number)}))
    assert fits(frequencies(choice, living), [1] * 5)
    # In a map of niches those of different cells are equals: the first named is better.
    assert fits(frequencies(choice, Plain(living, better=lambda one, _: one)), [1] * 5)


@given(st.lists(st.tuples(costs, costs), min_size=1, max_size=15), st.integers(0, 99))
def test_ranks_are_the_same_by_tournaments_alone(points: list[tuple[float, float]], seed: int) -> None:
    members = [member(number, {"cost": point, "other": two}) for number, (point, two) in enumerate(points)]
    living = population(members, TWO)
    assert chosen_by(PowerLaw(1.0), Plain(living), 3, seed) == chosen_by(PowerLaw(1.0), living, 3, seed)


def test_the_steepest_power_law_takes_the_best_in_their_order() -> None:
    assert chosen_by(PowerLaw(100.0), scored([{}] * 6), 6, seed=3) == [5, 4, 3, 2, 1, 0]


def test_novelty_draws_in_proportion_to_the_distance_from_the_nearest() -> None:
    places = [0.0, 1.0, 2.0, 10.0]
    living = population([member(n, {"cost": 0.0}, descriptors={"size": place}) for n, place in enumerate(places)])
    assert fits(frequencies(Novelty(k=1), living), [1, 1, 1, 8])
    assert fits(frequencies(Novelty(k=2), living), [3, 2, 3, 17])
    assert fits(frequencies(Novelty(k=99), living), [13, 11, 11, 27])


def test_novelty_goes_by_the_objectives_without_a_common_descriptor() -> None:
    members = [member(number, {"cost": cost}) for number, cost in enumerate([0.0, 1.0, 5.0])]
    members[0] = replace(members[0], evaluation=replace(members[0].evaluation, descriptors={"size": 900.0}))
    assert fits(frequencies(Novelty(k=1), population(members)), [1, 1, 4])


def test_novelty_divides_each_descriptor_by_its_range() -> None:
    places = [(0.0, 0.0), (1000.0, 0.0), (0.0, 0.001)]
    members = [member(n, {"cost": 0.0}, descriptors={"a": a, "b": b}) for n, (a, b) in enumerate(places)]
    assert fits(frequencies(Novelty(k=1), population(members)), [1, 1, 1])


def test_where_all_are_in_the_same_place_novelty_takes_any() -> None:
    living = population([member(number, {"cost": 1.0}) for number in range(4)])
    assert fits(frequencies(Novelty(), living), [1] * 4)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Tournament(size=0), "a tournament of size 0 cannot choose parents; expected at least 1"),
        (lambda: RankProportional(pressure=2.1), "a pressure of 2.1 cannot choose parents; expected 1 to 2"),
        (lambda: PowerLaw(alpha=-1), "an alpha of -1 cannot choose parents; expected 0 to 100"),
        (lambda: PowerLaw(alpha=float("nan")), "an alpha of nan cannot"),
        (lambda: Novelty(k=0), "a distance to the 0 nearest cannot choose parents; expected at least 1"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()
