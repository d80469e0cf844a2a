"""How often a policy finds the best of 100 candidates, and at what share of the pulls; how noise is overcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evo.genomes import Vector
from evo.policies.base import Schedule
from evo.policies.challenge import ChallengeSchedule
from evo.policies.low_rank import LowRank, LowRankSchedule
from evo.policies.minibatch import MinibatchSchedule
from evo.policies.racing import Racing, RacingSchedule
from evo.protocols import FloatArray
from evo.search.noise import Noise, NoiseSettings, reevaluated_individual
from evo.values import Ask, Evaluation, Individual, Objective
from tests.benchmarks.rows import Row
from tests.benchmarks.running import run_search

SEEDS = 100
SHARE = 0.15
TOLERANCE = 0.005
WIDTH = 32
NOISE = 0.5
ENGINE_SEEDS = 10
VALUE = (Objective("value", "max"),)


@dataclass(frozen=True)
class Matrix:
    """How score matrices are made: each score is 1 with a probability that is a clipped matrix of rank 4, else 0.

    The probability is the candidate's level, plus the case's, plus two products of a candidate's and a case's factor,
    clipped to [0, 1]; levels are set so that the candidates' mean probabilities are normal.

    Attributes:
        spread: standard deviation of the candidates' mean probabilities, about 0.6.
        difficulty: standard deviation of the cases' levels.
        topics: standard deviation of the sum of the two products.
    """

    spread: float = 0.08
    difficulty: float = 0.25
    topics: float = 0.15
    candidates: int = 100
    cases: int = 500

    def scores(self, seed: int) -> FloatArray:
        """A matrix of zeros and ones, shape (candidates, cases)."""
        rng = np.random.default_rng((seed, 1))
        means = np.clip(rng.normal(0.6, self.spread, self.candidates), 0.02, 0.98)
        skills = rng.normal(size=(self.candidates, 2))
        topics = rng.normal(0.0, self.topics / np.sqrt(2), (2, self.cases))
        rest = rng.normal(0.0, self.difficulty, self.cases) + skills @ topics
        probability = np.clip(levels(means, rest)[:, None] + rest, 0.0, 1.0)
        scores: FloatArray = (rng.random(probability.shape) < probability).astype(np.float64)
        return scores


PLAIN = Matrix()
STRUCTURED = Matrix(difficulty=0.4, topics=0.3)
CLOSE = Matrix(spread=0.05)

Make = Callable[[Matrix, np.random.Generator], Schedule]
POLICIES: dict[str, Make] = {
    "minibatch": lambda made, rng: MinibatchSchedule(
        made.candidates, made.cases, rng=rng, size=int(SHARE * made.cases)
    ),
    "racing": lambda made, rng: RacingSchedule(made.candidates, made.cases, rng=rng, policy=Racing(share=SHARE)),
    "low_rank": lambda made, rng: LowRankSchedule(made.candidates, made.cases, rng=rng, policy=LowRank(share=SHARE)),
}


def levels(means: FloatArray, rest: FloatArray) -> FloatArray:
    """What to add to each row of `rest` so that, clipped to [0, 1], it has the mean that is wanted; by bisection."""
    low, high = np.full(len(means), -4.0), np.full(len(means), 4.0)
    for _ in range(40):
        middle = (low + high) / 2
        below = np.clip(middle[:, None] + rest, 0.0, 1.0).mean(axis=1) < means
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float64)


def played(schedule: Schedule, scores: FloatArray) -> int:
    """Let a schedule see what it asks for; how many pulls it made."""
    pulls = 0
    while not schedule.done:
        for pull in schedule.next(WIDTH):
            schedule.observe(pull, float(scores[pull.candidate, pull.case]))
            pulls += 1
    return pulls


def best_estimate(schedule: Schedule) -> int:
    """The candidate with the highest estimate, the first of equals."""
    return int(np.argmax([estimate.mean for estimate in schedule.estimates()]))


def found_best(schedule: Schedule, scores: FloatArray) -> bool:
    """Whether the candidate with the highest estimate is the best on the full matrix, or nearly."""
    means = scores.mean(axis=1)
    return bool(means[best_estimate(schedule)] >= means.max() - TOLERANCE - 1e-9)


@dataclass(frozen=True)
class Played:
    """How a schedule did over several seeds.

    Attributes:
        found: seeds in which the best was found.
        mean_share: of all pulls, over the seeds.
        largest_share: of all pulls, in any seed.
        seconds: CPU of a race, on average, the making of the matrix left out.
    """

    found: int
    mean_share: float
    largest_share: float
    seconds: float


def over_seeds(made: Matrix, make: Make, seeds: int) -> Played:
    found, shares, seconds = 0, [], 0.0
    for seed in range(seeds):
        scores = made.scores(seed)
        started = time.process_time()
        schedule = make(made, np.random.default_rng((seed, 2)))
        shares.append(played(schedule, scores) / scores.size)
        seconds += time.process_time() - started
        found += found_best(schedule, scores)
    return Played(found, float(np.mean(shares)), max(shares), seconds / seeds)


@dataclass
class Lucky:
    """50 individuals measured once, of which the second was lucky.

    Truths are normal with deviation 0.3 and at most 0.7, but for the best, the first, with 1; noise has deviation 0.5.
    The second has truth 0 and was measured as 2.2.
    """

    truth: FloatArray
    members: list[Individual]
    noise: Noise
    rng: np.random.Generator

    @classmethod
    def of(cls, seed: int) -> Lucky:
        rng = np.random.default_rng(seed)
        truth = np.minimum(rng.normal(0.0, 0.3, 50), 0.7)
        truth[:2] = 1.0, 0.0
        values = rng.normal(truth, NOISE).tolist()
        values[1] = 2.2
        members = [
            Individual(
                number, number, Ask(number, "seed"), Vector((float(number),)), Evaluation("ok", {"value": value})
            )
            for number, value in enumerate(values)
        ]
        return cls(truth, members, Noise(NoiseSettings(), VALUE), rng)

    def reevaluate(self, number: int) -> None:
        value = float(self.rng.normal(self.truth[number], NOISE))
        self.members[number] = reevaluated_individual(self.members[number], Evaluation("ok", {"value": value}), VALUE)
        self.noise = self.noise.learnt(self.members)

    @property
    def best_wins(self) -> bool:
        """Whether the truly best is on top, by the bounds by which a search compares."""
        return min(map(self.noise.appraised, self.members), key=VALUE[0].cost).id == 0


def best_wins(seed: int, *, reevaluated: int) -> bool:
    """Whether the truly best is on top after the search's rule had so many re-evaluated."""
    lucky = Lucky.of(seed)
    for _ in range(reevaluated):
        again = lucky.noise.most_uncertain(lucky.members, ())
        if again is None:
            break
        lucky.reevaluate(again.id)
    return lucky.best_wins


def best_wins_evenly(seed: int, *, times: int) -> bool:
    """Whether the truly best is on top after each was re-evaluated so many times."""
    lucky = Lucky.of(seed)
    for _ in range(times):
        for number in range(len(lucky.members)):
            lucky.reevaluate(number)
    return lucky.best_wins


def challenged(made: Matrix, seed: int) -> list[tuple[bool, bool, int]]:
    """All candidates against a good incumbent, the tenth best: whether each is better, was pruned, and its pulls."""
    scores = made.scores(seed)
    means = scores.mean(axis=1)
    incumbent = int(np.argsort(-means)[9])
    rows = []
    for candidate in np.flatnonzero(np.arange(len(scores)) != incumbent).tolist():
        challenge = ChallengeSchedule(scores[incumbent], rng=np.random.default_rng((seed, candidate, 3)))
        pulls = played(challenge, scores[candidate : candidate + 1])
        rows.append((bool(means[candidate] > means[incumbent]), not challenge.seen.all(), pulls))
    return rows


def measure() -> list[Row]:
    rows = []
    for what, made in (("N(0.6, 0.08)", PLAIN), ("more structure", STRUCTURED), ("N(0.6, 0.05)", CLOSE)):
        for name, make in POLICIES.items():
            rows += _race_rows(
                f"{what}: {name}", over_seeds(made, make, SEEDS), made is not CLOSE and name != "minibatch"
            )
    return [*rows, *_noise_rows(), *_challenge_rows(), *_engine_rows()]


def _race_rows(what: str, figures: Played, aimed: bool) -> list[Row]:
    return [
        Row(f"{what} finds the best of 100, seeds of {SEEDS}", figures.found, "", 95 if aimed else None),
        Row("  largest share of the pulls", 100 * figures.largest_share, "%", 100 * SHARE, at_most=True),
        Row("  mean share of the pulls", 100 * figures.mean_share, "%"),
        Row("  CPU of a race", figures.seconds, "s", 1.0, at_most=True),
    ]


@dataclass(frozen=True)
class Searched:
    """Searches through the whole engine: mean of the best marks, pulls in all, and seconds."""

    best: float
    pulls: int
    seconds: float


def searched(policy: str, evaluations: int) -> Searched:
    """`ENGINE_SEEDS` searches for a vector that does well in an exam of 200 cases."""
    best, pulls, began = [], 0, time.perf_counter()
    for seed in range(ENGINE_SEEDS):
        run = run_search(
            "evo.testing.exam:Exam",
            "executor=evo.testing.executor:InProcessExecutor",
            "executor.workers=8",
            f"seed={seed}",
            "problem.options.questions=200",
            f"evaluation={policy}",
            f"budget.evaluations={evaluations}",
        )
        results = [event["evaluation"] for event in run.tells]
        best.append(max(result["objectives"]["marks"] for result in results if result["outcome"] == "ok"))
        pulls += sum(len(result["cases"]) for result in results)
    return Searched(float(np.mean(best)), pulls, time.perf_counter() - began)


def _engine_rows() -> list[Row]:
    full, few = searched("{policy: full}", 240), searched("{policy: full}", 50)
    rows = [Row("a search of 240 candidates over 200 cases, full: best marks", 100 * full.best, "%")]
    rows.append(Row("  of 50 candidates, full", 100 * few.best, "%"))
    for name in ("racing", "low_rank"):
        raced = searched(f"{{policy: {name}}}", 240)
        rows += [
            Row(f"  of 240 by {name}, batches of 16", 100 * raced.best, "%", 100 * full.best - 1),
            Row("    share of the pulls", 100 * raced.pulls / full.pulls, "%", 25, at_most=True),
            Row("    seconds a search", raced.seconds / ENGINE_SEEDS, "s"),
        ]
    return rows


def _noise_rows() -> list[Row]:
    alone = sum(best_wins(seed, reevaluated=0) for seed in range(SEEDS))
    ruled = sum(best_wins(seed, reevaluated=200) for seed in range(SEEDS))
    evenly = sum(best_wins_evenly(seed, times=4) for seed in range(SEEDS))
    return [
        Row(f"a lucky candidate among 50: the best wins after 200 re-evaluations, seeds of {SEEDS}", ruled, "", 95),
        Row("  with these spread evenly", evenly),
        Row("  without them", alone),
    ]


def _challenge_rows() -> list[Row]:
    outcomes = [outcome for seed in range(10) for outcome in challenged(PLAIN, seed)]
    pruned = [better for better, early, _ in outcomes if early]
    winners = [early for better, early, _ in outcomes if better]
    pulls = float(np.mean([pulls for _, _, pulls in outcomes]))
    return [
        Row(
            "challenge, limit 1 %: of the pruned, were better",
            100 * float(np.mean(pruned)),
            "%",
            1.0,
            True,
        ),
        Row("  of those better, were pruned", 100 * float(np.mean(winners)), "%"),
        Row("  share of the pulls that was made", 100 * pulls / PLAIN.cases, "%"),
    ]
