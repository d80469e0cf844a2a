"""From a configuration to the arms of a search: operators, the models that they ask, and the selector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evo.config.schema import Config, OperatorConfig, ParentsConfig, SearchConfig, SurvivalConfig
from evo.errors import ConfigError
from evo.protocols import Arm, ArmRecord, Memory, Operator, OperatorSelector, Problem
from evo.registry import make, names
from evo.search.descriptors import Subject
from evo.search.generations import Generations
from evo.search.islands import Island
from evo.search.niches import Archive, Niches
from evo.search.parents import Best, Parents, PowerLaw
from evo.search.population import RankedPopulation
from evo.survival import Newest
from evo.survival.protocols import Population, Survival


@dataclass(frozen=True, slots=True)
class Mixture:
    """What may propose, and how much.

    Attributes:
        operators: by name, made.
        stated: the same as a configuration states it, so that a run goes on with its own mixture even where other
            operators are installed by then.
    """

    operators: Mapping[str, Operator]
    stated: Mapping[str, float | OperatorConfig]
    arms: tuple[Arm, ...]

    @property
    def asks_models(self) -> bool:
        return any(arm.model for arm in self.arms)

    def selector(self, config: Config, inherited: Sequence[ArmRecord] = ()) -> OperatorSelector:
        """The operator selector.

        Raises:
            ConfigError: an option that it does not have.
        """
        wanted = config.search.selector
        selector: OperatorSelector = make("selectors", wanted.name, wanted.options, self.arms, inherited)
        return selector


def make_mixture(config: Config, kind: str) -> Mixture:
    """Operators with their weights; without weights, all that vary this kind of genome, by model where the run has any.

    Raises:
        ConfigError: an operator for another kind, or for a model where the run has none; a bad weight or option.
    """
    stated = {name: _spelt_out(given) for name, given in config.search.operators.items()}
    operators = {name: _made(name, given) for name, given in (stated or _all()).items()}
    problems = {name: _unfit(operator, kind, config) for name, operator in operators.items()}
    if stated and (unfit := next((name for name, problem in problems.items() if problem), None)):
        raise ConfigError(f"operator {unfit!r} {problems[unfit]}")
    with_model = config.model.name is not None
    fitting = {
        name: operator
        for name, operator in operators.items()
        if stated or (not problems[name] and operator.weight > 0 and needs_model(operator) == with_model)
    }
    if not fitting:
        how = f"asks a model and varies a {kind}; leave --model out" if with_model else f"varies a {kind}"
        raise ConfigError(f"no registered operator {how}, or name others in search.operators")
    weights = {name: stated[name].weight if stated else operator.weight for name, operator in fitting.items()}
    if not any(weights.values()) or min(weights.values()) < 0:
        raise ConfigError(f"search.operators needs a positive weight and none below 0, got {weights} for a {kind}")
    effective = {name: stated[name] if stated and stated[name].options else weights[name] for name in fitting}
    return Mixture(fitting, effective, tuple(_arms(fitting, weights, config)))


def needs_model(operator: Operator) -> bool:
    """Whether an operator asks a language model."""
    return bool(getattr(operator, "needs_model", False))


def _spelt_out(given: float | OperatorConfig) -> OperatorConfig:
    return given if isinstance(given, OperatorConfig) else OperatorConfig(weight=given)


def _all() -> dict[str, OperatorConfig]:
    return {name: OperatorConfig(weight=0.0) for name in names("operators")}


def _made(name: str, given: OperatorConfig) -> Operator:
    operator: Operator = make("operators", name, given.options)
    return operator


def _arms(operators: Mapping[str, Operator], weights: Mapping[str, float], config: Config) -> list[Arm]:
    """An arm for each operator and each model that it may ask; those of weight 0 are left out."""
    pool = config.model.shares
    arms = []
    for name, operator in operators.items():
        asked: Mapping[str | None, float] = pool if needs_model(operator) else {None: 1.0}  # type: ignore[assignment]
        for model, share in asked.items():
            arms.append(
                Arm(
                    name,
                    model,
                    operator.arity,
                    weights[name] * share,
                    repairs=bool(getattr(operator, "repairs", False)),
                )
            )
    return [arm for arm in arms if arm.weight > 0]


def _unfit(operator: Operator, kind: str, config: Config) -> str | None:
    if operator.kind != kind:
        return f"varies a {operator.kind}, but this problem's genome is a {kind}"
    if needs_model(operator) and config.model.name is None:
        return "needs a language model; name one with --model NAME"
    return None


class IslandMaker:
    """Makes empty islands as a configuration describes them, by their number."""

    def __init__(self, config: Config, problem: Problem, kind: str, *, inherited: Sequence[ArmRecord] = ()) -> None:
        """Lay out the niches, if any, with the same archive for all islands.

        Args:
            kind: of the genomes.
            inherited: how operators and models did in earlier runs.

        Raises:
            ConfigError: niches that make no map.
        """
        self._config = config
        self._objectives = problem.objectives
        self._space = problem.space
        self._kind = kind
        self._inherited = inherited
        self._archive = _archive(config, Subject(problem.objectives, problem.space, kind))

    def __call__(self, number: int) -> Island:
        config = self._own(number)
        mixture, how = make_mixture(config, self._kind), config.search
        survival: Survival = make("survival", how.survival.name, how.survival.options)
        parents: Parents = make("parents", how.parents.name, how.parents.options)
        if self._archive is not None and isinstance(parents, Best | PowerLaw):
            raise ConfigError(
                f"search.parents {how.parents.name} ranks the whole population, and the best of a niche says nothing "
                "of another; take uniform or tournament, or leave search.niches out"
            )
        selector = mixture.selector(config, self._inherited)
        population, memories = self._population(how, survival), self._memories(mixture)
        return Island(population, selector, mixture.arms, parents.choose, memories)

    def _memories(self, mixture: Mixture) -> dict[str, Memory]:
        learning = {
            name: operator.memory for name, operator in mixture.operators.items() if hasattr(operator, "memory")
        }
        return {name: begin(self._space, self._objectives) for name, begin in learning.items()}

    def _population(self, how: SearchConfig, survival: Survival) -> Population:
        if self._archive is not None:
            return Niches(self._archive, self._objectives, survival)
        population = RankedPopulation(how.population, self._objectives, survival)
        if not how.generation_size:
            return population
        if isinstance(survival, Newest):
            raise ConfigError(
                "search.generation_size ranks newcomers together with the population, and newest ranks nothing; "
                "leave it out, or take another search.survival"
            )
        return Generations(population, how.generation_size)

    def _own(self, number: int) -> Config:
        own = self._config.search.islands.own
        if number >= len(own):
            return self._config
        stated = {name: value for name, value in own[number] if value is not None}
        for key, section in (("survival", SurvivalConfig), ("parents", ParentsConfig)):
            if isinstance(name := stated.get(key), str):
                stated[key] = section(name=name)
        return self._config.model_copy(update={"search": self._config.search.model_copy(update=stated)})


def _archive(config: Config, subject: Subject) -> Archive | None:
    return None if config.search.niches is None else Archive(config.search.niches, subject)
