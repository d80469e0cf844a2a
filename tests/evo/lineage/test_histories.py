"""The lineage of a long history: deep pedigrees of two parents, and the benchmarks that measure a million."""

from __future__ import annotations

import pytest

from evo.lineage import Run, open_run, rebuild
from tests.benchmarks import million, readers
from tests.benchmarks.histories import History

COUNT = 3000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Simulated: a population of 12, so that lines grow hundreds deep and paths through them beyond number."""
    folder = tmp_path_factory.mktemp("made")
    history = History(folder, population=12)
    history.grow(COUNT)
    history.journal.close()
    rebuild(folder)
    return open_run(folder)


def test_ancestors_are_all_that_can_be_reached_by_parents(made: Run) -> None:
    parents: dict[int, set[int]] = {}
    for child, parent in made.sql("SELECT child, parent FROM parents").rows:
        parents.setdefault(child, set()).add(parent)
    for one in (0, 1, COUNT // 2, COUNT - 1):
        reached, waiting = {one}, [one]
        while waiting:
            new = parents.get(waiting.pop(), set()) - reached
            reached |= new
            waiting += new
        found = [row[0] for row in made.sql("FROM ancestors(?)", [one]).rows]
        assert sorted(found) == sorted(reached)
        assert found[0] == one


def test_depth_is_one_more_than_the_highest_among_the_parents(made: Run) -> None:
    generation = dict(made.sql("SELECT id, generation FROM individuals").rows)
    above: dict[int, int] = {}
    for child, parent in made.sql("SELECT child, parent FROM parents").rows:
        above[child] = max(above.get(child, 0), generation[parent])
    assert generation == {one: above[one] + 1 if one in above else 0 for one in generation}
    assert max(generation.values()) > 200


def test_what_the_best_cost_is_the_sum_over_its_ancestors(made: Run) -> None:
    best = made.best().rows[0][1]
    count, completions, usd = made.sql("FROM cost_of(?)", [best]).rows[0]
    assert count == completions == len(made.ancestors(best).rows)
    assert usd == pytest.approx(3e-4 * count)


def test_the_benchmark_of_a_million_measures_a_thousand_too() -> None:
    rows = {row.what.strip(): row.figure for row in million.measure(1000)}
    assert rows["lineage.duckdb, each individual"] > 0
    assert 0 < rows["of how many it came"] < 1000
    assert all(figure < 10 for what, figure in rows.items() if what.startswith(("FROM", "ancestors")))


@pytest.mark.slow
def test_nothing_is_lost_beside_readers_or_while_one_holds_the_database() -> None:
    rows = {row.what.strip(): row.figure for row in readers.measure(2.0)}
    assert rows["individuals that the database lacks at the end"] == 0
    assert rows["polls that failed"] == 0
    assert rows["a writer alone"] > 0
