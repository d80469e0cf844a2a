"""How a search adapts to a cluster; pure, without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.capacity import GROWTH, Allowance, Node, fair_shares, in_flight, places, room
from cluster.elastic import Elastic
from cluster.monitor import ClusterMonitor, View, changes
from cluster.queues import ResourceQueue, WaitingEvaluation
from cluster.stragglers import LEAST_SECONDS, PEERS, Stragglers
from evo.config.loading import load_config
from evo.engine.evaluator import Entry, Evaluator
from evo.engine.factories import resources_of
from evo.errors import ConfigError, UserError
from evo.genomes import Genome, Vector
from evo.journal.log import Journal, read_events
from evo.journal.recorder import Recorder
from evo.lineage import open_run
from evo.models import Model
from evo.policies.cascade import Cascade
from evo.protocols import ClusterEvent, Job
from evo.registry import make_problem
from evo.resources import Resources
from evo.testing.exam import Exam
from evo.testing.executor import InProcessExecutor
from evo.values import Ask, Candidate, Evaluation, Part
from tests.conftest import TOY, Evo

BIG = {"CPU": 8.0, "GPU": 2.0, "memory": 64.0 * 2**30, "licence": 3.0, "node:10.0.0.1": 1.0}


def node(name: str, **amounts: float) -> Node:
    return Node(name * 28, f"host-{name}", amounts)


@pytest.mark.parametrize(
    ("resources", "fit"),
    [
        (Resources(), 8),
        (Resources(cpus=3), 2),
        (Resources(cpus=1.5), 4),
        (Resources(cpus=9), 0),
        (Resources(cpus=0.1), 64),
        (Resources(cpus=0.25), 32),
        (Resources(gpus=1), 2),
        (Resources(gpus=0.25), 8),
        (Resources(gpus=0.1, cpus=0.1), 20),
        (Resources(memory_bytes=24 << 30), 2),
        (Resources(custom={"licence": 1}), 3),
        (Resources(custom={"tpu": 1}), 0),
        (Resources(cpus=2, gpus=1, custom={"licence": 2}), 1),
    ],
    ids=str,
)
def test_a_node_holds_as_many_as_its_scarcest_resource_allows(resources: Resources, fit: int) -> None:
    assert places(BIG, resources) == fit
    assert room([Node("a", "a", BIG)] * 3, resources) == 3 * fit
    assert room([], resources) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cpus": 0}, "cpus must be above 0, got 0"),
        ({"gpus": -1}, "gpus must be at least 0, got -1"),
        ({"gpus": 1.5}, "above 1, gpus must be whole, got 1.5"),
        ({"gpus": float("nan")}, "gpus must be a number, got nan"),
        ({"memory_bytes": True}, "memory_bytes must be a number, got True"),
        ({"custom": {"licence": 0}}, "licence must be above 0, got 0"),
        ({"custom": 3}, "custom resources are amounts by name"),
        ({"licence": 1}, "unknown resource 'licence'; known: cpus, custom, gpus, memory_bytes; others go into custom"),
    ],
    ids=str,
)
def test_resources_that_cannot_be_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Resources().but(wrong)


def test_the_configuration_changes_what_the_problem_says_field_by_field() -> None:
    prepared = load_config("evo.testing.toys:Echo", ["executor.resources.gpus=1", "executor.resources.custom={tpu: 2}"])
    problem = make_problem("evo.testing.toys:Echo", {})
    assert resources_of(prepared.config, problem) == Resources(cpus=0.1, gpus=1, custom={"tpu": 2})


@given(st.integers(0, 500), st.none() | st.integers(1, 500), st.floats(0.01, 1), st.booleans(), st.booleans())
def test_tasks_in_flight_are_bounded_and_never_none(
    places: int, most: int | None, share: float, fixed: bool, busy: bool
) -> None:
    found = in_flight(places, Allowance(most, share, fixed), busy=busy)
    assert 1 <= found <= 2 * places + max(GROWTH, places // GROWTH)
    if most is not None and most < places:
        assert found <= most
    if not fixed and (most is None or most > places):
        asked = places if share == 1 else max(1, int(places * share))
        assert found > asked or found == most or not places  # so that an autoscaler sees that more is wanted
    if not fixed:
        assert in_flight(places + 1, Allowance(most, share, fixed), busy=busy) >= found


def test_workers_bound_what_runs_at_once_on_a_larger_cluster() -> None:
    assert in_flight(100, Allowance(most=10), busy=True) == 10
    assert in_flight(100, Allowance(most=10, share=0.05), busy=True) == 6
    assert in_flight(4, Allowance(most=100), busy=True) == 16  # four places, and what an autoscaler may grow by
    assert in_flight(0, Allowance(most=100), busy=True) == 8
    assert in_flight(4, Allowance(most=4, fixed=True), busy=True) == 8
    assert in_flight(10, Allowance(most=5, fixed=True), busy=False) == 5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_shares_are_fair(wants: list[float]) -> None:
    shares = fair_shares(wants)
    assert sum(shares) <= 1 + 1e-9
    assert all(0 <= share <= want + 1e-9 for share, want in zip(shares, wants, strict=True))
    assert sum(shares) == pytest.approx(min(1.0, sum(wants)))  # nothing that is wanted is idle
    hungry = [share for share, want in zip(shares, wants, strict=True) if share < want - 1e-9]
    assert all(
        share == pytest.approx(max(shares)) for share in hungry
    )  # a search with less than it wants has as much as any
    assert fair_shares(wants[::-1]) == pytest.approx(shares[::-1])  # each driver computes it for itself


def test_shares_of_two_searches() -> None:
    assert fair_shares([1.0, 1.0]) == [0.5, 0.5]
    assert fair_shares([1.0, 0.2]) == pytest.approx([0.8, 0.2])
    assert fair_shares([0.0, 1.0, 1.0]) == [0.0, 0.5, 0.5]


def test_nodes_that_leave_and_join_are_reported_by_name() -> None:
    a, b, c = node("a", CPU=2.0, memory=5.0), node("b", CPU=4.0, GPU=1.0), node("c", CPU=1.0, licence=2.0)
    events = changes([a, b], [b, c])
    assert [(event.kind, event.detail["node"], event.detail["nodes"]) for event in events] == [
        ("node_left", "host-a/aaaaaaaa", 2),
        ("node_joined", "host-c/cccccccc", 2),
    ]
    assert [event.detail["resources"] for event in events] == [{"CPU": 2.0}, {"CPU": 1.0, "licence": 2.0}]
    assert changes([a, b], [b, a]) == []


class TestStragglers:
    def made(self, multiple: float | None = 3.0) -> Stragglers:
        stragglers = Stragglers(multiple)
        for number in range(PEERS):
            stragglers.observe("long", 10.0 + number / PEERS)
        return stragglers

    def test_an_evaluation_much_longer_than_its_slowest_peers_is_overdue(self) -> None:
        stragglers = self.made()
        usual = stragglers.usual_seconds("long")
        assert usual is not None
        assert 10.8 < usual <= 11.0
        assert not stragglers.overdue("long", 3 * usual)
        assert stragglers.overdue("long", 3 * usual + 0.1)
        assert not stragglers.overdue("long", 3 * usual + 0.1, count=2)  # in sequence, in the same task

    def test_nothing_is_overdue_without_peers_or_early_or_where_it_is_off(self) -> None:
        assert not self.made().overdue("other", 1e9)
        assert not self.made(None).overdue("long", 1e9)
        stragglers = Stragglers(3.0)
        for _ in range(PEERS - 1):
            stragglers.observe("short", 0.01)
        assert not stragglers.overdue("short", 1e9)
        stragglers.observe("short", 0.01)
        assert not stragglers.overdue("short", 0.99 * LEAST_SECONDS)
        assert stragglers.overdue("short", 1.01 * LEAST_SECONDS)

    def test_where_a_tenth_runs_into_the_limit_that_is_usual(self) -> None:
        stragglers = Stragglers(3.0)
        for number in range(100):
            stragglers.observe("mixed", 60.0 if number % 10 == 0 else 1.0)
        assert not stragglers.overdue("mixed", 61.0)


def queue() -> ResourceQueue:
    made = ResourceQueue(Resources(), batched=True, stragglers=Stragglers(2.0))
    made.fit(4, Allowance(fixed=True))
    return made


def waiting(number: int, cases: tuple[str, ...] | None = None, **fields: object) -> WaitingEvaluation:
    future: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
    return WaitingEvaluation((Vector((float(number),)), cases), "train", str(number), future, **fields)  # type: ignore[arg-type]


def in_a_loop(work: Callable[[], None]) -> None:
    async def go() -> None:
        work()

    asyncio.run(go())


def digests(members: Sequence[WaitingEvaluation]) -> list[str]:
    return [member.digest for member in members]


def test_short_evaluations_of_the_same_kind_share_a_task() -> None:
    def work() -> None:
        made = queue()
        made.seconds = 0.001
        made.queue.extend([waiting(0), waiting(1), waiting(2, ("q1",)), waiting(3, alone=True), waiting(4)])
        made.queue.extend(waiting(number) for number in range(5, 40))
        found = [made.next_batch() for _ in range(4)]
        assert [digests(batch.members) for batch in found if batch][:3] == [["0", "1"], ["2"], ["3"]]
        assert found[3] is not None
        assert digests(found[3].members)[:3] == ["4", "5", "6"]

    in_a_loop(work)


def test_a_cancelled_evaluation_is_not_sent() -> None:
    def work() -> None:
        made = queue()
        made.queue.extend(waiting(number) for number in range(3))
        for member in list(made.queue)[:2]:
            member.evaluation.cancel()
        batch = made.next_batch()
        assert batch is not None
        assert digests(batch.members) == ["2"]
        made.queue.append(waiting(3))
        made.queue[0].evaluation.cancel()
        assert made.next_batch() is None

    in_a_loop(work)


def test_an_overdue_evaluation_is_sent_once_more_at_most_and_never_if_it_asks_a_model() -> None:
    def work() -> None:
        made = queue()
        for _ in range(PEERS):
            made.stragglers.observe(("train", None), 1.0)
        made.queue.extend([waiting(0), waiting(1, mail=("mailbox", 1)), waiting(2)])
        sent = [made.next_batch() for _ in range(3)]
        for age, batch in zip((7.0, 8.0, 1.0), sent, strict=True):
            assert batch is not None
            batch.sent_at -= age
            made.batches[batch] = None
        assert made.overdue() == [sent[0]]
        sent[0].reissued = 7.0  # type: ignore[union-attr]
        assert made.overdue() == []

    in_a_loop(work)


class Wanting(InProcessExecutor):
    """Notes what each evaluation takes."""

    def __init__(self) -> None:
        super().__init__(Job("evo.testing.exam:Exam", {"questions": 40}, workers=3))
        self.taken: list[tuple[int | None, Resources | None]] = []

    async def evaluate(
        self,
        genome: Genome,
        part: Part = "train",
        *,
        cases: Sequence[str] | None = None,
        model: Model | None = None,
        resources: Resources | None = None,
    ) -> Evaluation:
        self.taken.append((None if cases is None else len(cases), resources))
        return await super().evaluate(genome, part, cases=cases, model=model)


def test_each_stage_of_a_cascade_takes_its_own() -> None:
    stages = [
        {"share": 0.1, "threshold": -1e9},
        {"share": 0.3, "threshold": -1e9, "resources": {"gpus": 1}},
    ]
    executor, base = Wanting(), Resources(cpus=2)
    evaluator = Evaluator(executor, Exam(questions=40), Cascade(stages=stages), seed=1, resources=base)

    async def go() -> list[Evaluation]:
        candidate = Candidate(1, Ask(1, "op", (), 0, None), Vector((0.9,)))
        found = [await evaluator.evaluate(Entry(candidate)), await evaluator.evaluate(Entry(candidate), as_seed=True)]
        await executor.close()
        return found

    assert [evaluation.outcome for evaluation in asyncio.run(go())] == ["ok", "ok"]
    wanted = Resources(cpus=2, gpus=1)
    assert executor.taken == [(4, None), (8, wanted), (16, None), (12, None), (None, None)]


@pytest.mark.parametrize("wrong", [{"gpu": 1}, {"gpus": -1}])
def test_a_stage_with_resources_that_cannot_be_is_refused_before_the_run(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="resource"):
        Cascade(stages=[{"share": 0.1, "threshold": 0, "resources": wrong}])


class Growing(InProcessExecutor):
    """Loses a node after some evaluations, and gains room for more."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._count = 0

    async def evaluate(self, genome: Genome, part: Part = "train", **others: object) -> Evaluation:  # type: ignore[override]
        self._count += 1
        if self._count == 20:
            self.capacity += 3
            self.on_event(ClusterEvent("node_left", {"node": "host/a"}))
        return await super().evaluate(genome, part)


def test_cluster_events_are_in_the_lineage_between_the_tells(evo: Evo) -> None:
    executor = ("--set", "executor=tests.cluster.test_elastic:Growing", "--set", "executor.workers=1")
    assert evo("run", TOY[0], *executor, "--set", "budget.evaluations=60", "--name", "grown").code == 0
    lineage = open_run("runs/grown")
    [(kind, detail, happened)] = lineage.sql(
        "SELECT kind, detail->>'node', happened FROM events WHERE kind LIKE 'node%'"
    ).rows
    assert (kind, detail) == ("node_left", "host/a")
    before = lineage.sql("SELECT count(*) FROM individuals WHERE told_at < ?", [happened]).scalar()
    assert 15 <= int(str(before)) <= 20
    assert lineage.sql("SELECT count(*) FROM individuals").scalar() == 60
    assert evo("resume", "runs/grown", "--set", "budget.evaluations=80").code == 0
    assert lineage.sql("SELECT count(*) FROM individuals").scalar() == 80


def test_a_cluster_event_is_a_line_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    Recorder(journal).cluster_event(ClusterEvent("node_joined", {"node": "host/b"}))
    journal.close()
    [(_, event)] = read_events(path)
    assert (event["event"], event["node"]) == ("node_joined", "host/b")


class Sky(ClusterMonitor):
    """Shows what a test puts there."""

    def __init__(self, *nodes: Node) -> None:
        self.view = View(nodes)
        self.wanted: list[float] = []

    def look(self, want: float) -> View:
        self.wanted.append(want)
        return self.view

    def leave(self) -> None:
        """Nothing was published."""


def test_capacity_follows_the_nodes_and_each_change_is_reported() -> None:
    a, b = node("a", CPU=4.0), node("b", CPU=8.0)
    sky, reported = Sky(a), list[str]()
    elastic = Elastic(Job("p", {}), sky, fixed=False, busy=True)
    elastic.on_event = lambda event: reported.append(f"{event.kind} {event.detail.get('node')}")
    queue = elastic.queue(Resources())
    queue.seconds = 1.0

    async def go() -> list[int]:
        found = []
        for nodes in ((a,), (a, b), (b,), ()):
            sky.view = View(nodes)
            await elastic.look()
            found.append(elastic.capacity)
        return found

    narrow, wide, middle, none = asyncio.run(go())
    assert 8 <= narrow < middle < wide
    assert none == 1  # an evaluation waits, so that an autoscaler sees demand
    joined = ["node_joined host-a/aaaaaaaa", "node_joined host-b/bbbbbbbb"]
    assert [text for text in reported if text != " None"] == [
        *joined,
        "node_left host-a/aaaaaaaa",
        "node_left host-b/bbbbbbbb",
    ]


def test_a_lack_of_room_is_reported_once_waited_for_and_given_up() -> None:
    sky, reported = Sky(node("a", CPU=4.0)), list[ClusterEvent]()
    elastic = Elastic(Job("p", {}, placement_timeout_seconds=60.0), sky, fixed=False, busy=True)
    elastic.on_event = lambda event: reported.append(event) if event.kind else None
    queue = elastic.queue(Resources(cpus=2, gpus=1))

    def work() -> None:
        elastic.take(sky.view)
        assert [event.kind for event in reported] == ["node_joined"]  # no evaluation waits yet
        queue.queue.append(waiting(0))
        elastic.take(sky.view)
        elastic.take(sky.view)
        assert [event.kind for event in reported[1:]] == ["no_room"]
        said = "no node has what an evaluation takes (2 CPU, 1 GPU); the most that a node has: 4 CPU, 0 GPU"
        assert reported[1].detail["reason"] == f"{said}; waiting up to 60 s for one"
        assert list(elastic.hopeless()) == []
        elastic.take(View((node("b", CPU=4.0, GPU=2.0),)))
        assert [event.kind for event in reported[2:]] == ["node_left", "node_joined", "room"]
        elastic.take(sky.view)
        assert queue.since is not None
        queue.since -= 61
        [(hopeless, error)] = elastic.hopeless()
        assert hopeless is queue
        assert f"{said}, and none joined in 60 s; ask for less by executor.resources" in str(error)

    in_a_loop(work)


def test_on_this_machine_what_does_not_fit_is_refused_at_once() -> None:
    elastic = Elastic(Job("p", {}), Sky(node("a", CPU=2.0)), fixed=True, busy=True)
    with pytest.raises(UserError, match=r"no node has what an evaluation takes \(1 CPU, 1 GPU\).*or name a cluster"):
        elastic.queue(Resources(gpus=1))
    assert elastic.queue(Resources(cpus=16)).places == 1  # it gets all cores
    assert elastic.capacity == 1


def test_queues_together_keep_within_the_workers() -> None:
    elastic = Elastic(Job("p", {}, workers=6), Sky(node("a", CPU=8.0, GPU=8.0)), fixed=False, busy=True)
    queues = [elastic.queue(Resources()), elastic.queue(Resources(gpus=1))]
    assert [queue.free for queue in queues] == [6, 6]

    def work() -> None:
        for queue in queues:
            queue.queue.extend(waiting(number) for number in range(2))
            while (batch := queue.next_batch()) is not None:
                queue.batches[batch] = None
                batch.tasks = dict.fromkeys([asyncio.get_running_loop().create_task(asyncio.sleep(0))])
        assert elastic.free == 2

    in_a_loop(work)


def test_what_a_search_wants_is_what_it_could_use() -> None:
    sky = Sky(node("a", CPU=8.0))
    elastic = Elastic(Job("p", {}, workers=4), sky, fixed=False, busy=True)
    queue = elastic.queue(Resources())

    async def go() -> None:
        await elastic.look()
        queue.queue.extend(waiting(number) for number in range(9))
        await elastic.look()

    asyncio.run(go())
    assert sky.wanted == [1.0, 0.0, 0.5]  # unknown, nothing, and four of eight places
    sky.view = View(sky.view.nodes, share=0.25)
    elastic.take(sky.view)
    assert queue.free == 3  # two, and another that waits
