"""The two zips that go to the cluster: our packages, and the folders that hold the files a configuration names."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from cluster.jobs.contract import ORDER
from cluster.sandbox.visible import OUR_PACKAGES
from evo.config.schema import Config
from evo.errors import UserError
from evo.journal.folder import JOURNAL

PROJECT = "evo-platform"
MOST_BYTES = 90 << 20
"""Of a package, packed; a head takes no request of more than 100 MiB."""

# Besides all that begins with a dot, such as .git, .venv and .env.
LEFT_OUT = ("__pycache__", "node_modules", "runs", "*.pyc", "*.duckdb", "*.duckdb.wal", "*.env", "*.pem", "*.key")
NAMES_PATHS = ("problem", "search", "evaluation")


@dataclass(frozen=True, slots=True)
class Package:
    """Files to send.

    Attributes:
        files: name within the package to the file here.
        texts: name within the package to its content.
    """

    what: str
    files: Mapping[str, Path]
    texts: Mapping[str, str] = field(default_factory=dict)

    def packed(self, folder: Path) -> Path:
        """The package as a zip, whose name follows from its content.

        Raises:
            UserError: too large, or a file cannot be read.
        """
        path = folder / "package.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in sorted(self.texts.items()):
                packed.writestr(_entry(name, 0o644), text)
            for name, file in sorted(self.files.items()):
                self._add(packed, name, file)
                if packed.fp is not None and packed.fp.tell() > MOST_BYTES:
                    raise self._too_large()
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return path.rename(folder / f"_ray_pkg_{digest[:32]}.zip")

    def _add(self, packed: zipfile.ZipFile, name: str, file: Path) -> None:
        try:
            entry = _entry(name, 0o755 if os.access(file, os.X_OK) else 0o644)
            entry.file_size = file.stat().st_size
            if entry.file_size > 20 * MOST_BYTES:
                raise self._too_large()
            with file.open("rb") as content, packed.open(entry, "w") as target:
                while block := content.read(1 << 20):
                    target.write(block)
        except OSError as error:
            raise UserError(f"cannot read {file}, which would go along: {error.strerror}") from error

    def _too_large(self) -> UserError:
        largest = sorted(self.files.values(), key=lambda file: file.stat().st_size, reverse=True)[:3]
        named = ", ".join(f"{file} ({file.stat().st_size / 1e6:.0f} MB)" for file in largest)
        return UserError(
            f"{self.what} is larger than the {MOST_BYTES >> 20} MiB that can go along; the largest are {named}: "
            "put what the problem does not need elsewhere, and what it needs onto the nodes (in the image, on a disk)"
        )


def our_package() -> Package:
    """The project's packages, and the metadata with their entry points."""
    files: dict[str, Path] = {}
    for package in OUR_PACKAGES:
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            files |= {f"{package}/{name}": file for name, file in _below(Path(place))}
    project = metadata.distribution(PROJECT)
    about = f"evo_platform-{project.version}.dist-info"
    texts = {f"{about}/{name}": project.read_text(name) or "" for name in ("METADATA", "entry_points.txt")}
    return Package("evo itself", files, texts)


def user_package(config: Config, order: Mapping[str, Any]) -> Package:
    """The files that the configuration names, with what lies beside them, under their paths in this folder.

    Raises:
        UserError: it names a file that would not be found on the head.
    """
    here = Path.cwd()
    files: dict[str, Path] = {}
    for path in named_paths(config):
        beside = path if path.is_dir() else path.parent
        files |= {str((beside / name).relative_to(here)): file for name, file in _below(beside)}
        if path.is_file():
            files[str(path.relative_to(here))] = path
    return Package(f"what lies in {here} beside the files that are named", files, {ORDER: json.dumps(order)})


def named_paths(config: Config) -> list[Path]:
    """Files and folders here that problem, search and evaluation of a configuration name, by their full paths.

    Raises:
        UserError: a path lies outside of this folder, and so would not be found on the head.
    """
    here = Path.cwd()
    fields = config.model_dump()
    found = dict.fromkeys(path for section in NAMES_PATHS for text in _texts(fields[section]) for path in _paths(text))
    for path in found:
        if here not in path.parents and path != here:
            raise UserError(
                f"the configuration names {path}, which is not below {here}: "
                "submit from a folder that holds all that it names, and name it relative to that"
            )
    return list(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)


def _paths(text: str) -> Iterator[Path]:
    """The file that a text names, if it is a path, "file.py:Name", or "module:Name" of a module here."""
    place, colon, attribute = text.rpartition(":")
    named = [text, place] if colon and attribute.isidentifier() else [text]
    if colon and not place.endswith(".py"):
        module = Path(*place.split(".")) if place else Path()
        named += [f"{module}.py", str(module / "__init__.py")]
    for path in named:
        if path and len(path) < 1000 and "\0" not in path and "\n" not in path and Path(path).exists():
            yield Path(os.path.abspath(path))


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files below a folder by their name in it, without caches, runs and secrets."""
    for parent, folders, names in os.walk(folder):
        at = Path(parent)
        folders[:] = sorted(name for name in folders if not _left_out(name) and not _is_environment_or_run(at / name))
        for name in sorted(names):
            file = at / name
            if not _left_out(name) and file.is_file():
                yield str(file.relative_to(folder)), file


def _left_out(name: str) -> bool:
    return name.startswith(".") or any(fnmatch.fnmatch(name, pattern) for pattern in LEFT_OUT)


def _is_environment_or_run(folder: Path) -> bool:
    """Virtual environments and run folders, whatever they are called."""
    return (folder / "pyvenv.cfg").exists() or (folder / JOURNAL).exists()


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    """Without the time of day, so that the same files make the same zip."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = mode << 16
    return entry
