"""What the `Runner` for tests promises: failures as data, values as over the wire."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from evo.errors import CandidateError
from evo.genomes import Program
from evo.testing.in_process import as_data, run_in_process


def answered(text: str, *arguments: Any, harness: str | None = None) -> Any:
    with run_in_process(Program.single(text), "answer", harness=harness) as answer:
        return answer(*arguments)


def test_arguments_and_answers_pass_unchanged_but_for_tuples_and_numpy_scalars() -> None:
    given = {"a": [1, 2.5, None, True, "text"], "b": (1, (2,)), "c": np.float64(0.5), "d": np.int8(3)}
    answer = answered("def answer(x):\n    return x, type(x['c']).__name__", given)
    assert answer == [{"a": [1, 2.5, None, True, "text"], "b": [1, [2]], "c": 0.5, "d": 3}, "float"]


def test_the_candidate_writes_into_a_copy() -> None:
    numbers = np.zeros(3)
    assert answered("def answer(x):\n    x[:] = 7\n    return x", numbers).tolist() == [7, 7, 7]
    assert numbers.tolist() == [0, 0, 0]


def test_state_lasts_as_long_as_the_context() -> None:
    with run_in_process(
        Program.single("seen = []\ndef answer(x):\n    seen.append(x)\n    return seen"), "answer"
    ) as answer:
        assert [answer(1), answer(2)] == [[1], [1, 2]]


def test_a_harness_wraps_the_entry() -> None:
    harness = "def wrap(entry):\n    return lambda xs: [entry(x) for x in xs]"
    assert answered("def answer(x):\n    return x + 1", [1, 2], harness=harness) == [2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def answer():\n    return 1 / 0", r"(?s)^crash: Traceback.*line 2, in answer\nZeroDivisionError"),
        ("def answer():\n    raise SystemExit(3)", r"(?s)^crash: .*SystemExit: 3"),
        ("def answer(:", r"(?s)^crash: .*SyntaxError"),
        ("import nothing_of_that_name", r"(?s)^crash: .*ModuleNotFoundError"),
        ("def reply():\n    return 1", r"^invalid: main.py defines no function 'answer'$"),
        ("answer = 42", r"^invalid: main.py defines no function 'answer'$"),
        ("def answer():\n    return {1, 2}", r"^invalid: a value of type set is no data$"),
        ("def answer():\n    return 1j", r"^invalid: a value of type complex is no data$"),
        ("def answer():\n    return {1: 2}", r"^invalid: a dict with a key that is no text is no data$"),
        ("def answer():\n    return answer", r"^invalid: a value of type function is no data$"),
    ],
)
def test_what_a_program_does_wrong_comes_back_as_its_outcome(text: str, message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        answered(text)


def test_a_program_that_does_not_load_fails_at_the_first_call_and_not_before() -> None:
    with run_in_process(Program.single("boom"), "answer") as answer, pytest.raises(CandidateError, match="NameError"):
        answer()


def test_other_files_of_the_program_can_be_imported_and_are_forgotten() -> None:
    for value in (1, 2):
        program = Program(
            {"main.py": "from other_file import x\ndef answer():\n    return x", "other_file.py": f"x = {value}"}
        )
        with run_in_process(program, "answer") as answer:
            assert answer() == value
        assert "other_file" not in sys.modules


@pytest.mark.parametrize("array", [np.array([None]), np.array([1j]), np.array(["text"])])
def test_arrays_of_anything_but_real_numbers_are_no_data(array: Any) -> None:
    with pytest.raises(CandidateError, match="invalid: a value of type ndarray is no data"):
        as_data(array)
