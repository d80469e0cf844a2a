"""Cases of a prompt task: questions with their answers, read from a file and split into parts."""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from evo.errors import ConfigError
from evo.values import Part

QUESTION_FIELDS = ("question", "input", "text")
ANSWER_FIELDS = ("answer", "target", "output", "label")
GOLD_MARK = "####"
GZIP_MAGIC = b"\x1f\x8b"
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

    A row is an object, or a list of question and answer. Where every answer has a line "#### ANSWER", as in GSM8K, what
    follows the last mark is the answer. Questions that differ in spacing only are the same case; where they come with
    different answers, they are left out, because no reply could be right.

    Raises:
        ConfigError: a file that cannot be read, that is of another form, or that has no such task or field.
    """
    rows = _rows(source)
    cases = [_case(row, f"case {number} of {source.path}", source) for number, row in enumerate(rows, 1)]
    if not cases:
        raise ConfigError(f"{source.path} holds no case")
    if all(GOLD_MARK in case.answer for case in cases):
        cases = [Case(case.question, case.answer.rpartition(GOLD_MARK)[2].strip()) for case in cases]
    return tuple(_unambiguous(cases))


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


def _unambiguous(cases: Sequence[Case]) -> Iterator[Case]:
    answers: dict[str, set[str]] = {}
    for case in cases:
        answers.setdefault(_key(case), set()).add(case.answer)
    for case in cases:
        if len(answers.pop(_key(case), ())) == 1:
            yield case


def _key(case: Case) -> str:
    return " ".join(case.question.split())


def _rows(source: CaseSource) -> list[Any]:
    path = source.path
    text = _text(path)
    kind = Path(path.removesuffix(".gz")).suffix.lower()
    if kind == ".json":
        return _listed(_json(text, path), source)
    if source.task is not None:
        raise ConfigError(f"task {source.task!r}: {path} holds a single task without a name; leave out the option task")
    if kind == ".csv":
        return _csv_rows(text, path)
    if kind in (".jsonl", ".ndjson"):
        # Not splitlines: JSON texts may hold U+2028 and the like as they are.
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return [_json(line, f"{path}, line {number}") for number, line in lines]
    raise ConfigError(f"cannot tell what {path} holds; its name must end in .json, .jsonl or .csv, or that and .gz")


def _text(path: str) -> str:
    try:
        content = Path(path).read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ConfigError(f"cannot read cases from {path}: {error}") from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: it is not JSON ({error})") from error


def _csv_rows(text: str, path: str) -> list[Any]:
    try:
        return list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise ConfigError(f"cannot read cases from {path}: {error}") from error


def _listed(content: Any, source: CaseSource) -> list[Any]:
    tasks = dict(_lists(content, ""))
    if source.task is None and len(tasks) == 1:
        return next(iter(tasks.values()))
    if source.task is None or source.task not in tasks:
        known = [name for name in tasks if name]
        if not known:
            raise ConfigError(f"{source.path}: expected a list of cases{' without a task' if tasks else ''}")
        near = difflib.get_close_matches(source.task or "", known, 1) or known[:1]
        got = f"no task {source.task!r}" if source.task else f"{len(tasks)} tasks"
        raise ConfigError(f"{got} in {source.path}; set the option task, as in {near[0]!r}; known: {', '.join(known)}")
    return tasks[source.task]


def _lists(content: Any, name: str) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(content, list):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _lists(value, f"{name}/{key}" if name else key)


def _case(row: Any, where: str, source: CaseSource) -> Case:
    if isinstance(row, list) and len(row) == 2:
        question, answer = row
    elif isinstance(row, Mapping):
        question = row[_field(row, where, "question_field", source.question_field)]
        answer = row[_field(row, where, "answer_field", source.answer_field)]
    else:
        raise ConfigError(f"{where}: expected an object or [question, answer], got {str(row)[:80]!r}")
    return Case(_clean(question, f"{where}: the question"), _clean(answer, f"{where}: the answer"))


def _field(row: Mapping[str, Any], where: str, option: str, name: str | None) -> str:
    usual = QUESTION_FIELDS if option == "question_field" else ANSWER_FIELDS
    wanted = usual if name is None else (name,)
    for field in wanted:
        if field in row:
            return field
    known = ", ".join(map(str, row))
    raise ConfigError(f"{where}: no field {' or '.join(wanted)}; say which with {option}; its fields: {known}")


def _clean(value: Any, what: str) -> str:
    if not isinstance(value, str | int | float):
        raise ConfigError(f"{what} must be a text or a number, got {type(value).__name__}")
    # A lone surrogate, which JSON can hold, could not be sent.
    text = str(value).strip().encode("utf-8", "replace").decode()
    if not text:
        raise ConfigError(f"{what} is empty")
    return text
