"""Laws of who chooses the operator and the model: regret against uniform choice, and a router against each model alone.

The pools here are simulated: an arm's gain is drawn with a probability that the test sets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.genomes import Program
from evo.protocols import Arm, ArmRecord, OperatorSelector
from evo.search.selectors import Bandit, Router, Thompson, Ucb1, Weights, scale_of
from evo.values import Ask, Evaluation, Individual

BANDITS: list[Callable[..., Bandit]] = [Ucb1, Thompson]


def base(lines: int = 1) -> Individual:
    program = Program.single("".join(f"x{n} = {n}\n" for n in range(lines)))
    return Individual(0, 0, Ask(0, "seed"), program, Evaluation("ok", {"gain": 1.0}))


def arms(count: int) -> list[Arm]:
    return [Arm(f"operator {n}", "model", 1, 1.0) for n in range(count)]


def played(
    choice: OperatorSelector, chances: Sequence[float], pulls: int, *, usd: Sequence[float] | None = None, late: int = 0
) -> tuple[list[int], float]:
    """The arms that were chosen, and the dollars spent; results come `late` asks after their ask."""
    rng, world, parent = np.random.default_rng(1), np.random.default_rng(2), base()
    chosen: list[int] = []
    waiting: list[int] = []
    for _ in range(pulls):
        arm = choice.choose(rng)
        choice.asked(arm)
        chosen.append(arm)
        waiting.append(arm)
        if len(waiting) > late:
            done = waiting.pop(0)
            choice.ended(done, parent, gain=float(world.random() < chances[done]), usd=usd[done] if usd else 0.0)
    return chosen, sum(usd[arm] for arm in chosen) if usd else 0.0


@pytest.mark.parametrize("make", BANDITS)
@pytest.mark.parametrize("late", [0, 16])
def test_a_bandit_regrets_less_than_half_of_what_uniform_choice_does(make: Callable[..., Bandit], late: int) -> None:
    chances = [0.05, 0.1, 0.1, 0.6]
    regret = [max(chances) - one for one in chances]
    chosen, _ = played(make(arms(4)), chances, 1000, late=late)
    uniform, _ = played(Weights(arms(4)), chances, 1000, late=late)
    assert sum(regret[arm] for arm in chosen) < 0.5 * sum(regret[arm] for arm in uniform)


@pytest.mark.parametrize("make", BANDITS)
def test_by_the_dollar_a_cheap_arm_of_half_the_worth_is_preferred(make: Callable[..., Bandit]) -> None:
    chances, usd = [0.6, 0.3], [0.01, 0.001]
    by_gain, spent_by_gain = played(make(arms(2)), chances, 600, usd=usd)
    by_dollar, spent_by_dollar = played(make(arms(2), per_dollar=True), chances, 600, usd=usd)
    assert Counter(by_gain).most_common(1)[0][0] == 0
    assert Counter(by_dollar).most_common(1)[0][0] == 1
    gains = [sum(chances[arm] for arm in chosen) for chosen in (by_gain, by_dollar)]
    assert gains[1] / spent_by_dollar > 2 * gains[0] / spent_by_gain


@pytest.mark.parametrize("make", BANDITS)
def test_what_an_evaluation_is_worth_outweighs_a_small_difference_in_price(make: Callable[..., Bandit]) -> None:
    chances, usd = [0.6, 0.3], [0.01, 0.001]
    chosen, _ = played(make(arms(2), per_dollar=True, evaluation_usd=1.0), chances, 600, usd=usd)
    assert Counter(chosen).most_common(1)[0][0] == 0


@pytest.mark.parametrize("make", BANDITS)
def test_with_a_half_life_a_bandit_follows_a_change(make: Callable[..., Bandit]) -> None:
    choice, parent = make(arms(2), half_life=50), base()
    rng, world = np.random.default_rng(1), np.random.default_rng(2)
    late = []
    for ask in range(2000):
        arm = choice.choose(rng)
        choice.asked(arm)
        better = 0 if ask < 1000 else 1
        choice.ended(arm, parent, gain=float(world.random() < (0.6 if arm == better else 0.1)), usd=0.0)
        if ask >= 1500:
            late.append(arm)
    assert late.count(1) > 0.65 * len(late)


def test_ucb_tries_every_arm_before_any_result_is_in() -> None:
    choice = Ucb1(arms(5))
    rng = np.random.default_rng(0)
    asked = []
    for _ in range(5):
        asked.append(choice.choose(rng))
        choice.asked(asked[-1])
    assert sorted(asked) == [0, 1, 2, 3, 4]


def test_weights_keep_their_shares_whatever_comes_of_them() -> None:
    choice = Weights([Arm("much", None, 1, 3.0), Arm("little", None, 1, 1.0)])
    chosen, _ = played(choice, [0.0, 1.0], 4000)
    assert chosen.count(0) / len(chosen) == pytest.approx(0.75, abs=0.03)


POOL = [Arm("diff", "small", 1, 0.5), Arm("diff", "large", 1, 0.5)]


def routed(choice: OperatorSelector, asks: int = 1200) -> tuple[float, float]:
    """Gain and dollars over bases of two sizes: the cheap model is as good on small ones, and useless on large ones."""
    rng, world = np.random.default_rng(1), np.random.default_rng(2)
    gain = spent = 0.0
    for ask in range(asks):
        parent = base(1 if ask % 2 else 64)
        large = parent.genome.size > 60
        arm = choice.routed(choice.choose(rng), parent, rng)
        choice.asked(arm)
        chance = (0.0 if large else 0.5) if POOL[arm].model == "small" else 0.5
        usd = 0.001 if POOL[arm].model == "small" else 0.004
        won = float(world.random() < chance)
        choice.ended(arm, parent, gain=won, usd=usd)
        gain, spent = gain + won, spent + usd
    return gain, spent


class Only(Weights):
    def __init__(self, model: str) -> None:
        super().__init__(POOL)
        self._arm = next(place for place, arm in enumerate(POOL) if arm.model == model)

    def routed(self, arm: int, base: Individual, rng: np.random.Generator) -> int:
        return self._arm


def experience() -> list[ArmRecord]:
    small, large = scale_of(base(1)), scale_of(base(64))
    return [
        ArmRecord("diff", "small", 50, 25, 0.05, small),
        ArmRecord("diff", "small", 50, 0, 0.05, large),
        ArmRecord("diff", "large", 50, 25, 0.2, small),
        ArmRecord("diff", "large", 50, 25, 0.2, large),
    ]


def worth(choice: OperatorSelector, evaluation_usd: float) -> float:
    gain, spent = routed(choice)
    return gain / (spent + 1200 * evaluation_usd)


def test_a_router_gives_more_for_the_dollar_than_either_model_alone() -> None:
    # Without a price on the evaluation the cheap model alone would be the best buy; with one, wasted ones count.
    priced = {"per_dollar": True, "evaluation_usd": 0.004}
    router = worth(Router(POOL, experience(), **priced), 0.004)  # type: ignore[arg-type]
    assert router > 1.05 * max(worth(Only("small"), 0.004), worth(Only("large"), 0.004))


def test_a_router_that_learnt_from_earlier_runs_starts_better() -> None:
    def early(choice: OperatorSelector) -> float:
        gain, spent = routed(choice, 60)
        return gain / (spent + 60 * 0.004)

    taught = early(Router(POOL, experience(), evaluation_usd=0.004))
    assert taught > early(Router(POOL, evaluation_usd=0.004))


def test_a_router_never_changes_the_operator() -> None:
    choice = Router([*POOL, Arm("rewrite", "small", 1, 1.0), Arm("count", None, 1, 1.0)])
    rng = np.random.default_rng(0)
    for _ in range(200):
        arm = choice.choose(rng)
        assert choice.arms[choice.routed(arm, base(), rng)].operator == choice.arms[arm].operator


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)), max_size=60))
def test_the_record_is_the_sum_of_all_results(told: list[tuple[int, float, float]]) -> None:
    for choice in (Weights(arms(3)), Ucb1(arms(3), half_life=3), Thompson(arms(3)), Router(arms(3))):
        for arm, gain, usd in told:
            choice.asked(arm)
            choice.ended(arm, base(), gain=gain, usd=usd)
        for arm, one in enumerate(choice.record()):
            mine = [(gain, usd) for place, gain, usd in told if place == arm]
            assert one.pulls == len(mine)
            assert one.gain == pytest.approx(sum(gain for gain, _ in mine))
            assert one.usd == pytest.approx(sum(usd for _, usd in mine))


@pytest.mark.parametrize("options", [{"half_life": 0}, {"evaluation_usd": -1}])
def test_options_that_mean_nothing_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected at least 0 and above 0"):
        Ucb1(arms(2), **options)  # type: ignore[arg-type]
