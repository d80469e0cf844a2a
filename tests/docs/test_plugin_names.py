"""Every plug-in that is shipped is registered, and so is every name in the documents that looks like a plug-in's."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import pytest

from evo.registry import Group, names, resolve
from tests.support.paths import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
GROUPS: tuple[Group, ...] = get_args(Group)
NAME = r"([a-z][a-z0-9_]*)"
QUALIFIED = re.compile(r"\b((?:evo|operators|problems|cluster)(?:\.[a-z_]+)+:[A-Z]\w+)")


def in_code_font(text: str) -> set[str]:
    return set(re.findall(rf"`{NAME}`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def registered() -> set[str]:
    return {name for group in GROUPS for name in names(group)}


def plug_in_classes(group: Group) -> Iterator[type]:
    """Concrete classes beside those that are registered and related to them."""
    points = entry_points(group=f"evo.{group}")
    bases = {base for point in points for base in inspect.getmro(point.load())[1:] if base.__module__ != "builtins"}
    for module in map(importlib.import_module, sorted({point.module for point in points})):
        for _, found in inspect.getmembers(module, inspect.isclass):
            is_own = found.__module__ == module.__name__ and not found.__name__.startswith("_")
            if is_own and not inspect.isabstract(found) and not found.__subclasses__() and bases & set(found.__mro__):
                yield found


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("group", ["operators", "parents", "selectors", "policies"])
def test_every_plug_in_that_is_shipped_is_registered(group: Group) -> None:
    behind = {point.load() for point in entry_points(group=f"evo.{group}")}
    assert set(plug_in_classes(group)) - behind == set()


def test_a_name_in_code_font_that_is_called_like_a_plug_in_is_registered() -> None:
    classes = [found for group in GROUPS for found in plug_in_classes(group)]
    options = {option for found in classes for option in inspect.signature(found).parameters}
    called = {snake_case(found.__name__) for found in classes} - options
    for document in DOCUMENTS:
        assert (in_code_font(document.read_text()) & called) - registered() == set(), document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_name_with_its_module_can_be_imported(document: Path) -> None:
    for name in QUALIFIED.findall(document.read_text()):
        resolve("problems", name)
