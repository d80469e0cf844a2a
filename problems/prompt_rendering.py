"""How a prompt and a question become the messages to a model.

The rule: the parts, in order, and then the demonstrations are the system message, and the question is the user message.
Where a part holds `{question}`, everything is a single user message instead, with the question in each of these places;
the demonstrations then stand before the first such part. Blank parts are left out, and so is an empty system message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evo.errors import CandidateError
from evo.genomes import Prompt
from evo.models import Message

PLACE = "{question}"
# The settings of a prompt's format: the default of each, and what it must contain.
SETTINGS: Mapping[str, tuple[str, str]] = {
    "part": ("{text}", "{text}"),  # a part; may hold {name}
    "separator": ("\n\n", ""),  # between parts and demonstrations
    "field": ("{name}: {text}", "{text}"),  # a field of a demonstration, a line each
    "question": (PLACE, PLACE),  # the question of the case
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered prompt with places for the question.

    Attributes:
        pieces: text of a single user message, to be joined by the question; a single piece is the system message.
        question: the question's template.
    """

    pieces: tuple[str, ...]
    question: str

    def messages(self, question: str) -> tuple[Message, ...]:
        """What is sent for a question."""
        asked = filled(self.question, question=question)
        if len(self.pieces) > 1:
            return (Message("user", asked.join(self.pieces)),)
        user = Message("user", asked)
        return (Message("system", self.pieces[0]), user) if self.pieces[0] else (user,)


def rendered(prompt: Prompt) -> Rendered:
    """The prompt in the form of its settings (see SETTINGS).

    Raises:
        CandidateError: invalid; a setting that is unknown or lacks what it must hold.
    """
    settings = _settings(prompt)
    pieces = [""]
    for text, is_part in _blocks(prompt, settings):
        first, *others = text.split(PLACE) if is_part else [text]
        between = settings["separator"] if len(pieces) > 1 or pieces[0] else ""
        pieces[-1] += between + first
        pieces += others
    return Rendered(tuple(_sendable(piece) for piece in pieces), _sendable(settings["question"]))


def filled(template: str, **values: str) -> str:
    """The template with `{name}` replaced for each value; other braces, and those within values, stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)


def _blocks(prompt: Prompt, settings: Mapping[str, str]) -> list[tuple[str, bool]]:
    """Texts in the order of rendering, each with whether it is a part."""
    parts = [filled(settings["part"], name=name, text=text) for name, text in prompt.parts.items() if text.strip()]
    shown = [_demonstration(fields, settings["field"]) for fields in prompt.demonstrations]
    asking = next((place for place, text in enumerate(parts) if PLACE in text), len(parts))
    before, after = [[(text, True) for text in some] for some in (parts[:asking], parts[asking:])]
    return [*before, *((text, False) for text in shown if text), *after]


def _demonstration(fields: Mapping[str, str], template: str) -> str:
    return "\n".join(filled(template, name=name.capitalize(), text=text) for name, text in fields.items())


def _settings(prompt: Prompt) -> dict[str, str]:
    for name, text in prompt.format.items():
        if name not in SETTINGS:
            raise CandidateError("invalid", f"unknown format setting {name!r:.80}; known: {', '.join(SETTINGS)}")
        if SETTINGS[name][1] not in text:
            raise CandidateError("invalid", f"format setting {name!r} must hold {SETTINGS[name][1]}, got {text!r:.80}")
    return {name: prompt.format.get(name, usual) for name, (usual, _) in SETTINGS.items()}


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
