"""Made individuals and searches for tests."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from evo.genomes import Genome, Vector
from evo.protocols import Arm, Memory
from evo.registry import make
from evo.search.islands import Island
from evo.search.population import RankedPopulation
from evo.search.search import Search, SearchSettings
from evo.search.selectors import Weights
from evo.survival import RankAndCrowding
from evo.survival.protocols import Population
from evo.values import Ask, Candidate, Evaluation, Individual, Objective, Outcome, Proposal

TWO = (Objective("cost", "min"), Objective("gain", "max"))


def evaluation(cost: float, gain: float, *, outcome: Outcome = "ok", violation: float = 0.0) -> Evaluation:
    objectives = {"cost": cost, "gain": gain} if outcome == "ok" else {}
    return Evaluation(outcome, objectives, {"limit": violation} if violation else {})


def individual(identity: int, cost: float, gain: float, violation: float = 0.0) -> Individual:
    ask = Ask(identity, "seed")
    return Individual(identity, identity, ask, Vector((float(identity),)), evaluation(cost, gain, violation=violation))


def island_of(
    population: Population,
    arms: tuple[Arm, ...],
    *,
    parents: str = "tournament",
    memories: Mapping[str, Memory] | None = None,
) -> Island:
    """An island with fixed weights of its arms."""
    choose = make("parents", parents, {}).choose
    return Island(population, Weights(arms), arms, choose, {} if memories is None else memories)


def search(
    *,
    population: int = 6,
    evaluations: int = 10_000,
    seed: int = 0,
    seeds: int = 1,
    parents: str = "tournament",
    **more: object,
) -> Search:
    arms = Arm("one", None, 1, 1.0), Arm("two", None, 2, 2.0)
    settings = SearchSettings(seed, evaluations, seeds=seeds, **more)  # type: ignore[arg-type]
    return searching(arms, settings, population=population, parents=parents)


def searching(
    arms: tuple[Arm, ...], settings: SearchSettings, *, population: int = 6, parents: str = "tournament"
) -> Search:
    """A search on islands of equal settings."""

    def island(number: int) -> Island:
        return island_of(RankedPopulation(population, TWO, RankAndCrowding()), arms, parents=parents)

    return Search(settings, TWO, island=island)


def advance(state: Search, genome: Genome, result: Evaluation) -> Candidate:
    """One offspring from ask to tell."""
    ask = state.ask()
    assert ask is not None
    candidate = state.admit(ask, Proposal("ok", genome))
    assert isinstance(candidate, Candidate)
    state.tell(candidate, result)
    return candidate


def filled(count: int, seed: int = 0, **settings: object) -> Search:
    """A search with `count` random results."""
    rng = np.random.default_rng(seed)
    state = search(**settings)  # type: ignore[arg-type]
    for number in range(count):
        advance(state, Vector((float(number),)), evaluation(*rng.random(2)))
    return state


def unsealed(journal: bytes) -> bytes:
    """A journal as versions before checksums wrote it, so that it can be changed and still be read."""
    return re.sub(rb', "checksum": "[0-9a-f]{8}"}\n', b"}\n", journal)
