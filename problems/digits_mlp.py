"""Small neural networks, trained on the handwritten digits that scikit-learn ships (1,797 images of 8 x 8 pixels)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, ClassVar

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Architecture, Genome, SlotValue
from evo.protocols import FloatArray, IntArray, Problem, Runner
from evo.spaces import Real, Whole
from evo.values import Objective, Part, Score, Slots
from problems.checks import chosen_objectives, genome_of

GRADIENT = ("adam", "sgd")
SPACE = Slots(
    {
        "layers": Whole(1, 3),
        "width_1": Whole(8, 96, 8),
        "width_2": Whole(8, 96, 8),
        "width_3": Whole(8, 96, 8),
        "activation": ("relu", "tanh", "logistic"),
        "alpha": Real(1e-6, 1.0, log=True),
        "solver": ("adam", "sgd", "lbfgs"),
        "iterations": Whole(10, 100, 10),
        "epochs": Whole(4, 32, 4),
        "batch": Whole(32, 256, 32),
        "adam_rate": Real(1e-4, 0.1, log=True),
        "sgd_rate": Real(1e-3, 3.0, log=True),
        "momentum": Real(0.0, 0.95),
        "early_stopping": (False, True),
        "patience": Whole(1, 8),
    },
    {
        "width_2": {"layers": (2, 3)},
        "width_3": {"layers": (3,)},
        "iterations": {"solver": ("lbfgs",)},
        "epochs": {"solver": GRADIENT},
        "batch": {"solver": GRADIENT},
        "adam_rate": {"solver": ("adam",)},
        "sgd_rate": {"solver": ("sgd",)},
        "momentum": {"solver": ("sgd",)},
        "early_stopping": {"solver": GRADIENT},
        "patience": {"early_stopping": (True,)},
    },
)
OBJECTIVES = {
    "accuracy": Objective("accuracy", "max", "%"),
    "parameters": Objective("parameters", "min"),
    "multiply_adds": Objective("multiply_adds", "min", "M"),
    "seconds": Objective("seconds", "min", "s"),
}
SPLIT_SEED = TRAINING_SEED = 0
SHARES = (0.6, 0.8)
"""Where validation images begin, and where test images begin, as shares of all."""

PASSES = 3.0
"""Forward, and backward to the weights and to the inputs: each uses each weight once for each image."""

Images = tuple[FloatArray, IntArray]


class DigitsMlp(Problem):
    """Accuracy and cost of a multilayer perceptron, trained in the trusted worker: a design is data, and runs nothing.

    Training is deterministic, single-threaded, and takes about a second at most. It uses 60 % of the images;
    accuracy is measured on the next 20 %, on the hold-out on the last 20 %.

    Args:
        objectives: any of accuracy, parameters, multiply_adds (of the training, counted from its epochs) and seconds
            (of the training, as measured, so noisy: it differs from call to call).

    Raises:
        ConfigError: unknown objectives.
    """

    space = SPACE
    defaults: ClassVar[Mapping[str, Any]] = {"search.population": 20, "budget.evaluations": 200}

    def __init__(self, *, objectives: Sequence[str] = ("accuracy", "parameters")) -> None:
        self.objectives = chosen_objectives(objectives, OBJECTIVES)
        self.description = (
            "Design and train a multilayer perceptron that tells handwritten digits of 8 x 8 pixels apart (10 classes, "
            "1,078 images to train on). Accuracy is measured on images that it has not seen."
        )
        if "seconds" in objectives:
            self.description += " Seconds of training are measured on a machine that may be busy, so they are noisy."

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Architecture(SPACE.sample(rng)) for _ in range(count)]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        design = genome_of(genome, Architecture).choices
        if not SPACE.contains(design):
            raise CandidateError("invalid", f"expected a design of the space, got {dict(design)!r:.300}")
        with _one_thread():
            began = time.perf_counter()
            network = _trained(design)
            seconds = time.perf_counter() - began
            accuracy = _accuracy(network, part)
        weights = sum(layer.size for layer in network.coefs_)
        figures = {
            "accuracy": accuracy,
            "parameters": float(weights + sum(layer.size for layer in network.intercepts_)),
            "multiply_adds": PASSES * weights * len(_images()["fit"][0]) * network.n_iter_ / 1e6,
            "seconds": seconds,
        }
        feedback = f"final loss {network.loss_:.4g} after {network.n_iter_} epochs"
        return Score({objective.name: figures[objective.name] for objective in self.objectives}, feedback=feedback)

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        """A linear classifier, the usual first choice."""
        names = [objective.name for objective in self.objectives]
        if set(names) - {"accuracy", "parameters"}:
            return {}
        with _one_thread():
            figures = {"accuracy": _accuracy(_linear(), part), "parameters": 650.0}
        return {"logistic regression": {name: figures[name] for name in names}}


@cache
def _images() -> Mapping[str, Images]:
    """Pixels from 0 to 1, shape (n, 64), and digits, shape (n,), for fitting, validation and test."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits))
    parts = np.split(order, [int(share * len(order)) for share in SHARES])
    return {
        name: (pixels[part] / 16.0, digits[part])
        for name, part in zip(("fit", "validation", "test"), parts, strict=True)
    }


def _accuracy(network: Any, part: Part) -> float:
    pixels, digits = _images()["test" if part == "holdout" else "validation"]
    return 100.0 * float(network.score(pixels, digits))


def _trained(design: Mapping[str, SlotValue]) -> Any:
    """A fitted network.

    Raises:
        CandidateError: invalid; training diverged.
    """
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(**_arguments(design), random_state=TRAINING_SEED)
    # A training that ends before it converges, or overflows on the way, is worth no warning: the score says it.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            network.fit(*_images()["fit"])
        except ValueError as error:
            raise CandidateError("invalid", f"training diverged: {str(error).partition('. ')[0]}") from error
    if not np.isfinite(network.loss_) or not all(np.isfinite(layer).all() for layer in network.coefs_):
        raise CandidateError(
            "invalid", f"training diverged: the loss is {network.loss_} after {network.n_iter_} epochs"
        )
    return network


def _arguments(design: Mapping[str, SlotValue]) -> dict[str, Any]:
    """The values of a design under scikit-learn's names."""
    widths = tuple(design[slot] for slot in ("width_1", "width_2", "width_3") if slot in design)
    arguments: dict[str, Any] = {
        "hidden_layer_sizes": widths,
        **{slot: design[slot] for slot in ("activation", "alpha", "solver")},
    }
    if design["solver"] == "lbfgs":
        return {**arguments, "max_iter": design["iterations"]}
    rate = design["adam_rate"] if design["solver"] == "adam" else design["sgd_rate"]
    return {
        **arguments,
        "max_iter": design["epochs"],
        "batch_size": design["batch"],
        "learning_rate_init": rate,
        "momentum": design.get("momentum", 0.9),
        "early_stopping": design["early_stopping"],
        "n_iter_no_change": design.get("patience", 10),
    }


@cache
def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200).fit(*_images()["fit"])


def _one_thread() -> AbstractContextManager[object]:
    """A single thread: sums are the same on any machine, and an evaluation keeps to a CPU."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
