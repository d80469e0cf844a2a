"""The frozen values that pass along the line: Ask, Proposal, Candidate, Evaluation, Individual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing to minimise or maximise.

    Attributes:
        name: as it appears in tables and on screen.
        direction: the user's own; only survival turns it round.
        unit: "%", "s", "nodes"; empty for a bare number.
    """

    name: str
    direction: Direction
    unit: str = ""

    @property
    def sign(self) -> float:
        """Multiply a value by this to have something to minimise."""
        return 1.0 if self.direction == "min" else -1.0

    def cost(self, individual: Individual) -> float:
        """The value by which an individual is compared, to be minimised."""
        return self.sign * individual.compared[self.name]

    def better(self, first: Evaluation, second: Evaluation) -> bool:
        """Whether the first evaluation is strictly better in this objective."""
        return self.sign * first.objectives[self.name] < self.sign * second.objectives[self.name]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may use.

    Attributes:
        wall_seconds: from the start of the candidate's process to its last answer.
        memory_bytes: address space of each of its processes.
        output_bytes: what it may print; more makes the print fail.
        reply_bytes: the largest value that it may return.
        processes: 1 forbids it to start any other; threads do not count.
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
    """An edge of the lineage: which individual, and what it was to the child."""

    id: int
    role: Role


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for one offspring.

    Attributes:
        id: 0, 1, 2, ... in the order of asking.
        operator: name of the operator that shall propose; "seed" takes the problem's own first genomes, "reevaluate"
            measures its only parent once more.
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
    """A lesson in words, drawn from the search by a model and shown to it again later.

    Attributes:
        kind: "short" for what one comparison taught, "long" for what was distilled from many.
        ask: that it came with; -1 where it was learnt in an earlier run.
        gain: of the individual that it came with: 1 entered the front, 0.5 survived, 0 neither, or none came of it.
    """

    kind: LessonKind
    text: str
    ask: int = -1
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an operator answered.

    Attributes:
        outcome: ok, or why there is no genome: the reply cannot be read (unparsable; truncated where it was cut off),
            the model or the operator would not (refused), it is nothing new (duplicate), no reply came (as
            `evo.models.Completion` names it), or the operator itself failed (error).
        genome: present exactly when outcome is ok.
        thought: the idea behind it in words, or why it failed.
        lessons: lessons learnt on the way, kept in the lineage whatever the outcome; kind and text count, the rest is
            filled in by the search.
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
        vector: its embedding, where one was asked for.
    """

    id: int
    ask: Ask
    genome: Genome
    thought: str = ""
    vector: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """What a problem says of a genome that ran.

    Attributes:
        objectives: name to value, in the problem's own direction.
        violations: name to amount by which a constraint is broken; feasible means all are <= 0.
        feedback: text for the next proposal.
        cases: name of a case (an instance, an example, a test) to its score, larger is better; {} where there are none.
        descriptors: name to value of what tells niches apart, beside what the genome itself says.
    """

    objectives: Mapping[str, float]
    violations: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    cases: Mapping[str, float] = field(default_factory=dict)
    descriptors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What evaluating one genome gave.

    Attributes:
        outcome: ok, or why there is no result (invalid, timeout, oom, crash, lost), or "pruned": nothing went wrong,
            but after some of the cases others were more promising.
        objectives: name to value, in the problem's own direction; finite, and empty unless outcome is ok.
        violations: name to amount by which a constraint is broken; feasible means all are <= 0.
        feedback: text for the next proposal (stderr, failing cases), at most 8 KiB.
        seconds: wall time of the evaluation; of its parts together, where cases were scored apart.
        cpu_seconds: CPU time of the candidate's process; 0 where none ran.
        memory_bytes: peak resident memory of the candidate's process; 0 where none ran.
        isolation: how the candidate was held: "bubblewrap", "process", or "none" where nothing of it ran.
        worker: name of the process that evaluated, or that did the last part of it.
        node: name of the machine.
        started: seconds since 1970 when it began.
        cases: name of a case to its score, larger is better; finite; those that were seen, whatever the outcome.
        descriptors: name to value of what tells niches apart; finite.
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
class Step:
    """An ancestor, as far as its descendants remember it."""

    id: int
    operator: str
    evaluation: Evaluation
    thought: str


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the measurements of one candidate come to, in one objective.

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
        """All of them at once; the order of the values may change the last digits."""
        repeats = cls()
        for value in values:
            repeats = repeats.with_value(value)
        return repeats

    def with_value(self, value: float) -> Repeats:
        """One measurement more.

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
        """Of a single measurement, by these alone; infinite where fewer than two were made."""
        return self.squares / (self.count - 1) if self.count > 1 else math.inf


@dataclass(frozen=True, slots=True)
class Individual:
    """An evaluated member of the search's history.

    Attributes:
        tell: its place in the order of telling: 0, 1, 2, ...
        past: its nearest ancestors in the line of bases, the oldest first; at most PAST_LIMIT.
        vector: its embedding, where one was asked for.
        generation: 0 for a seed, else one more than the highest among its parents.
        evaluation: where it was measured several times: the first, with the means of objectives, violations and cases.
        repeats: name of an objective to all that was measured; {} where that was once.
        appraised: name of an objective to the value that counts where evaluations are noisy: a bound of the mean on its
            bad side, or the mean; {} where the evaluation's own count.
    """

    id: int
    tell: int
    ask: Ask
    genome: Genome
    evaluation: Evaluation
    thought: str = ""
    past: tuple[Step, ...] = ()
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
        """How often it was measured with success."""
        return max((repeats.count for repeats in self.repeats.values()), default=1)

    @property
    def step(self) -> Step:
        """What descendants remember of it."""
        return Step(self.id, self.ask.operator, self.evaluation, self.thought)

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
