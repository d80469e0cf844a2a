"""Every operator that asks a model for a program, and how to make it propose."""

from __future__ import annotations

import ast
import asyncio
import importlib
import itertools
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from evo.genomes import Program
from evo.models import Completion, Model, Request
from evo.protocols import Context
from evo.regions import find_regions, frozen_text
from evo.testing.scripted import ScriptedModel
from evo.values import Individual, Proposal, ProposalOutcome
from operators import llm
from operators.llm.program_operators import ProgramOperator
from tests.support.model_replies import MARKED, NEW, OBJECTIVES, PROGRAMS, code, parents_of

DESCRIPTION = "Pack items into bins. {{ description }}"
CONTEXT = Context(np.random.default_rng(0), None, OBJECTIVES, DESCRIPTION)
CALLS = {"panel": 4, "reflect": 2, "distil": 2}
"""Requests that an operator sends for one proposal, where it is more than one."""

Reply = str | Completion
Rule = Callable[[Request], Reply]


def _classes() -> list[type[ProgramOperator]]:
    for module in pkgutil.iter_modules(llm.__path__, "operators.llm."):
        importlib.import_module(module.name)
    found, left = [], [ProgramOperator]
    while left:
        left += (subclasses := left.pop().__subclasses__())
        found += [subclass for subclass in subclasses if not subclass.__subclasses__()]
    return sorted(found, key=lambda subclass: subclass.purpose)


CLASSES = _classes()
each_operator = pytest.mark.parametrize("operator", CLASSES, ids=lambda subclass: subclass.purpose)
each_with_calls = pytest.mark.parametrize(
    "operator", [subclass for subclass in CLASSES if subclass.purpose in CALLS], ids=lambda subclass: subclass.purpose
)


def always(reply: Reply) -> Rule:
    return lambda request: reply


def but_for_call(number: int, reply: Reply, others: Reply) -> Rule:
    """The reply at the call of that number, counted from 0, and another at all others."""
    calls = itertools.count()
    return lambda request: reply if next(calls) == number else others


def propose(operator: ProgramOperator, programs: Sequence[Program], rule: Rule) -> Proposal:
    return proposed(operator, parents_of(programs), ScriptedModel(rule))


def proposed(
    operator: ProgramOperator, parents: Sequence[Individual], model: Model | None, context: Context = CONTEXT
) -> Proposal:
    """What it proposes, with randomness that is the same at every call."""
    return asyncio.run(operator.propose(parents, replace(context, rng=np.random.default_rng(0), model=model)))


def sent_by(operator: ProgramOperator, parents: Sequence[Individual], context: Context = CONTEXT) -> str:
    """The user's message of its first request."""
    model = ScriptedModel(always("No."))
    proposed(operator, parents, model, context)
    return model.requests[0].messages[1].text


def good_reply(operator: type[ProgramOperator]) -> str:
    if operator.form == "diff":
        return "Squares.\n<<<<<<< SEARCH\n    return -rest\n=======\n    return -rest ** 2\n>>>>>>> REPLACE\n"
    return "{Squares}.\n" + code(NEW)


def alike(program: Program, count: int) -> list[Program]:
    """The program and `count - 1` others, the first of which has the frozen text of most."""
    return [program, Program.single(MARKED.replace("-rest", "-rest * 3")), PROGRAMS["two regions"]][:count]


def assert_lawful(proposal: Proposal, base: Program) -> None:
    assert proposal.outcome in get_args(ProposalOutcome)
    proposal.thought.encode()
    for lesson in proposal.lessons:
        lesson.text.encode()
        assert lesson.text.split()
        assert len(lesson.text.splitlines()) == 1
    if proposal.genome is None:
        assert len(proposal.thought.split()) >= 3
        return
    child = proposal.genome
    assert isinstance(child, Program)
    assert list(child.files) == list(base.files)
    assert child.canonical != base.canonical
    for name, text in child.files.items():
        assert frozen_text(text) == frozen_text(base.files[name])
        assert _between_regions(text) == _between_regions(base.files[name])
        if name.endswith(".py") and text != base.files[name]:
            ast.parse(text)


def _between_regions(text: str) -> list[list[str]]:
    """The lines before, between and after the regions; a form feed within one ends no line."""
    regions, lines = find_regions(text), text.split("\n")
    ends, starts = [0, *(region.last for region in regions)], [*(region.first for region in regions), len(lines)]
    return [lines[end:start] for end, start in zip(ends, starts, strict=True)]
