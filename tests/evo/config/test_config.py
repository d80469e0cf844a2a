"""Strict configuration: nothing is accepted in silence, and every value knows where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evo.config.loading import config_from_json, load_config
from evo.errors import ConfigError, UserError

TOY = "evo.testing.toys:Valley"


def written(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def test_each_layer_goes_over_the_layer_before(tmp_path: Path) -> None:
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
        (["order=ask"], "unknown key 'order'; did you mean 'search.deterministic'"),
        (["populaton=3"], "unknown key 'populaton'; did you mean 'search.population'"),
        (["search.evaluations=3"], r"unknown key in \[search\] 'evaluations'; did you mean 'budget.evaluations'"),
        (["search.reset_every=3"], r"in \[search\] 'reset_every'; did you mean 'search.islands.reset_every'"),
        (["budget.evaluations=many"], "budget.evaluations = 'many': input should be a valid integer"),
        (["budget.evaluations=0"], "budget.evaluations = 0: input should be greater than or equal to 1"),
        (["budget=5"], r"\[budget\] must be a section"),
        (["budget"], "expected KEY=VALUE"),
        (["search.deterministic=sideways"], "search.deterministic = 'sideways'"),
        (["problem.options.dimension=3"], "unknown option of problem .* 'dimension'; did you mean 'dimensions'"),
        (["problem=bin_pakcing"], "unknown problem 'bin_pakcing'; did you mean 'bin_packing'"),
        (["seed=[1"], "the value is no YAML"),
        (["search.islands.cuont=2"], r"unknown key in \[search.islands\] 'cuont'; did you mean 'count'"),
        (["search.islands.every=0"], "search.islands.every = 0: input should be greater than or equal to 1"),
        (
            ["search.islands.own=[{survivall: newest}]"],
            r"in \[search.islands.own.0\] 'survivall'; did you mean 'survival'",
        ),
        (["search.niches={dimension: {}}"], r"in \[search.niches\] 'dimension'; did you mean 'dimensions'"),
        (["search.niches={dimensions: {size: {hihg: 3}}}"], r"in \[search.niches.dimensions.size\] 'hihg'; .* 'high'"),
        (["model.endpoints.lab.modles=[x]"], r"in \[model.endpoints.lab\] 'modles'; did you mean 'models'"),
        (["model.endpoints.lab.name=lab"], "the endpoint lab is named by its key"),
        (["model.endpoints.lab.price=fre"], "the price of lab must be free, or input_usd and output_usd"),
        (
            ["model.endpoints.lab.price={input: 3}"],
            r"in \[model.endpoints.lab.price\] 'input'; did you mean 'input_usd'",
        ),
        (["model.endpoints.lab.base_url=http://a:b@c/"], "base_url must not hold a user or a password"),
        (["executor.resources.gpu=1"], "unknown resource 'gpu'; did you mean 'gpus'"),
        (["executor.resources=3"], "executor.resources = 3: must be amounts by name"),
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
def test_a_file_that_is_no_configuration_is_an_error(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config(written(tmp_path, text))


def test_no_message_repeats_what_may_be_a_key() -> None:
    for override in ("model.endpoints.lab={name: sk-123}", "model.endpoints.lab.key_variable=sk-123"):
        with pytest.raises(ConfigError) as raised:
            load_config(TOY, [override])
        assert "sk-123" not in str(raised.value)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [
            "model.endpoints.lab={price: free, models: [a, b]}",
            "model.endpoints.far.price={input_usd: 1, output_usd: 2}",
        ],
        ["search.niches={dimensions: {size: {low: 0, high: 3}}}", "search.islands.own=[{survival: newest}]"],
        [
            "executor.resources={gpus: 1, custom: {tpu: 2}}",
            "search.noise.repeats=3",
            "search.duplicate_filter.text=0.9",
        ],
    ],
)
def test_a_configuration_is_the_same_after_a_journal_recorded_it(overrides: list[str]) -> None:
    config = load_config(TOY, overrides).config
    assert config_from_json(json.loads(json.dumps(config.model_dump()))) == config


def test_what_an_older_journal_left_open_is_still_open() -> None:
    recorded = load_config(TOY).config.model_dump()
    recorded["executor"]["resources"] = {"cpus": None, "gpus": 1, "memory_bytes": None, "custom": None}
    assert config_from_json(recorded).executor.resources == {"gpus": 1}


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.yaml"):
        load_config("nowhere.yaml")
