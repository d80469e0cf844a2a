"""From a configuration to all that a run needs: problem, seeds, operators, evaluation policy and search."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evo.config.authoring import declared_problem, seeds_of, task_of
from evo.config.problem_files import digests_of, noted_files
from evo.config.schema import Config
from evo.engine.evaluator import make_policy
from evo.engine.factories import concurrent_calls, resources_of
from evo.engine.metering import EvaluationModels, ModelClient
from evo.engine.mixture import IslandMaker, make_mixture
from evo.errors import ConfigError
from evo.genomes import Genome
from evo.journal.folder import JOURNAL, existing_run_folder
from evo.journal.inheritance import Inheritance, learnt_from
from evo.journal.replay import Replayed
from evo.models import NO_MODEL, Completion
from evo.policies.base import Policy
from evo.policies.full import Full
from evo.protocols import Context, Executor, Gateway, Operator, Problem
from evo.resources import Resources
from evo.search.search import Search, SearchSettings
from evo.values import Part

LOG = logging.getLogger(__name__)
MAX_STALE_PROPOSALS_FREE, MAX_STALE_PROPOSALS_PAID = 2000, 200


@dataclass(slots=True)
class Setup:
    """All that a session needs, made from a configuration.

    Attributes:
        replayed: what earlier sessions left to be done.
        reusable: completions of another run, by digest.
        gateway: while a session runs; read by progress displays.
        trouble: why no evaluation can run at the moment; "" while they can.
        files: name to digest of the files that the problem was made from.
        unmeasured: individual and final part to why it could not be evaluated there in this session.
    """

    config: Config
    problem: Problem
    operators: Mapping[str, Operator]
    seeds: Sequence[Genome]
    search: Search
    inheritance: Inheritance = field(default_factory=Inheritance)
    policy: Policy = field(default_factory=Full)
    replayed: Replayed = field(default_factory=Replayed)
    reusable: Callable[[str], Completion | None] = lambda digest: None
    gateway: Gateway | None = None
    trouble: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    unmeasured: dict[tuple[int, Part], str] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """What all operators may know; each ask adds its own randomness, model and record."""
        problem = self.problem
        return Context(np.random.default_rng(0), problem.space, problem.objectives, task_of(problem))


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


def prepare(
    config: Config,
    problem: Problem | None = None,
    *,
    problem_files: Set[Path] = frozenset(),
    inheritance: Inheritance | None = None,
) -> Setup:
    """Make the problem, its seeds, the operators and a fresh search.

    Args:
        config: what is wanted.
        problem: the configuration's own, where it was made already.
        problem_files: that were read to make it.
        inheritance: what the run took over when it was started; None takes over what the configuration names.

    Raises:
        UserError: a name or a value that means nothing.
    """
    with noted_files() as files:
        problem = problem or declared_problem(config.problem.name, config.problem.options)
        seeds = seeds_of(problem, config.search.population, np.random.default_rng(config.seed))
    if problem.needs_model and config.model.name is None:
        raise ConfigError(NO_MODEL)
    policy = make_policy(config, problem)
    mixture = make_mixture(config, seeds[0].kind)
    if inheritance is None:
        journals = [existing_run_folder(Path(folder)) / JOURNAL for folder in config.search.learn_from]
        inheritance = learnt_from(journals, seeds[0].kind)
    if mixture.asks_models and not task_of(problem):
        LOG.warning("%s says nothing of its task, so models propose blind: give it a description", config.problem.name)
    make_island = IslandMaker(config, problem, seeds[0].kind, inherited=inheritance.records)
    settings = _settings(config, len(seeds), asks_models=mixture.asks_models)
    search = Search(settings, problem.objectives, island=make_island)
    search.inherit(inheritance.lessons)
    stated = config.model_copy(update={"search": config.search.model_copy(update={"operators": mixture.stated})})
    read = digests_of(problem, files | problem_files)
    return Setup(stated, problem, mixture.operators, seeds, search, inheritance, policy, files=read)


def components_of(
    setup: Setup, executor: Executor, client: ModelClient | None = None, models: EvaluationModels | None = None
) -> Components:
    """What a driver needs, of a set-up and of what a session has opened."""
    config, problem = setup.config, setup.problem
    return Components(
        operators=setup.operators,
        problem=problem,
        executor=executor,
        policy=setup.policy,
        seeds=setup.seeds,
        context=setup.context,
        client=client,
        concurrent_calls=concurrent_calls(config),
        evaluation_models=models,
        embedding=config.search.duplicate_filter.model,
        resources=resources_of(config, problem),
    )


def _settings(config: Config, seeds: int, *, asks_models: bool) -> SearchSettings:
    stated = config.search
    filtered = stated.duplicate_filter
    if filtered.vectors is not None and (filtered.model is None or config.model.name is None):
        raise ConfigError(
            "search.duplicate_filter.vectors compares embeddings; name their model in search.duplicate_filter.model"
        )
    default_stale = MAX_STALE_PROPOSALS_PAID if asks_models else MAX_STALE_PROPOSALS_FREE
    return SearchSettings(
        seed=config.seed,
        evaluations=config.budget.evaluations,
        seeds=seeds,
        deterministic=stated.deterministic,
        max_in_flight=stated.max_in_flight,
        reference=stated.reference,
        islands=stated.islands,
        duplicate_filter=filtered,
        noise=stated.noise,
        max_stale_proposals=stated.max_stale_proposals or default_stale,
    )
