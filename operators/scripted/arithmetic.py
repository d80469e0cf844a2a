"""A task model whose answers depend on the prompt's wording, and a writer of prompts: enough to evolve a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evo.errors import ConfigError
from evo.models import Message
from operators.sampling import pick
from operators.scripted.answers import value_of
from operators.scripted.prompt_code import Code, fenced

CUE = "step by step"
MENTIONED = re.compile(r"\bPART:")
PART = re.compile(r"^\W*PART:\W*([\w -]*\w)\W*\n\s*?(`{3,}|~{3,})[^\n]*\n(.*?)^\2[ \t]*$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^\W*PART:\W*([\w -]*\w)", re.MULTILINE)
PHRASES = (
    "Be brief.",
    "Answer with one number.",
    "Check your answer before you give it.",
    "Read the question twice.",
    "Use whole numbers only.",
    "Take your time.",
)
EXAMPLE_NAMES = frozenset({"name", "part", "part name", "name of the part"})


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A rule for task models: says "The answer is N." of the last message's last arithmetic, as in "3 + 4 * 5".

    Attributes:
        cue: words that make the answer right if the prompt has them, in any case; without them it is too high by 1.

    Raises:
        ConfigError: an empty cue, which every prompt has.
    """

    cue: str = CUE

    def __post_init__(self) -> None:
        if not self.cue.strip():
            raise ConfigError("the cue is empty, so every prompt would have it; name a word at least")

    def __call__(self, messages: Sequence[Message], rng: np.random.Generator) -> str:
        value = value_of(messages[-1].text)
        if value is None:
            return "The answer is unknown."
        right = self.cue.lower() in said_to(messages).lower()
        return f"The answer is {value if right else _one_more(value)}."


@dataclass(frozen=True, slots=True)
class PromptWriterAndArithmetic:
    """Rewrites prompts that it is shown, learns lessons from them, and answers all else as `Arithmetic` does.

    A prompt is shown, and its reply is asked for, as parts: a line "PART: name", then a fenced text. A request
    for parts gets a shown part with a phrase added; a request that only shows parts gets a lesson about a phrase.

    Attributes:
        cue: see `Arithmetic`; a phrase holds it.
    """

    cue: str = CUE

    def __call__(self, messages: Sequence[Message], rng: np.random.Generator) -> str:
        prompt = said_to(messages)
        shown = _shown(prompt)
        phrases = (*PHRASES, f"Think {self.cue}.")
        if len(MENTIONED.findall(prompt)) > len(shown):
            name, text = pick(rng, list(dict(reversed(shown)).items()) or _named(prompt))
            unused = [phrase for phrase in phrases if phrase not in text]
            written = f"{text.rstrip()} {pick(rng, unused) if unused else ''}".strip()
            return f"PART: {name}\n{fenced(Code(written))}"
        return f"Say: {pick(rng, phrases)}" if shown else Arithmetic(self.cue)(messages, rng)


def said_to(messages: Sequence[Message]) -> str:
    """All that was said to the model, without its own replies."""
    return "\n".join(message.text for message in messages if message.role != "assistant")


def _shown(prompt: str) -> list[tuple[str, str]]:
    """Names and texts of the parts that a prompt shows; those that stand for any part are examples of the form."""
    found = [(match[1], match[3]) for match in PART.finditer(prompt)]
    return [(name, text) for name, text in found if name.lower() not in EXAMPLE_NAMES and re.search(r"\w", text)]


def _named(prompt: str) -> list[tuple[str, str]]:
    """The parts that a prompt names without their texts; a default where it names none."""
    names = [match[1] for match in NAMED.finditer(prompt) if match[1].lower() not in EXAMPLE_NAMES]
    return [(name, "") for name in names or ["instruction"]]


def _one_more(value: str) -> str:
    return str(int(value) + 1) if value.lstrip("-").isdigit() else f"{float(value) + 1:.10g}"
