"""What the scripted server says: rules by name. A rule is a simulation of a model's reply, not a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from evo.errors import UnknownNameError
from evo.models import Message
from operators.scripted.answers import AnswerRule
from operators.scripted.arithmetic import Arithmetic, PromptWriterAndArithmetic, said_to
from operators.scripted.json_values import json_value
from operators.scripted.prompt_code import Code, fenced, find_code, search_replace, small_edit

NO_CODE = "I find no program here that I could change."


class ReplyRule(Protocol):
    """Makes a reply from what was said so far; a function of its arguments only.

    A JSON schema that is asked for stands before the messages, as a system message.
    """

    def __call__(self, messages: Sequence[Message], rng: np.random.Generator) -> str: ...


def echo(messages: Sequence[Message], rng: np.random.Generator) -> str:
    """The last message again."""
    return messages[-1].text


def constant_jitter(messages: Sequence[Message], rng: np.random.Generator) -> str:
    """The program of the prompt, whole, in a fence, with a number changed, or a term added where it has none."""
    code = find_code(said_to(messages))
    return fenced(_changed(code, rng)) if code else NO_CODE


def search_replace_block(messages: Sequence[Message], rng: np.random.Generator) -> str:
    """The change of `constant_jitter` as a SEARCH/REPLACE block."""
    code = find_code(said_to(messages))
    edit = small_edit(code.text, rng) if code else None
    return search_replace(code.text, edit) if code and edit else NO_CODE


def code_or_diff(messages: Sequence[Message], rng: np.random.Generator) -> str:
    """The reply of `search_replace` to a request that shows such a block, else that of `constant_jitter`."""
    wants_diff = any("<<<<<<< SEARCH" in message.text for message in messages)
    return (search_replace_block if wants_diff else constant_jitter)(messages, rng)


def thought_and_code(messages: Sequence[Message], rng: np.random.Generator) -> str:
    """An idea in braces, then the reply of `constant_jitter`."""
    return f"{{Move the balance between the terms of the score a little.}}\n\n{constant_jitter(messages, rng)}"


RULES: Mapping[str, ReplyRule] = {
    "echo": echo,
    "constant_jitter": constant_jitter,
    "search_replace": search_replace_block,
    "code_or_diff": code_or_diff,
    "thought_and_code": thought_and_code,
    "answer": AnswerRule(),
    "json": json_value,
    "arithmetic": Arithmetic(),
    "prompt_writer_and_arithmetic": PromptWriterAndArithmetic(),
}


def find_rule(name: str) -> ReplyRule:
    """The rule of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in RULES:
        raise UnknownNameError(f"no scripted rule {name!r}; known: {', '.join(RULES)}")
    return RULES[name]


def _changed(code: Code, rng: np.random.Generator) -> Code:
    edit = small_edit(code.text, rng)
    return Code(edit.applied(code.text), code.language) if edit else code
