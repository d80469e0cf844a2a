"""Every operator, problem, survival, selector and policy that the documents name can be named in a configuration."""

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
from evo.values import REEVALUATE_OPERATOR, SEED_OPERATOR

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
GROUPS: tuple[Group, ...] = get_args(Group)
KEYS: dict[str, Group] = {
    "problem": "problems",
    "operator": "operators",
    "operators": "operators",
    "survival": "survival",
    "parents": "parents",
    "selector": "selectors",
    "policy": "policies",
    "executor": "executors",
}
OWN_OF_THE_SEARCH = {SEED_OPERATOR, REEVALUATE_OPERATOR}
AUTOMATIC = {"auto"}
"""Executor that stands for whichever fits."""

NAME = r"([a-z][a-z0-9_]*)"
BESIDE_ITS_KIND = re.compile(rf"\b({'|'.join(KEYS)})(?: named)? `{NAME}`|`{NAME}` ({'|'.join(KEYS)})\b")
CONFIGURED = re.compile(rf"\b({'|'.join(KEYS)})(?:: (?:{{name: )?|=|\.name=){NAME}\b(?![.:=/])")
MIXTURE = re.compile(r"operators(?:: |=)\{(.*?)\}(?=['\"\s`,]|$)", re.MULTILINE)
MIXED = re.compile(rf"(?:^|, ){NAME}(?=: (?:[\d.]|\{{))")
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


def names_of_a_kind(text: str) -> Iterator[tuple[Group, str]]:
    """What a text names with the kind of thing that it is: beside the word, in a setting, in a mixture."""
    for key, name, name_before, key_behind in BESIDE_ITS_KIND.findall(text):
        yield KEYS[key or key_behind], name or name_before
    for key, name in CONFIGURED.findall(text):
        yield KEYS[key], name
    for mixture in MIXTURE.findall(text):
        for name in MIXED.findall(re.sub(r"options: \{.*?\}", "options", mixture)):
            yield "operators", name


@pytest.mark.parametrize("group", ["operators", "parents", "selectors", "policies"])
def test_every_plug_in_that_is_shipped_is_registered(group: Group) -> None:
    behind = {point.load() for point in entry_points(group=f"evo.{group}")}
    assert set(plug_in_classes(group)) - behind == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_name_that_stands_with_its_kind_is_registered(document: Path) -> None:
    allowed = {"operators": OWN_OF_THE_SEARCH, "executors": AUTOMATIC}
    for group, name in names_of_a_kind(document.read_text()):
        assert name in {*names(group), *allowed.get(group, ())}, f"no {name} among {group}"


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


def test_the_documents_name_something_of_every_kind() -> None:
    found = {pair for document in DOCUMENTS for pair in names_of_a_kind(document.read_text())}
    assert {group for group, _ in found} >= {"operators", "survival", "parents", "policies", "executors"}
    assert {("operators", "model_diff"), ("survival", "nsga3"), ("policies", "racing")} <= found
