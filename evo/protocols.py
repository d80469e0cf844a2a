"""The plug-in points: Problem, Operator, OperatorSelector, Executor and Gateway, with the values that they take.

Each fits on a screen and has a contract suite in `evo.testing.contracts` that a plug-in's tests can subclass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.genomes import Genome, Program
from evo.ledger import Charge, Ledger
from evo.models import Completion, Health, Model, Price, Request
from evo.pooling import pooled
from evo.resources import Resources
from evo.values import Evaluation, Individual, Lesson, Limits, Objective, Part, Proposal, Score, Space

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.intp]


class Function(Protocol):
    """A candidate's function, called as if it were here; it runs in the sandbox.

    Arguments and result are data: None, bool, int, float, str, lists, dicts with text keys, numpy arrays of numbers.
    """

    def __call__(self, *arguments: Any) -> Any:
        """The value that the candidate returned. It is hostile data: check its type, shape and finiteness.

        Raises:
            CandidateError: the candidate raised, hung, died or returned something that is not data.
        """
        ...


class Runner(Protocol):
    """What an evaluation may use: programs run in the sandbox, and language models through the driver's gateway.

    Opening a program raises nothing at once: a program that fails to load fails at the first call.
    """

    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> AbstractContextManager[Function]:
        """A context that holds the candidate's process; `limits` of the problem apply to the whole context.

        Args:
            program: to load, in a process of its own.
            entry: the function to call.
            harness: source that defines `wrap(entry)`; called beside the candidate, it returns the function that is
                called instead, to save round trips. It shares the candidate's process, so what it returns deserves no
                more trust than what the candidate returns: send it no answer key, and check its result.
        """
        ...

    def ask(self, requests: Sequence[Request]) -> list[Completion]:
        """The completions of all requests, in the order of the requests, which are sent side by side.

        A request that was answered before in this run gets the same completion, and is not paid for twice.

        Raises:
            BudgetSpentError, ModelAccessError, ConfigError, CancelledError: let it through; the evaluation is undone,
                and does not count as the candidate's failure.
            CandidateError: "invalid", where the run has no model.
        """
        ...


class Problem(Protocol):
    """What is searched. Subclass it to have the defaults; the arguments of __init__ are its options in a configuration.

    Attributes:
        description: the task, for a reader and for a model.
        objectives: at least 1; all of them in every score.
        space: bounds or slots, for vectors and architectures.
        limits: what an evaluation may use.
        imports: modules to load once before candidates run (they may import others, more slowly).
        resources: what an evaluation keeps busy: cores (a fraction where it mostly waits for a model), GPUs and more.
        needs_model: whether its evaluations ask a language model.
        final_parts: parts on which the best are evaluated once the search is over.
        defaults: values that suit this problem better than the configuration's own defaults, by dotted key.
    """

    description: str = ""
    objectives: tuple[Objective, ...] = ()
    space: Space | None = None
    limits: Limits = Limits()
    imports: tuple[str, ...] = ("numpy",)
    resources: Resources = Resources()
    needs_model: bool = False
    final_parts: tuple[Part, ...] = ("holdout",)
    defaults: ClassVar[Mapping[str, Any]] = {}

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        """Between 1 and `count` genomes to start from."""
        ...

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        """Score a genome, in the trusted worker; the candidate itself only through `run`.

        Raises:
            CandidateError: the candidate failed; any other exception becomes the outcome `invalid` with its text.
        """
        ...

    def case_names(self, part: Part) -> Sequence[str]:
        """Names of the cases that can be scored separately, each once; () where there are none."""
        return ()

    def evaluate_cases(self, genome: Genome, run: Runner, part: Part, cases: Sequence[str]) -> Score:
        """Score a genome on these cases alone: objectives of them, and `Score.cases` with exactly them.

        A case's score does not depend on which other cases are asked for. Only for problems that name cases.

        Args:
            cases: some of `case_names(part)`, at least 1, each once.

        Raises:
            CandidateError: as `evaluate`.
        """
        raise TypeError(f"{type(self).__name__} names cases, so it must define evaluate_cases")

    def combined(self, scores: Sequence[Score]) -> Score:
        """The scores of disjoint groups of cases, as `evaluate_cases` gave them, as a single score; runs in the driver.

        By default means, weighted by the number of cases; see `evo.pooling.pooled`.
        """
        return pooled(scores)

    def baselines(self, part: Part) -> Mapping[str, Mapping[str, float]]:
        """Objectives of known solutions by name, to compare the search with; {} where there are none."""
        return {}


@dataclass(frozen=True, slots=True)
class Context:
    """What an operator may know beside its parents.

    Attributes:
        rng: the only randomness that it may use.
        space: the problem's bounds or slots.
        objectives: the problem's objectives.
        description: the problem's text.
        model: answers requests to a language model; None where the run has none. A request that names no model goes to
            the model that was selected for this ask.
        lessons: lessons of the search so far and of earlier runs, the most useful first.
        record: how operators and models have done so far.
        memory: what the operator has learnt on the island that asks; None for an operator that learns nothing.
    """

    rng: np.random.Generator
    space: Space | None = None
    objectives: tuple[Objective, ...] = ()
    description: str = ""
    model: Model | None = None
    lessons: tuple[Lesson, ...] = ()
    record: tuple[ArmRecord, ...] = ()
    memory: object = None


class Memory(Protocol):
    """What an operator learns on an island from the results of its offspring. Pure: it follows from these results."""

    def observe(self, individual: Individual) -> None:
        """Take in a result, failures included: of an offspring of its operator, or of a seed."""
        ...

    def view(self) -> object:
        """What the next proposal may know: a value that later results do not change."""
        ...


class Operator(Protocol):
    """Makes an offspring from `arity` parents of its `kind`.

    Attributes:
        arity: how many parents it takes, base first.
        kind: of the genomes that it varies ("program", "prompt", "architecture", "vector").
        weight: its share of the asks, relative to the others', where a configuration states none; 0 for an operator
            that proposes only where it is named.
        needs_model: whether it asks a language model; taken for False where it is missing.
        repairs: whether it prefers a base whose evaluation failed; taken for False where it is missing.
        memory: called with the space and the objectives, it makes an empty `Memory` for each island; missing in an
            operator that learns nothing.
    """

    arity: ClassVar[int]
    kind: ClassVar[str]
    weight: ClassVar[float]

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        """A genome that differs from the base, or a proposal that says why there is none.

        Raises:
            BudgetSpentError, ModelAccessError: from the model, to be let through; nothing else.
        """
        ...


@dataclass(frozen=True, slots=True)
class Arm:
    """A choice of the operator selector: an operator with the language model that it asks.

    Attributes:
        model: None for an operator that asks no model.
        arity: how many parents it takes.
        weight: its share of the asks where weights decide.
        repairs: whether its base is a failed individual, where there is any.
    """

    operator: str
    model: str | None
    arity: int
    weight: float
    repairs: bool = False


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """How an arm has done so far.

    Attributes:
        pulls: asks that ended.
        gain: sum over them: 1 for an offspring that entered the front, 0.5 for an offspring that survived, else 0.
        usd: what their completions cost together.
        scale: of the sizes of the bases, by `evo.search.selectors.scale_of`; None for all sizes together.
    """

    operator: str
    model: str | None
    pulls: float = 0.0
    gain: float = 0.0
    usd: float = 0.0
    scale: int | None = None


class OperatorSelector(Protocol):
    """Selects the operator that proposes next, and its model. Pure: what it does follows from the calls it received."""

    def choose(self, rng: np.random.Generator) -> int:
        """The arm for the next ask, before its parents are known."""
        ...

    def routed(self, arm: int, base: Individual, rng: np.random.Generator) -> int:
        """The same arm, or an arm that differs in the model only, now that the base is known."""
        ...

    def asked(self, arm: int) -> None:
        """An ask is under way."""
        ...

    def ended(self, arm: int, base: Individual, *, gain: float, usd: float) -> None:
        """An ask has ended; see `ArmRecord` for what the numbers mean."""
        ...

    def record(self) -> tuple[ArmRecord, ...]:
        """How each arm has done in this run."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What an executor evaluates: the problem, by name so that any worker can make it, and how to run it.

    Attributes:
        workers: side by side at most; None takes all CPUs, also those that join later.
        address: of a cluster; None starts what is needed here.
        limits: instead of the problem's own, where given.
        require_namespace: refuse to evaluate where only weaker isolation is available.
        key_variables: environment variables that hold keys, which no worker may see.
        run: the run's name, which a cluster shows.
        resources: of each evaluation, instead of the problem's own, where given.
        stragglers: an evaluation that takes longer than this many times what its peers take is also given to an idle
            worker; None never does so.
        placement_timeout_seconds: how long to wait for a machine that has room for an evaluation at all.
    """

    problem: str
    options: Mapping[str, Any]
    workers: int | None = None
    address: str | None = None
    limits: Limits | None = None
    require_namespace: bool = False
    key_variables: tuple[str, ...] = ()
    run: str = ""
    resources: Resources | None = None
    stragglers: float | None = None
    placement_timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something that happened to the workers of a run; recorded as an event of its lineage.

    Attributes:
        kind: "node_joined", "node_left", "reissued" (an overdue evaluation was also given to another worker), "no_room"
            (no machine has what an evaluation takes), "room" (a machine has it again). "" is not recorded: it says that
            there is room for more evaluations than were asked for, which may not show otherwise for long.
        detail: JSON; a "no_room" has a `reason` for the user.
    """

    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)


OnEvent: TypeAlias = Callable[[ClusterEvent], None]


def ignore_event(event: ClusterEvent) -> None:
    """Takes no note of an event, where events are not recorded."""


class Executor(Protocol):
    """Evaluates genomes side by side, each in a sandbox.

    Attributes:
        capacity: how many evaluations it can use at once, those that wait for a worker included. May change as it
            learns how long they take, and as machines join and leave.
        on_event: called in the event loop with each cluster event; set by the recorder of a run.
    """

    on_event: OnEvent

    @property
    def capacity(self) -> int: ...

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        """Evaluate a genome.

        Args:
            cases: those to score it on; None scores it as a whole. The limits apply to each call.
            model: answers what the problem asks by `Runner.ask`, here in the driver's process.
            resources: that it takes, instead of the job's; an executor without a choice of machines ignores it.

        Raises:
            SandboxError: the machine cannot evaluate at all; never for what a candidate does.
            UserError: no machine has what it takes, and none joined in time.
            BudgetSpentError, ModelAccessError: by the model.
        """
        ...

    async def close(self) -> None:
        """Cancel evaluations under way, and end every process that was started here."""
        ...


class Gateway(Model, Protocol):
    """The only place that holds keys and pays: sends requests to endpoints, within the caps."""

    @property
    def ledger(self) -> Ledger:
        """What was spent and is reserved; read-only."""
        ...

    @property
    def prices(self) -> Mapping[str, Price]:
        """What each model costs, as of the start of the run."""
        ...

    def health(self) -> Mapping[str, Health]:
        """Endpoint name to its health."""
        ...

    def worst(self, request: Request) -> Charge:
        """The most that a completion is charged without retries."""
        ...

    def release(self) -> None:
        """The run stops: cancel the calls that were not sent, and retry none."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
