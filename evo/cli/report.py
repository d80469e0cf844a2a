"""What a run found, on stdout: the front beside the baselines, the best genome, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from evo.cli.tables import lines
from evo.engine.holdout import FRONT_SHOWN, spread
from evo.engine.run import RunResult
from evo.errors import LineageError, UserError, command
from evo.lineage import LineageReader, Table, open_run
from evo.lineage.remarks import remarks
from evo.lineage.wording import written
from evo.protocols import Problem
from evo.values import Individual, Part

PART_NAMES = {"holdout": "held-out"}
ENDINGS = {
    "budget": "its budget of evaluations is used up",
    "wall": "its time is used up",
    "spent": "the next completion might have passed its budget of dollars, tokens or calls",
    "exhausted": "the operators find nothing new any more",
    "interrupted": "it was interrupted",
}

UNREADABLE = "none of the model's replies could be read"


@dataclass(frozen=True, slots=True)
class Home:
    """Commands for the machine that a run was submitted from, which has another name for its folder.

    Attributes:
        folder: what its folder will be called there.
        fetch: the command that brings it there.
        resume: the command that goes on with it.
    """

    folder: str
    fetch: str
    resume: str


def report(ended: RunResult, home: Home | None = None) -> None:
    """Print the end of a run.

    Args:
        home: from where it was submitted; None where it ran here.

    Raises:
        UserError: every seed failed, so nothing was searched.
    """
    check_failed_seed(ended)
    search, problem = ended.search, ended.problem
    ending = UNREADABLE if search.unreadable else ENDINGS[ended.reason]
    print(f"\n{ended.folder}: {_counted(search.count_told, 'evaluation')}; {ending}.")
    print(*_by_the_lineage(ended), sep="\n", end="")
    if ended.reason == "spent" and not search.count_told:
        print("The cap does not even pay for the seed's evaluation; `evo check` says what that costs.")
    if not len(search.front):
        print(f"\nnext:\n{_next(ended, None, home)}")
        return
    print("\n" + "\n".join(lines(_front(ended))))
    if ended.unmeasured:
        print(f"\n{_unmeasured(ended, home)}")
    best = _members(ended)[0]
    print(f"\nbest {problem.objectives[0].name}, individual {best.id}:\n\n{written(best.genome)}")
    print(f"\nnext:\n{_next(ended, best, home)}")


def _by_the_lineage(ended: RunResult) -> list[str]:
    """What the run cost and saved; or why its lineage cannot say, which does not make the run any less complete."""
    try:
        with open_run(ended.folder).at_once() as reader:
            return [
                *_spent(reader),
                *_saved(reader),
                *(f"{remark}\n" for remark in remarks(reader)),
                *(_stale_proposals(reader) if ended.reason == "exhausted" else ()),
            ]
    except LineageError as error:
        return [f"{error}\n"]


def _go_on(ended: RunResult, resume: str) -> list[tuple[str, str]]:
    """The command that goes further, where more of the same would help."""
    more = {
        "budget": f"{resume} --set budget.evaluations={2 * ended.search.settings.evaluations}",
        "wall": f"{resume} --set budget.wall_seconds=null",
        "interrupted": resume,
    }
    return [(more[ended.reason], "go on")] if ended.reason in more else []


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _spent(reader: LineageReader) -> list[str]:
    """What the models cost."""
    calls, tokens, usd = reader.sql(
        "SELECT sum(completions), sum(input_tokens + output_tokens), sum(usd) FROM spending"
    ).rows[0]
    return [f"models: {_counted(int(calls), 'completion')}, {int(tokens)} tokens, ${usd:.4g}\n"] if calls else []


def _saved(reader: LineageReader) -> list[str]:
    """What the evaluation policy saved."""
    pruned, seen, saved = reader.sql(
        "SELECT sum(individuals) FILTER (outcome = 'pruned'), sum(seen), sum(saved) FROM pulls"
    ).rows[0]
    if not saved:
        return []
    share = 100 * seen / (seen + saved)
    return [f"{int(pruned or 0)} were pruned early; {int(seen)} cases were scored, {share:.0f} % of all\n"]


def _stale_proposals(reader: LineageReader) -> list[str]:
    """Why the last proposals of an exhausted search came to nothing."""
    why = (
        "SELECT outcome, thought, count(*) AS n FROM (FROM proposals ORDER BY ask DESC LIMIT 200) "
        "WHERE individual IS NULL GROUP BY ALL ORDER BY n DESC LIMIT 3"
    )
    reasons = "; ".join(f"{n} {outcome}: {thought[:100]}" for outcome, thought, n in reader.sql(why).rows)
    return [f"of the last 200 proposals: {reasons}\n"]


def check_failed_seed(ended: RunResult) -> None:
    """Raise UserError where there was nothing to start from."""
    failure = ended.search.first_failure
    if failure and not len(ended.search.population):
        raise UserError(
            f"the seed of this problem failed ({failure.outcome}): {failure.feedback.strip() or 'no feedback'}; "
            "nothing can be evolved from it"
        )


def _front(ended: RunResult) -> Table:
    """The front and the baselines, train beside the first objective on the final parts."""
    names = [f"{objective.name} {objective.unit}".strip() for objective in ended.problem.objectives]
    parts = [f"{PART_NAMES.get(part, part)} {names[0]}" for part in ended.problem.final_parts]
    rows = [_row(member, ended) for member in _members(ended)]
    return Table(("front", *names, *parts), (*rows, *_baselines(ended.problem)))


def _unmeasured(ended: RunResult, home: Home | None) -> str:
    """Why a number is missing in the front, and how to get it."""
    parts = sorted({part for _, part in ended.unmeasured})
    resume = home.resume if home else command("resume", ended.folder)
    more = f"`{resume} --set budget.usd=MORE`" if ended.search.count_told else f"`{resume}`"
    return (
        f"not measured on {' and '.join(PART_NAMES.get(part, part) for part in parts)} data: "
        f"{next(iter(ended.unmeasured.values()))}; {more} measures it"
    )


def _members(ended: RunResult) -> Sequence[Individual]:
    return spread(ended.search, FRONT_SHOWN)


def _row(individual: Individual, ended: RunResult) -> tuple[object, ...]:
    problem = ended.problem
    train = (individual.evaluation.objectives[objective.name] for objective in problem.objectives)
    return f"individual {individual.id}", *train, *(_final(individual, part, ended) for part in problem.final_parts)


def _final(individual: Individual, part: Part, ended: RunResult) -> object:
    measured = ended.holdout.get((individual.id, part))
    if measured is None or measured.outcome == "ok":
        return measured and measured.objectives[ended.problem.objectives[0].name]
    return measured.outcome


def _baselines(problem: Problem) -> list[tuple[object, ...]]:
    first = problem.objectives[0].name
    finals = [problem.baselines(part) for part in problem.final_parts]
    return [
        (
            name,
            *(values.get(objective.name) for objective in problem.objectives),
            *(final.get(name, {}).get(first) for final in finals),
        )
        for name, values in problem.baselines("train").items()
    ]


def _next(ended: RunResult, best: Individual | None, home: Home | None) -> str:
    folder = shlex.quote(home.folder if home else str(ended.folder))
    show = (f"evo show {folder} {best.id}", "this individual, and how it differs from its parent") if best else None
    commands = [
        *([(home.fetch, "bring it home")] if home else []),
        *([show] if show else []),
        (f"evo top {folder}", "the best ten"),
        (f'evo sql {folder} "FROM operator_yield"', "which operators paid off"),
        *_go_on(ended, home.resume if home else f"evo resume {folder}"),
    ]
    width = max(len(command) for command, _ in commands)
    return "\n".join(f"  {command.ljust(width)}  # {why}" for command, why in commands)
