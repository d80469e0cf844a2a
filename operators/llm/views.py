"""What a template sees of the task and of the parents: plain texts, each passed through a cut so that all of it fits.

Nothing here is ever taken for a template: texts of candidates and evaluators are values that templates print.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evo.genomes import Program
from evo.protocols import Context
from evo.regions import START, find_regions, frozen_text
from evo.values import Evaluation, Individual, Objective, Outcome
from operators.llm.budget import Cut
from operators.llm.languages import tags_of

# Shares of a prompt that is too long: a region of the base counts most, its frozen text and others' feedback least.
BASE_REGION, OTHER_REGION, FROZEN, FEEDBACK, WORDS = 8.0, 4.0, 1.0, 2.0, 2.0
MOST_BROKEN = 5

_FENCES = re.compile(r"`{3,}|~{3,}")


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of a parent.

    Attributes:
        tag: the language, as it stands behind a fence.
        text: as far as it is shown.
        regions: how many marked regions it has; 0 means that all of it may change.
        whole: whether the frozen text is shown too.
    """

    name: str
    tag: str
    text: str
    regions: int
    whole: bool


@dataclass(frozen=True, slots=True)
class ParentView:
    """A parent.

    Attributes:
        outcome: of its evaluation.
        measured: outcome, objectives with their units, broken constraints; in a single line.
        feedback: the evaluator's own words.
        idea: the thought that came with it.
    """

    outcome: Outcome
    measured: str
    feedback: str
    idea: str
    files: tuple[FileView, ...]


def base_view(parent: Individual, context: Context, cut: Cut) -> ParentView:
    """The parent that is to change, with its frozen text."""
    program = _program(parent)
    files = tuple(FileView(*_head(name, text), _whole(text, cut), _marks(text), True) for name, text in _files(program))
    return _parent(parent, context, cut, files)


def other_view(parent: Individual, base: Individual, context: Context, cut: Cut) -> ParentView:
    """Another parent; of files whose frozen text is the base's, the regions only."""
    theirs, own = _program(parent), _program(base)
    files = []
    for name, text in _files(theirs):
        shared = name in own.files and START in text and frozen_text(text) == frozen_text(own.files[name])
        shown = cut(_regions(text) if shared else text, OTHER_REGION)
        files.append(FileView(*_head(name, text), shown, _marks(text), not shared))
    return _parent(parent, context, cut, tuple(files))


def worst_first(parents: Sequence[Individual], objectives: Sequence[Objective]) -> list[Individual]:
    """Sorted by failure, then by broken constraints, then by the first objective; the best is the last."""

    def cost(parent: Individual) -> tuple[bool, float, float]:
        evaluation, values = parent.evaluation, parent.evaluation.objectives
        known = bool(objectives) and objectives[0].name in values
        return not parent.ok, evaluation.violation, objectives[0].sign * values[objectives[0].name] if known else 0.0

    return sorted(parents, key=cost, reverse=True)


def measured(evaluation: Evaluation, objectives: Sequence[Objective]) -> str:
    """What an evaluation found, in a single line; of broken constraints the worst."""
    if evaluation.outcome != "ok":
        return f"failed: {evaluation.outcome}"
    units = {objective.name: f" {objective.unit}" if objective.unit else "" for objective in objectives}
    values = [f"{name} = {value:.6g}{units.get(name, '')}" for name, value in evaluation.objectives.items()]
    worst = sorted((-by, name) for name, by in evaluation.violations.items() if by > 0)
    broken = [f"breaks {name} by {-by:.6g}" for by, name in worst[:MOST_BROKEN]]
    more = [f"breaks {len(worst) - MOST_BROKEN} more constraints"] if len(worst) > MOST_BROKEN else []
    return ", ".join([*values, *broken, *more]) or "not measured"


def wanted(objective: Objective) -> str:
    """An objective and its direction, in a single line."""
    unit = f" (in {objective.unit})" if objective.unit else ""
    return f"{objective.name}{unit}: {'lower' if objective.direction == 'min' else 'higher'} is better"


def fenced(text: str, tag: str = "") -> str:
    """`text` as a fenced block that nothing within it can close."""
    # Most texts hold no fence, and the search for fences is most of what a prompt costs.
    runs = [run.group() for run in _FENCES.finditer(text)] if "```" in text or "~~~" in text else []
    fence = min((_longer(mark, runs) for mark in "`~"), key=len)
    return f"{fence}{tag}\n{text}\n{fence}"


def plain(text: str) -> str:
    """`text` without what cannot be sent: lone surrogates and NUL characters become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "?").replace("\r\n", "\n")


def _longer(mark: str, runs: Sequence[str]) -> str:
    return mark * max(3, 1 + max((len(run) for run in runs if run[0] == mark), default=0))


def _parent(parent: Individual, context: Context, cut: Cut, files: tuple[FileView, ...]) -> ParentView:
    evaluation = parent.evaluation
    feedback = cut(plain(evaluation.feedback).strip(), FEEDBACK)
    idea = cut(plain(parent.thought).strip(), WORDS)
    return ParentView(evaluation.outcome, measured(evaluation, context.objectives), feedback, idea, files)


def _program(parent: Individual) -> Program:
    if not isinstance(parent.genome, Program):
        raise TypeError(f"expected a program, got a {parent.genome.kind}")
    return parent.genome


def _files(program: Program) -> list[tuple[str, str]]:
    return [(name, plain(text)) for name, text in program.files.items()]


def _head(name: str, text: str) -> tuple[str, str]:
    return name, tags_of(name)[0]


def _marks(text: str) -> int:
    return len(find_regions(text)) if START in text else 0


def _whole(text: str, cut: Cut) -> str:
    """The text, its regions and what lies between them cut by their own shares; marker lines are at the edges."""
    lines, at, pieces = text.removesuffix("\n").split("\n"), 0, []
    for region in find_regions(text):
        pieces += [(lines[at : region.first], FROZEN), (lines[region.first : region.last], BASE_REGION)]
        at = region.last
    pieces.append((lines[at:], FROZEN))
    return "\n".join(cut("\n".join(piece), weight) for piece, weight in pieces if piece)


def _regions(text: str) -> str:
    """The regions alone; several ones between their markers."""
    lines, regions = text.split("\n"), find_regions(text)
    around = 1 if len(regions) > 1 else 0
    return "\n".join("\n".join(lines[region.first - around : region.last + around]) for region in regions)
