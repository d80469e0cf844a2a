"""What runs in a candidate's own process: load its program, answer calls.

Nothing here is protection, since all of it is in the candidate's hands: limits and namespaces are on before it runs,
and what it sends back is only data.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

from cluster.sandbox import wire

OUT_OF_MEMORY_STATUS = 77
"""Exit status of a process that has no memory left to say so."""

_HEADING = "Traceback, innermost call last:\n"
_FRAMES_SHOWN = 12
_MESSAGE_LIMIT = 2000


class InvalidProgramError(Exception):
    """The program cannot be called at all; the message says why."""


class _Printed(io.FileIO):
    """A descriptor that candidates print to: what is beyond the limit of a file's length is dropped, and no failure."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            return memoryview(content).nbytes


def cut_output() -> None:
    """Print, from here on, as much as the limit of a file's length allows, and no more."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(_Printed(descriptor, "w", closefd=False))
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, text)


def serve(request: int, reply: int) -> None:
    """Read a program from `request`, then calls; write an answer to each to `reply`, until the other end closes.

    The program is `files` (name to text, the main file first), `entry` and `harness` (text or None). The first failure
    answers all later calls.
    """
    _, order = _WIRE.receive(request, limit_bytes=_NO_LIMIT)
    function, failure = None, None
    try:
        function = _load(order)
    except BaseException as error:
        failure = _failure(error, order["files"])
    while True:
        _, arguments = _WIRE.receive(request, limit_bytes=_NO_LIMIT)
        if function is not None and failure is None:
            try:
                _write(reply, _WIRE.frame(wire.VALUE, function(*arguments)))
                continue
            except BaseException as error:
                failure = _failure(error, order["files"])
        _write(reply, _WIRE.frame(wire.FAILURE, failure))


def _failure(error: BaseException, files: Mapping[str, str]) -> dict[str, str]:
    """Outcome and feedback."""
    try:
        with suppress(Exception):
            print(end="", flush=True)
        if isinstance(error, wire.WireError):
            return {"outcome": "invalid", "feedback": f"its answer is refused: {error}"}
        if isinstance(error, InvalidProgramError):
            return {"outcome": "invalid", "feedback": str(error)}
        outcome = "oom" if isinstance(error, MemoryError) else "crash"
        return {"outcome": outcome, "feedback": _traceback(error, files)}
    except MemoryError:
        os._exit(OUT_OF_MEMORY_STATUS)


def _load(order: Mapping[str, Any]) -> Callable[..., Any]:
    files = order["files"]
    if len(files) > 1:
        sys.meta_path.insert(0, _Files(files))
    main = next(iter(files))
    module = types.ModuleType(_module_name(main))
    module.__loader__ = _Source(main, files[main])
    sys.modules[module.__name__] = module
    exec(_compiled(files[main], main), module.__dict__)
    function = _entry(module, order["entry"], main)
    return function if order["harness"] is None else _wrapped(function, order["harness"])


def _compiled(text: str, file: str) -> types.CodeType:
    try:
        return compile(text, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f"{file}, line {error.lineno}" if error.lineno else file
        line = (error.text or "").strip()[:200]
        raise InvalidProgramError(f"{type(error).__name__}: {error.msg} ({place})\n    {line}".rstrip()) from None
    except ValueError as error:
        raise InvalidProgramError(f"{file} does not compile: {error}") from None
    except (MemoryError, RecursionError):
        raise InvalidProgramError(f"{file} does not compile: it is too large, or nested too deeply") from None


def _entry(module: types.ModuleType, entry: str, main: str) -> Callable[..., Any]:
    function = module.__dict__.get(entry)
    if function is None:
        raise InvalidProgramError(f"{main} defines no function {entry!r}")
    if not callable(function):
        raise InvalidProgramError(f"{entry!r} in {main} is a value of type {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]


def _wrapped(function: Callable[..., Any], harness: str) -> Callable[..., Any]:
    names: dict[str, Any] = {"__name__": "harness"}
    exec(_compiled(harness, "harness"), names)
    if not callable(names.get("wrap")):
        raise InvalidProgramError("the problem's harness defines no function wrap(entry)")
    wrapped = names["wrap"](function)
    if not callable(wrapped):
        raise InvalidProgramError(
            f"wrap(entry) of the problem's harness returned {type(wrapped).__name__}, not a function"
        )
    return wrapped  # type: ignore[no-any-return]


class _Source(Loader):
    """Loads a file of a program from memory; tracebacks and inspect read its lines through `get_source`."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(_compiled(self._text, self._file), module.__dict__)

    def get_source(self, name: str) -> str:
        return self._text


class _Files(MetaPathFinder):
    """Finds the files of a program by module name: a/b.py is a.b, and a is a package with or without a/__init__.py."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = {_module_name(file): file for file in files if file.endswith(".py")}
        self._texts = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        inside = any(name.startswith(fullname + ".") for name in self._files)
        if file is None and not inside:
            return None
        loader = None if file is None else _Source(file, self._texts[file])
        return ModuleSpec(fullname, loader, origin=file, is_package=inside or file == _package_file(fullname))


def _module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _package_file(name: str) -> str:
    return name.replace(".", "/") + "/__init__.py"


def _traceback(error: BaseException, files: Mapping[str, str]) -> str:
    """Where in the candidate's own files it happened, innermost last, and what."""
    places: list[tuple[types.CodeType, int]] = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename in files:
            places.append((step.tb_frame.f_code, step.tb_lineno))
        step = step.tb_next
    half = _FRAMES_SHOWN // 2
    hidden = max(0, len(places) - 2 * half)
    shown = [_frame(files[code.co_filename], code, line) for code, line in places[:half] + places[half + hidden :]]
    if hidden:
        shown.insert(half, f"  ... {hidden} more calls ...\n")
    return "".join([_HEADING, *shown]) + _message(error) if shown else _message(error)


def _frame(text: str, code: types.CodeType, number: int) -> str:
    lines = text.split("\n")
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return f"  {code.co_filename}, line {number}, in {code.co_name}\n    {line[:200]}\n"


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit: it called sys.exit({_text(error)}) instead of answering"
    return f"{type(error).__name__}: {_text(error)}".removesuffix(": ")


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_LIMIT]
    except Exception:
        return "(its text cannot be had)"


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


_NO_LIMIT = 1 << 62
_WIRE = wire.Wire()
