"""Every operator that asks a model for a program, and how to make it propose."""

from __future__ import annotations

import ast
import asyncio
import importlib
import itertools
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evo.genomes import Genome, Program
from evo.models import Completion, Model, Request
from evo.protocols import Context
from evo.regions import find_regions, frozen_text
from evo.testing.scripted import ScriptedModel
from evo.values import Individual, Proposal
from operators import llm
from operators.llm.model_operator import ModelOperator
from operators.llm.program_operators import ProgramModelOperator
from tests.support.model_replies import MARKED, NEW, OBJECTIVES, PROGRAMS, code, parents_of

DESCRIPTION = "Pack items into bins. {{ description }}"
CONTEXT = Context(np.random.default_rng(0), None, OBJECTIVES, DESCRIPTION)
CALLS = {"panel": 4, "reflect": 2, "distil": 2}
"""Requests that an operator sends for one proposal, where it is more than one."""

Reply = str | Completion
Rule = Callable[[Request], Reply]


def _classes() -> list[type[ProgramModelOperator]]:
    for module in pkgutil.iter_modules(llm.__path__, "operators.llm."):
        importlib.import_module(module.name)
    found, left = [], [ProgramModelOperator]
    while left:
        left += (subclasses := left.pop().__subclasses__())
        found += [found_class for found_class in subclasses if not found_class.__subclasses__()]
    return sorted(found, key=lambda operator: operator.purpose)


CLASSES = _classes()
each_operator = pytest.mark.parametrize("operator", CLASSES, ids=lambda operator: operator.purpose)


def always(reply: Reply) -> Rule:
    return lambda request: reply


def but_for_call(number: int, reply: Reply, others: Reply) -> Rule:
    """The reply at the call of that number, counted from 0, and another at all others."""
    calls = itertools.count()
    return lambda request: reply if next(calls) == number else others


def propose(operator: ProgramModelOperator, programs: Sequence[Program], rule: Rule) -> Proposal:
    return proposed(operator, parents_of(programs), ScriptedModel(rule))


def proposed(
    operator: ModelOperator,
    parents: Sequence[Individual],
    model: Model | None,
    context: Context = CONTEXT,
    *,
    seed: int = 0,
) -> Proposal:
    """What it proposes, with randomness that is the same at every call."""
    return asyncio.run(operator.propose(parents, replace(context, rng=np.random.default_rng(seed), model=model)))


def sent_by(operator: ProgramModelOperator, parents: Sequence[Individual], context: Context = CONTEXT) -> str:
    """The user's message of its first request."""
    model = ScriptedModel(always("No."))
    proposed(operator, parents, model, context)
    return model.requests[0].messages[1].text


def good_reply(operator: type[ProgramModelOperator]) -> str:
    if operator.form == "diff":
        return "Squares.\n<<<<<<< SEARCH\n    return -rest\n=======\n    return -rest ** 2\n>>>>>>> REPLACE\n"
    return "{Squares}.\n" + code(NEW)


def with_mates(program: Program, count: int) -> list[Program]:
    """The program and `count - 1` others, the first of which has the frozen text of most."""
    return [program, Program.single(MARKED.replace("-rest", "-rest * 3")), PROGRAMS["two regions"]][:count]


def assert_keeps_frozen_text(child: Genome, base: Genome) -> None:
    """The files of the base, which parse, with other text in their regions only."""
    assert isinstance(child, Program)
    assert isinstance(base, Program)
    assert list(child.files) == list(base.files)
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
