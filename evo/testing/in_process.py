"""A `Runner` without a sandbox. No isolation, no limits: for trusted programs in tests only."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from evo.errors import CandidateError
from evo.genomes import Program
from evo.models import NO_MODEL, Completion, Model, Request, complete_all
from evo.protocols import Function


@dataclass(frozen=True, slots=True)
class InProcessRun:
    """An `evo.protocols.Run` that runs the program right here, in the calling process.

    No isolation: for trusted programs in tests only. What the program raises becomes CandidateError("crash"), a missing
    entry or an answer that is no data CandidateError("invalid"). Arguments and answers are copied, and arrive equal
    except that tuples become lists and numpy scalars plain numbers, as they do over the wire.

    Attributes:
        model: answers requests; None where there is none.
        loop: that the model lives in, running in another thread; None runs a loop for each `ask`.
    """

    model: Model | None = None
    loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def __call__(self, program: Program, entry: str, *, harness: str | None = None) -> Iterator[Function]:
        with _importable(program):
            yield _Loaded(program, entry, harness)

    def ask(self, requests: Sequence[Request]) -> list[Completion]:
        if self.model is None:
            raise CandidateError("invalid", NO_MODEL)
        asked = complete_all(self.model, requests)
        if self.loop is None:
            return asyncio.run(asked)
        try:
            return asyncio.run_coroutine_threadsafe(asked, self.loop).result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None  # which passes every `except Exception` of a problem


run_in_process = InProcessRun()


class _Loaded:
    """Loads the program at the first call, as the sandbox does."""

    def __init__(self, program: Program, entry: str, harness: str | None) -> None:
        self._program = program
        self._entry = entry
        self._harness = harness

    def __call__(self, *arguments: Any) -> Any:
        given = [as_data(argument) for argument in arguments]
        return as_data(_guarded(lambda: self._function(*given)))

    @cached_property
    def _function(self) -> Callable[..., Any]:
        entry = _executed(self._program.main, self._program.text).get(self._entry)
        if not callable(entry):
            raise CandidateError("invalid", f"{self._program.main} defines no function {self._entry!r}")
        wrap = _executed("<harness>", self._harness)["wrap"] if self._harness is not None else _unwrapped
        return cast(Callable[..., Any], wrap(entry))


def as_data(value: Any) -> Any:
    """A copy of `value` as it arrives over the wire.

    Raises:
        CandidateError: it is no data.
    """
    match value:
        case np.ndarray() if value.dtype.kind in "biuf":
            return np.array(value)
        case np.bool_() | np.integer() | np.floating():
            return value.item()
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [as_data(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: as_data(item) for key, item in value.items()}
        case dict():
            raise CandidateError("invalid", "a dict with a key that is no text is no data")
    raise CandidateError("invalid", f"a value of type {type(value).__name__} is no data")


def _unwrapped(entry: Callable[..., Any]) -> Callable[..., Any]:
    return entry


def _executed(name: str, text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": Path(name).stem}
    exec(compile(text, name, "exec"), names)
    return names


def _guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except CandidateError:
        raise
    except (Exception, SystemExit) as error:  # a program may raise anything; that is its outcome, not ours
        raise CandidateError("crash", _traceback(error)) from error


def _traceback(error: BaseException) -> str:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


@contextmanager
def _importable(program: Program) -> Iterator[None]:
    """The program's files in a folder on the module path for as long as the context lasts."""
    if len(program.files) == 1:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, text in program.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        known = set(sys.modules)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(folder)
            _forget_modules(set(sys.modules) - known, folder)


def _forget_modules(names: set[str], folder: str) -> None:
    for name in names:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]
