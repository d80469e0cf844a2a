"""Laws of the tabulated architecture problem: the simulated table and, where it is at hand, the published table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pytest

from evo.errors import CandidateError, ConfigError
from evo.genomes import Architecture, Genome
from evo.testing.in_process import run_in_process
from problems.nas_bench_macro import BLOCKS, SPACE, NasBenchMacro, all_keys, key_of, read_table, simulated
from tests.support.shared_data import shared_data

THREE = ("error", "flops", "parameters")


def design(key: str) -> Architecture:
    return Architecture({slot: BLOCKS[int(digit)] for slot, digit in zip(SPACE.order, key, strict=True)})


def figures(problem: NasBenchMacro, genome: Genome) -> dict[str, float]:
    return dict(problem.evaluate(genome, run_in_process, "train").objectives)


def layout(**changed: Any) -> dict[str, Any]:
    rows: dict[str, Any] = {
        key: {"test_acc": [90.0], "mean_acc": 90.0 + number / 1e4, "std": 0.0, "params": 1000 + number, "flops": 2e6}
        for number, key in enumerate(all_keys())
    }
    return {**rows, **changed}


def test_there_are_6561_networks_and_each_has_its_key() -> None:
    assert len(set(all_keys())) == len(all_keys()) == 6561
    assert all(key_of(design(key).choices) == key for key in all_keys()[::97])


def test_the_description_says_that_figures_are_simulated_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(layout()), "utf-8")
    assert "simulated" in NasBenchMacro().description
    assert "simulated" not in NasBenchMacro(file=str(path)).description


def test_simulated_costs_grow_with_every_block_and_error_falls_overall() -> None:
    table = simulated()
    for key in all_keys()[::61]:
        for place, digit in enumerate(key):
            if digit != "2":
                larger = table[f"{key[:place]}{int(digit) + 1}{key[place + 1 :]}"]
                assert larger["flops"] > table[key]["flops"]
                assert larger["parameters"] > table[key]["parameters"]
    assert table["2" * 8]["error"] < table["1" * 8]["error"] < table["0" * 8]["error"]
    assert len({figures["error"] for figures in table.values()}) > 2000


def test_no_layer_of_the_simulation_can_be_judged_by_itself() -> None:
    table = simulated()
    better = [table[f"{head}2{tail}"]["error"] < table[f"{head}1{tail}"]["error"] for head, tail in _around(4)]
    assert 0.05 < np.mean(better) < 0.95


def _around(place: int) -> list[tuple[str, str]]:
    return [(key[:place], key[place + 1 :]) for key in all_keys() if key[place] == "0"]


def test_a_file_in_the_published_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(layout()), "utf-8")
    problem = NasBenchMacro(file=str(path), objectives=["parameters", "error", "flops"])
    assert list(figures(problem, design("00000001"))) == ["parameters", "error", "flops"]
    assert figures(problem, design("00000001")) == pytest.approx({"parameters": 1001, "error": 9.9999, "flops": 2.0})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        (json.dumps({"00000000": {}}), "KeyError: 'mean_acc'"),
        (json.dumps(layout(**{"22222222": {"mean_acc": 1.0, "flops": None, "params": 1}})), "TypeError"),
        (json.dumps(layout(**{"22222222": {"mean_acc": float("nan"), "flops": 1, "params": 1}})), "not finite"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_a_file_that_is_not_such_a_table_is_refused_in_one_sentence(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=rf"table.json should be a JSON object of all 6561 keys .*{reason}"):
        read_table(path)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot read the table nowhere.json: No such file"):
        NasBenchMacro(file="nowhere.json")


@pytest.mark.parametrize("names", [(), "error", ("error", "error"), ("latency",), (1,)])
def test_unknown_objectives_are_refused(names: Any) -> None:
    with pytest.raises(ConfigError, match="objectives must .*error, flops, parameters"):
        NasBenchMacro(objectives=names)


@pytest.mark.parametrize("changed", [{"layer_1": "conv"}, {"layer_9": "identity"}, {"layer_1": 0}])
def test_a_design_outside_the_space_is_invalid(changed: dict[str, Any]) -> None:
    with pytest.raises(CandidateError, match="invalid: expected identity, mb3_k3, mb6_k5 for each of layer_1"):
        figures(NasBenchMacro(), Architecture({**design("0" * 8).choices, **changed}))


def test_the_published_table_has_its_known_front() -> None:
    problem = NasBenchMacro(file=str(shared_data("nas-bench-macro_cifar10.json")))
    costs = np.array([list(figures(problem, design(key)).values()) for key in all_keys()])
    scaled = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
    assert moocore.hypervolume(scaled, ref=[1.0, 1.0]) == pytest.approx(0.90277, abs=1e-5)
    assert int(moocore.is_nondominated(scaled).sum()) == 35
