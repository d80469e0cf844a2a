"""Candidates that mean harm, each with the outcomes that its evaluation may have; most of them are in hostile.txt.

There, each has a heading `=== name: outcomes (needs)`, then the body of `double(x)`, or a module that defines it; it
shall return twice an array of floats. Words between at signs are filled in by the test: @SECRET_FILE@ and @SCORER_FILE@
can be read by the test alone, @FOLDER@ is its own, @PORT@ is where it listens, @CALLS@ are forbidden system calls. A
candidate that got what it wanted says WON, whose text the test looks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from evo.values import Outcome

IMPORTS = """\
import ctypes, gc, itertools, os, re, resource, signal, struct, sys, threading, time
import numpy as np
WON = "I have" + " won"
def frame(kind, text, arrays=b"", lengths=None):
    text_bytes, array_bytes = lengths or (len(text), len(arrays))
    return struct.pack("<BBxxIQ", kind, b"array" in text, text_bytes, array_bytes) + text + arrays
def shout(content):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, content)
        except OSError:
            pass
"""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One such candidate.

    Attributes:
        outcomes: what its evaluation may be.
        needs: what stops it, where that is not on every Linux: "namespaces", or "files" (namespaces or Landlock).
    """

    name: str
    source: str
    outcomes: tuple[Outcome, ...]
    needs: str = ""


def _candidate(heading: str, lines: str) -> Hostile:
    name, _, rest = heading.rpartition(": ")
    outcomes, _, needs = rest.partition(" (")
    if "def double" not in lines:
        lines = "def double(x):\n" + "".join(f"    {line}\n" for line in lines.splitlines())
    return Hostile(name, IMPORTS + lines, cast(tuple[Outcome, ...], tuple(outcomes.split())), needs.rstrip(")"))


_BLOCKS = ("\n" + Path(__file__).with_name("hostile.txt").read_text("utf-8")).split("\n=== ")[1:]

CORPUS = (
    *(_candidate(*block.split("\n", 1)) for block in _BLOCKS),
    Hostile("syntax error", "def double(x:\n", ("invalid",)),
    Hostile("null bytes", "def double(x):\0\n", ("invalid",)),
    Hostile("empty", "", ("invalid",)),
    Hostile("no such function", "def triple(x):\n    return x\n", ("invalid",)),
    Hostile("no function", "double = 2\n", ("invalid",)),
    Hostile("missing module", "import no_such_module\n", ("crash",)),
    Hostile("imports the engine", "import evo\n", ("crash",)),
    Hostile("imports the problems", "import problems.bin_packing\n", ("crash",)),
    Hostile("imports the sandbox", "import cluster.sandbox.sandbox\n", ("crash",)),
    Hostile("deep brackets", "(" * 100000 + ")" * 100000, ("invalid", "crash")),
    Hostile("deep operators", "x = " + "-" * 300000 + "1\n", ("invalid", "crash")),
    Hostile("1 MB of source", "# " + "x" * (1 << 20) + "\ndef double(x):\n    return x * 2\n", ("ok",)),
    Hostile(
        "1 MB of statements", "x = 1\n" * (1 << 18) + "def double(x):\n    return x * 2\n", ("ok", "timeout", "oom")
    ),
    Hostile("wrong arguments", "def double():\n    return 1\n", ("crash",)),
)
