"""The operator on architectures that asks a language model: it sees the space and two designs, and answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evo.errors import GenomeError
from evo.genomes import Architecture
from evo.protocols import Context
from evo.spaces import Slots
from evo.values import Individual, Proposal, clip_text
from operators.architectures import slots_of
from operators.llm.budget import Cut
from operators.llm.model_operator import ModelOperator
from operators.llm.replies import THOUGHT_BYTES, without_code
from operators.llm.views import FEEDBACK, WORDS, measured, plain
from operators.parent_genomes import genomes_of
from operators.refusal import RefusalError

SPACE, BASE_CHOICES, OTHER_CHOICES = 16.0, 8.0, 4.0
MOST_OBJECTS = 50
"""How many braces are tried as the beginning of a JSON object, so that no reply takes long to read."""


class DesignByModel(ModelOperator):
    """Writes a design from the space, the base and an inspiration, and from how both were measured."""

    arity: ClassVar[int] = 2
    kind: ClassVar[str] = "architecture"
    purpose: ClassVar[str] = "architecture_design"
    system: ClassVar[str] = "architecture_system"

    def check(self, parents: Sequence[Individual]) -> None:
        genomes_of(parents, Architecture, self.arity)

    def schema(self, context: Context) -> Mapping[str, Any]:
        return reply_schema(slots_of(context.space))

    def read(self, text: str, parents: Sequence[Individual], context: Context) -> Proposal:
        base, mate = genomes_of(parents, Architecture, self.arity)
        space = slots_of(context.space)
        choices, thought = choices_in(text, space)
        try:
            child = Architecture(space.from_json(choices, base.choices))
        except GenomeError as error:
            raise RefusalError("unparsable", str(error)) from error
        if child.canonical == base.canonical:
            raise RefusalError("duplicate", "the reply changes nothing")
        if child.canonical == mate.canonical:
            raise RefusalError("duplicate", "the design would be the mate again")
        return Proposal("ok", child, thought)

    def variables(self, parents: Sequence[Individual], context: Context, cut: Cut) -> dict[str, Any]:
        base, *others = parents
        differing = [parent for parent in others if parent.genome.canonical != base.genome.canonical]
        return super().variables(parents, context, cut) | {
            "space": cut(plain(slots_of(context.space).describe()), SPACE),
            "base": _view(base, context, cut, BASE_CHOICES),
            "others": [_view(parent, context, cut, OTHER_CHOICES) for parent in differing],
        }


@dataclass(frozen=True, slots=True)
class DesignView:
    """What a template sees of a parent.

    Attributes:
        measured: outcome, objectives with their units, broken constraints; in a single line.
        feedback: the evaluator's own words.
        idea: the thought that came with it.
        choices: as JSON, in a single line.
    """

    measured: str
    feedback: str
    idea: str
    choices: str


def reply_schema(space: Slots) -> dict[str, Any]:
    """JSON schema of a reply: the idea comes first, so that the choices follow from it."""
    members = {"thought": {"type": "string"}, "choices": space.json_schema()}
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def choices_in(text: str, space: Slots) -> tuple[object, str]:
    """What a reply says of the slots, as it was parsed, and the idea that it states; the last fitting object counts.

    The object may stand alone, in a fenced block or among words, and may hold the choices themselves.

    Raises:
        RefusalError: there is no such object.
    """
    own = [name for name in ("thought", "choices") if name not in space.options]
    for found, before in reversed(_objects(text)):
        thought = found.get("thought") if "thought" in own else None
        idea = plain(clip_text(thought.strip() if isinstance(thought, str) else before, THOUGHT_BYTES))
        if "choices" in own and "choices" in found:
            return found["choices"], idea
        if any(name in space.options for name in found):
            return {name: choice for name, choice in found.items() if name not in own}, idea
    raise without_code(text, "the reply holds no JSON object that names a slot")


def _objects(text: str) -> list[tuple[dict[str, Any], str]]:
    """The JSON objects of a text that lie in no other, each with the words in front of the first."""
    decoder, objects, start = json.JSONDecoder(), [], text.find("{")
    before = text[: max(start, 0)].strip().removesuffix("```json").removesuffix("```").strip()
    for _ in range(MOST_OBJECTS):
        if start < 0:
            break
        try:
            found, end = decoder.raw_decode(text, start)
            objects.append((found, before))
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)
    return objects


def _view(parent: Individual, context: Context, cut: Cut, weight: float) -> DesignView:
    if not isinstance(parent.genome, Architecture):
        raise TypeError(f"expected an architecture, got a {parent.genome.kind}")
    return DesignView(
        measured(parent.evaluation, context.objectives),
        cut(plain(parent.evaluation.feedback).strip(), FEEDBACK),
        cut(plain(parent.thought).strip(), WORDS),
        cut(plain(json.dumps(dict(parent.genome.choices), ensure_ascii=False)), weight),
    )
