"""The laws of the layout: which package imports which, how large things are, and which words are not used."""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("evo", "operators", "problems", "cluster", "dashboard")
OWNERS = {
    "openai": "operators",
    "aiohttp": "operators",
    "ray": "cluster",
    "streamlit": "dashboard",
    "plotly": "dashboard",
    "duckdb": "evo/lineage",
    "pytest": "evo/testing/contracts",
}
# From the lowest up; a package imports packages of lower rows and the modules at the root of evo, which are below all.
LAYERS = (
    ("survival", "policies"),
    ("search",),
    ("config",),
    ("journal",),
    ("lineage",),
    ("engine",),
    ("analysis",),
    ("cli", "testing"),
)
LEVELS = {package: level for level, packages in enumerate(LAYERS, 1) for package in packages}
# The public API resolves its names lazily, and `python -m evo` is the command line.
ABOVE_ALL = ("evo", "evo.__main__")
MOST_MODULES, MOST_MODULES_AT_ROOT = 16, 14
LONG_FILE_LINES = 400

# Words that were replaced by the field's (see docs/glossary.md), as parts of any identifier in any case of letters ...
WORDS_GONE = re.compile(
    r"adults|atlas|befell|briefing|broods?|contests?|couriers?|dialects?|duels?|eased|finale|fruitless|incidents?"
    r"|loneliness|lookout|parcels?|patience|remeasured|residents|standing|till|turnstile|unplaced|workshop"
)
# ... and as whole identifiers where the word has other uses; an underscore before the name changes nothing.
NAMES_GONE = re.compile(
    r"Alike|alike|Draft|Everything|Letter|Living|living|OneBatch|Races|refuse_\w+|Site|Spot|Stages|Survey|Tip|Tips"
    r"|Told|TOLD|told|turns_away"
)
# Where an old word may stand: the reader of old configuration keys.
OLD_WORDS_ALLOWED = ("evo/config/old_keys.py",)
MOST_NAMED_ONE = 60


@cache
def sources() -> Mapping[Path, ast.Module]:
    """Every module of the packages, by its path from the root of the project."""
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return {path.relative_to(ROOT): ast.parse(path.read_text("utf-8")) for path in paths}


def in_room(room: str) -> Iterator[tuple[Path, ast.Module]]:
    return ((path, tree) for path, tree in sources().items() if path.parts[0] == room)


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names_imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name of each import, wherever it stands: in functions and under TYPE_CHECKING too; "" for a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "one spelling for each import: absolute"
            assert not node.level, "one spelling for each import: absolute"
            yield from ((node.module, alias.name) for alias in node.names)


def libraries(tree: ast.Module) -> set[str]:
    return {module.partition(".")[0] for module, _ in names_imported(tree)}


@cache
def imports() -> Mapping[str, frozenset[str]]:
    """Module of ours to the modules of ours that it imports; the name of a package stands for its __init__."""
    modules = {module_of(path) for path in sources()}
    found = {}
    for path, tree in sources().items():
        targets = {
            next((target for target in (f"{module}.{name}", module) if target in modules), "")
            for module, name in names_imported(tree)
        }
        found[module_of(path)] = frozenset(targets - {"", module_of(path)})
    return found


def level_of(module: str) -> int:
    return LEVELS.get(module.split(".")[1], 0) if "." in module else 0


def package_of(module: str) -> str:
    """The package of evo that holds a module; "" for the root."""
    name = module.split(".")[1] if "." in module else ""
    return name if name in LEVELS else ""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_sibling(room: str) -> None:
    allowed = {room, "evo"}
    wrong = [(str(path), name) for path, tree in in_room(room) for name in libraries(tree) & set(ROOMS) - allowed]
    assert wrong == []


@pytest.mark.parametrize(("library", "home"), OWNERS.items())
def test_each_big_library_lives_in_one_folder(library: str, home: str) -> None:
    users = [path for path, tree in sources().items() if library in libraries(tree)]
    assert [str(path) for path in users if not path.is_relative_to(home)] == []


def test_every_package_of_evo_has_its_place_in_the_order() -> None:
    packages = {path.parts[1] for path, _ in in_room("evo") if len(path.parts) > 2}
    assert packages == set(LEVELS)


def test_no_module_of_evo_imports_one_of_a_package_above_its_own_or_beside_it() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, targets in imports().items()
        for target in targets
        if module.startswith("evo") and target.startswith("evo") and module not in ABOVE_ALL
        if package_of(module) != package_of(target) and level_of(target) >= level_of(module)
    ]
    assert wrong == []


def test_nothing_but_tests_imports_the_contracts() -> None:
    contracts = "evo.testing.contracts"
    wrong = [
        f"{module} imports {target}"
        for module, targets in imports().items()
        for target in targets
        if target.startswith(contracts) and not module.startswith(contracts)
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_imports_go_in_a_circle(room: str) -> None:
    graph = {module: targets for module, targets in imports().items() if module.split(".")[0] == room}
    assert circle_in(graph) == []


def circle_in(graph: Mapping[str, frozenset[str]]) -> Sequence[str]:
    """Modules that import each other in a circle, the first again at the end; empty where there are none."""
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done or module not in graph:
            return []
        for target in sorted(graph[module]):
            if found := search(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := search(module, []))), [])


def test_a_circle_is_found() -> None:
    graph = {"a": frozenset("b"), "b": frozenset("cd"), "c": frozenset("d"), "d": frozenset()}
    assert circle_in(graph) == []
    assert circle_in({**graph, "d": frozenset("b")}) == ["b", "c", "d", "b"]


def test_no_package_of_evo_is_crowded() -> None:
    folders = Counter(path.parent for path, _ in in_room("evo") if path.name != "__init__.py")
    most = {folder: MOST_MODULES_AT_ROOT if folder == Path("evo") else MOST_MODULES for folder in folders}
    assert {str(folder): count for folder, count in folders.items() if count > most[folder]} == {}


def test_functions_stay_small() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in sources().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=20)[-1] <= 40
    assert max(lengths) <= 60


def test_long_files_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    """A note, no law: a file is split where its ideas part, and never written around a number."""
    lengths = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in sources()}
    long = {str(path): lines for path, lines in lengths.items() if lines > LONG_FILE_LINES}
    with capsys.disabled():
        for path, lines in sorted(long.items()):
            print(f"\nnote: {path} has {lines} lines; {LONG_FILE_LINES} are about the most that reads well", end="")


def identifiers(tree: ast.Module) -> Iterator[str]:
    """Names of classes, functions, arguments, variables, attributes and keywords."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Name(name) | ast.arg(name) | ast.Attribute(attr=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def is_gone(identifier: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return bool(NAMES_GONE.fullmatch(identifier.lstrip("_"))) or any(
        WORDS_GONE.fullmatch(word.lower()) for word in words
    )


def test_an_old_word_is_found_in_any_identifier() -> None:
    gone = ("Turnstile", "_brood_size", "OneBatch", "told", "_told", "refuse_options", "max_fruitless")
    assert [name for name in gone if not is_gone(name)] == []
    assert [
        name for name in ("count_told", "batch_size", "TipOfDay", "until", "stage", "refused") if is_gone(name)
    ] == []


def test_words_that_were_replaced_by_the_fields_do_not_come_back() -> None:
    found = {
        f"{path}: {name}"
        for path, tree in sources().items()
        if str(path) not in OLD_WORDS_ALLOWED
        for name in identifiers(tree)
        if is_gone(name)
    }
    assert sorted(found) == []


def test_few_things_are_named_one() -> None:
    """A variable has the name of the thing that it holds: member, candidate, path, row."""
    named = Counter(str(path) for path, tree in sources().items() for name in identifiers(tree) if name == "one")
    assert named.total() <= MOST_NAMED_ONE, named.most_common(10)
