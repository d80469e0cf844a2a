"""What a template sees of parents that are prompts: plain texts, each passed through a cut so that all of it fits."""

from __future__ import annotations

from dataclasses import dataclass

from evo.genomes import Prompt
from evo.protocols import Context
from evo.values import Individual
from operators.llm.budget import Cut
from operators.llm.views import WORDS, measured, plain
from operators.prompt_offspring import placeholders_of

# Shares of a prompt that is too long, per text: failing cases are the evidence, demonstrations only the setting.
BASE_PART, OTHER_PART, FAILING_CASES, DEMONSTRATIONS = 8.0, 4.0, 4.0, 2.0
NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class PartView:
    """A part: its name in a single line, and its text as far as it is shown."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class PromptView:
    """A parent.

    Attributes:
        measured: outcome, objectives with their units, broken constraints; in a single line.
        feedback: the evaluator's own words, failing cases among them.
        idea: the thought that came with it.
        demonstrations: all of them, numbered, in a single text; empty where there is none.
        placeholders: those of the parts, each once.
    """

    measured: str
    feedback: str
    idea: str
    parts: tuple[PartView, ...]
    demonstrations: str
    placeholders: tuple[str, ...]


def prompt_view(parent: Individual, context: Context, cut: Cut, weight: float = OTHER_PART) -> PromptView:
    """A parent, with its share of the room for each of its parts.

    Raises:
        TypeError: it is no prompt.
    """
    prompt = parent.genome
    if not isinstance(prompt, Prompt):
        raise TypeError(f"expected a prompt, got a {prompt.kind}")
    return PromptView(
        measured(parent.evaluation, context.objectives),
        cut(plain(parent.evaluation.feedback).strip(), FAILING_CASES),
        cut(plain(parent.thought).strip(), WORDS),
        tuple(PartView(shown_name(name), cut(plain(text).strip(), weight)) for name, text in prompt.parts.items()),
        cut(_demonstrations(prompt), DEMONSTRATIONS),
        tuple(placeholders_of(prompt)),
    )


def shown_name(name: str) -> str:
    """A part's name as a reply has to give it: in a single line, and short."""
    return " ".join(plain(name).split())[:NAME_CHARACTERS]


def _demonstrations(prompt: Prompt) -> str:
    shown = [
        "\n".join(f"{plain(field)}: {plain(text).strip()}" for field, text in demonstration.items())
        for demonstration in prompt.demonstrations
    ]
    return "\n\n".join(f"{number}.\n{text}" for number, text in enumerate(shown, start=1))
