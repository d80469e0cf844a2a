"""Operators on programs that ask a language model once: each is a template, a form of reply and an arity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from evo.genomes import Program
from evo.protocols import Context
from evo.values import Individual, Proposal
from operators.llm.budget import Cut
from operators.llm.experience import trajectory
from operators.llm.model_operator import ModelOperator
from operators.llm.offspring import ReplyForm, offspring_of
from operators.llm.replies import direction_of, thought_of
from operators.llm.views import base_view, other_view, worst_first
from operators.parent_genomes import genomes_of


class ProgramModelOperator(ModelOperator):
    """Sends a prompt and reads a program from the reply.

    Attributes:
        form: how the reply gives the change.
    """

    kind: ClassVar[str] = "program"
    form: ClassVar[ReplyForm] = "rewrite"

    def check(self, parents: Sequence[Individual]) -> None:
        genomes_of(parents, Program, self.arity)

    def read(self, text: str, parents: Sequence[Individual], context: Context) -> Proposal:
        programs = genomes_of(parents, Program, self.arity)
        return Proposal("ok", offspring_of(text, programs, self.form), self.thought(text))

    def read_cut_off(self, text: str, parents: Sequence[Individual], context: Context) -> Proposal:
        programs = genomes_of(parents, Program, self.arity)
        return Proposal("ok", offspring_of(text, programs, self.form, cut_off=True), self.thought(text))

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        base, *others = parents
        return super().variables(parents, context, cut) | {
            "base": base_view(base, context, cut),
            "others": [other_view(parent, base, context, cut) for parent in worst_first(others, context.objectives)],
        }


class Diff(ProgramModelOperator):
    """Changes a few lines, by SEARCH/REPLACE blocks."""

    weight: ClassVar[float] = 3.0
    purpose: ClassVar[str] = "diff"
    form: ClassVar[ReplyForm] = "diff"


class Rewrite(ProgramModelOperator):
    """Writes the regions from scratch."""

    weight: ClassVar[float] = 2.0
    purpose: ClassVar[str] = "rewrite"


class Crossover(ProgramModelOperator):
    """Joins the strengths of two programs."""

    arity: ClassVar[int] = 2
    purpose: ClassVar[str] = "crossover"


class Inspired(ProgramModelOperator):
    """Improves the base with two others as inspiration, shown from the worst to the best."""

    arity: ClassVar[int] = 3
    weight: ClassVar[float] = 2.0
    purpose: ClassVar[str] = "inspired"


class ThoughtAndCode(ProgramModelOperator):
    """Evolution of Heuristics (Liu et al., ICML 2024): the idea in braces first, then the code that carries it out."""

    purpose: ClassVar[str] = "thought"

    def thought(self, text: str) -> str:
        return thought_of(text, braces=True)


class E1(ThoughtAndCode):
    """EoH's E1: a new idea, different from two programs."""

    arity: ClassVar[int] = 2
    purpose: ClassVar[str] = "e1"


class E2(ThoughtAndCode):
    """EoH's E2: another form of the idea that two programs share."""

    arity: ClassVar[int] = 2
    purpose: ClassVar[str] = "e2"


class M1(ThoughtAndCode):
    """EoH's M1: a modified form of a program."""

    purpose: ClassVar[str] = "m1"


class M2(ThoughtAndCode):
    """EoH's M2: other parameters in the same structure."""

    purpose: ClassVar[str] = "m2"


class M3(ThoughtAndCode):
    """EoH's M3: simpler, and more general."""

    weight: ClassVar[float] = 0.5
    purpose: ClassVar[str] = "m3"


class Repair(ProgramModelOperator):
    """Repairs what the evaluation complained about."""

    purpose: ClassVar[str] = "repair"
    repairs: ClassVar[bool] = True
    form: ClassVar[ReplyForm] = "diff"


class Directional(ProgramModelOperator):
    """Derives a direction from the base's ancestors and follows it; the direction is the thought."""

    arity: ClassVar[int] = 2
    purpose: ClassVar[str] = "directional"
    form: ClassVar[ReplyForm] = "diff"

    def thought(self, text: str) -> str:
        return direction_of(text)

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        return super().variables(parents, context, cut) | {"trajectory": trajectory(parents[0], context, cut)}


class SimplifyByModel(ProgramModelOperator):
    """The same behaviour in less code."""

    weight: ClassVar[float] = 0.5
    purpose: ClassVar[str] = "simplify"
