"""Online bin packing: evolve the rule that chooses the bin of each item as it arrives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evo.genomes import Genome, Program
from evo.protocols import FloatArray, IntArray, Problem, Runner
from evo.values import Limits, Objective, Part, Score
from problems.bin_packing_instances import Instance, excess, load_instances, shuffled, weibull_instances
from problems.bin_packing_rounds import Rounds
from problems.bin_packing_rules import RULES
from problems.checks import genome_of, whole_number

HARNESS = Path(__file__).with_name("bin_packing_harness.py").read_text("utf-8")
HOLDOUT_SHUFFLE_SEED = 1


class BinPacking(Problem):
    """Online bin packing, scored by the bins used and by the size of the rule.

    Args:
        instances: `path` or `path#name` of a file of training instances (see `load_instances`); None takes the built-in
            5 x 1,000 Weibull items.
        holdout: the same for the hold-out; None takes the built-in 5 x 5,000 items or, where `instances` is given, its
            items in another order of arrival.
        instance_seed: another number gives other built-in instances.

    Raises:
        ConfigError: a file without instances, or a seed that is not a whole number.
    """

    description = (
        "Online bin packing. Items arrive one at a time and each must go at once, and for good, into a bin that it "
        "fits. Write priority(item, bins): `item` is the item's size, `bins` a float array of the remaining capacities "
        "of the bins that it fits, in the order of the bins; one bin an item exists from the start, so untouched bins "
        "of full capacity are always among them. Return an array of finite numbers of the same shape; the item goes "
        "into the bin of highest priority, the first one on a tie. Minimise the excess of bins used over the lower "
        "bound (total size over capacity), and keep the program small."
    )
    objectives = (Objective("excess", "min", "%"), Objective("size", "min", "nodes"))
    # A round's answer is a few numbers. On the hold-out a rule in numpy takes 0.2 s, a rule that loops over bins 10 s.
    limits = Limits(wall_seconds=20.0, output_bytes=1 << 16, reply_bytes=1 << 16)
    defaults: ClassVar[Mapping[str, Any]] = {"budget.evaluations": 2000}

    def __init__(self, *, instances: str | None = None, holdout: str | None = None, instance_seed: int = 0) -> None:
        whole_number(instance_seed, "instance_seed", low=0, high=2**63)
        train = load_instances(instances) if instances is not None else weibull_instances(5, 1000, (instance_seed, 0))
        if holdout is not None:
            held_out = load_instances(holdout)
        elif instances is not None:
            held_out = shuffled(train, HOLDOUT_SHUFFLE_SEED)
        else:
            held_out = weibull_instances(5, 5000, (instance_seed, 1))
        self._rounds: dict[Part, Rounds] = {"train": Rounds(train), "holdout": Rounds(held_out)}

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [RULES["best fit"].program]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        program = genome_of(genome, Program)
        with run(program, "priority", harness=HARNESS) as play:
            packed = Packed(self._rounds[part].instances, self._rounds[part].play(play))
        objectives = {"excess": packed.excess, "size": float(program.size)}
        return Score(objectives, feedback=packed.describe())

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        return self._baselines[part]

    @cached_property
    def _baselines(self) -> Mapping[Part, Mapping[str, Mapping[str, float]]]:
        return {
            part: {name: rule.objectives(rounds.instances) for name, rule in RULES.items()}
            for part, rounds in self._rounds.items()
        }


@dataclass(frozen=True, slots=True)
class Packed:
    """Instances, and how a rule packed them.

    Attributes:
        remaining: what is left in each bin, for each instance an array of shape (items,).
    """

    instances: Sequence[Instance]
    remaining: Sequence[IntArray]

    @property
    def used(self) -> list[int]:
        """Number of bins used for each instance."""
        pairs = zip(self.instances, self.remaining, strict=True)
        return [int(np.count_nonzero(left < instance.capacity)) for instance, left in pairs]

    @property
    def excess(self) -> float:
        """Over all instances, in %."""
        return excess(self.used, self.instances)

    def describe(self) -> str:
        """Where the space was lost, as feedback for the next proposal."""
        counted = zip(self.instances, self.used, strict=True)
        each = ", ".join(f"{excess([used], [instance]):.2f}" for instance, used in counted)
        pairs = zip(self.instances, self.remaining, strict=True)
        empty = np.concatenate([100.0 * left[left < instance.capacity] / instance.capacity for instance, left in pairs])
        bands = [
            ("exactly full", -1, 0),
            ("up to 5 % empty", 0, 5),
            ("5 to 20 % empty", 5, 20),
            ("over 20 % empty", 20, 100),
        ]
        lines = [_share(name, empty, (empty > low) & (empty <= high)) for name, low, high in bands]
        return f"Excess of each instance in %: {each}. Of the {len(empty)} bins used:\n" + "\n".join(lines)


def _share(name: str, empty: FloatArray, band: NDArray[np.bool_]) -> str:
    lost = 100.0 * empty[band].sum() / max(empty.sum(), 1e-9)
    return f"- {100.0 * band.mean():.1f} % are {name}: {lost:.0f} % of all the space lost"
