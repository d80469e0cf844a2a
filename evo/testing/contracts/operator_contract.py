"""The laws of every operator. Subclass `OperatorContract` and give it an `operator` fixture."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest

from evo.errors import ConfigError, GenomeError
from evo.genomes import Architecture, Genome, Program, Vector, parse_python
from evo.protocols import Context, Operator
from evo.regions import find_regions
from evo.testing.contracts.parents import Case, odd, ordinary
from evo.values import Ask, Box, Evaluation, Individual, Objective, Proposal, ProposalOutcome, Slots, Space

SEEDS = range(24)
FAILURES = set(get_args(ProposalOutcome)) - {"ok"}


class OperatorContract:
    """The laws of operators.

    A class defines `operator`:

        class TestMine(OperatorContract):
            @pytest.fixture
            def operator(self) -> Operator:
                return Mine()
    """

    @pytest.fixture
    def operator(self) -> Operator:
        raise TypeError(f"{type(self).__name__} must define a fixture `operator` that gives the operator")

    def test_it_declares_arity_kind_and_weight(self, operator: Operator) -> None:
        assert operator.arity >= 1
        assert operator.kind in {"program", "prompt", "architecture", "vector"}
        assert getattr(operator, "weight", 1.0) >= 0

    def test_it_varies_ordinary_parents(self, operator: Operator) -> None:
        proposals = [proposal for _, proposal in _made(operator)]
        offspring = {proposal.genome.digest for proposal in proposals if proposal.genome is not None}
        assert sum(proposal.outcome == "ok" for proposal in proposals) > len(proposals) / 2
        assert len(offspring) > len(SEEDS) / 2

    def test_the_same_randomness_gives_the_same_proposal(self, operator: Operator) -> None:
        repeated = [proposal for case in ordinary(operator.kind) for proposal in _proposals(operator, case)]
        assert [proposal for _, proposal in _made(operator)] == repeated

    def test_an_offspring_is_of_its_kind_and_never_equals_the_base(self, operator: Operator) -> None:
        for genomes, proposal in _offspring(operator):
            assert proposal.genome is not None
            assert proposal.genome.kind == operator.kind
            assert proposal.genome.canonical != genomes[0].canonical

    def test_an_offspring_parses_and_keeps_what_lies_outside_the_regions(self, operator: Operator) -> None:
        for genomes, proposal in _offspring(operator):
            if isinstance(base := genomes[0], Program) and isinstance(child := proposal.genome, Program):
                assert list(child.files) == list(base.files)
                assert all(parse_python(text) for name, text in child.files.items() if name.endswith(".py"))
                assert [frozen_pieces(text) for text in child.files.values()] == [
                    frozen_pieces(text) for text in base.files.values()
                ]

    def test_an_offspring_lies_in_the_space(self, operator: Operator) -> None:
        cases = [*ordinary(operator.kind), *odd(operator.kind, operator.arity).values()]
        for case in (case for case in cases if case[1] is not None):
            for proposal in _proposals(operator, case, seeds=range(5)):
                assert proposal.genome is None or lies_in(proposal.genome, case[1])

    def test_it_never_raises_for_odd_parents_and_says_why_there_is_no_offspring(self, operator: Operator) -> None:
        for name, case in odd(operator.kind, operator.arity).items():
            for proposal in _proposals(operator, case, seeds=range(2)):
                if proposal.outcome == "ok":
                    assert proposal.genome is not None
                    assert proposal.genome.canonical != case[0][0].canonical, name
                else:
                    assert proposal.outcome in FAILURES
                    assert len(proposal.thought.split()) >= 3, name

    def test_it_does_not_change_its_parents(self, operator: Operator) -> None:
        for case in ordinary(operator.kind):
            before = [genome.to_json() for genome in case[0]]
            _proposals(operator, case, seeds=range(5))
            assert [genome.to_json() for genome in case[0]] == before

    def test_too_few_parents_are_refused_with_the_number_expected(self, operator: Operator) -> None:
        genomes, space = ordinary(operator.kind)[0]
        few = _proposals(operator, (genomes[: operator.arity - 1], space), seeds=range(1))[0]
        assert few.outcome == "refused"
        assert f"expected {operator.arity} parents" in few.thought


def propose(operator: Operator, genomes: Sequence[Genome], space: Space | None, seed: int) -> Proposal:
    """The proposal of an operator for parents with these genomes."""
    context = Context(np.random.default_rng(seed), space=space, memory=_empty_memory(operator, space))
    parents = [_individual(number, genome) for number, genome in enumerate(genomes)]
    return asyncio.run(operator.propose(parents, context))


def _empty_memory(operator: Operator, space: Space | None) -> object:
    """What an operator that learns sees at first; None in a space that it rejects."""
    make_memory = getattr(operator, "memory", None)
    try:
        return make_memory(space, (Objective("value", "min"),)).view() if make_memory else None
    except ConfigError:
        return None


def frozen_pieces(text: str) -> list[str]:
    """The text before, between and after the regions, every character of it."""
    try:
        regions = find_regions(text)
    except GenomeError:
        return [text]
    # Not splitlines: it would split at form feeds too, where no region can begin or end.
    lines = re.split(r"(?<=\n)", text)
    ends = [0, *(region.last for region in regions)]
    starts = [*(region.first for region in regions), len(lines)]
    return ["".join(lines[end:start]) for end, start in zip(ends, starts, strict=True)]


def lies_in(genome: Genome, space: Space | None) -> bool:
    """Whether a genome is in the space; a space of another kind of genome contains none."""
    match genome, space:
        case Vector(values), Box(lower, upper):
            return all(low <= value <= high for low, value, high in zip(lower, values, upper, strict=True))
        case Architecture(choices), Slots():
            return space.contains(choices)
    return genome.kind in {"program", "prompt"}


_latest: tuple[Operator, list[tuple[tuple[Genome, ...], Proposal]]] | None = None


def _made(operator: Operator) -> list[tuple[tuple[Genome, ...], Proposal]]:
    """The proposals for ordinary parents; kept for the latest operator, since several laws look at them."""
    global _latest
    if _latest is None or _latest[0] is not operator:
        cases = ordinary(operator.kind)
        _latest = operator, [(case[0], proposal) for case in cases for proposal in _proposals(operator, case)]
    return _latest[1]


def _offspring(operator: Operator) -> list[tuple[tuple[Genome, ...], Proposal]]:
    return [(genomes, proposal) for genomes, proposal in _made(operator) if proposal.outcome == "ok"]


def _proposals(operator: Operator, case: Case, seeds: Sequence[int] = SEEDS) -> list[Proposal]:
    return [propose(operator, case[0][: operator.arity], case[1], seed) for seed in seeds]


def _individual(number: int, genome: Genome) -> Individual:
    return Individual(number, number, Ask(number, "seed"), genome, Evaluation("ok"))
