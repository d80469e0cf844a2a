"""The laws of prompt tasks: parts are disjoint, answers stay with the scorer, feedback shows training cases only."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import CandidateError, ConfigError
from evo.genomes import Prompt
from evo.models import Completion, Message, ModelAccessError, Request
from evo.protocols import Problem
from evo.registry import make_problem
from evo.scoring import scored
from evo.testing.contracts.problem_contract import PARTS
from evo.testing.in_process import InProcessRun, run_in_process
from evo.testing.scripted import ScriptedModel, completed
from evo.values import FEEDBACK_LIMIT_BYTES, Part, Score
from problems.prompt_cases import Case, CaseSource, Shares, read_cases, split
from problems.prompt_rendering import rendered
from problems.prompt_task import EXAMPLE, PromptTask
from tests.support.shared_data import shared_data, shared_json

KEY = {case.question: case.answer for case in read_cases(CaseSource(str(EXAMPLE)))}
NAME = "problems.prompt_task:PromptTask"
TWENTY = PromptTask(metric="exact", train=20)


def knows(answers: dict[str, str]) -> Callable[[Request], str]:
    """A model that answers right whatever its prompt says."""
    return lambda request: f"The answer is {answers[request.messages[-1].text]}."


def with_prompt(problem: Problem, prompt: Prompt, model: ScriptedModel, part: Part = "train") -> Score:
    return problem.evaluate(prompt, InProcessRun(model), part)


def seed_of(problem: Problem) -> Prompt:
    seed = problem.seeds(1, np.random.default_rng(0))[0]
    assert isinstance(seed, Prompt)
    return seed


def asked_by(problem: Problem, part: Part, prompt: Prompt | None = None) -> tuple[Request, ...]:
    model = ScriptedModel(lambda request: "0")
    with_prompt(problem, prompt or seed_of(problem), model, part)
    return tuple(model.requests)


def questions_of(problem: Problem, part: Part) -> list[str]:
    return [request.messages[-1].text for request in asked_by(problem, part)]


def written(folder: Path, rows: Sequence[Any], name: str = "cases.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def sums(count: int) -> list[dict[str, str]]:
    return [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(count)]


def test_a_case_is_one_request_at_temperature_0_without_a_seed() -> None:
    requests = asked_by(PromptTask(model="small", reply_tokens=64, cases_per_evaluation=7), "train")
    assert len(requests) == 7
    for request in requests:
        assert (request.purpose, request.model, request.temperature) == ("task", "small", 0.0)
        assert (request.max_tokens, request.seed, request.schema) == (64, None, None)


@pytest.mark.parametrize("part", PARTS)
def test_the_same_prompt_makes_the_same_requests_and_each_is_another(part: Part) -> None:
    first, second = (asked_by(PromptTask(), part) for _ in range(2))
    assert [request.digest for request in first] == [request.digest for request in second]
    assert len({request.digest for request in first}) == len(first)


@pytest.mark.parametrize("part", PARTS)
def test_no_answer_reaches_the_task_model(tmp_path: Path, part: Part) -> None:
    path = written(tmp_path, [{"input": f"riddle {n}", "target": f"secret-{n}"} for n in range(50)])
    for request in asked_by(PromptTask(cases=path), part):
        assert "secret" not in json.dumps(request.to_json())


def test_feedback_shows_training_cases_only(tmp_path: Path) -> None:
    path = written(tmp_path, [{"input": f"riddle {n}", "target": f"secret-{n}"} for n in range(50)])
    problem, model = PromptTask(cases=path), ScriptedModel(lambda request: "no idea")
    assert "secret-" in with_prompt(problem, seed_of(problem), model).feedback
    for part in problem.final_parts:
        score = with_prompt(problem, seed_of(problem), model, part)
        assert score.feedback == ""
        assert score.objectives["accuracy"] == 0.0


def test_the_description_shows_three_training_cases_and_none_of_the_others() -> None:
    problem = PromptTask()
    shown = [question for question in KEY if question in problem.description]
    assert len(shown) == 3
    assert set(shown) <= set(questions_of(problem, "train"))


def test_every_evaluation_of_a_part_asks_the_same_cases() -> None:
    problem = PromptTask(cases_per_evaluation=10)
    other = Prompt({"instruction": "Be quick."})
    first, second = (
        [request.messages[-1] for request in asked_by(problem, "train", prompt)] for prompt in (None, other)
    )
    assert first == second
    assert questions_of(PromptTask(), "train")[:10] == [message.text for message in first]


def test_parts_and_demonstrations_are_the_system_message_and_the_question_the_users() -> None:
    prompt = Prompt({"a": "One.", "blank": " ", "b": "Two."}, ({"question": "1 + 1?", "answer": "2"},))
    assert rendered(prompt).messages("Why?") == (
        Message("system", "One.\n\nTwo.\n\nQuestion: 1 + 1?\nAnswer: 2"),
        Message("user", "Why?"),
    )


def test_a_part_with_the_placeholder_makes_it_one_user_message_with_the_demonstrations_before_it() -> None:
    prompt = Prompt({"a": "One.", "b": "Q: {question}", "c": "{question}!"}, ({"question": "{question}"},))
    assert rendered(prompt).messages("Why {question}?") == (
        Message("user", "One.\n\nQuestion: {question}\n\nQ: Why {question}?\n\nWhy {question}?!"),
    )


def test_the_format_alone_changes_what_is_sent() -> None:
    settings = {"part": "## {name}\n{text}", "separator": "\n---\n", "field": "{text}", "question": "<{question}>"}
    prompt = Prompt({"a": "One {name}.", "b": "Two."}, ({"q": "1", "a": "2"},), settings)
    assert rendered(prompt).messages("Why?") == (
        Message("system", "## a\nOne {name}.\n---\n## b\nTwo.\n---\n1\n2"),
        Message("user", "<Why?>"),
    )


def test_a_prompt_of_nothing_sends_the_question_alone() -> None:
    assert rendered(Prompt({"a": ""})).messages("Why?") == (Message("user", "Why?"),)


@given(st.lists(st.text(), min_size=1, max_size=4), st.text(), st.text())
def test_each_part_and_the_question_are_in_what_is_sent(texts: list[str], example: str, question: str) -> None:
    prompt = Prompt({f"part {n}": text for n, text in enumerate(texts)}, ({"example": example},))
    sent = "\n".join(message.text for message in rendered(prompt).messages(question))
    assert question in sent
    for text in [*texts, example]:
        assert text.replace("{question}", question) in sent or text in sent or not text.strip()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt({"a": "b"}, (), {"colour": "red"}), "unknown format setting 'colour'; known: part, separator"),
        (Prompt({"a": "b"}, (), {"question": "Q"}), "format setting 'question' must hold {question}, got 'Q'"),
    ],
)
def test_a_prompt_that_cannot_be_rendered_is_invalid(prompt: Prompt, message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        PromptTask().evaluate(prompt, InProcessRun(ScriptedModel(lambda request: "0")), "train")


def test_a_lone_surrogate_is_sent_as_a_question_mark(tmp_path: Path) -> None:
    path = written(tmp_path, [{"question": f"\ud800 {n}", "answer": "1"} for n in range(9)])
    for request in asked_by(PromptTask(cases=path), "train", Prompt({"a": "\udfff {question}"})):
        assert request.messages[-1].text.encode().startswith(b"? ? ")


def test_right_replies_and_what_they_cost_are_averaged() -> None:
    def rule(request: Request) -> Completion:
        right = completed(request, KEY[request.messages[-1].text])
        return Completion("ok", right.text, input_tokens=100, cost_usd=0.002)

    problem = PromptTask(objectives=["usd_per_case", "accuracy", "prompt_tokens"])
    score = with_prompt(problem, seed_of(problem), ScriptedModel(rule))
    assert score.objectives == {"usd_per_case": pytest.approx(0.002), "accuracy": 1.0, "prompt_tokens": 100.0}
    assert [objective.name for objective in problem.objectives] == ["usd_per_case", "accuracy", "prompt_tokens"]
    assert score.feedback == "60 of 60 cases are right: accuracy 1.000, with 100.0 prompt tokens and $0.002 a case."


@given(st.sets(st.sampled_from(sorted(KEY))))
def test_accuracy_is_the_share_of_cases_that_are_right(known: set[str]) -> None:
    problem = PromptTask()
    model = ScriptedModel(lambda request: KEY[request.messages[-1].text] if request.messages[-1].text in known else "x")
    questions = questions_of(problem, "holdout")
    score = with_prompt(problem, seed_of(problem), model, "holdout")
    assert score.objectives["accuracy"] == pytest.approx(len(known & set(questions)) / len(questions))


@pytest.mark.parametrize(
    ("completion", "why"),
    [
        (Completion("truncated", "The answer is 1."), "why: the reply was cut off at 512 tokens"),
        (Completion("refused"), "why: the model refused to answer"),
        (Completion("empty"), "why: the reply was empty"),
        (Completion("ok", "none {} {x}"), "why: no answer found in it"),
        (Completion("ok", "The answer is 7."), "expected: 1\n   got: The answer is 7.\n   why: read as '7'"),
    ],
)
def test_feedback_shows_a_wrong_case_with_the_reason(tmp_path: Path, completion: Completion, why: str) -> None:
    problem = PromptTask(cases=written(tmp_path, [{"question": f"q {n}", "answer": "1"} for n in range(20)]))
    score = with_prompt(problem, seed_of(problem), ScriptedModel(lambda request: completion))
    assert score.objectives["accuracy"] == 0.0
    assert why in score.feedback
    assert score.feedback.count("why: ") == 8


@pytest.mark.parametrize("outcome", ["failed", "timeout", "unreachable", "cancelled"])
def test_cases_without_an_answer_lose_the_evaluation_and_no_more(outcome: Any) -> None:
    problem, wrong = PromptTask(cases_per_evaluation=40), iter([True] * 3)

    def rule(request: Request) -> Completion:
        return Completion(outcome, error="no route") if next(wrong, False) else completed(request, "0")

    evaluation = scored(problem, seed_of(problem), InProcessRun(ScriptedModel(rule)), "train")
    assert (evaluation.outcome, evaluation.objectives) == ("lost", {})
    assert evaluation.feedback == f"3 of 40 cases got no answer: {outcome} (no route)"


def test_a_model_that_may_not_be_used_ends_the_run() -> None:
    def refuse(request: Request) -> str:
        raise ModelAccessError("the key is refused")

    with pytest.raises(ModelAccessError, match="the key is refused"):
        scored(PromptTask(), seed_of(PromptTask()), InProcessRun(ScriptedModel(refuse)), "train")


def test_a_run_without_a_model_says_so() -> None:
    assert "name one with --model" in scored(PromptTask(), seed_of(PromptTask()), run_in_process, "train").feedback


@given(st.text(min_size=1), st.sampled_from([1, 100, 50_000]))
def test_feedback_gives_every_case_shown_its_share(text: str, times: int) -> None:
    problem = TWENTY
    score = with_prompt(problem, seed_of(problem), ScriptedModel(lambda request: text * times + " END"))
    assert len(score.feedback.encode()) <= FEEDBACK_LIMIT_BYTES
    assert score.feedback.count("\n   why: ") == 8
    assert score.feedback.count(" END\n") == 8


def test_another_prompt_is_shown_other_failures_and_the_same_prompt_the_same() -> None:
    problem, model = PromptTask(), ScriptedModel(lambda request: "no idea")
    prompts = [Prompt({"a": f"Variant {n}."}) for n in (1, 2, 1)]
    first, second, again = (with_prompt(problem, prompt, model).feedback for prompt in prompts)
    assert first.splitlines()[2:] != second.splitlines()[2:]
    assert first == again


@given(st.sets(st.text("abc", min_size=1, max_size=4), min_size=3, max_size=60), st.integers(0, 2**63), st.randoms())
def test_parts_are_disjoint_and_the_order_of_the_cases_does_not_matter(
    questions: set[str], seed: int, random: Any
) -> None:
    cases = [Case(question, "x") for question in sorted(questions)]
    parts = split(cases, Shares(seed=seed))
    held = [case for part in parts.values() for case in part]
    assert len(set(held)) == len(held) <= len(cases)
    assert all(parts.values())
    assert split(random.sample(cases, len(cases)), Shares(seed=seed)) == parts


def test_another_seed_draws_other_cases() -> None:
    assert set(questions_of(PromptTask(), "train")) != set(questions_of(PromptTask(split_seed=1), "train"))


@pytest.mark.parametrize(
    ("shares", "total", "sizes"),
    [
        (Shares(), 10, [5, 2, 3]),
        (Shares(), 3, [1, 1, 1]),
        (Shares(), 5000, [100, 100, 200]),
        (Shares(train=0.5, validation=0.2, test=0.3), 5000, [2500, 1000, 1500]),
        (Shares(test=4), 11, [5, 2, 4]),
        (Shares(train=1, validation=1, test=1), 50, [1, 1, 1]),
        (Shares(train=0.29, validation=1, test=1), 100, [29, 1, 1]),
    ],
)
def test_parts_have_the_configured_sizes(shares: Shares, total: int, sizes: list[int]) -> None:
    parts = split([Case(str(n), "x") for n in range(total)], shares)
    assert [len(parts[part]) for part in ("train", "validation", "holdout")] == sizes


def test_a_question_that_comes_twice_is_one_case_and_none_where_its_answers_differ(tmp_path: Path) -> None:
    rows = [["Who?", "me"], ["Why?", "so"], ["Who?", "me"], ["  Why? ", "no"], ["A\n b", "1"], ["A b", "1"]]
    assert read_cases(CaseSource(written(tmp_path, rows))) == (Case("Who?", "me"), Case("A\n b", "1"))


ROWS = [{"question": "a, b?", "answer": "1"}, {"question": 'c\u2028\n"d"', "answer": "\u00fc 2"}]
READ = (Case("a, b?", "1"), Case('c\u2028\n"d"', "\u00fc 2"))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["cases.jsonl", "cases.json", "cases.csv"])
def test_every_form_of_file_gives_the_same_cases(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / name
    if name.endswith("csv"):
        with path.open("w", encoding="utf-8-sig", newline="") as lines:
            csv.writer(lines).writerows([list(ROWS[0]), *(row.values() for row in ROWS)])
    elif name.endswith("jsonl"):
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), "utf-8")
    else:
        path.write_text(json.dumps(ROWS), "utf-8")
    if zipped:
        path = path.with_name(f"{name}.gz")
        path.write_bytes(gzip.compress(path.with_name(name).read_bytes()))
    assert read_cases(CaseSource(str(path))) == READ


@pytest.mark.parametrize(
    "fields", [("question", "answer"), ("input", "target"), ("text", "label"), ("input", "output")]
)
def test_the_usual_names_of_fields_are_known(tmp_path: Path, fields: tuple[str, str]) -> None:
    rows = [{"id": 7, fields[0]: " q ", fields[1]: 3}]
    assert read_cases(CaseSource(written(tmp_path, rows))) == (Case("q", "3"),)


def test_other_fields_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, [{"question": "no", "prompt": "p", "gold": True}])
    assert read_cases(CaseSource(path, None, "prompt", "gold")) == (Case("p", "True"),)


def test_a_task_of_several_is_read_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, [{"one": [["a", "1"]], "two": {"dev": [["b", "2"]], "test": [["c", "3"]]}}], "cases.json")
    assert read_cases(CaseSource(path, "one")) == (Case("a", "1"),)
    assert read_cases(CaseSource(path, "two/test")) == (Case("c", "3"),)


def test_the_only_list_of_an_object_needs_no_name(tmp_path: Path) -> None:
    path = written(tmp_path, [{"canary": "x", "examples": [{"input": "a", "target": "1"}]}], "cases.json")
    assert read_cases(CaseSource(path)) == (Case("a", "1"),)


def test_the_answer_follows_the_mark_where_every_answer_has_one(tmp_path: Path) -> None:
    marked = [["a", "1 + 1 = 2\n#### 2"], ["b", "#### x\n#### 1,000 "]]
    assert [case.answer for case in read_cases(CaseSource(written(tmp_path, marked)))] == ["2", "1,000"]
    assert read_cases(CaseSource(written(tmp_path, [*marked, ["c", "3"]])))[0].answer == "1 + 1 = 2\n#### 2"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("none.jsonl", None, {}, "cannot read cases from .*none.jsonl: .*No such file"),
        ("a.txt", b"a", {}, r"cannot tell what .*a.txt holds; its name must end in .json, .jsonl or .csv"),
        ("a.jsonl", b"", {}, "a.jsonl holds no case"),
        ("a.jsonl", b"\xff\xfe", {}, "cannot read cases from .*a.jsonl: .*utf-8"),
        ("a.jsonl.gz", b"\x1f\x8bbroken", {}, "cannot read cases from .*a.jsonl.gz"),
        ("a.jsonl", b'{"question": "a", "answer": "b"}\n{oops', {}, "a.jsonl, line 2: it is not JSON"),
        ("a.jsonl", b"7", {}, r"case 1 of .*a.jsonl: expected an object or \[question, answer\], got '7'"),
        ("a.jsonl", b'{"q": "a", "answer": "b"}', {}, "no field question or input or text; say which with question_f"),
        (
            "a.jsonl",
            b'{"question": "a", "answer": "b"}',
            {"answer_field": "x"},
            "no field x; .* fields: question, answer",
        ),
        (
            "a.jsonl",
            b'{"question": "a", "answer": [1]}',
            {},
            "case 1 of .*: the answer must be a text or a number, got l",
        ),
        ("a.jsonl", b'{"question": " ", "answer": "b"}', {}, "case 1 of .*: the question is empty"),
        (
            "a.jsonl",
            b'{"question": "a", "answer": "b"}',
            {"task": "x"},
            "task 'x': .* holds a single task without a name",
        ),
        ("a.json", b"7", {}, "a.json: expected a list of cases"),
        ("a.json", b'{"one": [], "two": []}', {}, "2 tasks in .*; set the option task, as in 'one'; known: one, two"),
        ("a.json", b'{"one": [], "two": []}', {"task": "twoo"}, "no task 'twoo' in .*, as in 'two'; known: one, two"),
        ("a.json", b"[]", {"task": "x"}, "expected a list of cases without a task"),
        ("a.json", b"[" * 100_000, {}, "a.json: it is not JSON"),
        ("a.csv", b"question,answer\na", {}, "case 1 of .*a.csv: the answer must be a text or a number, got NoneType"),
        ("a.csv", b"question,answer\na," + b"x" * 200_000, {}, "cannot read cases from .*a.csv: field larger"),
    ],
)
def test_a_file_that_holds_no_cases_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, options: dict[str, Any], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        make_problem(NAME, {"cases": str(tmp_path / name), **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0}, "train must be a count from 1 or a fraction between 0 and 1, got 0"),
        ({"validation": True}, "validation must be a count from 1 .*, got True"),
        ({"test": 1.0}, "test must be .* a fraction between 0 and 1, got 1.0"),
        ({"test": 0.001}, "test is 0.001: of 120 cases that is none"),
        ({"train": 119}, "there are 120 different cases, too few for train 119, validation 1, test 1"),
        ({"train": 0.6, "test": 0.6}, "too few for train 72, validation 1, test 72"),
        ({"split_seed": -1}, "split_seed must be a whole number from 0 to .*, got -1"),
        ({"cases_per_evaluation": 0}, "cases_per_evaluation must be a whole number from 1 to .*, got 0"),
        ({"reply_tokens": 0}, "reply_tokens must be a whole number from 1 to .*, got 0"),
        ({"temperature": 3}, "temperature must be a number from 0 to 2, or null, got 3"),
        ({"model": None}, "model must be the name of a language model, got None"),
        ({"metric": "bleu"}, "metric must be one of exact, multiple_choice, numeric, regex; got 'bleu'"),
        ({"metric": "regex"}, "metric regex needs a pattern whose group is the answer, got None"),
        ({"metric": "exact", "pattern": "x"}, "pattern 'x' belongs to metric regex, and metric is exact"),
        ({"pattern": "("}, "pattern '\\(' is not a regular expression"),
        ({"seed_prompt": {}}, "seed_prompt must map names of parts to their texts, and not be empty; got {}"),
        ({"seed_prompt": {"a": 1}}, "seed_prompt must map names .*; got {'a': 1}"),
        ({"seed_prompt": "Think."}, "seed_prompt must map names .*; got 'Think.'"),
        (
            {"objectives": []},
            r"objectives must list some of accuracy, prompt_tokens, usd_per_case, each once; got \[\]",
        ),
        ({"objectives": ["accuracy", "speed"]}, "objectives must be one of accuracy, .*; got 'speed'"),
        ({"objectives": ["prompt_tokens"]}, "objectives must have accuracy among them"),
        ({"trian": 3}, "unknown option of problem .* 'trian'; did you mean 'train'"),
    ],
)
def test_an_option_that_means_nothing_is_refused_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_problem(NAME, options)


def test_a_numeric_metric_wants_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, [["a", "1"], ["b", "two"], ["c", "3"]])
    with pytest.raises(ConfigError, match="metric numeric: the answer 'two' is no number; try metric=exact"):
        PromptTask(cases=path, metric="numeric")


def test_the_seed_is_the_prompt_that_was_given_or_asks_for_the_form_of_the_answer() -> None:
    assert seed_of(PromptTask(seed_prompt={"all": "Q: {question}"})) == Prompt({"all": "Q: {question}"})
    assert list(seed_of(PromptTask()).parts) == ["instruction", "format"]
    assert "number" in seed_of(PromptTask()).parts["format"]
    assert "<.*>" in seed_of(PromptTask(pattern="<.*>")).parts["format"]


def test_the_description_says_where_the_question_goes() -> None:
    assert "in the place of {question}" in PromptTask(seed_prompt={"all": "Q: {question}"}).description
    assert "{question}" not in PromptTask().description


def test_every_task_of_bbh_can_be_searched_and_knows_its_own_answers() -> None:
    for task, pairs in shared_json("bbh.json.gz").items():
        problem = PromptTask(cases=str(shared_data("bbh.json.gz")), task=task)
        asked = [questions_of(problem, part) for part in PARTS]
        assert len({question for part in asked for question in part}) == sum(map(len, asked)) >= 140
        right = ScriptedModel(knows({question.strip(): target for question, target in pairs}))
        assert with_prompt(problem, seed_of(problem), right).objectives["accuracy"] == 1.0, task
        wrong = ScriptedModel(lambda request: "I do not know")
        assert with_prompt(problem, seed_of(problem), wrong).objectives["accuracy"] == 0.0, task


def test_gsm8k_is_numeric_and_knows_its_own_answers() -> None:
    problem = PromptTask(cases=str(shared_data("gsm8k_test.json.gz")), cases_per_evaluation=100)
    rows = shared_json("gsm8k_test.json.gz")
    right = ScriptedModel(knows({row["question"].strip(): row["answer"] for row in rows}))
    assert with_prompt(problem, seed_of(problem), right).objectives["accuracy"] == 1.0
    assert len(questions_of(problem, "holdout")) == 100
