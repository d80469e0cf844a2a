"""Every error the platform raises on purpose.

EvoError
├── UserError            a mistake the user can fix: exit 2 and a sentence, never a traceback
│   ├── ConfigError      an unknown key, a bad value
│   ├── UnknownNameError no problem, operator, survival or executor of that name
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
from collections.abc import Iterable
from typing import Literal

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
