"""The laws of files of cases: a file is read as meant or refused by row and cell, and what is left out is said."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from evo.errors import CandidateError, ConfigError
from evo.genomes import Prompt
from evo.models import Message
from evo.testing.in_process import InProcessRun
from evo.testing.scripted import ScriptedModel
from problems.prompt_cases import Case, CaseSource, read_cases
from problems.prompt_rendering import rendered
from problems.prompt_task import PromptTask

SHARED = Path(__file__).parents[3] / "shared" / "cases"
TWO = (Case("a?", "1"), Case("b?", "2"))


def lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def read(folder: Path, name: str, content: bytes) -> tuple[Case, ...]:
    (folder / name).write_bytes(content)
    return read_cases(CaseSource(str(folder / name)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"question;answer\na?;1\nb?;2"),
        ("a.csv", b"question\tanswer\na?\t1\nb?\t2"),
        ("a.tsv", b"question\tanswer\na?\t1\nb?\t2"),
        ("a.csv", b"question|answer\na?|1\nb?|2"),
        ("a.csv", b'Question, ANSWER\n"a?", 1\n"b?", 2'),
        ("a.csv", "question,answer\na?,1\nb?,2".encode("utf-16")),
        ("a.csv", "question,answer\na?,1\nb?,2".encode("utf-8-sig")),
        ("a.csv", b"question,answer\r\na?,1\r\nb?,2\r\n"),
        ("a.jsonl", b'{"question": "a?", "answer": 1.0},\n{"question": "b?", "answer": 2.0},'),
        ("a.jsonl", b'[{"question": "a?", "answer": 1},\n {"question": "b?", "answer": 2}]'),
        ("a.json", b'{"question": ["a?", "b?"], "answer": [1, 2]}'),
        ("a.json", b'{"question": {"0": "a?", "1": "b?"}, "answer": {"0": "1", "1": "2"}}'),
        (
            "a.json",
            b'{"rows": [{"row_idx": 0, "row": {"question": "a?", "answer": 1}},'
            b' {"row": {"question": "b?", "answer": 2}}]}',
        ),
        (
            "a.json",
            b'{"features": [{"name": "question"}], '
            b'"rows": [{"row": {"question": "a?", "answer": 1}}, {"row": {"question": "b?", "answer": 2}}]}',
        ),
        (
            "a.jsonl",
            lines(
                {"question": "a?", "answers": {"text": ["1"], "answer_start": [3]}},
                {"question": "b?", "answers": ["2"]},
            ),
        ),
    ],
)
def test_the_usual_shapes_of_a_file_are_read_as_meant(tmp_path: Path, name: str, content: bytes) -> None:
    assert read(tmp_path, name, content) == TWO


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            b"question,answer\na?,1\nb, c?,2",
            "case 2 of .*: line 3 has 3 cells, and the header names 2 .*too many is '2'",
        ),
        (
            "a.csv",
            b"question,answer\na?,1\nb?",
            "case 2 of .*: the answer must be a text or a number, got NoneType; the cell is",
        ),
        ("a.csv", b"question,answer\na?,1\nb?,", "case 2 of .*: the answer is empty"),
        ("a.csv", b'question,answer\na?,1\n"b?,2\nc?,3', "a.csv: a quote is not closed .*line 4"),
        ("a.csv", b"a?,1\nb?,2", "case 1 of .*: the first row must name the columns,"),
        ("a.csv", b"question,answer,answer\na?,1,2", "line 1: the column 'answer' comes twice"),
        ("a.csv", b"question;answer,x\na?;1,2", "the header .* has comma and semicolon; expected a single"),
        (
            "a.csv",
            "question,answer\nwie gro\u00df?,1".encode("cp1252"),
            "line 2 holds the byte 0xdf, which is not utf-8; save",
        ),
        (
            "a.csv",
            b"question,answer\na?,1\nb?,NaN",
            "case 2 of .*: the answer must be a number, as all others are, got 'NaN'",
        ),
        (
            "a.jsonl",
            lines({"question": "a?", "answer": float("nan")}),
            "case 1 of .*: the answer must be a text or a number, got nan",
        ),
        ("a.jsonl", lines({"question": "a?", "answer": None}), "case 1 of .*: the answer must .* got NoneType"),
        ("a.jsonl", lines({"question": "a?", "answers": {"text": []}}), "case 1 of .*: the answer is an empty list"),
        ("a.json", b'{"question": ["a?", "b?"], "answer": [1]}', "the column 'answer' has 1 cells or other indices"),
        (
            "a.jsonl",
            lines({"question": "a?", "answer": "1"}, {"question": "a?", "answer": "2"}),
            "every question comes with two answers",
        ),
        (
            "a.jsonl",
            lines({"question": "a?", "choices": ["x"], "answer": 0}),
            "case 1 of .*: the column 'choices' must list 2 to 26",
        ),
        (
            "a.jsonl",
            lines(*({"question": f"{n}?", "choices": ["x", "y", "z"], "answer": 1} for n in range(3))),
            "read as numbers from 0 and as numbers from 1",
        ),
        (
            "a.jsonl",
            lines(
                {"question": "a?", "choices": ["x", "y"], "answer": "x"},
                {"question": "b?", "choices": ["x", "y"], "answer": "q"},
            ),
            "case 2 of .*: the answer 'q' is none of its options; expected texts",
        ),
    ],
)
def test_a_file_that_cannot_be_read_safely_is_refused_by_row_and_cell(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, name, content)


@pytest.mark.parametrize(
    "rows",
    [
        [{"question": "a?", "choices": ["x", "y"], "answer": place} for place in (1,)]
        + [{"question": "b?", "choices": ["x", "y"], "answer": 0}],
        [
            {"question": "a?", "choices": ["x", "y"], "answer": 2},
            {"question": "b?", "choices": ["x", "y"], "answer": 1},
        ],
        [
            {"question": "a?", "options": ["x", "y"], "answer": "B"},
            {"question": "b?", "options": ["x", "y"], "answer": "(a)"},
        ],
        [
            {"question": "a?", "choices": ["A) x", "B) y"], "answer": "y"},
            {"question": "b?", "choices": ["x", "y"], "answer": "x"},
        ],
        [{"question": "a?", "A": "x", "B": "y", "answer": "B"}, {"question": "b?", "A": "x", "B": "y", "answer": "A"}],
        [
            {"question": "a?", "choice1": "x", "choice2": "y", "label": 1},
            {"question": "b?", "choice1": "x", "choice2": "y", "label": 0},
        ],
        [
            {"question": "a?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"},
            {"question": "b?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "A"},
        ],
    ],
)
def test_options_are_shown_with_letters_whatever_names_the_answer(tmp_path: Path, rows: list[Any]) -> None:
    read_back = read(tmp_path, "a.jsonl", lines(*rows))
    assert read_back == (Case("a?\n(A) x\n(B) y", "(B)"), Case("b?\n(A) x\n(B) y", "(A)"))


def test_what_is_left_out_is_counted_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = b"id,question,answer,note\n1,a?,1,x\n\n2,a?,1,y\n,,,\n3,b?,2,z\n4,c?,3,\n5,c?,4,"
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, "a.csv", content) == TWO
    said = "\n".join(record.getMessage().partition(": ")[2] for record in caplog.records)
    assert said.splitlines() == [
        "ignored the 2 columns id, note",
        "left out 2 empty rows",
        "left out 2 rows whose question comes again with another answer, as 'c?' with 3 and 4",
        "left out 1 rows that repeat an earlier row",
    ]


def test_a_lone_surrogate_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, "a.jsonl", lines({"question": "a\ud800?", "answer": "1"}))
    assert "1 texts hold a lone surrogate" in caplog.text


def test_any_of_several_answers_is_right(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(*({"question": f"{n}?", "answer": ["two", "zwei"]} for n in range(9))))
    problem = PromptTask(cases=str(path))
    for reply, accuracy in (("two", 1.0), ("Zwei.", 1.0), ("three", 0.0)):
        run = InProcessRun(ScriptedModel(lambda request, reply=reply: reply))
        assert problem.evaluate(Prompt({"a": "Count."}), run, "train").objectives["accuracy"] == accuracy


@pytest.mark.parametrize(
    ("parts", "messages"),
    [
        ({"system": "S.", "user": "Q: {question}!"}, (Message("system", "S."), Message("user", "Q: Why?!"))),
        ({"system": "S.", "user": "Be short."}, (Message("system", "S."), Message("user", "Be short.\n\nWhy?"))),
        ({"user": "Be short."}, (Message("user", "Be short.\n\nWhy?"),)),
        ({"system": "S.", "more": "M."}, (Message("system", "S.\n\nM."), Message("user", "Why?"))),
        ({"system": "S.", "more": "M {question}"}, (Message("system", "S."), Message("user", "M Why?"))),
    ],
)
def test_parts_named_system_and_user_are_those_messages(parts: dict[str, str], messages: tuple[Message, ...]) -> None:
    assert rendered(Prompt(parts)).messages("Why?") == messages


@pytest.mark.parametrize(
    "text",
    ["Do {text}.", "Q: {Question}", "{{ question }}", "{input}", "Say {name}", "Q: {question} {answer}", "{{answer}}"],
)
def test_a_place_that_nothing_fills_is_refused_and_names_the_columns(text: str) -> None:
    with pytest.raises(
        ConfigError, match="seed_prompt: nothing fills .* in the part 'a'.*columns of the cases are question, answer"
    ):
        PromptTask(seed_prompt={"a": text})
    with pytest.raises(CandidateError, match="nothing fills .*columns of the cases are question, answer"):
        PromptTask().evaluate(Prompt({"a": text}), InProcessRun(ScriptedModel(lambda request: "0")), "train")


@pytest.mark.parametrize(
    "text",
    [
        'Reply as {"answer": 1}.',
        "{}",
        r"Write \boxed{x} and \frac{a}{b}.",
        "x^{n}",
        "{1, 2}",
        "{{x}}",
        "```\nf'{name}'\n```",
        "{ }",
        "Q: {question}",
    ],
)
def test_braces_that_are_plainly_text_are_sent(text: str) -> None:
    assert PromptTask(seed_prompt={"a": text}).seeds(1, None)  # type: ignore[arg-type]


def test_the_shared_replies_to_options_are_all_right() -> None:
    table = SHARED / "server" / "tasks" / "mc.json"
    if not table.is_file():
        pytest.skip("../shared/cases is absent")
    reply = next(iter(json.loads(table.read_text("utf-8")).values()))
    problem = PromptTask(cases=str(SHARED / "data" / "mc.jsonl"))
    run = InProcessRun(ScriptedModel(lambda request: reply))
    assert problem.evaluate(Prompt({"a": "Choose."}), run, "train").objectives["accuracy"] == 1.0
