"""What the languages of files are called above a fenced block of code."""

from __future__ import annotations

from pathlib import PurePosixPath

# The first name is written; all of them are understood.
NAMES: dict[str, tuple[str, ...]] = {
    "py": ("python", "py", "python3"),
    "cc": ("cpp", "c++", "cc"),
    "cpp": ("cpp", "c++", "cc"),
    "hpp": ("cpp", "c++", "cc"),
    "h": ("c", "cpp", "c++"),
    "cu": ("cuda", "cpp", "c++"),
    "rs": ("rust", "rs"),
    "js": ("javascript", "js"),
    "ts": ("typescript", "ts"),
    "jl": ("julia", "jl"),
    "sh": ("bash", "sh", "shell"),
    "rb": ("ruby", "rb"),
    "hs": ("haskell", "hs"),
    "f90": ("fortran",),
    "md": ("markdown", "md"),
    "txt": ("text", "txt"),
}
OTHER_TAGS = ("console", "diff", "go", "html", "java", "json", "output", "plaintext", "sql", "toml", "xml", "yaml")
ALL_TAGS = frozenset([*OTHER_TAGS, *(name for names in NAMES.values() for name in names)])
PYTHON_TAGS = frozenset(NAMES["py"])


def tags_of(file: str) -> tuple[str, ...]:
    """Tags that fit a file, the usual tag first; its extension where no other is known."""
    extension = PurePosixPath(file).suffix.removeprefix(".").lower()
    return NAMES.get(extension, (extension or "text",))
