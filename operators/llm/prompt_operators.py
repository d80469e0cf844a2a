"""Operators on prompts that ask a language model: they rewrite parts, join two prompts, or derive a lesson first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from evo.genomes import Prompt
from evo.protocols import Context
from evo.values import Individual, LessonKind, Proposal
from operators.llm.budget import Cut
from operators.llm.experience import lesson_lines, trajectory
from operators.llm.lessons import Reflective
from operators.llm.model_operator import ModelOperator
from operators.llm.prompt_replies import rewritten, words_before_parts
from operators.llm.prompt_views import BASE_PART, prompt_view
from operators.llm.views import worst_first
from operators.parent_genomes import genomes_of
from operators.refusal import RefusalError

LESSONS_TO_DISTIL = 10


class PromptModelOperator(ModelOperator):
    """Sends a prompt about prompts and reads new texts of the base's parts from the reply; demonstrations stay."""

    kind: ClassVar[str] = "prompt"
    system: ClassVar[str] = "prompt_system"

    def check(self, parents: Sequence[Individual]) -> None:
        genomes_of(parents, Prompt, self.arity)

    def read(self, text: str, parents: Sequence[Individual], context: Context) -> Proposal:
        return Proposal("ok", rewritten(text, genomes_of(parents, Prompt, self.arity)), self.thought(text))

    def thought(self, text: str) -> str:
        return words_before_parts(text)

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        base, *others = parents
        return super().variables(parents, context, cut) | {
            "base": prompt_view(base, context, cut, BASE_PART),
            "others": [prompt_view(parent, context, cut) for parent in worst_first(others, context.objectives)],
        }


class RewritePrompt(PromptModelOperator):
    """Rewrites parts by what was measured and by the failing cases."""

    weight: ClassVar[float] = 2.0
    purpose: ClassVar[str] = "prompt_rewrite"


class JoinPrompts(PromptModelOperator):
    """Joins the strengths of two prompts."""

    arity: ClassVar[int] = 2
    purpose: ClassVar[str] = "prompt_crossover"

    def check(self, parents: Sequence[Individual]) -> None:
        base, mate = genomes_of(parents, Prompt, self.arity)
        if base.canonical == mate.canonical:
            raise RefusalError("refused", "the two prompts are the same, so there is nothing to join")


class ReflectivePromptOperator(Reflective, PromptModelOperator):
    """Reflects on prompts, their failing cases and their ancestors."""

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        return super().variables(parents, context, cut) | {
            "trajectory": trajectory(parents[0], context, cut) if parents[0].past else []
        }


class ReflectOnPrompt(ReflectivePromptOperator):
    """Learns from the failing cases and from the base's ancestors, then rewrites by that and by earlier lessons.

    Source: ReEvo's short-term reflection (Ye et al., NeurIPS 2024), on failing cases as in GEPA (Agrawal et al., 2025).
    """

    weight: ClassVar[float] = 2.0
    purpose: ClassVar[str] = "prompt_reflect"
    calls: ClassVar[tuple[str, str]] = ("prompt_reflect:short", "prompt_reflect")
    lesson: ClassVar[LessonKind] = "short"
    most_words: ClassVar[int] = 60


class DistilForPrompt(ReflectivePromptOperator):
    """Distils the lessons so far and the new evidence into a long-term lesson, then rewrites by it.

    Source: ReEvo's long-term reflection (Ye et al., NeurIPS 2024).
    """

    weight: ClassVar[float] = 0.5
    purpose: ClassVar[str] = "prompt_distil"
    calls: ClassVar[tuple[str, str]] = ("prompt_reflect:long", "prompt_distil")
    lesson: ClassVar[LessonKind] = "long"
    most_words: ClassVar[int] = 100

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        # The lesson that is distilled takes their place.
        return super().variables(parents, context, cut) | {
            "earlier_lessons": lesson_lines(context.lessons[:LESSONS_TO_DISTIL], cut),
            "lessons": [],
        }
