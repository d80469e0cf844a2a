"""A forecast of what a run by a model costs, from the prompts that it would send for its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evo.config.authoring import task_of
from evo.engine.setup import Setup
from evo.models import Completion, Price, Request
from evo.protocols import Arm, Context
from evo.values import Ask, Evaluation, Individual

CHARACTERS_PER_TOKEN = 4
LIKELY_REPLY_TOKENS = 800


@dataclass(slots=True)
class Listener:
    """A model that says nothing of use, and remembers what it was asked."""

    requests: list[Request] = field(default_factory=list)

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        return Completion("ok", "nothing")


@dataclass(frozen=True, slots=True)
class Expense:
    """What a proposal of an arm costs.

    Attributes:
        prompt_tokens: of all its calls together, at 4 characters each.
        likely_usd: with replies of LIKELY_REPLY_TOKENS, or of all that is allowed where that is less.
        most_usd: with replies of all that is allowed.
    """

    arm: Arm
    calls: int
    prompt_tokens: int
    reply_tokens: int
    likely_usd: float
    most_usd: float


async def expenses(setup: Setup, seed: Evaluation, prices: Mapping[str, Price]) -> list[Expense]:
    """What a proposal costs by each arm that asks a model, for the seed as the only parent; nothing is sent."""
    return [
        _expense(arm, await _asked(setup, arm, seed), prices[arm.model])
        for arm in setup.search.population.islands[0].arms
        if arm.model is not None and arm.model in prices
    ]


def mean_usd(each: Sequence[Expense], arms: Sequence[Arm]) -> tuple[float, float]:
    """The likely and the largest cost of a proposal, over arms in the shares that they have."""
    weights = sum(arm.weight for arm in arms)
    likely = sum(expense.arm.weight * expense.likely_usd for expense in each) / weights
    return likely, sum(expense.arm.weight * expense.most_usd for expense in each) / weights


async def _asked(setup: Setup, arm: Arm, seed: Evaluation) -> list[Request]:
    problem, listener = setup.problem, Listener()
    parent = Individual(0, 0, Ask(0, "seed"), setup.seeds[0], seed)
    rng = np.random.default_rng(setup.config.seed)
    context = Context(rng, problem.space, problem.objectives, task_of(problem), listener)
    await setup.operators[arm.operator].propose([parent] * arm.arity, context)
    return listener.requests


def _expense(arm: Arm, requests: Sequence[Request], price: Price) -> Expense:
    prompt = sum(-(-len(message.text) // CHARACTERS_PER_TOKEN) for request in requests for message in request.messages)
    most = sum(request.max_tokens for request in requests)
    likely = sum(min(request.max_tokens, LIKELY_REPLY_TOKENS) for request in requests)
    return Expense(arm, len(requests), prompt, most, _usd(price, prompt, likely), _usd(price, prompt, most))


def _usd(price: Price, prompt_tokens: int, reply_tokens: int) -> float:
    return (prompt_tokens * price.input_usd + reply_tokens * price.output_usd) / 1e6
