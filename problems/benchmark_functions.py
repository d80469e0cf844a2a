"""Benchmark functions over boxes, from pymoo. Nothing runs in the sandbox, and both parts are the same function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.problems.many import dtlz
from pymoo.problems.many.cdtlz import C1DTLZ1
from pymoo.problems.multi import zdt
from pymoo.problems.multi.bnh import BNH
from pymoo.problems.single.sphere import Sphere as PymooSphere

from evo.errors import CandidateError
from evo.genomes import Genome, Vector
from evo.protocols import Problem, Runner
from evo.values import Box, Objective, Part, Score
from problems.checks import genome_of, one_of, whole_number

MOST_DIMENSIONS = 10_000


class BoxFunction(Problem):
    """A function of pymoo's, minimised over its box.

    Args:
        function: a pymoo problem; its constraints, if any, are named g1, g2, ..., and are violated above 0.
        names: names of the objectives.
        title: name of the function in the description.
    """

    def __init__(self, function: Any, names: Sequence[str], title: str) -> None:
        self._function = function
        self.objectives = tuple(Objective(name, "min") for name in names)
        self.space = Box(tuple(map(float, function.xl)), tuple(map(float, function.xu)))
        self.description = f"{title}: minimise {', '.join(names)} over {function.n_var} reals, each within its bounds."

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        points = rng.uniform(self._function.xl, self._function.xu, (count, self._function.n_var))
        return [Vector(tuple(point)) for point in points.tolist()]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        point = np.array(genome_of(genome, Vector).values)
        if len(point) != self._function.n_var:
            raise CandidateError("invalid", f"expected {self._function.n_var} values, got {len(point)}")
        outside = (point < self._function.xl) | (point > self._function.xu)
        if outside.any():
            first = int(outside.argmax())
            raise CandidateError("invalid", f"value {first} is {point[first]}, outside its bounds")
        values, broken = self._function.evaluate(point[None, :], return_values_of=["F", "G"])
        objectives = {objective.name: float(value) for objective, value in zip(self.objectives, values[0], strict=True)}
        return Score(objectives, {f"g{number}": float(by) for number, by in enumerate(broken[0], 1)})


class Sphere(BoxFunction):
    """Squared distance from the centre of the unit box; the minimum is 0."""

    def __init__(self, *, dimensions: int = 10) -> None:
        whole_number(dimensions, "dimensions", low=1, high=MOST_DIMENSIONS)
        super().__init__(PymooSphere(n_var=dimensions), ("f",), "Sphere")

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        return {"optimum": {"f": 0.0}}


class Zdt(BoxFunction):
    """Two objectives (Zitzler, Deb, Thiele 2000); ZDT5 is left out because its variables are bits."""

    def __init__(self, *, which: int = 1, dimensions: int = 30) -> None:
        one_of(which, "which", (1, 2, 3, 4, 6))
        whole_number(dimensions, "dimensions", low=2, high=MOST_DIMENSIONS)
        super().__init__(getattr(zdt, f"ZDT{which}")(n_var=dimensions), ("f1", "f2"), f"ZDT{which}")


class Dtlz(BoxFunction):
    """Any number of objectives (Deb, Thiele, Laumanns, Zitzler 2005)."""

    def __init__(self, *, which: int = 2, objectives: int = 3, dimensions: int = 12) -> None:
        one_of(which, "which", (1, 2, 3, 4, 5, 6, 7))
        whole_number(objectives, "objectives", low=2, high=20)
        whole_number(dimensions, "dimensions", low=objectives, high=MOST_DIMENSIONS)
        function = getattr(dtlz, f"DTLZ{which}")(n_var=dimensions, n_obj=objectives)
        super().__init__(function, [f"f{number}" for number in range(1, objectives + 1)], f"DTLZ{which}")


class Bnh(BoxFunction):
    """Two objectives and two constraints (Binh and Korn 1997)."""

    def __init__(self) -> None:
        super().__init__(BNH(), ("f1", "f2"), "BNH")


class C1Dtlz1(BoxFunction):
    """DTLZ1 with a constraint that leaves a narrow band along its front (Jain and Deb 2014)."""

    def __init__(self, *, objectives: int = 3, dimensions: int = 7) -> None:
        whole_number(objectives, "objectives", low=2, high=20)
        whole_number(dimensions, "dimensions", low=objectives, high=MOST_DIMENSIONS)
        function = C1DTLZ1(n_var=dimensions, n_obj=objectives)
        super().__init__(function, [f"f{number}" for number in range(1, objectives + 1)], "C1-DTLZ1")
