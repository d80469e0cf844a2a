"""Laws of evaluation policies in runs: which candidates race, which are pruned, and that none waits for ever."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.cli.progress import Progress
from evo.config.loading import load_config
from evo.engine.driver import Driver
from evo.engine.factories import make_executor
from evo.engine.setup import Setup, components_of, prepare
from evo.genomes import Genome, Vector, genome_from_json
from evo.journal.log import Journal
from evo.journal.recorder import Recorder
from evo.journal.replay import replay
from evo.lineage import open_run
from evo.models import Model
from evo.resources import Resources
from evo.scoring import scored
from evo.search.search import ReevaluationResult, Search, TellResult
from evo.testing.exam import Exam
from evo.testing.executor import InProcessExecutor
from evo.testing.in_process import run_in_process
from evo.values import Ask, Evaluation, Individual, Part
from tests.conftest import TOY, Evo
from tests.support.made import unsealed
from tests.support.runs import events, history, overrides, sorted_history

EXAM = ("evo.testing.exam:Exam", "--set", "executor=evo.testing.executor:InProcessExecutor")
RACING = ("--set", "evaluation.policy=racing")
ORDERED = ("--set", "search.deterministic=true", "--set", "search.max_in_flight=20")
EVALUATION = {"outcome", "objectives", "violations", "feedback", "seconds", "cpu_seconds", "memory_bytes"}
PLACE = {"isolation", "worker", "node", "started"}


def run_of(evo: Evo, name: str, *options: object) -> Path:
    answer = evo("run", *EXAM, *options, "--name", name)
    assert answer.code == 0, answer.err
    return Path("runs", name).resolve()


def in_memory(setup: Setup, journal: Path, *, stop_after: int | None = None) -> Search:
    """One sitting at a run without its folder, from where the journal ends; a run that hangs fails."""
    search = setup.search
    setup.replayed = replay(journal, search)
    first = search.count_told

    async def go() -> None:
        executor = make_executor(setup.config, setup.problem)

        def on_tell(result: TellResult | ReevaluationResult) -> None:
            if stop_after is not None and search.count_told - first >= stop_after:
                driver.stop()

        components = components_of(setup, executor)
        driver = Driver(search, components, Recorder(writing), replayed=setup.replayed, on_tell=on_tell)
        await asyncio.wait_for(driver.run(), 30.0)

    writing = Journal(journal)
    try:
        asyncio.run(go())
    finally:
        writing.close()
    return search


def prepared_for(*overrides: str) -> Setup:
    executor = "executor=evo.testing.executor:InProcessExecutor"
    return prepare(load_config("evo.testing.exam:Exam", [executor, *overrides]).config)


def test_with_the_full_policy_a_journal_has_nothing_that_it_had_not_before(evo: Evo, tmp_path: Path) -> None:
    evo("run", *TOY, "--set", "budget.evaluations=30", "--name", "toy")
    seen = events(tmp_path / "runs/toy")
    assert {event["event"] for event in seen} == {"run", "ask", "proposal", "tell", "holdout", "stop"}
    assert "cases" not in seen[0]
    for event in seen:
        assert set(event.get("evaluation", {})) in (set(), EVALUATION | PLACE)


def test_the_full_policy_scores_each_candidate_as_a_whole_and_once(evo: Evo) -> None:
    run = run_of(evo, "full", "--set", "budget.evaluations=40")
    rows = open_run(run).sql("SELECT DISTINCT stage, outcome, cases FROM evaluations ORDER BY ALL").rows
    assert rows == (("holdout", "ok", 60), ("train", "ok", 60))
    assert open_run(run).sql("FROM pulls").rows == (("ok", 40, 2400, 0),)


@pytest.mark.parametrize("policy", ["racing", "low_rank"])
def test_a_race_finds_the_best_of_its_batch_with_fewer_pulls(evo: Evo, policy: str) -> None:
    exam, won, shares = Exam(200), 0, []
    for seed in range(3):
        run = run_of(
            evo,
            f"raced-{seed}",
            *overrides(
                f"evaluation.policy={policy}",
                "evaluation.options.share=0.2",
                "problem.options.questions=200",
                f"seed={seed}",
                "budget.evaluations=64",
                "executor.workers=5",
            ),
        )
        for event in events(run):
            if event["event"] == "race":
                promoted = {individual for individual, promoted, _ in event["verdicts"] if promoted}
                truth = {individual: marks(exam, run, individual) for individual, _, _ in event["verdicts"]}
                assert len(promoted) == 1
                won += truth[promoted.pop()] >= max(truth.values()) - 0.02
        seen, saved = open_run(run).sql("SELECT sum(seen), sum(saved) FROM pulls").rows[0]
        shares.append(seen / (seen + saved))
    assert won >= 11, "of 12 batches"
    assert max(shares) < 0.35


def marks(exam: Exam, run: Path, individual: int) -> float:
    """What an individual scores on all cases."""
    [proposal] = [
        event for event in events(run) if event["event"] == "proposal" and event.get("individual") == individual
    ]
    return scored(exam, genome_from_json(proposal["genome"]), run_in_process, "train").objectives["marks"]


@pytest.mark.parametrize(
    "policy", ["racing", "low_rank", "challenge", "cascade, options: {stages: [{share: 0.2, threshold: 0.5}]}"]
)
def test_a_pruned_candidate_never_survives_is_no_parent_and_has_no_objectives(evo: Evo, policy: str) -> None:
    nudge = "search.operators={gaussian: 1, evo.testing.exam:Guess: 1}"
    options = ("--set", f"evaluation={{policy: {policy}}}", "--set", "budget.evaluations=120", "--set", nudge)
    run = run_of(evo, "raced", *options, "--set", "executor.workers=4")
    reader = open_run(run)
    assert reader.sql("SELECT count(*) FROM individuals WHERE outcome = 'pruned'").scalar() > 10
    stopped = "(SELECT id FROM individuals WHERE outcome = 'pruned')"
    for table, column in (
        ("island_members", "individual"),
        ("arrivals", "individual"),
        ("front_moves", "individual"),
        ("objectives", "individual"),
        ("parents", "parent"),
    ):
        assert reader.sql(f"SELECT count(*) FROM {table} WHERE {column} IN {stopped}").scalar() == 0, table
    some = "SELECT individual, cases FROM evaluations WHERE outcome = 'pruned' AND cases NOT BETWEEN 1 AND 59"
    assert reader.sql(some).rows == ()
    assert reader.sql("SELECT count(DISTINCT cases) FROM evaluations WHERE outcome = 'ok'").scalar() == 1
    told = reader.sql("SELECT feedback FROM evaluations WHERE outcome = 'pruned'").rows
    assert all(text.startswith("pruned after ") and " of 60 cases, mean score " in text for (text,) in told)


def test_pruned_candidates_are_counted_apart_from_failures(evo: Evo) -> None:
    answer = evo("run", *EXAM, *RACING, "--set", "budget.evaluations=64", "--name", "raced")
    stopped = sum(
        event["event"] == "tell" and event["evaluation"]["outcome"] == "pruned" for event in events(Path("runs/raced"))
    )
    assert f"{stopped} were pruned early; " in answer.out
    assert stopped > 50
    rows = open_run(Path("runs/raced")).sql("SELECT outcome, individuals, seen + saved FROM pulls").rows
    assert rows == (("ok", 64 - stopped, 60 * (64 - stopped)), ("pruned", stopped, 60 * stopped))


def test_progress_says_how_many_were_pruned() -> None:
    setup = prepared_for()
    individual = Individual(0, 0, Ask(0, "guess"), Vector((0.5,)), Evaluation("pruned"))
    progress = Progress()
    progress.begin(setup, Path("runs/raced"))
    for evaluation in (Evaluation("pruned"), Evaluation("pruned"), Evaluation("crash")):
        progress.on_tell(TellResult(replace(individual, evaluation=evaluation), False, (), False, ()))
    assert progress._state().endswith("  1 failed  2 pruned")
    progress.__exit__(None, None, None)


def test_a_journal_from_before_there_were_policies_goes_on(evo: Evo) -> None:
    run = run_of(evo, "old", "--set", "budget.evaluations=12")
    first, *others = unsealed((run / "journal.jsonl").read_bytes()).decode().splitlines(keepends=True)
    event = json.loads(first)
    del event["config"]["evaluation"], event["cases"]
    (run / "journal.jsonl").write_text("".join([json.dumps(event) + "\n", *others]), "utf-8")
    assert evo("index", run).code == 0
    answer = evo("resume", run, "--set", "budget.evaluations=20")
    assert answer.code == 0, answer.err
    assert open_run(run).sql("SELECT count(*) FROM individuals").scalar() == 20
    refused = evo("resume", run, "--set", "budget.evaluations=30", "--set", "evaluation.policy=racing")
    assert "[evaluation] cannot change in a run that was started" in refused.err


def test_a_minibatch_is_the_same_for_all_and_decides_survival(evo: Evo) -> None:
    batch = ("--set", "evaluation.policy=minibatch", "--set", "evaluation.options.size=20")
    run = run_of(evo, "batch", *batch, "--set", "budget.evaluations=40", "--set", "executor.workers=4")
    tells = [event["evaluation"] for event in events(run) if event["event"] == "tell"]
    assert len({tuple(sorted(evaluation["cases"])) for evaluation in tells}) == 1
    assert {len(evaluation["cases"]) for evaluation in tells} == {20}
    for evaluation in tells:
        assert evaluation["objectives"]["marks"] == pytest.approx(sum(evaluation["cases"].values()) / 20)
    assert len(open_run(run).sql("FROM population").rows) == 10


def test_a_challenger_is_measured_against_its_own_parent_and_pruned_when_hopeless(evo: Evo) -> None:
    guess = ("--set", "evaluation={policy: challenge, options: {limit: 0.02, step: 6}}", "--set", "executor.workers=3")
    run = run_of(evo, "challenges", *guess, "--set", "budget.evaluations=120", "--set", "problem.options.questions=200")
    reader = open_run(run)
    pairs = reader.sql(
        "SELECT e.outcome, c.value AS skill, p.value AS parent FROM evaluations e"
        " JOIN parents l ON l.child = e.individual JOIN objectives p ON p.individual = l.parent AND p.name = 'skill'"
        " LEFT JOIN objectives c ON c.individual = e.individual AND c.name = 'skill' WHERE e.stage = 'train'"
    ).rows
    survived = [skill - parent for outcome, skill, parent in pairs if outcome == "ok"]
    assert min(survived) > -0.25
    assert sum(outcome == "pruned" for outcome, _, _ in pairs) > 30


def test_a_failure_in_one_case_is_the_outcome_of_the_candidate_and_the_race_goes_on(evo: Evo) -> None:
    fatal = ("--set", "problem.options.fatal=q5", "--set", "problem.options.wall=0.7")
    run = run_of(evo, "fatal", *RACING, *fatal, "--set", "budget.evaluations=128", "--set", "executor.workers=4")
    outcomes = Counter(event["evaluation"]["outcome"] for event in events(run) if event["event"] == "tell")
    assert outcomes["crash"] >= 5
    crashed = [
        event["evaluation"]
        for event in events(run)
        if event["event"] == "tell" and event["evaluation"]["outcome"] == "crash"
    ]
    assert all(
        evaluation["objectives"] == {} and "too clever for case q5" in evaluation["feedback"] for evaluation in crashed
    )
    for event in events(run):
        if event["event"] == "race":
            promoted = [individual for individual, promoted, _ in event["verdicts"] if promoted]
            failed = [individual for individual, _, seen in event["verdicts"] if seen["outcome"] == "crash"]
            assert len(promoted) == 1
            assert not set(promoted) & set(failed)
    assert open_run(run).sql("SELECT max(value) FROM objectives WHERE name = 'skill'").scalar() <= 0.7


@pytest.mark.parametrize("workers", [3, 40])
def test_deterministic_races_are_the_same_at_any_width(evo: Evo, workers: int) -> None:
    sizes = (*RACING, *ORDERED, "--set", "evaluation.options.batch_size=8", "--set", "budget.evaluations=90")
    stammer = ("--set", "search.operators={evo.testing.exam:Stammer: 1}")
    narrow, wide = (
        run_of(evo, f"width-{width}", *sizes, *stammer, "--set", f"executor.workers={width}") for width in (1, workers)
    )
    assert sorted_history(narrow) == sorted_history(wide)
    assert any('"outcome": "pruned"' in line for line in history(wide))


batches = st.fixed_dictionaries(
    {
        "evaluation.options.batch_size": st.integers(2, 9),
        "executor.workers": st.integers(1, 12),
        "budget.evaluations": st.integers(1, 40),
        "search.deterministic": st.booleans(),
        "search.max_in_flight": st.integers(1, 12),
        "search.max_stale_proposals": st.sampled_from([3, 50]),
        "problem.options.fatal": st.sampled_from(["null", "q1"]),
        "search.operators": st.sampled_from(["{evo.testing.exam:Stammer: 1}", "{evo.testing.exam:Guess: 1}"]),
        "seed": st.integers(0, 99),
    }
)


@settings(max_examples=30)
@given(chosen=batches, stops=st.lists(st.integers(1, 20), max_size=3))
def test_no_candidate_waits_for_ever_and_a_stopped_run_goes_on(chosen: dict[str, object], stops: list[int]) -> None:
    overrides = ["evaluation.policy=racing", *(f"{key}={value}" for key, value in chosen.items())]
    with tempfile.TemporaryDirectory() as folder:
        journal, whole = Path(folder, "journal.jsonl"), Path(folder, "whole.jsonl")
        journal.touch()
        whole.touch()
        for stop_after in stops:
            in_memory(prepared_for(*overrides), journal, stop_after=stop_after)
        search = in_memory(prepared_for(*overrides), journal)
        assert search.exhausted or search.count_told == chosen["budget.evaluations"]
        assert not search.under_way
        assert search.count_told == search.admitted
        if chosen["search.deterministic"]:
            in_memory(prepared_for(*overrides), whole)
            assert results_in(journal) == results_in(whole)


def test_cut_off_after_any_event_a_run_with_races_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    sizes = ["evaluation={policy: racing, options: {batch_size: 6, finalists: 2, share: 0.3}}", "budget.evaluations=40"]
    order = ["search.deterministic=true", "search.max_in_flight=9", "executor.workers=4"]
    options = [*sizes, *order, "search.operators={evo.testing.exam:Stammer: 1}"]
    whole = tmp_path / "whole.jsonl"
    whole.touch()
    in_memory(prepared_for(*options), whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    assert sum(b'{"event": "race"' in line for line in lines) >= 6
    for count in range(0, len(lines), 11):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(b"".join(lines[:count]))
        in_memory(prepared_for(*options), cut)
        assert results_in(cut) == results_in(whole), f"cut after {count} events"


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_race_whose_calls_are_cancelled_by_a_stop_is_left_to_the_next_session(
    tmp_path: Path, deterministic: bool
) -> None:
    options = [
        "evaluation={policy: racing, options: {batch_size: 5}}",
        f"search.deterministic={deterministic}",
        "budget.evaluations=20",
    ]
    journal = tmp_path / "journal.jsonl"
    journal.touch()
    given_up = "executor=tests.e2e.test_policies_in_runs:GivingUp"
    assert in_memory(prepared_for(*options, given_up), journal).count_told < 20
    assert in_memory(prepared_for(*options), journal).count_told == 20


class GivingUp(InProcessExecutor):
    """Cancels some of its evaluations, as happens where the calls that they wait for are cancelled."""

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        if cases is not None and genome.digest[0] in "01234567":
            raise asyncio.CancelledError
        return await super().evaluate(genome, part, cases=cases, model=model)


@pytest.mark.parametrize("stop_after", [1, 9, 17])
def test_a_deterministic_run_that_is_stopped_races_no_incomplete_batch(tmp_path: Path, stop_after: int) -> None:
    order = ["search.deterministic=true", "search.max_in_flight=12", "executor.workers=4", "budget.evaluations=40"]
    options = ["evaluation={policy: racing, options: {batch_size: 5}}", *order]
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    for journal in (whole, stopped):
        journal.touch()
    in_memory(prepared_for(*options), whole)
    assert in_memory(prepared_for(*options), stopped, stop_after=stop_after).count_told < 40
    in_memory(prepared_for(*options), stopped)
    assert results_in(stopped) == results_in(whole)


def results_in(journal: Path) -> list[object]:
    """The results in their order, without times and places."""
    tells = [
        event for line in journal.read_text("utf-8").splitlines() if (event := json.loads(line))["event"] == "tell"
    ]
    return [
        (event["individual"], *(event["evaluation"].get(name) for name in ("outcome", "objectives", "cases")))
        for event in tells
    ]
