"""Cases of a prompt task: questions with their answers, read from a file and split into parts."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from evo.errors import ConfigError
from evo.values import Part
from problems.prompt_files import Row, Rows, read_rows
from problems.prompt_numbers import whole_number_text
from problems.prompt_options import lettered, option_fields, row_options

LOG = logging.getLogger(__name__)

QUESTION_FIELDS = ("question", "input", "text")
ANSWER_FIELDS = ("answer", "target", "output", "label", "answers", "answerKey")
GOLD_MARK = "####"
MISSING = frozenset({"nan", "null", "none", "na", "n/a", "#n/a", "-", "?"})
# Of each part: the option that sets it, its share of what the other options leave, and the maximum number of cases.
PARTS: Mapping[Part, tuple[str, int, int]] = {
    "train": ("train", 5, 100),
    "validation": ("validation", 2, 100),
    "holdout": ("test", 3, 200),
}

Amount: TypeAlias = int | float | None


@dataclass(frozen=True, slots=True)
class Case:
    """A question and the answer that is expected; only the question is ever sent to a model.

    Attributes:
        also: other answers that are as right.
    """

    question: str
    answer: str
    also: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.answer, *self.also)


@dataclass(frozen=True, slots=True)
class CaseSource:
    """Where cases are.

    Attributes:
        path: a .json, .jsonl or .csv file, gzipped or not.
        task: of a JSON file that holds several, {task: cases}; of nested ones "outer/inner".
        question_field: None takes the first of QUESTION_FIELDS that is there.
        answer_field: None takes the first of ANSWER_FIELDS that is there.
    """

    path: str
    task: str | None = None
    question_field: str | None = None
    answer_field: str | None = None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of a file, and the names of its columns; without names where its rows are lists."""

    cases: tuple[Case, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """How many cases go to each part.

    Attributes:
        train: a count from 1 up, or a fraction below 1 of all cases. None shares what the others leave, in the ratio
            5 : 2 : 3 of train, validation and test, with at most 100, 100 and 200 cases.
        validation: the same.
        test: the same; it is the hold-out.
        seed: another number draws other cases.
    """

    train: Amount = None
    validation: Amount = None
    test: Amount = None
    seed: int = 0


def read_cases(source: CaseSource) -> tuple[Case, ...]:
    """All cases of a file, each question once and in the order of the file.

    A row is an object, or a list of question and answer. An answer may be a list of texts, of which each is right;
    options are shown with their letters (see `problems.prompt_options`). Where all answers have a line "#### ANSWER",
    what follows the last mark is the answer. Questions that differ in spacing only are the same case; where
    they come with
    different answers, they are left out, because no reply could be right. What is left out is said as a warning.

    Raises:
        ConfigError: a file that cannot be read, that is of another form, or that has no such task or field.
    """
    return read_file(source).cases


def read_file(source: CaseSource) -> CaseFile:
    """The cases of a file (see `read_cases`) and its columns; what is left out is said once, as a warning."""
    read = read_rows(source.path, source.task)
    if not read.rows:
        raise ConfigError(f"{source.path} holds no case")
    fields = _fields(read.rows, source)
    drawn = [_case(row, source, fields) for row in read.rows]
    cases = [case for case, _, _ in drawn]
    if fields.options:
        asked = [(case.question, case.answer) for case in cases]
        shown = lettered(asked, [(options, answer) for _, options, answer in drawn], source.path)
        cases = [Case(question, answer) for question, answer in shown]
    elif all(GOLD_MARK in case.answer for case in cases):
        cases = [Case(case.question, case.answer.rpartition(GOLD_MARK)[2].strip()) for case in cases]
    _expect_no_missing(cases, source.path)
    _say_what_is_left_out(read, fields, source.path)
    named = next((row.value for row in read.rows if isinstance(row.value, Mapping)), {})
    return CaseFile(tuple(_unambiguous(cases, source.path)), tuple(map(str, named)))


def split(cases: Sequence[Case], shares: Shares) -> dict[Part, tuple[Case, ...]]:
    """Disjoint parts, each in a fixed random order; the same whatever the order of the cases.

    Raises:
        ConfigError: an amount that means nothing, a part without a case, or more cases than there are.
    """
    counts = _counts(len(cases), shares)
    ordered = sorted(cases, key=lambda case: (_draw(case, shares.seed), case.question))
    parts: dict[Part, tuple[Case, ...]] = {}
    start = 0
    for part, count in counts.items():
        parts[part] = tuple(ordered[start : start + count])
        start += count
    return parts


def _draw(case: Case, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{case.question}".encode(), digest_size=8).digest()


def _counts(total: int, shares: Shares) -> dict[Part, int]:
    given = {part: _given(getattr(shares, option), option, total) for part, (option, _, _) in PARTS.items()}
    wanted = sum(count for count in given.values() if count is not None)
    left = total - wanted
    weight = sum(share for part, (_, share, _) in PARTS.items() if given[part] is None)
    counts: dict[Part, int] = {}
    for part, (_, share, most) in PARTS.items():
        count = given[part]
        counts[part] = max(1, min(most, left * share // weight)) if count is None else count
    if sum(counts.values()) > total:
        each = ", ".join(f"{option} {counts[part]}" for part, (option, _, _) in PARTS.items())
        raise ConfigError(
            f"there are {total} different cases, too few for {each}; each part needs a case: make the "
            "options train, validation and test smaller, or bring more cases"
        )
    return counts


def _given(amount: Amount, option: str, total: int) -> int | None:
    if amount is None:
        return None
    whole = type(amount) is int and amount >= 1
    if not whole and not (type(amount) is float and 0.0 < amount < 1.0):
        raise ConfigError(f"{option} must be a count from 1 or a fraction between 0 and 1, got {amount!r}")
    count = int(amount) if whole else int(amount * total + 1e-9)
    if not count:
        raise ConfigError(f"{option} is {amount}: of {total} cases that is none, and a part needs a case")
    return count


def _unambiguous(cases: Sequence[Case], path: str) -> Iterator[Case]:
    answers: dict[str, set[tuple[str, ...]]] = {}
    for case in cases:
        answers.setdefault(_key(case), set()).add(case.answers)
    contradicted = [case for case in cases if len(answers[_key(case)]) > 1]
    if contradicted:
        first = contradicted[0]
        given = " and ".join(sorted(answer for (answer, *_) in answers[_key(first)])[:3])
        LOG.warning(
            "%s: left out %d rows whose question comes again with another answer, as %r with %s",
            path, len(contradicted), first.question[:80], given,
        )  # fmt: skip
    kept = [case for case in cases if len(answers[_key(case)]) == 1]
    if len(answers) > len({_key(case) for case in kept}) and not kept:
        raise ConfigError(f"{path} holds no case: every question comes with two answers")
    repeated = len(kept) - len({_key(case) for case in kept})
    if repeated:
        LOG.warning("%s: left out %d rows that repeat an earlier row", path, repeated)
    for case in kept:
        if answers.pop(_key(case), None) is not None:
            yield case


def _key(case: Case) -> str:
    return " ".join(case.question.split())


def _expect_no_missing(cases: Sequence[Case], path: str) -> None:
    """Refuses "nan" and the like among numbers: a cell that was missing when the file was written."""
    missing = [place for place, case in enumerate(cases) if case.answer.casefold() in MISSING]
    others = [case for place, case in enumerate(cases) if place not in set(missing)]
    if missing and others and all(whole_number_text(case.answer) for case in others):
        got = cases[missing[0]].answer
        raise ConfigError(
            f"case {missing[0] + 1} of {path}: the answer must be a number, as all others are, got {got!r}"
        )


def _say_what_is_left_out(read: Rows, fields: Fields, path: str) -> None:
    named = [row.value for row in read.rows if isinstance(row.value, Mapping)]
    names = dict.fromkeys(str(name) for row in named for name in row)
    ignored = [name or "without a name" for name in names if name not in fields.used(names)]
    if ignored:
        noun = "column" if len(ignored) == 1 else f"{len(ignored)} columns"
        LOG.warning("%s: ignored the %s %s", path, noun, ", ".join(ignored))
    broken = sum(_is_broken(cell) for row in named for name, cell in row.items() if name in fields.used(names))
    if broken:
        LOG.warning("%s: %d texts hold a lone surrogate, which is read as a question mark", path, broken)
    if read.empty:
        LOG.warning("%s: left out %d empty rows", path, read.empty)


def _is_broken(cell: Any) -> bool:
    return isinstance(cell, str) and any("\ud800" <= character <= "\udfff" for character in cell)


@dataclass(frozen=True, slots=True)
class Fields:
    """The columns of a file that are read."""

    question: str = ""
    answer: str = ""
    options: tuple[str, ...] = ()

    def used(self, names: Iterable[str]) -> set[str]:
        return {self.question, self.answer, *self.options}


def _fields(rows: Sequence[Row], source: CaseSource) -> Fields:
    """The columns of the first row that names columns; every row must have them."""
    row = next((row for row in rows if isinstance(row.value, Mapping)), None)
    if row is None:
        return Fields()
    question = _field(row.value, row.where, "question_field", source.question_field)
    answer = _field(row.value, row.where, "answer_field", source.answer_field)
    return Fields(question, answer, option_fields([str(name) for name in row.value], {question, answer}))


def _case(row: Row, source: CaseSource, fields: Fields) -> tuple[Case, Any, Any]:
    """A case, and its options and answer as they stand in the file."""
    value, where = row.value, row.where
    options: Any = None
    if isinstance(value, list) and len(value) == 2:
        question, answer = value
    elif isinstance(value, Mapping):
        question = value[_field(value, where, "question_field", source.question_field or _same(value, fields.question))]
        answer = value[_field(value, where, "answer_field", source.answer_field or _same(value, fields.answer))]
        options = row_options(value, fields.options, where)
    else:
        raise ConfigError(f"{where}: expected an object or [question, answer], got {str(value)[:80]!r}")
    first, *others = _answers(answer, f"{where}: the answer")
    return Case(_clean(question, f"{where}: the question"), first, tuple(others)), options, answer


def _same(row: Mapping[str, Any], field: str) -> str | None:
    return field if field in row else None


def _field(row: Mapping[str, Any], where: str, option: str, name: str | None) -> str:
    usual = QUESTION_FIELDS if option == "question_field" else ANSWER_FIELDS
    wanted = usual if name is None else (name,)
    for field in wanted:
        found = [column for column in row if column == field] or [
            column for column in row if name is None and str(column).strip().casefold() == field.casefold()
        ]
        if len(found) == 1:
            return found[0]
    known = ", ".join(map(str, row))
    raise ConfigError(f"{where}: no field {' or '.join(wanted)}; say which with {option}; its fields: {known}")


def _answers(value: Any, what: str) -> list[str]:
    """The texts of an answer: a single one, or a list of such as in SQuAD, of which each is right."""
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        if not value:
            raise ConfigError(f"{what} is an empty list; expected a text, a number or a list of texts")
        return list(dict.fromkeys(_clean(text, what) for text in value))
    return [_clean(value, what)]


def _clean(value: Any, what: str) -> str:
    if not isinstance(value, str | int | float):
        why = "; the cell is missing or null" if value is None else ""
        raise ConfigError(f"{what} must be a text or a number, got {type(value).__name__}{why}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{what} must be a text or a number, got {value}")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    # A lone surrogate, which JSON can hold, could not be sent.
    text = str(value).strip().encode("utf-8", "replace").decode()
    if not text:
        raise ConfigError(f"{what} is empty")
    return text
