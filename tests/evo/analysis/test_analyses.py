"""What `evo analyse` says is so: against plain reckoning, against the SQL of docs/analysis.md, and on odd runs."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evo.analysis import analyses
from evo.analysis.pedigree import Pedigree, weighed
from evo.analysis.traits import _holm
from evo.cli.analyse import analyse
from evo.errors import LineageError
from evo.lineage import Projection, Run, Table, open_run, open_runs
from tests.conftest import TOY, Evo
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "analysis.md"
NAMED: dict[str, Callable[[Run], Table]] = {name: getattr(analyses, name) for name in analyses.__all__}


def rows(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


@contextmanager
def making(folder: Path, direction: str = "min") -> Iterator[duckdb.DuckDBPyConnection]:
    """A run folder whose lineage is written by hand."""
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b"")
    Projection(folder).catch_up()
    with duckdb.connect(str(folder / "lineage.duckdb")) as client:
        client.execute("INSERT INTO runs VALUES ('made', '2026-01-01', 'p', '', 0, '{}', '{}', NULL)")
        client.execute("INSERT INTO objective_names VALUES (0, 'value', ?, '')", [direction])
        client.execute("BEGIN")
        yield client
        client.execute("COMMIT")


def tell(client: duckdb.DuckDBPyConnection, one: int, best: float | None, at: str, **made: Any) -> None:
    """An individual told at the tell of its number."""
    operator, model = made.get("operator", "op"), made.get("model")
    parents, leaving = made.get("parents", ()), made.get("leaving", ())
    client.execute(
        "INSERT INTO individuals VALUES (?, ?, 0, 'vector', '{}', '', 1, ?, ?, true, ?, 'ok', ?, NULL)",
        [one, one, operator, model, made.get("thought", ""), f"2026-01-01 {at}"],
    )
    client.execute("INSERT INTO proposals VALUES (?, ?, 0, ?, ?, 'ok', '', '2026-01-01')", [one, one, operator, model])
    client.execute(
        "INSERT INTO evaluations SELECT ?, 0, 'train', 'ok', 2, 0, 0, '2026-01-01', '', '', 'none', 0, '', 0", [one]
    )
    client.execute("INSERT INTO indicators VALUES (?, 1, 1, 'value', ?, NULL, NULL, NULL, NULL)", [one, best])
    client.execute("INSERT INTO arrivals VALUES (?, ?, 0, NULL, 'born')", [one, one])
    for parent in parents:
        role = "base" if parent == parents[0] else "mate"
        client.execute("INSERT INTO parents VALUES (?, ?, ?)", [one, parent, role])
    for other in leaving:
        client.execute("INSERT INTO removals VALUES (?, ?, 0)", [one, other])


def pay(client: duckdb.DuckDBPyConnection, ask: int, usd: float, at: str) -> None:
    client.execute(
        "INSERT INTO completions VALUES (?, 'proposal', 'diff', 'm', 'e', 'ok', 1, 0, 1, ?, 1, 1, '[]', '', '', '', ?)",
        [ask, usd, f"2026-01-01 {at}"],
    )


PEDIGREES = st.integers(1, 25).flatmap(
    lambda size: st.tuples(
        *(st.lists(st.integers(0, one - 1), max_size=3) if one else st.just([]) for one in range(size))
    )
)


def pedigree(parents: tuple[list[int], ...]) -> Pedigree:
    edges = [(child, parent, number == 0) for child, made in enumerate(parents) for number, parent in enumerate(made)]
    columns = np.array(edges, dtype=np.int64).reshape(-1, 3).T
    ids = np.arange(len(parents))
    return Pedigree.of(dict(zip(("child", "parent", "base"), columns, strict=True)), {"id": ids, "tell": ids})


def line(parents: tuple[list[int], ...], one: int) -> set[int]:
    return {one}.union(*(line(parents, parent) for parent in set(parents[one])))


@given(PEDIGREES, st.data())
def test_passes_over_the_edges_find_whom_recursion_finds(parents: tuple[list[int], ...], draw: st.DataObject) -> None:
    everybody = range(len(parents))
    some = sorted(draw.draw(st.sets(st.sampled_from(everybody), min_size=1)))
    found, lines = pedigree(parents), {one: line(parents, one) for one in everybody}
    ancestors = list(found.ancestors(some))
    assert [one for one, _ in ancestors] == sorted(set().union(*(lines[one] for one in some)), reverse=True)
    assert all(bits == sum(1 << bit for bit, of in enumerate(some) if one in lines[of]) for one, bits in ancestors)
    assert found.descendants(some) == [sum(one in lines[other] for other in everybody) - 1 for one in some]
    tells = {one: (one * 7) % 11 for one in everybody}
    assert found.latest(tells) == [max(tells[other] for other in everybody if one in lines[other]) for one in everybody]
    bases = tuple(made[:1] for made in parents)
    assert found.offspring().tolist() == [
        [sum(made.count(one) for made in parents), sum(one in line(bases, other) for other in everybody) - 1]
        for one in everybody
    ]
    weights = np.arange(2.0 * len(ancestors)).reshape(-1, 2)
    assert weighed([bits for _, bits in ancestors], weights, len(some)).tolist() == [
        [sum(w[kind] for (one, _), w in zip(ancestors, weights, strict=True) if one in lines[of]) for kind in (0, 1)]
        for of in some
    ]


def test_improvements_add_up_to_what_the_run_had_spent(toy_run: Path) -> None:
    run = open_run(toy_run)
    steps = rows(analyses.improvements(run))
    assert [one["best"] for one in steps] == sorted((one["best"] for one in steps), reverse=True)
    assert len(steps) > 2
    assert steps[-1]["individual"] == run.best().rows[0][1]
    assert sum(one["evaluations"] for one in steps) == steps[-1]["tell"] + 1
    assert math.isclose(sum(one["gain"] or 0 for one in steps), steps[0]["best"] - steps[-1]["best"])
    whole = run.sql("SELECT epoch(max(told_at) - (SELECT started FROM runs)) FROM individuals").scalar()
    assert 0 < sum(one["seconds"] for one in steps) <= whole


def test_a_maximised_objective_improves_upwards_and_dollars_and_pauses_are_reckoned(tmp_path: Path) -> None:
    with making(tmp_path / "made", "max") as client:
        tell(client, 0, None, "00:00:01", operator="seed")
        tell(client, 1, 1.0, "00:00:02", operator="seed")
        pay(client, 2, 0.5, "00:00:03")
        pay(client, 3, 0.25, "00:00:03")
        tell(client, 2, 1.0, "00:00:05", model="m")
        client.execute("INSERT INTO events VALUES ('2026-01-01 00:00:06', 'stop', '{}')")
        client.execute("INSERT INTO events VALUES ('2026-01-01 01:00:06', 'resume', '{}')")
        pay(client, 4, 8, "01:00:09")
        tell(client, 3, 3.0, "01:00:08", model="m")
        tell(client, 4, 2.0, "01:00:10", model="m")
    run = open_run(tmp_path / "made")
    assert analyses.improvements(run).rows == (
        (1, 1, "seed", None, 1.0, None, 2, 2.0, 0.0),
        (3, 3, "op", "m", 3.0, 2.0, 2, 6.0, 0.75),
    )
    first = rows(analyses.cost_per_improvement(run))[0]
    assert (first["operator"], first["model"], first["improvements"], first["gain"]) == ("op", "m", 1, 2.0)
    assert (first["evaluations"], first["seconds"], first["usd"]) == (3, 6.0, 8.75)
    assert (first["evaluations_each"], first["seconds_each"], first["usd_each"]) == (3.0, 6.0, 8.75)
    reached = {one["target"]: (one["tell"], one["usd"]) for one in rows(analyses.time_to_target(run, [1, 2.5, 9]))}
    assert reached == {1.0: (1, 0.0), 2.5: (3, 0.75), 9.0: (None, None)}
    shares = [one["target"] for one in rows(analyses.time_to_target(run))]
    assert shares == pytest.approx([2.0, 2.5, 2.8, 2.9, 2.98, 3.0])


def test_a_leader_that_falls_back_under_noise_is_no_improvement_when_it_recovers(tmp_path: Path) -> None:
    with making(tmp_path / "made") as client:
        for one, best in enumerate((5.0, 2.0, 4.0, 3.0, 1.0)):
            tell(client, one, best, f"00:00:0{one}")
        client.execute("INSERT INTO leaders VALUES (4, 'value', 1, 3, 1.0, 1.2)")
    steps = rows(analyses.improvements(open_run(tmp_path / "made")))
    assert [(one["tell"], one["individual"], one["best"]) for one in steps] == [(0, 0, 5.0), (1, 1, 2.0), (4, 1, 1.0)]


def test_every_proposal_is_in_one_tenth(toy_run: Path) -> None:
    run = open_run(toy_run)
    yields = rows(analyses.yield_over_time(run))
    assert sum(one["proposals"] for one in yields) == run.sql("SELECT count(*) FROM proposals").scalar()
    assert {one["tenth"] for one in yields} == set(range(1, 11))
    for column in ("proposals", "valid", "survived", "entered_front"):
        whole = run.sql(f"SELECT sum({column}) FROM operator_yield").scalar()
        assert sum(one[column] for one in yields) == whole, column


def test_a_lineage_that_takes_over_is_seen_to(tmp_path: Path) -> None:
    with making(tmp_path / "made") as client:
        for one, parents, leaving in (
            *((0, [], []), (1, [], []), (2, [], [])),
            *((3, [0, 1], [2]), (4, [3, 3], [0]), (5, [4], [1]), (6, [4], [3])),
        ):
            tell(client, one, 1.0, "00:00:01", parents=parents, leaving=leaving)
        client.execute("INSERT INTO front_moves VALUES (6, 6, true), (6, 5, true)")
    run = open_run(tmp_path / "made")
    assert analyses.takeover(run).rows == (
        (0, 1, 1, 1.0, 0, 0),
        (1, 2, 2, 0.5, None, None),
        (2, 3, 3, 1 / 3, None, None),
        (3, 3, 2, 2 / 3, None, None),
        (4, 3, 2, 1.0, 1, 1),
        (5, 3, 2, 1.0, 3, 3),
        (6, 3, 2, 1.0, 4, 4),
    )
    assert [row[:1] + row[3:] for row in analyses.founders(run).rows] == [
        (0, 4, 3, 1.0, 2, 6, True),
        (1, 4, 3, 1.0, 2, 5, True),
        (2, 0, 0, 0.0, 0, 1, False),
    ]
    assert analyses.fates(run).rows == (("living", 2, 5, 5.5, 6), ("extinct", 1, 1, 1.0, 1))
    assert analyses.front_ancestry(run).rows[:2] == ((5, 4, 1.25, 2.25), (6, 4, 1.25, 2.25))
    assert analyses.common_ancestors(run).rows == ((2, 6, 4, 4, 4),)


def traits_made(folder: Path, thought: Callable[[int], str]) -> Run:
    """A line of every tenth individual, which leads to the front, among 400."""
    with making(folder) as client:
        client.execute(
            "INSERT INTO individuals SELECT unnest(range(400)), unnest(range(400)), 0, '', '{}', '', 1, 'op', NULL, "
            "true, unnest(?::VARCHAR[]), 'ok', TIMESTAMP '2026-01-01', NULL",
            [[thought(one) for one in range(400)]],
        )
        client.execute("INSERT INTO parents SELECT range, range - 10, 'base' FROM range(10, 400)")
        client.execute("INSERT INTO front_moves VALUES (390, 390, true)")
    return open_run(folder)


def test_what_only_the_winners_line_has_stands_out_and_noise_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planted = traits_made(tmp_path / "planted", lambda one: "good" if one % 10 == 0 and one % 20 else f"n{one % 8}")
    found = {one["trait"]: one for one in rows(analyses.traits_of_ancestors(planted))}
    assert (found["good"]["ancestors"], found["good"]["individuals"], found["good"]["lift"]) == (20, 20, 10.0)
    assert found["good"]["p"] < 1e-9
    assert 3 < found["good"]["low"] < 10 < found["good"]["high"]
    assert found["op"]["p"] == 1
    noise = traits_made(tmp_path / "noise", lambda one: f"n{rng.integers(30)}")
    judged = rows(analyses.traits_of_ancestors(noise))
    assert len(judged) > 20
    assert min(one["p"] for one in judged) > 0.05
    assert all(one["low"] <= one["lift"] <= one["high"] for one in judged)


def test_p_is_that_of_the_exact_test_corrected_for_all_traits(tmp_path: Path) -> None:
    run = traits_made(tmp_path / "made", lambda one: ("one", "two", "three", "four", "five")[one % 10 // 2])
    judged = rows(analyses.traits_of_ancestors(run))
    plain = []
    for one in judged:
        k, n = one["ancestors"], one["individuals"]
        tails = [stats.fisher_exact([[k, n - k], [40 - k, 360 - n + k]], side).pvalue for side in ("less", "greater")]
        plain.append(min(1.0, 2 * min(tails)))
    assert sorted(one["p"] for one in judged) == pytest.approx(sorted(_holm(np.array(plain))))
    assert _holm(np.array([0.03, 0.01, 0.02])).tolist() == pytest.approx([0.04, 0.03, 0.04])


def test_the_best_few_may_be_the_winners(toy_run: Path) -> None:
    run = open_run(toy_run)
    best = run.best().rows[0][1]
    line = run.ancestors(best).rows
    assert analyses.common_ancestors(run, 1).rows[0][:4] == (1, len(line), len(line), best)
    assert analyses.common_ancestors(run, 5).rows[0][0] == 5


def blocks() -> dict[str, str]:
    text = DOCUMENT.read_text("utf-8")
    return dict(re.findall(r"^## `(\w+)`\n.*?```sql\n(.*?)```", text, re.MULTILINE | re.DOTALL))


def test_every_analysis_has_its_sql() -> None:
    assert set(blocks()) == set(NAMED)


def test_the_sql_of_the_documentation_agrees_with_the_functions(toy_run: Path) -> None:
    run = open_run(toy_run)
    for name, query in blocks().items():
        by_hand, by_function = run.sql(query), NAMED[name](run)
        known = [by_function.columns.index(column) for column in by_hand.columns]
        found = [tuple(row[one] for one in known) for row in by_function.rows]
        expected = found[:-1] if name == "front_ancestry" else found  # whose last row is everybody's
        assert by_hand.rows, name
        for mine, theirs in zip(sorted(by_hand.rows, key=str), sorted(expected, key=str), strict=True):
            assert mine == pytest.approx(theirs), name


ODD = {
    "one evaluation": ["budget.evaluations=1"],
    "islands": ["search.islands.count=3", "search.islands.every=15", "search.islands.reset_every=30"],
    "noise": ["search.noise.reevaluation_rate=0.3"],
    "one objective": [],
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_runs_are_told_in_80_columns_and_as_json(evo: Evo, odd: str) -> None:
    target = ["sphere", *TOY[1:]] if odd == "one objective" else list(TOY)
    settings = [part for one in ["budget.evaluations=40", *ODD[odd]] for part in ("--set", one)]
    made = evo("run", *target, *settings, "--name", "odd")
    assert made.code == 0, made.err
    told = evo("analyse", "runs/odd", "--target", "0.5", "--target", "-1")
    assert told.code == 0, told.err
    assert max(map(len, told.out.splitlines())) <= 80
    assert "never" in told.out
    assert "nan" not in told.out
    document = json.loads(evo("analyse", "runs/odd", "--json", "--best", "2").out)
    assert set(document["runs/odd"]) == set(NAMED)


def test_long_names_and_dollars_fit_into_80_columns(evo: Evo, tmp_path: Path) -> None:
    with making(tmp_path / "made", "max") as client:
        for one in range(100):
            model = f"a-language-model-with-a-long-name-{one % 2}"
            parents = [one - 3] if one >= 3 else []
            thought = "an idea of many words that goes on " * (one % 3)
            operator = f"an_operator_of_a_long_name_{one % 4}"
            made = {"operator": operator, "model": model, "parents": parents, "thought": thought}
            tell(client, one, one / 3000, f"00:{one // 60:02}:{one % 60:02}", **made)
            pay(client, one, 1 / (1000 + one), f"00:{one // 60:02}:{one % 60:02}")
        client.execute("INSERT INTO front_moves VALUES (98, 98, true)")
        client.execute("UPDATE objective_names SET name = 'an objective of a long name', unit = 'parts per million'")
        client.execute("UPDATE indicators SET name = 'an objective of a long name'")
        client.execute("INSERT INTO objectives SELECT id, 'an objective of a long name', id FROM individuals")
    told = evo("analyse", tmp_path / "made", "--target", "0.012345678")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert any("95 % interval" in line for line in lines)
    assert "99, the last 8; evals" in told.out


def test_several_runs_are_analysed_together(evo: Evo, toy_run: Path) -> None:
    assert evo("run", *TOY, "--set", "budget.evaluations=30", "--set", "seed=2", "--name", "other").code == 0
    told = evo("analyse", "runs/toy", "runs/other", "--target", "0.2")
    assert told.code == 0, told.err
    assert "TIME TO TARGET, run by run" in told.out
    table = open_runs("runs/*").each(analyses.founders)
    assert table.columns[:2] == ("run", "founder")
    assert [row[1:] for row in table.rows if row[0] == "toy"] == list(analyses.founders(open_run(toy_run)).rows)
    assert {row[0] for row in table.rows} == {"toy", "other"}


def test_a_run_that_told_nothing_yet_is_named_and_each_analysis_of_it_is_empty(evo: Evo, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "new"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b"")
    Projection(folder).catch_up()
    refused = evo("analyse", folder)
    assert refused.code == 2
    assert "there is no result yet" in refused.err
    for name, analysis in NAMED.items():
        assert [one for one in analysis(open_run(folder)).rows if any(one)] == [], name


def crowd(folder: Path, count: int) -> None:
    """A lineage of so many individuals, two parents each among the 200 before, of which always 200 live."""
    evaluated = "'train', 'ok', 1, 1, 0, told_at, '', '', 'none', 0, '', 0"
    completed = "'proposal', 'diff', model, 'e', 'ok', 1, 0, 1, 0.001, 1, 1, '[]', '', '', '', told_at"
    with making(folder) as client:
        client.execute(f"""
            INSERT INTO individuals SELECT range, range, 0, 'program', '{{}}', '', 9,
                if(range < 200, 'seed', 'op' || range % 7), 'm' || range % 2, true,
                'idea ' || hash(range) % 50000 || repeat('x', 500), 'ok',
                TIMESTAMP '2026-01-01' + to_milliseconds(range), NULL FROM range({count});
            INSERT INTO proposals SELECT id, id, 0, operator, model, 'ok', '', told_at FROM individuals;
            INSERT INTO parents SELECT range, range - 1 - (hash(range, role) % 200)::BIGINT, role
                FROM range(200, {count}), (VALUES ('base'), ('mate')) AS roles(role);
            INSERT INTO evaluations SELECT id, 0, {evaluated} FROM individuals;
            INSERT INTO completions SELECT id, {completed} FROM individuals;
            INSERT INTO arrivals SELECT id, id, 0, NULL, 'born' FROM individuals;
            INSERT INTO removals SELECT id, id - 200, 0 FROM individuals WHERE id >= 200;
            INSERT INTO indicators SELECT id, 50, 200, 'value', 1 / (1 + id // 1000), NULL, NULL, NULL, NULL
                FROM individuals;
            INSERT INTO front_moves SELECT id, id, true FROM individuals WHERE id >= {count} - 50;
        """)


def slowest_of(folder: Path) -> float:
    run, spent = open_run(folder), []
    for analysis in NAMED.values():
        started = time.process_time()
        assert analysis(run).rows
        spent.append(time.process_time() - started)
    return max(spent)


def test_each_analysis_of_ten_thousand_individuals_takes_a_moment(tmp_path: Path) -> None:
    crowd(tmp_path / "crowd", 10_000)
    assert slowest_of(tmp_path / "crowd") < 10


@pytest.mark.slow
def test_each_analysis_of_a_million_individuals_takes_seconds(tmp_path: Path) -> None:
    crowd(tmp_path / "crowd", 1_000_000)
    assert slowest_of(tmp_path / "crowd") < 30


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    from evo.cli.analyse import Question

    with pytest.raises(LineageError, match="no lineage at .*nowhere"):
        analyse([tmp_path / "nowhere"], Question((), None), as_json=False)
