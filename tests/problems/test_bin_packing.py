"""The laws of online bin packing: strictly online, no candidate's claim is trusted, and published figures are met."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import CandidateError, ConfigError
from evo.genomes import Program
from evo.protocols import Function
from evo.testing.contracts.problem_contract import Answering
from evo.testing.in_process import run_in_process
from evo.values import Part
from problems.bin_packing import HARNESS, BinPacking
from problems.bin_packing_instances import Instance, load_instances, weibull_instances
from problems.bin_packing_rounds import Rounds
from problems.bin_packing_rules import RULES
from tests.support.shared_data import shared_data

INSTANCES = "online_bin_packing.json.gz"


def priority(expression: str) -> Program:
    return Program.single(f"import numpy as np\n\n\ndef priority(item, bins):\n    return {expression}\n")


def evaluated(program: Program, part: Part = "train", **options: Any) -> dict[str, float]:
    return dict(BinPacking(**options).evaluate(program, run_in_process, part).objectives)


def written(folder: Path, *instances: Instance) -> str:
    path = folder / "instances.json"
    path.write_text(json.dumps([{"cap": instance.capacity, "items": instance.items} for instance in instances]))
    return str(path)


@pytest.mark.parametrize(
    ("name", "rule", "excess"),
    [
        ("funsearch_weibull5k", "best fit", 3.98),
        ("funsearch_weibull5k", "first fit", 4.23),
        ("OR3", "best fit", 5.37),
        ("OR3", "first fit", 5.74),
    ],
)
def test_the_known_rules_give_the_published_figures(name: str, rule: str, excess: float) -> None:
    source = f"{shared_data(INSTANCES)}#{name}"
    assert round(evaluated(RULES[rule].program, instances=source)["excess"], 2) == excess
    assert round(evaluated(RULES[rule].program, "holdout", holdout=source)["excess"], 2) == excess


@pytest.mark.parametrize("part", ["train", "holdout"])
@pytest.mark.parametrize("rule", RULES)
def test_a_baseline_is_what_its_program_scores(rule: str, part: Part) -> None:
    assert BinPacking().baselines(part)[rule] == evaluated(RULES[rule].program, part)


def test_the_built_in_instances_follow_the_formula() -> None:
    for part, length in (("train", 1000), ("holdout", 5000)):
        instances = BinPacking()._rounds[part].instances
        items = np.array([instance.items for instance in instances])
        assert items.shape == (5, length)
        assert {instance.capacity for instance in instances} == {100}
        assert items.min() >= 1
        assert items.max() <= 100
        # The mean of 45 * weibull(3) is 45 * gamma(4/3) = 40.18, its standard deviation 14.6.
        assert abs(items.mean() - 40.18) < 5 * 14.6 / np.sqrt(items.size)
        assert len(np.unique(items, axis=0)) == 5


def test_another_instance_seed_gives_other_instances() -> None:
    assert weibull_instances(2, 50, (0, 0)) == weibull_instances(2, 50, (0, 0))
    assert (
        len({*weibull_instances(2, 50, (0, 0)), *weibull_instances(2, 50, (0, 1)), *weibull_instances(2, 50, (1, 0))})
        == 6
    )


def test_no_item_leaves_the_scorer_before_its_turn() -> None:
    problem, sent = BinPacking(), []

    @contextmanager
    def listening(program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        with run_in_process(program, entry, harness=harness) as play:

            def overheard(*message: Any) -> Any:
                sent.append(message)
                return play(*message)

            yield overheard

    problem.evaluate(RULES["best fit"].program, listening, "train")
    instances = problem._rounds["train"].instances
    assert [message[0] for message in sent] == [
        list(turn) for turn in zip(*(instance.items for instance in instances), strict=True)
    ]
    assert [message[1:] for message in sent] == [([[100, 1000]] * 5,)] + [()] * 999


def reference_bins(instance: Instance, weights: tuple[float, ...]) -> list[int]:
    """The chosen bins, by the simplest loop: a reference for the harness."""
    remaining, chosen = [float(instance.capacity)] * len(instance.items), []
    for item in instance.items:
        fitting = [number for number, left in enumerate(remaining) if left >= item]
        scores = [weights[(3 * int(remaining[number]) + item + place) % 7] for place, number in enumerate(fitting)]
        chosen.append(fitting[scores.index(max(scores))])
        remaining[chosen[-1]] -= item
    return chosen


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=25), min_size=1, max_size=4),
    st.tuples(*[st.floats(-1e300, 1e300)] * 7),
)
def test_the_harness_packs_as_the_simplest_loop_does(items: list[list[int]], weights: tuple[float, ...]) -> None:
    rounds = Rounds([Instance(12, tuple(sizes)) for sizes in items])
    table = f"np.array({weights!r})[(3 * bins + item + np.arange(len(bins))).astype(int) % 7]"
    with run_in_process(priority(table), "priority", harness=HARNESS) as play:
        remaining = rounds.play(play)
    for instance, left in zip(rounds.instances, remaining, strict=True):
        filled = np.bincount(reference_bins(instance, weights), weights=instance.items, minlength=len(instance.items))
        assert left.tolist() == (instance.capacity - filled).tolist()


def test_equal_priorities_mean_first_fit() -> None:
    assert (
        evaluated(priority("np.zeros(len(bins))"))["excess"] == BinPacking().baselines("train")["first fit"]["excess"]
    )


def test_a_candidate_that_writes_into_its_bins_changes_nothing() -> None:
    vandal = Program.single("def priority(item, bins):\n    scores = -bins\n    bins[:] = 0.0\n    return scores\n")
    assert evaluated(vandal)["excess"] == evaluated(priority("-bins"))["excess"]


@pytest.mark.parametrize(
    "expression",
    ["-bins", "-bins.astype(int)", "bins == item", "[-left for left in bins]", "-1e200 * bins", "-bins.astype('f4')"],
)
def test_finite_real_priorities_of_any_type_count(expression: str) -> None:
    assert evaluated(priority(expression))["excess"] < 10.0


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("bins * np.nan", r"priority returned nan for bin 0 of 1000; each must be finite"),
        ("np.where(bins == 100, np.inf, 0)", r"priority returned inf for bin 0"),
        ("np.where(np.arange(len(bins)) == 3, -np.inf, 0)", r"priority returned -inf for bin 3"),
        ("1 / (bins - 100)", r"priority returned inf"),
        ("bins + 1j", r"priority returned complex128, expected real numbers"),
        ("bins.astype(str)", r"priority returned <U\d+, expected real numbers"),
        ("bins.astype(object)", r"priority returned object, expected real numbers"),
        ("bins[1:]", r"priority returned shape \(999,\) for bins of shape \(1000,\)"),
        ("bins[:, None]", r"priority returned shape \(1000, 1\)"),
        ("item", r"priority returned shape \(\)"),
        ("None", r"priority returned shape \(\)"),
        ("{}", r"priority returned shape \(\)"),
        ("[[1], [1, 2]]", r"priority returned a list that is no array of numbers"),
    ],
)
def test_priorities_that_are_not_a_finite_number_for_each_bin_are_invalid(expression: str, message: str) -> None:
    with pytest.raises(CandidateError, match="^invalid: " + message):
        evaluated(priority(expression))


@pytest.mark.parametrize("expression", ["1 // 0", "bins[10**6]", "unheard_of", "bins.nothing"])
def test_a_priority_that_raises_is_a_crash(expression: str) -> None:
    with pytest.raises(CandidateError, match=r"(?s)^crash: .*line 5, in priority\n\w+Error"):
        evaluated(priority(expression))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0], "put items of 18 into bin 0 of capacity 10"),
        ([3], "expected the numbers of bins, from 0 to 2"),
        ([-1], "expected the numbers of bins, from 0 to 2"),
        ([10**5000], "expected the numbers of bins, from 0 to 2"),
        ([True], "expected the numbers of bins, from 0 to 2"),
        ([1.0], "expected the numbers of bins, from 0 to 2"),
        (["1"], "expected the numbers of bins, from 0 to 2"),
        ([0, 1], "expected a list of 1 bins, got list"),
        ([], "expected a list of 1 bins, got list"),
        (np.zeros(1, dtype=int), "expected a list of 1 bins, got ndarray"),
        ({"excess": 0.0}, "expected a list of 1 bins, got dict"),
        ({"invalid": 0}, "0"),
    ],
)
def test_an_impossible_claim_is_invalid(tmp_path: Path, answer: Any, message: str) -> None:
    problem = BinPacking(instances=written(tmp_path, Instance(10, (6, 6, 6))))
    with pytest.raises(CandidateError, match=f"^invalid: {message}$"):
        problem.evaluate(RULES["best fit"].program, Answering(answer=answer), "train")


def test_a_bin_may_be_filled_to_the_brim_and_no_further(tmp_path: Path) -> None:
    brim = BinPacking(instances=written(tmp_path, Instance(10, (5, 5))))
    assert brim.evaluate(RULES["best fit"].program, Answering(answer=[0]), "train").objectives["excess"] == 0.0
    beyond = BinPacking(instances=written(tmp_path, Instance(10, (5, 5, 1))))
    with pytest.raises(CandidateError, match="invalid: put items of 11 into bin 0 of capacity 10"):
        beyond.evaluate(RULES["best fit"].program, Answering(answer=[0]), "train")


def test_a_claimed_bin_must_exist_in_its_own_instance(tmp_path: Path) -> None:
    problem = BinPacking(instances=written(tmp_path, Instance(10, (1, 1, 1)), Instance(10, (1,))))
    answers = iter([[0, 2], [0], [0]])

    @contextmanager
    def scripted(program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        yield lambda *message: next(answers)

    with pytest.raises(CandidateError, match="invalid: chose bin 2 of 1"):
        problem.evaluate(RULES["best fit"].program, scripted, "train")


def test_instances_may_differ_in_length_and_capacity(tmp_path: Path) -> None:
    source = written(tmp_path, Instance(10, (6, 6)), Instance(7, (3, 4, 7, 5, 2)), Instance(100, (1,)))
    for rule in RULES.values():
        assert (
            evaluated(rule.program, instances=source)
            == BinPacking(instances=source).baselines("train")["best fit" if rule is RULES["best fit"] else "first fit"]
        )


def test_the_hold_out_of_a_file_is_its_items_in_another_order(tmp_path: Path) -> None:
    instance = weibull_instances(1, 200, (5,))[0]
    problem = BinPacking(instances=written(tmp_path, instance))
    held_out = problem._rounds["holdout"].instances[0]
    assert held_out.items != instance.items
    assert sorted(held_out.items) == sorted(instance.items)


def test_the_feedback_accounts_for_all_space_lost() -> None:
    feedback = BinPacking().evaluate(RULES["best fit"].program, run_in_process, "train").feedback
    shares = [float(line.split(" % ")[0].removeprefix("- ")) for line in feedback.splitlines()[1:]]
    assert feedback.startswith("Excess of each instance in %: ")
    assert sum(shares) == pytest.approx(100.0, abs=0.3)


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        ("{", "", "it is not JSON"),
        ("[" * 100_000, "", "it is not JSON"),
        ("{}", "", "no instances '' in .*; write .*#NAME"),
        ('{"a": [], "b": []}', "", "write .*#a; known: a, b"),
        ('{"first": [], "second": []}', "#frist", "no instances 'frist' in .*; write .*#first; known: first, second"),
        ('{"a": []}', "", "expected a list of instances"),
        ("[]", "#a", "holds a single, unnamed list of instances; leave out '#a'"),
        ("7", "", "expected a list of instances, got int"),
        ("[7]", "", "instance 1 of .*: expected an object with 'cap' and 'items'"),
        ('[{"cap": 0, "items": [1]}]', "", "'cap' must be a whole number from 1, got 0"),
        ('[{"cap": 9, "items": []}]', "", "'items' must be a list of sizes, not empty, got list"),
        ('[{"cap": 9, "items": [3]}, {"cap": 9, "items": [3, 10]}]', "", "instance 2 .*from 1 to 9, got 10"),
        ('[{"cap": 9, "items": [1.5]}]', "", "from 1 to 9, got 1.5"),
        ('[{"cap": 9, "items": [true]}]', "", "from 1 to 9, got True"),
    ],
)
def test_a_file_that_holds_no_instances_is_refused(tmp_path: Path, content: str, suffix: str, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_instances(f"{path}{suffix}")


CUT_OFF = gzip.compress(b"[]" * 100, mtime=0)[:-9]  # with the time in it, its name would differ from process to process


@pytest.mark.parametrize("content", [b"", b"no gzip", CUT_OFF, b"\x1f\x8b" + b"\x08" * 40])
def test_a_broken_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "instances.json.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read instances from"):
        load_instances(str(path))


def test_a_name_can_be_left_out_where_there_is_only_one(tmp_path: Path) -> None:
    path = tmp_path / "instances.json.gz"
    path.write_bytes(gzip.compress(b'{"only": [{"cap": 9, "items": [3, 9]}]}'))
    assert load_instances(str(path)) == load_instances(f"{path}#only") == (Instance(9, (3, 9)),)
