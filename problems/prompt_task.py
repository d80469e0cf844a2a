"""Prompt task: find the prompt with which a language model answers the questions of a file best."""

from __future__ import annotations

import inspect
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evo.errors import CandidateError, ConfigError
from evo.genomes import Genome, Prompt
from evo.models import Completion, CompletionOutcome, Request
from evo.pooling import pooled
from evo.protocols import Problem, Runner
from evo.resources import Resources
from evo.values import FEEDBACK_LIMIT_BYTES, Objective, Part, Score, clip_text
from problems.checks import chosen_objectives, genome_of, one_of, whole_number
from problems.prompt_cases import Case, CaseSource, Shares, read_file, split
from problems.prompt_metrics import METRICS, AnswerVerdict, Metric, guessed, is_number, regex
from problems.prompt_rendering import Rendered, rendered, unfilled

EXAMPLE = Path(__file__).with_name("prompt_examples") / "arithmetic.jsonl"
OBJECTIVES: Mapping[str, Objective] = {
    "accuracy": Objective("accuracy", "max"),
    "prompt_tokens": Objective("prompt_tokens", "min", "tokens"),
    "usd_per_case": Objective("usd_per_case", "min", "$"),
}
METRIC_NAMES = (*METRICS, "regex")
INSTRUCTION = "Answer the question."
# For each metric: the part `format` of the seed, and what the description says of a right reply.
WORDING: Mapping[str, tuple[str, str]] = {
    "exact": (
        'End your reply with "The answer is" and the answer.',
        'the whole reply, or what follows "The answer is" in it, is the expected text but for case and punctuation',
    ),
    "multiple_choice": (
        'End your reply with "The answer is" and the letter of the right option in parentheses.',
        'the option that it chooses last, or after "The answer is", is the expected one',
    ),
    "numeric": (
        'End your reply with "The answer is" and the number.',
        'its last number, or the one after "The answer is", is the expected one',
    ),
    "regex": ("", "what this regular expression finds last in it is the expected text: "),
}
UNANSWERED: frozenset[CompletionOutcome] = frozenset({"failed", "timeout", "unreachable", "cancelled"})
NO_REPLY: Mapping[CompletionOutcome, str] = {
    "truncated": "the reply was cut off at {} tokens",
    "refused": "the model refused to answer",
    "empty": "the reply was empty",
}
FAILURES_SHOWN = 8
EXAMPLES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Graded:
    """A case, the model's reply, and the metric's verdict."""

    case: Case
    completion: Completion
    verdict: AnswerVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The options of a prompt task.

    Attributes:
        cases: path of a JSONL, CSV or JSON file, gzipped or not (see `read_cases`); None takes the built-in sums.
        task: name of the task, in a file that holds several.
        metric: "exact", "multiple_choice", "numeric" or "regex" (see `problems.prompt_metrics`); None takes the metric
            that suits the answers, or regex where there is a pattern.
        pattern: for metric regex; its group is the answer.
        question_field: field of a row; None takes "question", "input" or "text".
        answer_field: field of a row; None takes "answer", "target", "output" or "label".
        train: count or fraction of the cases (see `Shares`); by default half of them, at most 100.
        validation: the same; the best are scored on it at the end; by default a fifth, at most 100.
        test: the same, for the hold-out; by default three tenths, at most 200.
        split_seed: another number draws other cases for each part.
        cases_per_evaluation: the maximum from each part; always the same cases, so that prompts are compared fairly.
        model: name of the task model, which answers the cases; the run's own where it is empty.
        temperature: of the task model; None leaves it to the endpoint.
        reply_tokens: the maximum length of a reply; a longer reply is wrong.
        seed_prompt: part name to text.
        objectives: some of accuracy, prompt_tokens and usd_per_case, accuracy among them.
    """

    cases: str | None = None
    task: str | None = None
    metric: str | None = None
    pattern: str | None = None
    question_field: str | None = None
    answer_field: str | None = None
    train: int | float | None = None
    validation: int | float | None = None
    test: int | float | None = None
    split_seed: int = 0
    cases_per_evaluation: int | None = None
    model: str = ""
    temperature: float | None = 0.0
    reply_tokens: int = 512
    seed_prompt: Mapping[str, str] | None = None
    objectives: Sequence[str] = ("accuracy", "prompt_tokens")

    @property
    def source(self) -> CaseSource:
        return CaseSource(self.cases or str(EXAMPLE), self.task, self.question_field, self.answer_field)

    @property
    def shares(self) -> Shares:
        return Shares(self.train, self.validation, self.test, self.split_seed)

    @property
    def name(self) -> str:
        return self.task or Path(self.cases or EXAMPLE).name.partition(".")[0]


class PromptTask(Problem):
    """Accuracy of a prompt over questions with known answers, and what it costs; see `problems.prompt_rendering`.

    Args:
        fields: the fields of `TaskOptions`.

    Raises:
        ConfigError: a file without such cases, or an option that means nothing.
    """

    __signature__ = inspect.signature(TaskOptions)  # so that options are known by their names
    resources = Resources(cpus=0.25)
    needs_model = True
    final_parts: tuple[Part, ...] = ("validation", "holdout")
    defaults: ClassVar[Mapping[str, Any]] = {"search.population": 16, "budget.evaluations": 100}

    def __init__(self, **fields: Any) -> None:
        options = TaskOptions(**fields)
        whole_number(options.split_seed, "split_seed", low=0, high=2**63)
        whole_number(options.reply_tokens, "reply_tokens", low=1, high=1_000_000)
        file = read_file(options.source)
        read, self._columns = file.cases, file.columns
        self._metric_name, self._metric = _metric(options.metric, options.pattern, read)
        parts = split(read, options.shares)
        most = _most(options.cases_per_evaluation)
        self._cases = {part: some[:most] for part, some in parts.items()}
        self._request = Request(
            purpose="task",
            messages=(),
            model=_model_name(options.model),
            temperature=_temperature(options.temperature),
            max_tokens=options.reply_tokens,
        )
        wording, right = WORDING[self._metric_name]
        usual = {"instruction": INSTRUCTION, "format": wording or f"Your reply must match {options.pattern}"}
        self._seed = _seed(usual if options.seed_prompt is None else options.seed_prompt)
        wrong = unfilled(self._seed, self._columns)
        if wrong:
            raise ConfigError(f"seed_prompt: {wrong}")
        self.objectives = _objectives(options.objectives)
        right += options.pattern or ""
        self.description = _description(options.name, right, rendered(self._seed), parts["train"])

    def seeds(self, count: int, rng: np.random.Generator) -> Sequence[Genome]:
        return [self._seed]

    def evaluate(self, genome: Genome, run: Runner, part: Part) -> Score:
        return self.evaluate_cases(genome, run, part, self.case_names(part))

    def case_names(self, part: Part) -> Sequence[str]:
        """The cases of a part by their number in it."""
        return [str(number) for number in range(len(self._cases[part]))]

    def evaluate_cases(self, genome: Genome, run: Runner, part: Part, cases: Sequence[str]) -> Score:
        prompt = genome_of(genome, Prompt)
        wrong = unfilled(prompt, self._columns)
        if wrong:
            raise CandidateError("invalid", wrong)
        asked = [self._cases[part][int(name)] for name in cases]
        completions = run.ask(self.requests(rendered(prompt), asked))
        _expect_answers(completions)
        graded = [self._graded(case, completion) for case, completion in zip(asked, completions, strict=True)]
        measured = _measured(graded)
        # Feedback would leak cases of validation and hold-out into the search.
        feedback = self._feedback(graded, prompt.digest) if part == "train" else ""
        right = {name: float(case.verdict.correct) for name, case in zip(cases, graded, strict=True)}
        return Score(
            {objective.name: measured[objective.name] for objective in self.objectives}, feedback=feedback, cases=right
        )

    def combined(self, scores: Sequence[Score]) -> Score:
        """As by default, but for the feedback: how many are right in all, and the failures of the worst part."""
        together = pooled(scores)
        if len(scores) == 1 or not together.feedback:
            return together
        right, count = int(sum(together.cases.values())), len(together.cases)
        worst = max(scores, key=lambda score: len(score.cases) - sum(score.cases.values()))
        failures = worst.feedback.partition("\n\n")[2]
        head = f"{right} of {count} cases are right: accuracy {right / count:.3f}."
        feedback = f"{head} Some of the wrong ones:\n\n{failures}" if failures else head
        return replace(together, feedback=clip_text(feedback))

    def requests(self, prompt: Rendered, cases: Sequence[Case]) -> list[Request]:
        """A request for each case. Equal prompts make equal requests, which the run pays for only once."""
        return [replace(self._request, messages=prompt.messages(case.question)) for case in cases]

    def _graded(self, case: Case, completion: Completion) -> Graded:
        if completion.outcome != "ok":
            return Graded(case, completion, AnswerVerdict(False))
        verdicts = [self._metric(completion.text, replace(case, answer=answer)) for answer in case.answers]
        right = [verdict for verdict in verdicts if verdict.correct]
        return Graded(case, completion, (right or verdicts)[0])

    def _feedback(self, graded: Sequence[Graded], digest: str) -> str:
        wrong = [case for case in graded if not case.verdict.correct]
        measured = _measured(graded)
        head = (
            f"{len(graded) - len(wrong)} of {len(graded)} cases are right: accuracy {measured['accuracy']:.3f}, with "
            f"{measured['prompt_tokens']:.1f} prompt tokens and ${measured['usd_per_case']:.3g} a case."
        )
        if not wrong:
            return head
        # Drawn by the prompt's digest: another prompt shows other failures, so a few cases never steer the search.
        shown = random.Random(digest).sample(wrong, min(FAILURES_SHOWN, len(wrong)))
        share = (FEEDBACK_LIMIT_BYTES - 300) // len(shown)
        failures = [self._failure(number, case, min(share, 2000)) for number, case in enumerate(shown, 1)]
        return "\n\n".join([f"{head} {len(shown)} of the {len(wrong)} wrong ones:", *failures])

    def _failure(self, number: int, graded: Graded, limit_bytes: int) -> str:
        """A failed case as text of at most `limit_bytes`; the reply gets what the rest leaves."""
        question = _cut(graded.case.question, limit_bytes // 2 - 120)
        asked = f"{number}. question: {question}\n   expected: {_cut(graded.case.answer, limit_bytes // 8)}\n   got: "
        end = f"\n   why: {self._why(graded)}"
        left = limit_bytes - len((asked + end).encode("utf-8", "replace"))
        return asked + _cut(graded.completion.text, left) + end

    def _why(self, graded: Graded) -> str:
        if graded.completion.outcome != "ok":
            return NO_REPLY[graded.completion.outcome].format(self._request.max_tokens)
        if graded.verdict.found:
            return f"read as {_cut(graded.verdict.found, 60)!r}"
        reason = f": {_cut(graded.verdict.reason, 90)}" if graded.verdict.reason else ""
        return f"no answer found in it{reason}"


def _measured(graded: Sequence[Graded]) -> dict[str, float]:
    return {
        "accuracy": float(np.mean([case.verdict.correct for case in graded])),
        "prompt_tokens": float(np.mean([case.completion.input_tokens for case in graded])),
        "usd_per_case": float(np.mean([case.completion.cost_usd for case in graded])),
    }


def _expect_answers(completions: Sequence[Completion]) -> None:
    lost = [completion for completion in completions if completion.outcome in UNANSWERED]
    if lost:
        why = f"{lost[0].outcome} ({_cut(lost[0].error, 500)})" if lost[0].error else lost[0].outcome
        raise CandidateError("lost", f"{len(lost)} of {len(completions)} cases got no answer: {why}")


def _cut(text: str, limit_bytes: int) -> str:
    """The text on a single line of at most `limit_bytes`; of a longer text, its beginning and end."""
    # Of a reply of a megabyte, only the ends are read.
    ends = text if len(text) <= 8 * limit_bytes else f"{text[: 4 * limit_bytes]} ... {text[-4 * limit_bytes :]}"
    line = " ".join(ends.split()).encode("utf-8", "replace")
    if len(line) <= limit_bytes:
        return line.decode()
    half = (limit_bytes - 5) // 2
    return f"{line[:half].decode(errors='ignore')} ... {line[-half:].decode(errors='ignore')}"


def _description(name: str, right: str, prompt: Rendered, train: Sequence[Case]) -> str:
    # As the seed is rendered: operators neither add nor drop a placeholder.
    if prompt.user == ("", ""):
        place = "becomes the system message, and each question the user message"
    elif prompt.system == ("",):
        place = "becomes the user message, with each question in the place of {question}"
    else:
        place = "becomes the system and the user message, the latter with each question in it"
    examples = "\n\n".join(
        f"question: {clip_text(case.question, 800)}\nexpected: {clip_text(case.answer, 200)}"
        for case in train[:EXAMPLES_SHOWN]
    )
    return (
        f"Write a prompt with which a language model answers the questions of the task {name!r}. It {place}; every "
        f"question is asked by itself. A reply is right if {right}. The prompt is measured by how many questions it "
        f"gets right, new ones at the end, and it should be short. Some of the questions:\n\n{examples}"
    )


def _metric(name: str | None, pattern: str | None, cases: Sequence[Case]) -> tuple[str, Metric]:
    if name is None:
        name = guessed(cases) if pattern is None else "regex"
    one_of(name, "metric", METRIC_NAMES)
    if name == "regex":
        if not isinstance(pattern, str):
            raise ConfigError(f"metric regex needs a pattern whose group is the answer, got {pattern!r}")
        return name, regex(pattern)
    if pattern is not None:
        raise ConfigError(f"pattern {pattern!r} belongs to metric regex, and metric is {name}")
    wrong = next((case for case in cases if name == "numeric" and not all(map(is_number, case.answers))), None)
    if wrong is not None:
        raise ConfigError(f"metric numeric: the answer {wrong.answer!r:.80} is no number; try metric=exact")
    return name, METRICS[name]


def _most(cases_per_evaluation: int | None) -> int | None:
    if cases_per_evaluation is None:
        return None
    return whole_number(cases_per_evaluation, "cases_per_evaluation", low=1, high=1_000_000)


def _model_name(model: object) -> str:
    if not isinstance(model, str):
        raise ConfigError(f"model must be the name of a language model, got {model!r}")
    return model


def _temperature(temperature: object) -> float | None:
    if temperature is None:
        return None
    if type(temperature) not in (int, float) or not 0.0 <= temperature <= 2.0:  # type: ignore[operator]
        raise ConfigError(f"temperature must be a number from 0 to 2, or null, got {temperature!r}")
    return float(temperature)  # type: ignore[arg-type]


def _seed(parts: object) -> Prompt:
    texts = isinstance(parts, Mapping) and all(isinstance(text, str) for part in parts.items() for text in part)
    if not isinstance(parts, Mapping) or not texts or not any(text.strip() for text in parts.values()):
        raise ConfigError(f"seed_prompt must map names of parts to their texts, and not be empty; got {parts!r:.200}")
    return Prompt(dict(parts))


def _objectives(names: object) -> tuple[Objective, ...]:
    objectives = chosen_objectives(names, OBJECTIVES)
    if OBJECTIVES["accuracy"] not in objectives:
        raise ConfigError(f"objectives must have accuracy among them, or the empty prompt is best; got {names!r}")
    return objectives
