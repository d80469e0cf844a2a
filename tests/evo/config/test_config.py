"""Strict configuration: nothing is accepted in silence, and every value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from evo.config.loading import load_config
from evo.errors import ConfigError, UserError

TOY = "evo.testing.toys:Valley"


def written(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def test_each_layer_goes_over_the_one_before(tmp_path: Path) -> None:
    file = written(tmp_path, f"problem: {TOY}\nseed: 4\nbudget: {{evaluations: 7}}\n")
    loaded = load_config(file, ["budget.evaluations=9"])
    sources = {key: (value, source) for key, value, source in loaded.values()}
    assert sources["budget.evaluations"] == (9, "--set")
    assert sources["seed"] == (4, file)
    assert sources["search.population"] == (10, f"problem {TOY}")
    assert sources["search.deterministic"] == (False, "default")


def test_options_reach_the_problem(tmp_path: Path) -> None:
    file = written(tmp_path, f"problem:\n  name: {TOY}\n  options: {{dimensions: 5}}\n")
    assert load_config(file).config.problem.options == {"dimensions": 5}


def test_a_stated_mixture_of_operators_takes_the_place_of_the_problems_own() -> None:
    assert list(load_config(TOY).config.search.operators) == ["evo.testing.toys:Nudge"]
    stated = load_config(TOY, ["search.operators={gaussian: 2}"]).config.search
    assert stated.operators == {"gaussian": 2.0}
    assert stated.population == 10


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["budget.evalutions=5"], r"unknown key in \[budget\] 'evalutions'; did you mean 'evaluations'\? known: "),
        (["seeed=1"], "unknown key 'seeed'; did you mean 'seed'"),
        (["budget.evaluations=many"], "budget.evaluations = 'many': input should be a valid integer"),
        (["budget.evaluations=0"], "budget.evaluations = 0: input should be greater than or equal to 1"),
        (["budget=5"], r"\[budget\] must be a section"),
        (["budget"], "expected KEY=VALUE"),
        (["search.deterministic=sideways"], "search.deterministic = 'sideways'"),
        (["problem.options.dimension=3"], "unknown option of problem .* 'dimension'; did you mean 'dimensions'"),
        (["problem=bin_pakcing"], "unknown problem 'bin_pakcing'; did you mean 'bin_packing'"),
        (["seed=[1"], "the value is no YAML"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_nearest_known_thing(overrides: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load_config(TOY, overrides)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed: 1\n", "names no problem"),
        ("- a\n- b\n", "must be a mapping"),
        ("problem: {name: x, optoins: {}}\n", "did you mean 'options'"),
        ("a: [", "cannot read"),
    ],
)
def test_a_file_that_means_nothing_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config(written(tmp_path, text))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.yaml"):
        load_config("nowhere.yaml")
