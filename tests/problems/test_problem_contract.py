"""Every registered problem keeps the contract; options that mean nothing are refused in one sentence."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import pytest

from evo.config.loading import load_config
from evo.errors import ConfigError
from evo.registry import make_problem, names
from evo.testing.contracts import ProblemContract

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("bin_packing", {"instance_seed": 3}),
    ("circle_packing", {"n": 7, "holdout_n": 9}),
    ("symbolic_regression", {"law": "pendulum"}),
    ("symbolic_regression", {"law": "gas"}),
    ("sphere", {"dimensions": 2}),
    ("nas_bench_macro", {"objectives": ["error", "flops", "parameters"]}),
    ("prompt_task", {"objectives": ["accuracy", "usd_per_case"], "test": 5}),
    *[("zdt", {"which": which, "dimensions": 5}) for which in (2, 3, 4, 6)],
    *[("dtlz", {"which": which, "objectives": 2, "dimensions": 4}) for which in (1, 3, 4, 5, 6, 7)],
]
REGISTERED: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in names("problems")]


def _label(name: str, options: dict[str, Any]) -> str:
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


class TestRegisteredProblems(ProblemContract):
    problems: ClassVar = {
        _label(name, options): partial(make_problem, name, options) for name, options in [*REGISTERED, *VARIANTS]
    }


@pytest.mark.parametrize("name", names("problems"))
def test_the_defaults_of_a_problem_are_keys_of_the_configuration(name: str) -> None:
    values = {key: (value, source) for key, value, source in load_config(name).values()}
    for key, value in make_problem(name, {}).defaults.items():
        assert values[key] == (value, f"problem {name}")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bin_packing", {"instances": "nowhere.json"}, "cannot read instances from nowhere.json"),
        ("bin_packing", {"instance_seed": -1}, "instance_seed must be a whole number from 0 to .*, got -1"),
        ("bin_packing", {"instance_seed": True}, "instance_seed must be a whole number .*, got True"),
        ("circle_packing", {"n": 0}, "n must be a whole number from 1 to 1000, got 0"),
        ("circle_packing", {"n": "26"}, "n must be a whole number from 1 to 1000, got '26'"),
        ("circle_packing", {"holdout_n": 2.5}, "holdout_n must be a whole number from 1 to 1000, got 2.5"),
        ("symbolic_regression", {"law": "gravity"}, "law must be one of oscillator, pendulum, gas; got 'gravity'"),
        ("symbolic_regression", {"data": "nowhere.csv"}, "cannot read the table nowhere.csv"),
        ("symbolic_regression", {"data": "a.csv", "law": "gas"}, "data or law, not both"),
        ("symbolic_regression", {"target": "y"}, "target 'y' names a column of a file; say which with data"),
        ("sphere", {"dimensions": 0}, "dimensions must be a whole number from 1 to 10000, got 0"),
        ("zdt", {"which": 5}, "which must be one of 1, 2, 3, 4, 6; got 5"),
        ("zdt", {"dimensions": 1}, "dimensions must be a whole number from 2 to 10000, got 1"),
        ("dtlz", {"which": 8}, "which must be one of 1, 2, 3, 4, 5, 6, 7; got 8"),
        ("dtlz", {"objectives": 1}, "objectives must be a whole number from 2 to 20, got 1"),
        ("dtlz", {"objectives": 5, "dimensions": 4}, "dimensions must be a whole number from 5 to 10000, got 4"),
    ],
)
def test_an_option_that_means_nothing_is_refused_in_one_sentence(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_problem(name, options)
