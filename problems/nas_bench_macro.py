"""NAS-Bench-Macro: the block in each of eight layers of an image classifier; 6,561 networks in a table.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021. The table itself is not
part of this package; without its file the problem is a simulation of the same shape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evo.errors import CandidateError, ConfigError
from evo.genomes import Architecture, Genome
from evo.protocols import Problem, Runner
from evo.values import Objective, Part, Score, Slots
from problems.checks import chosen_objectives, genome_of

LAYERS = 8
BLOCKS = ("identity", "mb3_k3", "mb6_k5")
"""Nothing, or an inverted bottleneck of expansion 3 and kernel 3, or of 6 and 5. A table's keys count them 0 to 2."""
SPACE = Slots({f"layer_{number}": BLOCKS for number in range(1, LAYERS + 1)})
OBJECTIVES = {
    "error": Objective("error", "min", "%"),
    "flops": Objective("flops", "min", "M"),
    "parameters": Objective("parameters", "min"),
}

Figures = Mapping[str, float]


class NasBenchMacro(Problem):
    """Test error, multiply-adds and parameters of a network, looked up. All parts are the same.

    Args:
        file: a JSON object of eight digits, the blocks of the layers, to {"mean_acc": %, "flops": ..., "params": ...};
            without it a simulation by formula, which says nothing about networks.
        objectives: any of error, flops, parameters.

    Raises:
        ConfigError: a file that cannot be read or is not such a table, or unknown objectives.
    """

    space = SPACE
    defaults: ClassVar[Mapping[str, Any]] = {"search.population": 20, "budget.evaluations": 500}

    def __init__(self, *, file: str | None = None, objectives: Sequence[str] = ("error", "flops")) -> None:
        self.objectives = chosen_objectives(objectives, OBJECTIVES)
        self._table = simulated() if file is None else read_table(Path(file))
        what = (
            "simulated by formula, so it says nothing about real networks" if file is None else "trained and tabulated"
        )
        self.description = (
            f"Choose the block of each of {LAYERS} layers of an image classifier: identity, mb3_k3 (inverted "
            "bottleneck, expansion 3, kernel 3) or mb6_k5 (expansion 6, kernel 5). Layers 1 and 2 work on large images "
            "with few channels, 3 to 5 on smaller ones with more, 6 to 8 on the smallest with the most. Every network "
            f"was {what}; flops are in millions."
        )

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [Architecture(SPACE.sample(rng)) for _ in range(count)]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        choices = genome_of(genome, Architecture).choices
        if not SPACE.contains(choices):
            raise CandidateError("invalid", f"expected {', '.join(BLOCKS)} for each of {', '.join(SPACE.order)}")
        figures = self._table[key_of(choices)]
        return Score({objective.name: figures[objective.name] for objective in self.objectives})

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        names = [objective.name for objective in self.objectives]
        uniform = {f"all {block}": self._table[str(code) * LAYERS] for code, block in enumerate(BLOCKS)}
        return {title: {name: figures[name] for name in names} for title, figures in uniform.items()}


def key_of(choices: Mapping[str, object]) -> str:
    """The digits that stand for a network in a table."""
    return "".join(str(BLOCKS.index(str(choices[slot]))) for slot in SPACE.order)


def all_keys() -> list[str]:
    """The digits of all networks."""
    return ["".join(digits) for digits in product("012", repeat=LAYERS)]


def read_table(path: Path) -> dict[str, Figures]:
    """All networks' figures from a file in the layout of the published table.

    Raises:
        ConfigError: it cannot be read, or is not such a table.
    """
    try:
        rows = json.loads(path.read_text("utf-8"))
        return {key: _figures(rows[key]) for key in all_keys()}
    except OSError as error:
        raise ConfigError(f"cannot read the table {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        layout = 'a JSON object of all 6561 keys such as "00120012" to finite mean_acc, flops and params'
        raise ConfigError(f"the table {path} should be {layout}; found {type(error).__name__}: {error}") from error


def simulated() -> dict[str, Figures]:
    """Made-up figures of the same shape: cost by the blocks' real arithmetic, error by a formula with interactions.

    Error falls with what each block adds, with diminishing returns; a large block behind an identity is half wasted;
    and a ripple makes the layers interact, so that no layer can be judged by itself.
    """
    return {key: _simulated(tuple(map(int, key))) for key in all_keys()}


def _simulated(blocks: Sequence[int]) -> Figures:
    flops, parameters, gain = 2.0e6, 2.0e5, 0.0
    for layer, block in enumerate(blocks):
        channels, side = 16 * 2 ** ((layer + 1) // 3), 32 // 2 ** ((layer + 1) // 3)
        weights = (0, 3 * channels * (2 * channels + 9), 6 * channels * (2 * channels + 25))[block]
        parameters += weights
        flops += weights * side**2
        wasted = 0.5 if block == 2 and layer > 0 and blocks[layer - 1] == 0 else 1.0
        gain += wasted * (0.0, 0.55, 0.75)[block] * 0.85**layer
    ripple = 0.4 * math.sin(sum((layer + 2) ** 2 * block for layer, block in enumerate(blocks)))
    error = 7.0 + 45.0 * math.exp(-1.5 * gain) + (1.0 + ripple) * math.exp(-0.3 * gain)
    return {"error": round(error, 4), "flops": flops / 1e6, "parameters": parameters}


def _figures(row: Mapping[str, Any]) -> Figures:
    figures = {"error": 100.0 - row["mean_acc"], "flops": row["flops"] / 1e6, "parameters": float(row["params"])}
    if not all(math.isfinite(value) for value in figures.values()):
        raise ValueError(f"a figure that is not finite in {row}"[:200])
    return figures
