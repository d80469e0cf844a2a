"""What a run found, on stdout: the front beside the baselines, the best genome, and what to do next."""

from __future__ import annotations

from evo.cli.showing import written
from evo.cli.tables import lines
from evo.errors import UserError
from evo.lineage import Table
from evo.protocols import Problem
from evo.session import FRONT_SHOWN, Ended, spread
from evo.values import Evaluation, Individual

ENDINGS = {
    "budget": "its budget of evaluations is used up",
    "wall": "its time is used up",
    "spent": "the next completion might have passed its budget of dollars, tokens or calls",
    "exhausted": "the operators find nothing new any more",
    "interrupted": "it was interrupted",
}


def report(ended: Ended) -> None:
    """Print the end of a run.

    Raises:
        UserError: every seed failed, so nothing was searched.
    """
    refuse_failed_seed(ended)
    search, problem = ended.search, ended.problem
    print(f"\n{ended.folder}: {search.told} evaluations; {ENDINGS[ended.reason]}.")
    if not len(search.front):
        return
    print("\n" + "\n".join(lines(_front(ended))))
    best = _members(ended)[0]
    print(f"\nbest {problem.objectives[0].name}, individual {best.id}:\n\n{written(best.genome)}")
    print(f"\nnext:\n{_next(ended, best)}")


def refuse_failed_seed(ended: Ended) -> None:
    """Complain where there was nothing to start from."""
    failure = ended.search.first_failure
    if failure and not len(ended.search.population):
        raise UserError(
            f"the seed of this problem failed ({failure.outcome}): {failure.feedback.strip() or 'no feedback'}; "
            "nothing can be evolved from it"
        )


def _front(ended: Ended) -> Table:
    """The front and the baselines, train beside hold-out."""
    names = [f"{one.name} {one.unit}".strip() for one in ended.problem.objectives]
    first = ended.problem.objectives[0].name
    columns = ("front", *names, f"held-out {names[0]}")
    rows = [_row(f"individual {one.id}", one.evaluation, ended.held_out.get(one.id), ended) for one in _members(ended)]
    return Table(columns, (*rows, *_baselines(ended.problem, first)))


def _members(ended: Ended) -> list[Individual]:
    return spread(ended.search, FRONT_SHOWN)


def _row(name: str, train: Evaluation, held_out: Evaluation | None, ended: Ended) -> tuple[object, ...]:
    objectives = ended.problem.objectives
    first = held_out.objectives.get(objectives[0].name) if held_out else None
    failed = held_out.outcome if held_out and held_out.outcome != "ok" else None
    return (name, *(train.objectives[one.name] for one in objectives), failed or first)


def _baselines(problem: Problem, first: str) -> list[tuple[object, ...]]:
    train, held_out = problem.baselines("train"), problem.baselines("holdout")
    return [
        (name, *(values.get(one.name) for one in problem.objectives), held_out.get(name, {}).get(first))
        for name, values in train.items()
    ]


def _next(ended: Ended, best: Individual) -> str:
    folder = ended.folder
    commands = [
        (f"evo show {folder} {best.id}", "this individual, and how it differs from its parent"),
        (f"evo top {folder}", "the best ten"),
        (f'evo sql {folder} "FROM operator_yield"', "which operators paid off"),
        (f"evo resume {folder} --set budget.evaluations={2 * ended.search.told}", "go on"),
    ]
    width = max(len(command) for command, _ in commands)
    return "\n".join(f"  {command.ljust(width)}  # {why}" for command, why in commands)
