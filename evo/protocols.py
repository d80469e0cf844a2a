"""The plug-in points. Each fits on a screen and has a contract suite in tests/contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.genomes import Genome, Program
from evo.values import Evaluation, Individual, Limits, Objective, Part, Proposal, Score, Space

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.intp]


class Function(Protocol):
    """A candidate's function, called as if it were here; it runs in the sandbox.

    Arguments and result are data: None, bool, int, float, str, lists, dicts with text keys, numpy arrays of numbers.
    """

    def __call__(self, *arguments: Any) -> Any:
        """The candidate's answer. It is hostile data: check its type, shape and finiteness.

        Raises:
            CandidateError: the candidate raised, hung, died or answered with something that is no data.
        """
        ...


class Run(Protocol):
    """Opens a program in the sandbox. Raises nothing at once: a program that fails to load fails at the first call."""

    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> AbstractContextManager[Function]:
        """A context that holds the candidate's process; `limits` of the problem apply to the whole context.

        Args:
            program: what to load, in a process of its own.
            entry: the function to call.
            harness: source that defines `wrap(entry)`; called beside the candidate, it returns the function that is called
                instead, to save round trips. It shares the candidate's process, so what it returns is no more to be
                trusted than what the candidate returns: send it no answer key, and check what it says.
        """
        ...


class Problem(Protocol):
    """What is searched. Subclass it to have the defaults; keyword arguments of __init__ are its options in a config file.

    Attributes:
        description: what is wanted, for a reader and for a model.
        objectives: at least one; all of them in every score.
        space: bounds or slots, for vectors and architectures.
        limits: what one evaluation may use.
        imports: modules to load once before candidates run (they may import others, more slowly).
        defaults: overrides of the configuration's own defaults that suit this problem, as dotted keys.
    """

    description: str = ""
    objectives: tuple[Objective, ...] = ()
    space: Space | None = None
    limits: Limits = Limits()
    imports: tuple[str, ...] = ("numpy",)
    defaults: ClassVar[Mapping[str, Any]] = {}

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        """Between 1 and `count` genomes to start from."""
        ...

    def evaluate(self, genome: Genome, run: Run, part: Part) -> Score:
        """Score a genome, in the trusted worker; the candidate itself only through `run`.

        Raises:
            CandidateError: it failed; any other exception is told as `invalid` with its text.
        """
        ...

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        """Scores of known solutions by name, to stand beside the search's own; {} where there are none."""
        return {}


@dataclass(frozen=True, slots=True)
class Context:
    """What an operator may know beside its parents.

    Attributes:
        rng: the only randomness that it may use.
        space: the problem's bounds or slots.
        objectives: the problem's objectives.
        description: the problem's text.
    """

    rng: np.random.Generator
    space: Space | None = None
    objectives: tuple[Objective, ...] = ()
    description: str = ""


class Operator(Protocol):
    """Makes one offspring from `arity` parents of its `kind`.

    Attributes:
        arity: how many parents it takes, base first.
        kind: kind of genome that it varies ("program", "prompt", "architecture", "vector").
    """

    arity: ClassVar[int]
    kind: ClassVar[str]

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        """A genome that differs from the base, or a proposal that says why there is none. Never raises for its input."""
        ...


@dataclass(frozen=True, slots=True)
class Ranking:
    """A pool put in order.

    Attributes:
        order: indices into the pool, best first, shape (n,).
        rank: front of each member of the pool, 0 the best, shape (n,).
        crowding: distance to its neighbours within the front, larger is lonelier, shape (n,).
    """

    order: IntArray
    rank: IntArray
    crowding: FloatArray


class Survival(Protocol):
    """Orders a pool; the first `population` of it survive."""

    def ranking(self, objectives: FloatArray, violation: FloatArray) -> Ranking:
        """Rank a pool without failures.

        Args:
            objectives: to be minimised, finite, shape (n, m).
            violation: total constraint violation, 0 where feasible, shape (n,).
        """
        ...


class Executor(Protocol):
    """Evaluates genomes side by side, each in a sandbox.

    Attributes:
        width: how many evaluations run at once.
    """

    width: int

    async def evaluate(self, genome: Genome, part: Part = "train") -> Evaluation:
        """Never raises for what a candidate does; SandboxError where the machine cannot evaluate at all."""
        ...

    async def close(self) -> None:
        """End every process that was started here."""
        ...
