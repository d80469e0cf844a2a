"""`evo check` and `evo evaluate`: an evaluation, as a run would do it, without a run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

from evo.cli.tables import lines
from evo.config.loading import Loaded, load_config
from evo.config.schema import Config
from evo.engine.factories import make_executor, make_gateway
from evo.engine.forecast import expenses, mean_usd
from evo.engine.setup import Setup, prepare
from evo.errors import GenomeError
from evo.genomes import Genome, Program, genome_from_json
from evo.ledger import Charge
from evo.lineage import Table
from evo.models import Message, Model, Request
from evo.protocols import Gateway
from evo.registry import make_problem
from evo.values import Evaluation, Part

GREETING = (Message("system", "Answer briefly."), Message("user", "Reply with the word ok."))
GREETING_TOKENS = 1024  # some models think for hundreds of tokens first


def check(target: str, overrides: list[str]) -> bool:
    """Print what a run would do; whether it could: the seed's evaluation succeeds, and every model answers."""
    loaded = load_config(target, overrides)
    prepared = prepare(loaded.config, loaded.problem)
    rows = tuple((key, "" if value is None else str(value), source) for key, value, source in loaded.values())
    print("\n".join(lines(Table(("key", "value", "from"), rows))))
    print(f"\noperators: {', '.join(prepared.operators)}")
    print(*_policy_lines(prepared), sep="\n", end="")
    return asyncio.run(_dry_run(prepared))


def _policy_lines(prepared: Setup) -> list[str]:
    """What the evaluation policy, if any, will do."""
    policy, name = prepared.policy, prepared.config.evaluation.policy
    if not policy.needs_cases:
        return []
    how = prepared.config.search
    # In a deterministic search no more than max_in_flight are ever under way.
    batch_size = min(policy.batch_size, how.max_in_flight) if how.deterministic else policy.batch_size
    together = f"{batch_size} together" if batch_size > 1 else "each by itself"
    rest = "promoted candidates are scored on all" if policy.whole else "what they are scored on counts"
    count = len(prepared.problem.case_names("train"))
    return [f"evaluation: policy {name} over {count} cases, candidates {together}; {rest}\n"]


async def _dry_run(prepared: Setup) -> bool:
    config = prepared.config
    gateway = make_gateway(config, os.environ, Charge())
    answering = True
    try:
        if gateway:
            answering = await _answering(gateway, config)
        evaluation = await _evaluate(config, prepared.seeds[0], "train", gateway)
        print("\nthe seed:")
        print_evaluation(evaluation, as_json=False)
        print("\n" + "\n".join([*_isolation(evaluation), _forecast(config, evaluation)]))
        if gateway:
            print("\n" + "\n".join(await _dollars(prepared, evaluation, gateway)))
        return answering and evaluation.outcome == "ok"
    finally:
        if gateway:
            await gateway.close()


async def _answering(gateway: Gateway, config: Config) -> bool:
    """Print whether each model answers: a short completion each, which is paid for; whether all do."""
    print()
    answering = True
    for model in config.model.shares:
        request = Request("check", GREETING, model, max_tokens=GREETING_TOKENS)
        answer = await gateway.complete(request)
        answers = bool(answer.requests and not answer.error)
        how = f"answers after {answer.seconds:.2f} s" if answers else f"fails: {answer.error}"
        print(f"model {model} at {answer.endpoint}: {how}, ${answer.cost_usd:.3g}")
        answering = answering and answers
    return answering


async def _dollars(prepared: Setup, seed: Evaluation, gateway: Gateway) -> list[str]:
    """What proposals and evaluations will cost."""
    config, arms = prepared.config, prepared.search.population.islands[0].arms
    each = await expenses(prepared, seed, gateway.prices)
    columns = ("operator", "model", "calls", "prompt tokens", "reply tokens, at most", "dollars, likely", "at most")
    rows = tuple(
        (
            expense.arm.operator,
            expense.arm.model,
            expense.calls,
            expense.prompt_tokens,
            expense.reply_tokens,
            expense.likely_usd,
            expense.most_usd,
        )
        for expense in each
    )
    count, (likely, most) = config.budget.evaluations, mean_usd(each, arms)
    cap = "no cap; set expense with budget.usd" if config.budget.usd is None else f"the cap is ${config.budget.usd:.4g}"
    sentence = (
        f"forecast: {count} proposals for a parent like the seed cost about ${count * likely:.3g}, at most "
        f"${count * most:.3g}; those without a candidate come on top; {cap}"
    )
    return [*lines(Table(columns, rows)), sentence, *_of_evaluations(prepared, gateway.ledger.spent.usd)]


def _of_evaluations(prepared: Setup, seed_usd: float) -> list[str]:
    """What evaluations will cost, of problems that ask a model, and how much of a cap is kept for the end."""
    problem, budget = prepared.problem, prepared.config.budget
    if not problem.needs_model:
        return []
    cases = len(problem.case_names("train")) or 1
    end_usd = seed_usd * sum((len(problem.case_names(part)) or cases) / cases for part in problem.final_parts)
    said = [f"the evaluations ask a model too: about ${budget.evaluations * seed_usd:.3g} like the seed's"]
    parts = " and ".join(problem.final_parts)
    if parts:
        said.append(f"each of the best costs about ${end_usd:.3g} on {parts} at the end, which is kept from a cap")
    if budget.usd is not None and budget.usd < seed_usd + end_usd:
        said.append(f"the cap of ${budget.usd:.4g} does not pay for the seed and for measuring it at the end")
    return said


async def evaluate_file(loaded: Loaded, file: Path, part: Part) -> Evaluation:
    """Score the genome in a file.

    Raises:
        GenomeError: unreadable, or no genome.
    """
    gateway = make_gateway(loaded.config, os.environ, Charge())
    try:
        return await _evaluate(loaded.config, read_genome(file), part, gateway)
    finally:
        if gateway:
            await gateway.close()


def read_genome(file: Path) -> Genome:
    """A genome from JSON as `to_json` writes it, or a program from any other file.

    Raises:
        GenomeError: unreadable, or no genome.
    """
    try:
        text = file.read_text("utf-8-sig")
        return genome_from_json(json.loads(text)) if file.suffix == ".json" else Program.single(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise GenomeError(f"cannot read a genome from {file}: {error}") from error


def print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    """Write an evaluation, as JSON or for a person."""
    if as_json:
        print(json.dumps(evaluation.to_json(), ensure_ascii=False))
        return
    print(f"outcome {evaluation.outcome}, {evaluation.seconds:.3f} s, isolation {evaluation.isolation}")
    for name, value in evaluation.objectives.items():
        print(f"{name} = {value:.10g}")
    if evaluation.feedback:
        print(evaluation.feedback.rstrip())


async def _evaluate(config: Config, genome: Genome, part: Part, model: Model | None) -> Evaluation:
    alone = config.model_copy(update={"executor": config.executor.model_copy(update={"name": "local", "workers": 1})})
    executor = make_executor(alone, make_problem(config.problem.name, config.problem.options))
    try:
        return await executor.evaluate(genome, part, model=model)
    finally:
        await executor.close()


def _isolation(evaluation: Evaluation) -> list[str]:
    if evaluation.isolation != "process":
        return []
    isolated = "candidates are isolated by limits, a system call filter and, where the kernel has it, Landlock"
    if shutil.which("bwrap"):
        return [f"bubblewrap is installed but refused here, as in most containers (docs/clusters.md), so {isolated}."]
    install = "`apt install bubblewrap`, `dnf install bubblewrap`, `pacman -S bubblewrap`"
    return [f"bubblewrap is not installed, so {isolated}. Install it: {install}."]


def _forecast(config: Config, evaluation: Evaluation) -> str:
    workers = config.executor.workers or os.cpu_count() or 1
    count = config.budget.evaluations
    seconds = evaluation.seconds * count / workers
    return f"forecast: {count} evaluations like this one take about {seconds:.0f} s on {workers} workers"
