"""Laws of the problem that trains networks: deterministic, bounded, and without warnings when a training goes wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from evo.errors import CandidateError, ConfigError
from evo.genomes import Architecture
from evo.testing.in_process import run_in_process
from evo.values import Part, Score
from problems.digits_mlp import DigitsMlp

SMALL = {
    "layers": 1,
    "width_1": 16,
    "activation": "relu",
    "alpha": 1e-4,
    "solver": "adam",
    "epochs": 12,
    "batch": 32,
    "adam_rate": 0.01,
    "early_stopping": False,
}
LBFGS = {"layers": 2, "width_1": 24, "width_2": 8, "activation": "tanh", "alpha": 0.1, "solver": "lbfgs"}
WIDE = {"layers": 3, "width_1": 96, "width_2": 96, "width_3": 96}
ROUGH = {"epochs": 32, "batch": 32, "sgd_rate": 2.0, "momentum": 0.95, "early_stopping": False}
DIVERGING = {**WIDE, **ROUGH, "activation": "relu", "alpha": 1.0, "solver": "sgd"}
LARGEST = {**WIDE, "activation": "logistic", "alpha": 1e-6, "solver": "lbfgs", "iterations": 100}


def score(choices: dict[str, Any], part: Part = "train", **options: Any) -> Score:
    return DigitsMlp(**options).evaluate(Architecture(choices), run_in_process, part)


def test_it_learns_and_counts_its_parameters_and_operations() -> None:
    found = score(SMALL, objectives=["accuracy", "parameters", "multiply_adds"])
    assert found.objectives["accuracy"] > 90
    assert found.objectives["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert found.objectives["multiply_adds"] == pytest.approx(3 * (64 * 16 + 16 * 10) * 1078 * 12 / 1e6)
    assert "after 12 epochs" in found.feedback


def test_the_hold_out_is_measured_on_other_images_with_the_same_network() -> None:
    train, holdout = score(SMALL), score(SMALL, "holdout")
    assert train.feedback == holdout.feedback
    assert train.objectives["parameters"] == holdout.objectives["parameters"]
    assert train.objectives["accuracy"] != holdout.objectives["accuracy"] > 90


def test_each_solver_takes_its_own_choices() -> None:
    assert score({**LBFGS, "iterations": 40}).objectives["accuracy"] > 90
    sgd = {slot: choice for slot, choice in SMALL.items() if slot != "adam_rate"}
    stopping = {"solver": "sgd", "sgd_rate": 0.1, "momentum": 0.9, "early_stopping": True, "patience": 1}
    assert score({**sgd, **stopping}).objectives["accuracy"] > 85


def test_a_training_that_diverges_is_invalid_and_says_so_and_nothing_else(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    with pytest.raises(CandidateError, match="invalid: training diverged: .*non-finite"):
        score(DIVERGING)
    assert capfd.readouterr() == ("", "")
    assert len(recwarn) == 0


def test_a_training_that_stops_early_gives_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    score({**LBFGS, "iterations": 10})
    assert len(recwarn) == 0


def test_the_largest_training_is_bounded() -> None:
    score({**LBFGS, "iterations": 10})  # so that scikit-learn is loaded
    began = time.process_time()
    score(LARGEST)
    assert time.process_time() - began < 10  # about 1 on an idle machine


@pytest.mark.parametrize(
    "changed", [{"width_2": 8}, {"width_1": 9}, {"adam_rate": 5.0}, {"solver": "lbfgs"}, {"epochs": True}]
)
def test_a_design_outside_the_space_is_invalid(changed: dict[str, Any]) -> None:
    with pytest.raises(CandidateError, match="invalid: expected a design of the space, got"):
        score({**SMALL, **changed})


def test_seconds_are_measured_and_said_to_be_noisy() -> None:
    found = score(SMALL, objectives=["accuracy", "seconds"])
    assert 0 < found.objectives["seconds"] < 60
    assert "noisy" in DigitsMlp(objectives=["seconds"]).description
    assert "noisy" not in DigitsMlp().description
    assert DigitsMlp(objectives=["accuracy", "seconds"]).baselines("train") == {}


@pytest.mark.parametrize("names", [(), "accuracy", ("accuracy", "accuracy"), ("loss",)])
def test_unknown_objectives_are_refused(names: Any) -> None:
    with pytest.raises(ConfigError, match="objectives must .*accuracy, parameters, multiply_adds, seconds"):
        DigitsMlp(objectives=names)


def test_scikit_learn_is_loaded_only_to_evaluate() -> None:
    code = (
        "import sys, numpy; from problems.digits_mlp import DigitsMlp; "
        "DigitsMlp().seeds(3, numpy.random.default_rng(0)); sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
