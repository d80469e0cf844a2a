"""What a template sees of the search so far: lessons, how operators have done, and how a program came about.

All of it is lines that their content cannot break out of: words of models are quoted, their white space joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evo.protocols import ArmRecord, Context
from evo.values import Evaluation, Individual, Lesson, Objective
from operators.llm.budget import Cut
from operators.llm.views import WORDS, measured, plain

LESSON_CHARACTERS = 1000
IDEA_CHARACTERS = 300
NAME_CHARACTERS = 60
RECORD_ROWS = 12


@dataclass(frozen=True, slots=True)
class StepView:
    """A program on the way from an ancestor to the base.

    Attributes:
        measured: as in `ParentView`.
        idea: quoted; empty where there is none.
        change: what was gained or lost since the step before; empty for the first, and where either failed.
    """

    measured: str
    idea: str
    change: str


def lesson_lines(lessons: Sequence[Lesson], cut: Cut) -> list[str]:
    """The lessons, long ones first, each once and quoted."""
    long_first = sorted(lessons, key=lambda lesson: lesson.kind != "long")
    texts = dict.fromkeys(_line(lesson.text, LESSON_CHARACTERS) for lesson in long_first)
    return [quoted(cut(text, WORDS)) for text in texts if text]


def record_lines(record: Sequence[ArmRecord]) -> list[str]:
    """Rows of a table of operator, model, tries, mean gain and dollars; the best gain first, at most RECORD_ROWS."""
    tried = [arm for arm in record if arm.pulls > 0 and arm.scale is None]
    tried.sort(key=lambda arm: (-arm.gain / arm.pulls, -arm.pulls))
    return [_row(arm) for arm in tried[:RECORD_ROWS]]


def trajectory(base: Individual, context: Context, cut: Cut) -> list[StepView]:
    """The ancestors of the base that are remembered, the oldest first, and the base itself."""
    steps = (*base.past, base.as_ancestor)
    moves = [change(earlier.evaluation, other.evaluation, context.objectives) for earlier, other in pairwise(steps)]
    return [
        StepView(
            measured(step.evaluation, context.objectives),
            quoted(cut(_line(step.thought, IDEA_CHARACTERS), WORDS)),
            move,
        )
        for step, move in zip(steps, ["", *moves], strict=True)
    ]


def change(before: Evaluation, after: Evaluation, objectives: Sequence[Objective]) -> str:
    """What was gained or lost between two evaluations, in a single line; empty where either failed."""
    both = [
        objective
        for objective in objectives
        if objective.name in before.objectives and objective.name in after.objectives
    ]
    moves = [_move(objective, before, after) for objective in both]
    if before.violation != after.violation:
        moves.append(f"constraints broken by {before.violation:.6g} -> {after.violation:.6g}")
    return ", ".join(moves) if both else ""


def quoted(text: str, limit: int = LESSON_CHARACTERS) -> str:
    """Words of a model as a quoted line of at most `limit` characters; empty where there are none."""
    line = _line(text, limit).replace('"', "'")
    return f'"{line}"' if line else ""


def _line(text: str, limit: int) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else f"{line[: limit - 4]} ..."


def _move(objective: Objective, before: Evaluation, after: Evaluation) -> str:
    old, new = before.objectives[objective.name], after.objectives[objective.name]
    verdict = "unchanged" if old == new else "better" if objective.better(after, before) else "worse"
    return f"{objective.name} {old:.6g} -> {new:.6g} ({verdict})"


def _row(arm: ArmRecord) -> str:
    names = (_line(name, NAME_CHARACTERS).replace("|", "/") for name in (arm.operator, arm.model or "none"))
    numbers = f"{round(arm.pulls, 1):g}", f"{arm.gain / arm.pulls:.3f}", f"{arm.usd:.4f}"
    return f"| {' | '.join((*names, *numbers))} |"
