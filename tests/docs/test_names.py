"""What the pages name exists: links, paths, modules, commands and their options, configuration keys, plug-ins, SQL."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml

from evo.cli.app import app
from evo.config.loading import load_config
from evo.config.schema import Config, Section
from evo.errors import LineageError
from evo.lineage import open_run
from evo.registry import names
from evo.search.descriptors import descriptor
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md"]
FOREIGN = {"local_lock", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"}  # of NFS, of Ray
SOURCES = (".py", ".sql", ".js", ".css", ".sh", ".yaml", ".sbatch")
FOLDERS = "evo|operators|problems|cluster|dashboard|tests|docs"
KINDS = ("problems", "operators", "survival", "parents", "selectors", "policies", "gateways", "executors")
GROUPS = {f"evo.{kind}" for kind in KINDS}
SECTIONS = "problem|model|search|evaluation|budget|executor|sandbox"


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=title)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def fenced(page: Path, language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)
    return [code for named, code in blocks if named == language]


def inline(page: Path) -> list[str]:
    """Code within sentences and tables."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL))


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every `evo` command that a page shows."""
    lines = [line.strip() for block in fenced(page, "") for line in block.replace("\\\n", " ").splitlines()]
    for line in [*(part.strip() for whole in lines for part in re.split(r"; (?:do )?", whole)), *inline(page)]:
        if re.match(r"evo (?!-)", line):
            yield shlex.split(line, comments=True)[1:]


# Links and paths


@pytest.mark.parametrize("page", LINKED, ids=title)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        path, _, heading = link.partition("#")
        if link.startswith("https://"):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", text_of(target), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}, link


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", text_of(index))}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index} <= linked


@each_page
def test_every_path_exists(page: Path) -> None:
    for path in re.findall(rf"(?<![\w./-])((?:{FOLDERS})/[\w./-]*\w/?)", text_of(page)):
        assert (ROOT / path.rstrip("/")).exists(), path


@each_page
def test_every_module_and_name_in_it_exists(page: Path) -> None:
    named = [*inline(page), *re.findall(r"^\s*from (\S+) import", text_of(page), re.MULTILINE)]
    for code in named:
        found = re.match(r"((?:evo|operators|problems|cluster|dashboard|tests)(?:\.\w+)+)", code)
        if found and found[1] not in GROUPS and not re.search(r"\.(py|sql|md|yaml)$", found[1]):
            assert resolved(found[1]) is not None, found[1]


@each_page
def test_every_import_and_name_of_the_python_api_exists(page: Path) -> None:
    for block in fenced(page, "python"):
        for module, imported in re.findall(r"^from (evo[\w.]*) import ([\w, ]+)$", block, re.MULTILINE):
            for name in imported.split(", "):
                assert resolved(f"{module}.{name}") is not None, name
        for name in re.findall(r"\bevo\.(\w+)", block):
            assert resolved(f"evo.{name}") is not None, name


def resolved(dotted: str) -> object:
    """A module, or an attribute of a module; None where there is neither."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            found = getattr(found, name, None)
        return found
    return None


@cache
def words_of_the_tree() -> frozenset[str]:
    """Every word of our sources, tests and scripts: what a page names in code is among them."""
    paths = [path for room in FOLDERS.split("|") for path in (ROOT / room).rglob("*") if path.suffix in SOURCES]
    texts = [path.read_text("utf-8") for path in (*paths, ROOT / "pyproject.toml", ROOT / "Makefile")]
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


@each_page
def test_every_identifier_in_a_sentence_occurs_in_the_sources(page: Path) -> None:
    for code in inline(page):
        if re.fullmatch(r"[A-Za-z]\w*(\.\w+)*(\(.*\))?", code) and re.search(r"_|[a-z][A-Z]", code):
            for word in re.findall(r"\w+", code.partition("(")[0]):
                assert word in words_of_the_tree() | FOREIGN, code


# Commands


@each_page
def test_every_command_has_the_options_that_a_page_gives_it(page: Path) -> None:
    commands_by_name = typer.main.get_group(app).commands
    for arguments in commands(page):
        if arguments[0] == "COMMAND":
            continue
        command = commands_by_name.get(arguments[0])
        assert command is not None, arguments
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for argument in arguments[1:]:
            if argument.startswith("--"):
                assert argument.partition("=")[0] in {*known, "--help"}, arguments


# Configuration


def is_key(key: str) -> bool:
    """Whether a configuration may have it; what is below a free mapping is anything."""
    section: type[Section] = Config
    *sections, last = key.split(".")
    for name in sections:
        field = section.model_fields.get(name)
        if field is None:
            return False
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, Section)):
            return nested(section, name) is None or key_in(nested(section, name), last)
        section = field.annotation
    return last in section.model_fields


def nested(section: type[Section], name: str) -> type[Section] | None:
    """The section within `X | None` or a mapping of sections."""
    pending = [section.model_fields[name].annotation]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
        pending += getattr(kind, "__args__", ())
    return None


def key_in(section: type[Section] | None, name: str) -> bool:
    return section is None or name in section.model_fields


@each_page
def test_every_key_is_one_of_the_configuration(page: Path) -> None:
    set_keys = [argument.partition("=")[0] for line in commands(page) for argument in after(line, "--set")]
    prose = [
        code.partition(":")[0] for code in inline(page) if re.fullmatch(rf"(?:{SECTIONS})\.[\w.]+(?:: \S+)?", code)
    ]
    for key in [*set_keys, *prose]:
        if not key.startswith(("problem.options", "evaluation.options")):
            assert is_key(key.removesuffix(".")), key


def after(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(arguments) if name == option]


@each_page
def test_every_configuration_loads(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(fenced(page, "yaml")):
        values = yaml.safe_load(block)
        if "problem" not in values or "cases" in str(values["problem"]):
            values["problem"] = "bin_packing"
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(values))
        config = load_config(str(path)).config
        assert set(config.search.operators) <= set(names("operators"))
        assert config.search.survival.name in names("survival")
        assert config.search.parents.name in names("parents")
        assert config.search.selector.name in names("selectors")
        assert config.evaluation.policy in names("policies")


# Names of plug-ins


def first_cells(page: str, heading: str) -> list[str]:
    """Names in the first column of the table whose header begins so."""
    table = text_of(ROOT / page).partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = [row.partition("|")[2].partition("|")[0] for row in table.splitlines()[2:]]
    return [name for cell in rows for name in re.findall(r"`([^`]+)`", cell)]


def test_the_policies_of_the_page_are_those_that_are_registered() -> None:
    assert set(first_cells("docs/policies.md", "policy")) == set(names("policies"))


def test_the_descriptors_of_the_page_exist() -> None:
    listed = first_cells("docs/niches.md", "name")
    assert len(listed) > 10
    for name in listed:
        assert descriptor(name) is not None


def test_the_operators_of_the_page_on_niches_are_registered() -> None:
    section = text_of(ROOT / "docs/niches.md").partition("## For vectors\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", section))
    assert len(named) >= 7
    assert named <= set(names("operators"))


def test_every_survival_in_the_page_on_search_is_registered() -> None:
    line = re.search(r"survival: (\w+) +# or (.*)", text_of(ROOT / "docs/search.md"))
    assert line is not None
    assert {line[1], *line[2].split(", ")} == set(names("survival"))


# SQL


def queries(page: Path) -> Iterator[str]:
    for arguments in commands(page):
        if arguments[0] == "sql" and len(arguments) > 2 and "QUERY" not in arguments:
            yield arguments[2]
    for code in inline(page):
        if re.match(r"(FROM|SELECT|WITH) (?!X\b)", code):
            yield code
    for block in fenced(page, "sql"):
        yield from (statement for statement in block.split(";") if statement.strip())


@each_page
def test_all_sql_runs(page: Path, toy_run: Path) -> None:
    run = open_run(toy_run)
    for query in queries(page):
        try:
            run.sql(query)
        except LineageError as error:
            pytest.fail(f"{query}\n{error}")
