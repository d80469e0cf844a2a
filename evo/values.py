"""The frozen values that pass from step to step of the loop: Ask, Proposal, Candidate, Evaluation, Individual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evo.errors import ConfigError
from evo.errors import Outcome as Outcome
from evo.genomes import Genome
from evo.spaces import Slots as Slots

NoAnswer = Literal["empty", "failed", "timeout", "unreachable", "cancelled"]
ProposalOutcome = Literal["ok", "unparsable", "truncated", "refused", "duplicate", NoAnswer, "error"]
Direction = Literal["min", "max"]
Role = Literal["base", "mate", "inspiration"]
Part = Literal["train", "validation", "holdout"]
LessonKind = Literal["short", "long"]
Topology = Literal["ring", "star", "random"]

FEEDBACK_LIMIT_BYTES = 8192
PAST_LIMIT = 8
SEED_OPERATOR = "seed"
REEVALUATE_OPERATOR = "reevaluate"

DIRECTIONS: Mapping[str, Direction] = {
    **dict.fromkeys(("minimize", "minimise", "minimum", "minimal", "min"), "min"),
    **dict.fromkeys(("maximize", "maximise", "maximum", "maximal", "max"), "max"),
}


@dataclass(frozen=True, slots=True)
class Objective:
    """A quantity to minimise or maximise.

    Attributes:
        name: as it appears in tables and on screen.
        direction: "min" or "max", also given as "minimize", "maximise" and the like; only survival turns maximisation
            into minimisation.
        unit: "%", "s", "nodes"; empty for a bare number.

    Raises:
        ConfigError: a name that is no text or empty, or another direction.
    """

    name: str
    direction: Direction
    unit: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError(f"an objective's name must be a text that is not empty, got {self.name!r:.80}")
        if self.direction in ("min", "max"):
            return
        meant = DIRECTIONS.get(str(self.direction).lower())
        if meant is None:
            raise ConfigError(
                f"the direction of objective {self.name!r} must be min or max, got {self.direction!r:.80}"
            )
        object.__setattr__(self, "direction", meant)

    @property
    def sign(self) -> float:
        """1 to minimise, -1 to maximise: a value times this is to be minimised."""
        return 1.0 if self.direction == "min" else -1.0

    def cost(self, individual: Individual) -> float:
        """The value by which an individual is compared, to be minimised."""
        return self.sign * individual.compared[self.name]

    def better(self, first: Evaluation, second: Evaluation) -> bool:
        """Whether the first evaluation is strictly better in this objective."""
        return self.sign * first.objectives[self.name] < self.sign * second.objectives[self.name]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an evaluation may use.

    Attributes:
        wall_seconds: from the start of the candidate's process to its last answer.
        memory_bytes: address space of each of its processes.
        output_bytes: what it may print, and the length of each file; prints beyond it are dropped, other writes fail.
        reply_bytes: the largest value that it may return.
        processes: 1 forbids it to start another; threads do not count.
    """

    wall_seconds: float = 10.0
    memory_bytes: int = 2 << 30
    output_bytes: int = 1 << 20
    reply_bytes: int = 64 << 20
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Box:
    """A space of vectors: `lower[i] <= x[i] <= upper[i]`."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


Space = Box | Slots


@dataclass(frozen=True, slots=True)
class Parent:
    """An edge of the lineage: a parent, and its role for the child."""

    id: int
    role: Role


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for an offspring.

    Attributes:
        id: 0, 1, 2, ... in the order of asking.
        operator: name of the operator that proposes; "seed" takes the problem's own first genomes, "reevaluate"
            evaluates its only parent again.
        parents: individuals to vary, base first.
        model: name of the language model, None for model-free operators.
    """

    id: int
    operator: str
    parents: tuple[Parent, ...] = ()
    island: int = 0
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson in words that a model drew from the search, and is shown later.

    Attributes:
        kind: "short" for the lesson of a single comparison, "long" for what was distilled from many.
        ask: that it came with; -1 where it was learnt in an earlier run.
        gain: of the individual that it came with: 1 where it entered the front, 0.5 where it survived, else 0.
    """

    kind: LessonKind
    text: str
    ask: int = -1
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an operator proposed.

    Attributes:
        outcome: ok, or why there is no genome: the reply cannot be read (unparsable; truncated where it was cut off),
            the model or the operator declined (refused), the genome is not new (duplicate), no reply came (as
            `evo.models.Completion` names it), or the operator itself failed (error).
        genome: present exactly when outcome is ok.
        thought: the idea behind it in words, or why it failed.
        lessons: learnt on the way, kept in the lineage whatever the outcome; kind and text count, the search fills in
            the rest.
    """

    outcome: ProposalOutcome
    genome: Genome | None = None
    thought: str = ""
    lessons: tuple[Lesson, ...] = ()

    def __post_init__(self) -> None:
        if (self.outcome == "ok") != (self.genome is not None):
            raise ValueError(f"outcome {self.outcome!r} with genome {self.genome!r}: a genome comes exactly with ok")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed genome that was admitted to evaluation.

    Attributes:
        id: 0, 1, 2, ... without gaps, in the order of admission; the individual keeps it.
        vector: its embedding; () without an embedding model.
    """

    id: int
    ask: Ask
    genome: Genome
    thought: str = ""
    vector: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """A problem's score of a genome.

    Attributes:
        objectives: name to value, in the problem's own direction.
        violations: name to amount by which a constraint is broken; feasible means all are <= 0.
        feedback: text for the next proposal.
        cases: name of a case (an instance, an example, a test) to its score, larger is better; {} where there are none.
        descriptors: name to value, for niches, beside the descriptors of the genome itself.
    """

    objectives: Mapping[str, float]
    violations: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    cases: Mapping[str, float] = field(default_factory=dict)
    descriptors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of evaluating a genome.

    Attributes:
        outcome: ok, or why there is no result (invalid, timeout, oom, crash, lost), or "pruned": it did not fail, but
            after some of the cases others were more promising.
        objectives: name to value, in the problem's own direction; finite, and empty unless outcome is ok.
        violations: name to amount by which a constraint is broken; feasible means all are <= 0.
        feedback: text for the next proposal (stderr, failing cases), at most 8 KiB.
        seconds: wall time of the evaluation; of its parts together, where cases were scored separately.
        cpu_seconds: CPU time of the candidate's process; 0 where none ran.
        memory_bytes: peak resident memory of the candidate's process; 0 where none ran.
        isolation: how the candidate was held: "bubblewrap", "process", or "none" where nothing of it ran.
        worker: name of the process that evaluated it, or the last part of it.
        node: name of the machine.
        started: seconds since 1970 when it began.
        cases: name of a case to its score, larger is better; finite; all that were scored, whatever the outcome.
        descriptors: name to value, for niches; finite.
    """

    outcome: Outcome
    objectives: Mapping[str, float] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    isolation: str = "none"
    worker: str = ""
    node: str = ""
    started: float = 0.0
    cases: Mapping[str, float] = field(default_factory=dict)
    descriptors: Mapping[str, float] = field(default_factory=dict)

    @property
    def violation(self) -> float:
        """Total constraint violation; 0 means feasible."""
        return math.fsum(max(0.0, amount) for amount in self.violations.values())

    def to_json(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in fields.items() if value or name not in ("cases", "descriptors")}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Evaluation:
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An ancestor, as its descendants record it."""

    id: int
    operator: str
    evaluation: Evaluation
    thought: str


@dataclass(frozen=True, slots=True)
class Repeats:
    """The measurements of a candidate in an objective, summed up.

    Attributes:
        count: of measurements.
        mean: of them.
        squares: sum of their squared distances from the mean.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Repeats:
        """The summary of all values; their order may change the last digits."""
        repeats = cls()
        for value in values:
            repeats = repeats.with_value(value)
        return repeats

    def with_value(self, value: float) -> Repeats:
        """With a further measurement.

        Raises:
            ValueError: it is not finite.
        """
        if not math.isfinite(value):
            raise ValueError(f"a measurement must be finite, got {value}")
        value = float(value)
        mean = self.mean + (value - self.mean) / (self.count + 1)
        return Repeats(self.count + 1, mean, self.squares + (value - mean) * (value - self.mean))

    @property
    def variance(self) -> float:
        """Variance of a single measurement, by these alone; infinite for fewer than two."""
        return self.squares / (self.count - 1) if self.count > 1 else math.inf


@dataclass(frozen=True, slots=True)
class Individual:
    """An evaluated member of the search's history.

    Attributes:
        tell: number of its result: 0, 1, 2, ... in the order of results.
        past: its nearest ancestors by way of bases, the oldest first; at most PAST_LIMIT.
        vector: its embedding; () without an embedding model.
        generation: 0 for a seed, else 1 more than the highest among its parents.
        evaluation: where it was evaluated several times: the first, with the means of objectives, violations and cases.
        repeats: name of an objective to a summary of its measurements; {} after a single evaluation.
        appraised: name of an objective to the value that counts where evaluations are noisy: a bound of the mean on its
            bad side, or the mean; {} where the evaluation's own count.
    """

    id: int
    tell: int
    ask: Ask
    genome: Genome
    evaluation: Evaluation
    thought: str = ""
    past: tuple[Ancestor, ...] = ()
    vector: tuple[float, ...] = ()
    generation: int = 0
    repeats: Mapping[str, Repeats] = field(default_factory=dict)
    appraised: Mapping[str, float] = field(default_factory=dict)

    @property
    def compared(self) -> Mapping[str, float]:
        """Name of an objective to the value by which it is compared with others, in the problem's own direction."""
        return self.appraised or self.evaluation.objectives

    @property
    def measurements(self) -> int:
        """How often it was evaluated with success."""
        return max((repeats.count for repeats in self.repeats.values()), default=1)

    @property
    def as_ancestor(self) -> Ancestor:
        """What descendants record of it."""
        return Ancestor(self.id, self.ask.operator, self.evaluation, self.thought)

    @property
    def ok(self) -> bool:
        """Whether its evaluation gave objectives."""
        return self.evaluation.outcome == "ok"


def clip_text(text: str, limit_bytes: int = FEEDBACK_LIMIT_BYTES) -> str:
    """`text` as valid UTF-8 of at most `limit_bytes`: the beginning and the end of it where it is longer."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit_bytes:
        return encoded.decode("utf-8")
    half = (limit_bytes - 40) // 2
    cut = len(encoded) - 2 * half
    head, tail = (piece.decode("utf-8", "ignore") for piece in (encoded[:half], encoded[-half:]))
    return f"{head}\n... {cut} bytes cut ...\n{tail}"
