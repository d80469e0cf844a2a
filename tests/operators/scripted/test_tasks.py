"""Laws of the scripted rules for tasks: JSON by schema, arithmetic by a cue, and prompts that are rewritten."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.ledger import Ledger
from evo.models import Caps, Completion, Endpoint, Message, Request
from operators.gateway import EndpointGateway
from operators.scripted import Arithmetic, Faults, PromptWriterAndArithmetic, ScriptedServer, find_rule

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 6},
        "kind": {"enum": ["a", "b", "c"]},
        "scores": {"type": "array", "minItems": 2, "items": {"type": "number", "minimum": 0, "maximum": 1}},
        "again": {"type": "boolean"},
        "rest": {"type": "string"},
    },
    "required": ["name", "kind", "scores", "again"],
}
PROPOSE = """Improve this prompt.

PART: instruction
```
Solve the sum.
```

PART: style
```
Be polite.
```

Reply with one or more parts, each in this form:

PART: name
```
...
```
"""


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def said(text: str) -> list[Message]:
    return [Message("user", text)]


def asked(
    rule: str, requests: Sequence[Request], faults: Faults | None = None, *, api: Any = "chat"
) -> list[Completion]:
    """What the gateway makes of the scripted server's answers."""

    async def work() -> list[Completion]:
        async with ScriptedServer(find_rule(rule), faults) as server:
            endpoint = Endpoint("scripted", server.base_url, api=api)
            gateway = EndpointGateway([endpoint], "m", Ledger(Caps()), environment={})
            answers = [await gateway.complete(request) for request in requests]
            await gateway.close()
            return answers

    return asyncio.run(work())


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_json_is_answered_by_the_schema_that_was_asked_for(api: str) -> None:
    requests = [Request("t", tuple(said(f"number {n}")), schema=SCHEMA) for n in range(2)]
    first, second = asked("json", requests, api=api)
    for completion in (first, second):
        jsonschema.validate(json.loads(completion.text), SCHEMA)
        assert set(json.loads(completion.text)) == set(SCHEMA["required"])
    assert asked("json", requests[:1], api=api)[0].text == first.text


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_malformed_json_breaks_the_value_and_not_the_reply(api: str) -> None:
    request = Request("t", tuple(said("hello")), schema=SCHEMA)
    completion = asked("json", [request], Faults({"malformed_json": 1.0}), api=api)[0]
    assert completion.outcome == "ok"
    with pytest.raises(json.JSONDecodeError, match="Expecting"):
        json.loads(completion.text)


def schemas(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    """A schema that something fits, with a reference to a leaf among its parts."""
    low, span = draw(st.integers(-50, 50)), draw(st.integers(1, 9))
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "integer": lambda: {"type": "integer", "minimum": low, "maximum": low + span},
        "number": lambda: {"type": "number", "exclusiveMinimum": low, "maximum": low + span},
        "below": lambda: {"type": "number", "exclusiveMaximum": low},
        "multiple": lambda: {"type": "integer", "exclusiveMinimum": low, "multipleOf": span},
        "string": lambda: {"type": "string", "minLength": span, "maxLength": span + 2},
        "enum": lambda: {"enum": draw(st.lists(st.text() | st.integers() | st.none(), min_size=1, max_size=4))},
        "const": lambda: {"const": draw(st.booleans() | st.text())},
        "plain": lambda: {"type": draw(st.sampled_from(["boolean", "null", ["string", "null"]]))},
        "anything": dict,
        "reference": lambda: {"$ref": "#/$defs/Leaf"},
    }
    deeper: dict[str, Callable[[], dict[str, Any]]] = {
        "all": lambda: {"type": "object", "properties": {name: schemas(draw, depth + 1) for name in "ab"}},
        "some": lambda: {"type": "object", "properties": {"a": schemas(draw, depth + 1), "b": {}}, "required": ["a"]},
        "array": lambda: {"type": "array", "items": schemas(draw, depth + 1), "minItems": span % 4},
        "either": lambda: {"anyOf": [schemas(draw, depth + 1), {"type": "null"}]},
        "both": lambda: {"allOf": [schemas(draw, depth + 1)]},
    }
    known = kinds if depth > 2 else kinds | deeper
    return known[draw(st.sampled_from(sorted(known)))]()


SCHEMAS = st.composite(schemas)()


@given(SCHEMAS, st.integers(0, 2**32))
def test_json_fits_any_schema_of_these_kinds(schema: dict[str, Any], seed: int) -> None:
    whole = {**schema, "$defs": {"Leaf": {"type": "integer", "minimum": 3}}}
    prompt = said(f"Answer in JSON.\n{json.dumps(whole)}")
    text = find_rule("json")(prompt, rng(seed))
    jsonschema.validate(json.loads(text), whole)
    assert text == find_rule("json")(prompt, rng(seed))


def test_a_schema_that_never_ends_is_answered_all_the_same() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert json.loads(find_rule("json")(said(json.dumps(endless)), rng()))["next"]["next"]
    assert "no JSON schema" in find_rule("json")(said("What a day."), rng())


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("What is 17 + 25?", "42", "43"),
        ("Example: 1 + 1 = 2\nWhat is 6 * -7?", "-42", "-41"),
        ("3 - 10 =", "-7", "-6"),
        ("What is (3 + 4) * 2?", "14", "15"),
        ("Who is it?", "unknown", "unknown"),
    ],
)
def test_arithmetic_is_right_where_the_prompt_has_the_cue_and_one_too_high_elsewhere(
    question: str, right: str, wrong: str
) -> None:
    rule = find_rule("arithmetic")
    assert rule(said(f"Think Step by Step.\n{question}"), rng()) == f"The answer is {right}."
    assert rule([Message("system", "Go step by step."), *said(question)], rng()) == f"The answer is {right}."
    assert rule(said(question), rng()) == f"The answer is {wrong}."
    assert Arithmetic("abracadabra")(said(f"Abracadabra! {question}"), rng()) == f"The answer is {right}."
    assert Arithmetic("abracadabra")(said(f"Go step by step. {question}"), rng()) == f"The answer is {wrong}."


def test_what_the_model_said_itself_is_no_cue() -> None:
    turns = [*said("Begin."), Message("assistant", "step by step"), *said("What is 2 + 2?")]
    assert find_rule("arithmetic")(turns, rng()) == "The answer is 5."
    with pytest.raises(ConfigError, match="the cue is empty"):
        Arithmetic(" ")


def test_a_prompt_is_rewritten_by_a_phrase_more_and_the_cue_is_among_them() -> None:
    parts = {"instruction": "Solve the sum.", "style": "Be polite."}
    written = set()
    for seed in range(200):
        reply = find_rule("prompt_writer_and_arithmetic")(said(PROPOSE), rng(seed))
        found = re.fullmatch(r"PART: ([a-z]+)\n```\n(.*)\n```", reply)
        assert found is not None, reply
        assert found[2].startswith(parts[found[1]] + " ")
        written.add(found[2].removeprefix(parts[found[1]] + " "))
    assert len(written) == 7
    assert sum("step by step" in phrase for phrase in written) == 1


def test_a_proposal_without_shown_parts_still_gets_one() -> None:
    rule = PromptWriterAndArithmetic("abracadabra")
    assert rule(said("Reply with PART: lines."), rng()).startswith("PART: instruction\n```\n")
    assert rule(said("The parts are:\n**PART: task**\nReply with one."), rng()).startswith("PART: task\n```\n")
    assert rule(said("Abracadabra! 1 + 1"), rng()) == "The answer is 2."


def test_a_request_that_only_shows_parts_gets_a_lesson() -> None:
    shown = "PART: instruction\n```\nSolve 1 + 1.\n```\nDraw a lesson from it. Write no prompt."
    lessons = {find_rule("prompt_writer_and_arithmetic")(said(shown), rng(seed)) for seed in range(100)}
    assert len(lessons) == 7
    assert "Say: Think step by step." in lessons


def test_of_several_prompts_the_first_one_is_rewritten() -> None:
    other = PROPOSE.replace("Solve the sum.", "Add it all up.")
    for seed in range(30):
        reply = find_rule("prompt_writer_and_arithmetic")(said(PROPOSE + other), rng(seed))
        assert "Add it all up" not in reply


def test_a_prompt_climbs_to_the_cue_and_every_question_is_answered() -> None:
    """What prompt evolution shall find, by hand: propose, score on questions, keep what is better."""
    rule, prompt = find_rule("prompt_writer_and_arithmetic"), "Solve the sum."
    questions = [(f"{a} + {b}", f"The answer is {a + b}.") for a in range(3) for b in range(3)]

    def score(text: str) -> float:
        return sum(rule(said(f"{text}\nWhat is {question}?"), rng()) == right for question, right in questions) / len(
            questions
        )

    assert score(prompt) == 0
    for seed in range(50):
        reply = rule(said(f"Improve it.\nPART: instruction\n```\n{prompt}\n```\nReply with PART: lines."), rng(seed))
        child = reply.split("```\n")[1].rstrip("`\n")
        prompt = child if score(child) > score(prompt) else prompt
    assert score(prompt) == 1.0
