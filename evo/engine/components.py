"""What a session is made of: operators, problem, executor, policy and model clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evo.engine.metering import EvaluationModels, ModelClient
from evo.genomes import Genome
from evo.policies.base import Policy
from evo.protocols import Context, Executor, Operator, Problem
from evo.resources import Resources


@dataclass(frozen=True, slots=True)
class Components:
    """What turns asks into individuals.

    Attributes:
        policy: which cases of the problem a candidate is scored on.
        seeds: genomes that the first asks take, in order.
        context: what operators may know; each ask gets it with randomness, a record and a model of its own.
        client: through which operators ask models; None in a run without models.
        concurrent_calls: how many offspring may wait for a model beside those in the executor; 0 without a model.
        evaluation_models: for problems whose evaluations ask a model; None for the others.
        embedding: model whose vectors tell near duplicates; None without.
        resources: of an evaluation; None takes what the problem says.
    """

    operators: Mapping[str, Operator]
    problem: Problem
    executor: Executor
    policy: Policy
    seeds: Sequence[Genome]
    context: Context
    client: ModelClient | None = None
    concurrent_calls: int = 0
    evaluation_models: EvaluationModels | None = None
    embedding: str | None = None
    resources: Resources | None = None
