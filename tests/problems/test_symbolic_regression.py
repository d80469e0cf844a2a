"""The laws of symbolic regression: targets stay with the scorer, and a malformed table is refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import CandidateError, ConfigError
from evo.genomes import Program
from evo.protocols import Function
from evo.regions import with_regions
from evo.testing.in_process import run_in_process
from evo.values import Part
from problems.symbolic_regression import SymbolicRegression, identifiers
from problems.tables import LAWS, read_csv

TRUE_FORMULAS = {
    "oscillator": ("position, velocity", "-1.5 * position - 0.5 * position**3 - 0.2 * velocity"),
    "pendulum": ("angle, velocity, length", "-9.81 / length * np.sin(angle) - 0.1 * velocity * np.abs(velocity)"),
    "gas": ("volume, temperature", "8 * temperature / (3 * volume - 1) - 3 / volume**2"),
}


def formula(problem: SymbolicRegression, arguments: str, expression: str) -> Program:
    seed = problem.seeds(1, np.random.default_rng(0))[0]
    assert isinstance(seed, Program)
    return seed.with_text(with_regions(seed.text, (f"def formula({arguments}):\n    return {expression}",)))


def error_of(problem: SymbolicRegression, program: Program, part: Part) -> float:
    return problem.evaluate(program, run_in_process, part).objectives["error"]


def written(folder: Path, text: str) -> str:
    path = folder / "table.csv"
    path.write_text(text, "utf-8")
    return str(path)


def plane(folder: Path, rows: int = 50) -> str:
    """A table of z = 3 a - 2 b + 1 whose first column is the target."""
    a, b = np.random.default_rng(4).normal(size=(2, rows))
    lines = [f"{3 * x - 2 * y + 1!r},{x!r},{y!r}" for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    return written(folder, "\n".join(["z, a ,B side", *lines]) + "\n")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("part", ["train", "holdout"])
def test_the_law_itself_has_no_error_and_the_linear_fit_has_some(law: str, part: Part) -> None:
    problem = SymbolicRegression(law=law)
    assert error_of(problem, formula(problem, *TRUE_FORMULAS[law]), part) < 1e-25
    assert problem.baselines(part)["linear fit"]["error"] > 0.01


@pytest.mark.parametrize("law", LAWS)
def test_half_of_the_hold_out_goes_beyond_the_range_of_training(law: str) -> None:
    tables = SymbolicRegression(law=law)._tables
    low, high = np.array(list(LAWS[law].ranges.values())).T
    inside = {part: ((table.inputs >= low) & (table.inputs <= high)).all(axis=1) for part, table in tables.items()}
    assert inside["train"].all()
    assert inside["holdout"][:200].all()
    assert 0.3 < inside["holdout"].mean() < 0.8


def test_only_inputs_are_sent_to_the_candidate() -> None:
    problem, sent = SymbolicRegression(), []

    @contextmanager
    def listening(program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        with run_in_process(program, entry, harness=harness) as law:

            def overheard(*arguments: Any) -> Any:
                sent.extend(arguments)
                return law(*arguments)

            yield overheard

    problem.evaluate(problem.seeds(1, np.random.default_rng(0))[0], listening, "train")
    assert len(sent) == 1
    assert sent[0].tolist() == problem._tables["train"].inputs.tolist()
    assert sent[0].shape == (200, 2)


def test_the_mean_has_error_one() -> None:
    problem = SymbolicRegression()
    mean = float(problem._tables["train"].targets.mean())
    assert error_of(problem, formula(problem, "position, velocity", repr(mean)), "train") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("position / 0.0", r"law\(x\) holds (nan|inf|-inf) at index \[0\]; every number must be finite"),
        ("1e200 + position", r"law\(x\) is as large as 1e\+200: its square overflows"),
        ("position + 1j", r"a value of type ndarray is no data"),
        ("position[:, None]", r"law\(x\) must have shape \(200,\), got \(200, 200\)"),
    ],
)
def test_predictions_that_are_no_finite_numbers_are_invalid(expression: str, message: str) -> None:
    problem = SymbolicRegression()
    with np.errstate(all="ignore"), pytest.raises(CandidateError, match="^invalid: " + message):
        error_of(problem, formula(problem, "position, velocity", expression), "train")


def test_the_feedback_shows_the_rows_missed_most() -> None:
    problem = SymbolicRegression()
    feedback = problem.evaluate(formula(problem, "p, v", "0 * p"), run_in_process, "train").feedback
    assert f"largest {np.abs(problem._tables['train'].targets).max():.4g}" in feedback
    assert feedback.count("should be") == 5


def test_a_table_is_split_into_four_fifths_and_the_rest(tmp_path: Path) -> None:
    source = plane(tmp_path)
    tables = SymbolicRegression(data=source, target="z")._tables
    assert [len(tables[part].targets) for part in ("train", "holdout")] == [40, 10]
    together = np.vstack([table.inputs for table in tables.values()])
    assert sorted(together.tolist()) == sorted(read_csv(source, "z").inputs.tolist())


@pytest.mark.parametrize("part", ["train", "holdout"])
def test_a_linear_table_is_found_by_the_linear_fit_and_by_its_formula(tmp_path: Path, part: Part) -> None:
    problem = SymbolicRegression(data=plane(tmp_path), target="z")
    assert problem.baselines(part)["linear fit"]["error"] < 1e-25
    assert error_of(problem, formula(problem, "a, b_side", "3 * a - 2 * b_side + 1"), part) < 1e-25
    assert "formula(a, b_side)" in problem.description
    assert "'z'" in problem.description


def test_without_a_name_the_last_column_is_the_target(tmp_path: Path) -> None:
    assert read_csv(plane(tmp_path), None).target == "B side"


GOOD = "".join(f"{i},{i * i}\n" for i in range(10))


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("", None, "is empty; its first row must name the columns"),
        ("x\n1\n", None, "the first row must name two columns or more, each once; got x"),
        ("x,x\n" + GOOD, None, "the first row must name two columns or more, each once; got x, x"),
        ("x,y\n1,2\n", None, "expected at least 10 rows of numbers below the header, got 1"),
        ("x,y\n" + GOOD + "1,2,3\n", None, "row 12: expected 2 cells as in the header, got 3"),
        ("x,y\n" + GOOD + "1\n", None, "row 12: expected 2 cells as in the header, got 1"),
        ("x,y\n1,two\n" + GOOD, None, "row 2, column 'y': expected a finite number, got 'two'"),
        ("x,y\n1,\n" + GOOD, None, "row 2, column 'y': expected a finite number, got ''"),
        ("x,y\nnan,1\n" + GOOD, None, "row 2, column 'x': expected a finite number, got 'nan'"),
        ("x,y\n1,1e999\n" + GOOD, None, "row 2, column 'y': expected a finite number, got '1e999'"),
        ("price,weight\n" + GOOD, "wieght", "no column 'wieght' for the target; did you mean 'weight'"),
        ("x,y\n" + GOOD, "temperature", "no column 'temperature' for the target; columns: x, y"),
        ("x,y\n" + "1,7\n" * 10, None, "the target 'y' must vary; its train part has variance 0.0"),
        ("x,y\n" + "1,-1e200\n2,1e200\n" * 10, None, "the target 'y' must vary; its train part has variance inf"),
    ],
)
def test_a_malformed_table_is_refused_in_one_sentence(
    tmp_path: Path, text: str, target: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        SymbolicRegression(data=written(tmp_path, text), target=target)
    assert "\n" not in str(caught.value)


def test_a_binary_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"x,y\n\xff\xfe,1\n")
    for source in (path, tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(ConfigError, match="cannot read the table"):
            SymbolicRegression(data=str(source))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_every_column_gets_a_python_name_of_its_own(columns: list[str]) -> None:
    names = identifiers(columns)
    assert len(set(names)) == len(names) == len(columns)
    exec(f"def formula({', '.join(names)}):\n    return None", {})


def test_names_stay_as_near_to_the_columns_as_they_can() -> None:
    columns = ["Mass (kg)", "2nd", "lambda", "np", "x", "x", "Größe"]
    assert identifiers(columns) == ("mass_kg", "x_2nd", "x_lambda", "x_np", "x", "x_", "gr_e")
