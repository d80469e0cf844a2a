"""Every error the platform raises on purpose.

EvoError
├── UserError            a mistake the user can fix: exit 2 and a sentence, never a traceback
│   ├── ConfigError      an unknown key, a bad value
│   ├── UnknownNameError no problem, operator, survival or executor of that name
│   ├── AuthorError      a problem or plug-in that its author has to mend: the file, the line, what was expected
│   ├── GenomeError      a genome that cannot be read
│   ├── RunFolderError   missing, already there, unwritable, or in use by another process
│   ├── JournalError     a journal that cannot be read or written
│   └── LineageError     a lineage database that is absent, damaged or full, or a query it refuses
│       ├── LineageLockedError    another process has it open
│       └── LineageDamagedError what is there is no whole database
├── CandidateError       what a candidate did wrong; becomes an Evaluation, never reaches the user as an error
├── SandboxError         the sandbox itself is broken (not the candidate)
└── StoppedError         an interruption that leaves nothing to finish, or a second interruption: stop now, exit 130
"""

from __future__ import annotations

import difflib
import errno
import inspect
import shlex
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["ok", "invalid", "timeout", "oom", "crash", "lost", "pruned"]
"""How the evaluation of a candidate ended."""

# The system's ways to say that no more can be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class EvoError(Exception):
    """Root of the tree."""


class UserError(EvoError):
    """A mistake the user can fix; the message says what, where and what to do."""


class ConfigError(UserError):
    """A configuration that cannot be used: an unknown key, a value out of range."""


class UnknownNameError(UserError):
    """Nothing is registered under that name."""


class AuthorError(UserError):
    """Code of a problem or plug-in that cannot be loaded, or does not give what is expected of it."""


class GenomeError(UserError):
    """A text or JSON that is no genome of the expected kind."""


class RunFolderError(UserError):
    """A run folder that is missing, taken, unwritable or in use."""


class JournalError(UserError):
    """A journal that cannot be read (corrupt in the middle) or written (disk full)."""


class LineageError(UserError):
    """A lineage database that cannot be opened or a query it refuses."""


class LineageLockedError(LineageError):
    """A lineage database that another process, or a writer of this process, has open right now."""


class LineageDamagedError(LineageError):
    """A lineage database that was changed from outside, or was never finished; the journal makes it again."""


class CandidateError(EvoError):
    """A candidate failed: the outcome and the feedback that its evaluation will carry."""

    def __init__(self, outcome: Outcome, feedback: str) -> None:
        super().__init__(f"{outcome}: {feedback}")
        self.outcome: Outcome = outcome
        self.feedback = feedback

    def __reduce__(self) -> tuple[type[CandidateError], tuple[Outcome, str]]:
        return CandidateError, (self.outcome, self.feedback)


class StoppedError(EvoError):
    """The user asked to stop at once; what was under way is left for `evo resume`."""


class SandboxError(EvoError):
    """The sandbox could not start, or broke; says nothing about the candidate."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not known, with the nearest known name."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {what} {name!r}{hint} known: {', '.join(names) or 'none'}"


def command(*words: object) -> str:
    """A command of ours as a shell takes it, whatever is in the names of folders."""
    return shlex.join(("evo", *map(str, words)))


def printable(text: str) -> str:
    """A text without what would steer a terminal: control and other invisible characters are spelt out."""
    if text.isprintable():
        return text
    shown = (
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1]
        for character in text.replace("\r\n", "\n")
    )
    return "".join(shown)


def place_of(error: BaseException) -> str:
    """Where in code that is neither ours nor a library's an error arose, as "file.py, line 3"; "" where nowhere."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _by_an_author(frame.filename)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def written_at(code: type | Callable[..., Any]) -> str:
    """Where a class or function is written, as "file.py, line 3"; its name where there is no source."""
    try:
        _, line = inspect.getsourcelines(code)
        return f"{Path(inspect.getsourcefile(code) or '').name}, line {line}"
    except (OSError, TypeError):
        return code.__qualname__


def author_error(what: str, error: BaseException) -> AuthorError:
    """The sentence for what an author's code raised, with its place.

    Args:
        what: failed, as in "problems/mine.py cannot be loaded".
    """
    place = place_of(error)
    message = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    kind = "" if isinstance(error, EvoError) else f"{type(error).__name__}: "
    return AuthorError(f"{what}: {f'{place}: ' if place else ''}{kind}{message:.500}")


def _by_an_author(file: str) -> bool:
    ours = Path(__file__).parent
    elsewhere = (str(ours), str(ours.parent / "cluster"), *(sysconfig.get_path(name) for name in _LIBRARIES))
    return not file.startswith(("<", *elsewhere))


_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")
