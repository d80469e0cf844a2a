"""How a prompt and a question become the messages to a model.

The rule: the parts, in order, and then the demonstrations are the system message, and the question is the user message.
Where a part holds `{question}`, everything is a single user message instead, with the question in each of these places;
the demonstrations then stand before the first such part. Where parts are named `system` and `user`, these are those
messages: the part `user` and the parts that hold `{question}` are the user message, with the question at its end where
none holds the place; the others and the demonstrations are the system message. Blank parts are left out, and so is an
empty system message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evo.errors import CandidateError
from evo.genomes import Prompt
from evo.models import Message

PLACE = "{question}"
# A name in braces, but not behind a command, a bracket or an index of LaTeX.
PLACEHOLDER = re.compile(r"(?<![\\\w^_}\]])\{{1,2}\s?([A-Za-z_][\w -]{0,40}?)\s?\}{1,2}")
CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
# The settings of a prompt's format: the default of each, and what it must contain.
SETTINGS: Mapping[str, tuple[str, str]] = {
    "part": ("{text}", "{text}"),  # a part; may hold {name}
    "separator": ("\n\n", ""),  # between parts and demonstrations
    "field": ("{name}: {text}", "{text}"),  # a field of a demonstration, a line each
    "question": (PLACE, PLACE),  # the question of the case
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered prompt with places for the question: each message is its pieces, joined by the question.

    Attributes:
        system: of the system message, which is left out where it is blank.
        user: of the user message.
        question: the question's template.
    """

    system: tuple[str, ...]
    user: tuple[str, ...]
    question: str

    def messages(self, question: str) -> tuple[Message, ...]:
        """What is sent for a question."""
        asked = filled(self.question, question=question)
        system, user = Message("system", asked.join(self.system)), Message("user", asked.join(self.user))
        return (system, user) if self.system != ("",) else (user,)


def rendered(prompt: Prompt) -> Rendered:
    """The prompt in the form of its settings (see SETTINGS).

    Raises:
        CandidateError: invalid; a setting that is unknown or lacks what it must hold.
    """
    settings = _settings(prompt)
    separator = settings["separator"]
    system, user = _messages(prompt, settings)
    asking = _pieces(user, separator)
    if len(asking) == 1:
        asking = (asking[0] + separator if asking[0] else "", "")
    sent = [tuple(_sendable(piece) for piece in pieces) for pieces in (_pieces(system, separator), asking)]
    return Rendered(sent[0], sent[1], _sendable(settings["question"]))


def unfilled(prompt: Prompt, columns: Sequence[str]) -> str:
    """What is wrong with the first place in a prompt's parts that nothing fills; "" where every place is filled.

    Braces of JSON, LaTeX, code and sets are text, and so are doubled ones, unless they hold the name of a column.
    """
    names = {column.casefold() for column in (*columns, "question")}
    for part, text in prompt.parts.items():
        for place in PLACEHOLDER.finditer(CODE.sub("", text) if "`" in text else text):
            doubled = place[0].startswith("{{") or place[0].endswith("}}")
            if PLACE in place[0] or (place[1].casefold() not in names and (doubled or " " in place[0])):
                continue
            known = f"; the columns of the cases are {', '.join(filter(None, columns))}" if any(columns) else ""
            return f"nothing fills {place[0]} in the part {part!r:.80}: the question stands at {PLACE}{known}"
    return ""


def _pieces(blocks: Sequence[tuple[str, bool]], separator: str) -> tuple[str, ...]:
    pieces = [""]
    for text, is_part in blocks:
        first, *others = text.split(PLACE) if is_part else [text]
        between = separator if len(pieces) > 1 or pieces[0] else ""
        pieces[-1] += between + first
        pieces += others
    return tuple(pieces)


def filled(template: str, **values: str) -> str:
    """The template with `{name}` replaced for each value; other braces, and those within values, stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)


def _messages(prompt: Prompt, settings: Mapping[str, str]) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Texts of the system and of the user message in the order of rendering, each with whether it is a part."""
    parts = [
        (name, filled(settings["part"], name=name, text=text)) for name, text in prompt.parts.items() if text.strip()
    ]
    shown = [(text, False) for fields in prompt.demonstrations if (text := _demonstration(fields, settings["field"]))]
    if {"system", "user"} & set(prompt.parts):
        asking = [name == "user" or (name != "system" and PLACE in text) for name, text in parts]
        system = [(text, True) for (_, text), asks in zip(parts, asking, strict=True) if not asks]
        return [*system, *shown], [(text, True) for (_, text), asks in zip(parts, asking, strict=True) if asks]
    first = next((place for place, (_, text) in enumerate(parts) if PLACE in text), len(parts))
    before, after = [[(text, True) for _, text in some] for some in (parts[:first], parts[first:])]
    return ([], [*before, *shown, *after]) if after else ([*before, *shown], [])


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
