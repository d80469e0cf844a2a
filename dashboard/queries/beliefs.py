"""What the operator selector believes of its arms over time, derived from the outcomes of asks.

The lineage has no record of beliefs. These are the same sums as in `evo.search.selectors`, at the end of each of many
stretches: pulls, gain and dollars of each arm, faded where the selector fades them. Asks that were under way at that
moment are left out, and so is what a router knows of single sizes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.queries.operators import ENTERED, PARTS, REWARD
from dashboard.queries.sampling import stride
from evo.config.old_keys import renamed
from evo.lineage import LineageReader
from evo.lineage.queries import quoted
from evo.search.selectors import INHERITED_PULLS, LEAST_USD
from evo.values import REEVALUATE_OPERATOR, SEED_OPERATOR

ArmName = tuple[str, str | None]
# In standard deviations of a posterior: about nine samples of ten lie within this distance of the mean.
WIDTH = 1.645
ENDED = f"""
    SELECT p.ask, p.operator, p.model, p.individual, {REWARD} AS gain,
        row_number() OVER (ORDER BY coalesce(i.told_at, p.proposed), p.ask) AS n
    FROM proposals p LEFT JOIN individuals i ON i.id = p.individual LEFT JOIN {ENTERED}
    WHERE p.island = {{island}} AND p.operator NOT IN ({quoted(SEED_OPERATOR)}, {quoted(REEVALUATE_OPERATOR)})
        AND (p.outcome <> 'ok' OR i.id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class SelectorSettings:
    """How a run selects operators and models.

    Attributes:
        name: as in the configuration.
        per_dollar: whether gains are divided by their price.
        evaluation_usd: the assumed cost of an evaluation, on top of its completions.
        half_life: after this many further results a result counts half; None for never.
    """

    name: str = "weights"
    per_dollar: bool = False
    evaluation_usd: float = 0.0
    half_life: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether its beliefs can be derived."""
        return self.name in ("weights", "ucb1", "thompson", "router")

    @property
    def learns(self) -> bool:
        """Whether results change what is asked next."""
        return self.name != "weights"

    @property
    def span(self) -> str:
        """The meaning of the band between low and high."""
        spans = {
            "thompson": "the band holds about nine samples of ten from the posterior",
            "router": "the band holds about nine samples of ten from the posterior over all sizes",
            "ucb1": "the band reaches up to the bound by which it selects",
        }
        return spans.get(self.name, "")


@dataclass(slots=True)
class Sums:
    """What an arm's results add up to."""

    pulls: float = 0.0
    gain: float = 0.0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Belief:
    """The belief about an arm.

    Attributes:
        ended: how many asks had ended by then.
        mean: expected reward of an ask, 0 to 1.
        low: lower end of the band; for ucb1, and without a bandit, the mean.
        high: upper end of the band; for ucb1 the bound by which it selects.
        price: dollars per ask; 1 where money does not count.
    """

    ended: int
    arm: ArmName
    pulls: float
    mean: float
    low: float
    high: float
    price: float


def selector_settings(reader: LineageReader) -> SelectorSettings:
    """How the run selects, as its configuration says."""
    config = reader.sql("SELECT config FROM runs").scalar()
    stated = renamed(json.loads(config), say=lambda sentence: None) if config else {}
    selector = (stated.get("search") or {}).get("selector") or {}
    name, options = selector.get("name", "weights"), selector.get("options") or {}
    return SelectorSettings(
        name,
        bool(options.get("per_dollar", name == "router")),
        float(options.get("evaluation_usd", 0.0)),
        options.get("half_life"),
    )


def beliefs(reader: LineageReader, island: int) -> tuple[Belief, ...]:
    """An island's selector's beliefs about each arm that was ever asked, at the end of up to PARTS + 1 stretches."""
    how = selector_settings(reader)
    factor = 1.0 if how.half_life is None else 0.5 ** (1 / how.half_life)
    sums = _inherited(reader) if how.name == "router" else {}
    found: list[Belief] = []
    for ended, count, parts in _stretches(reader, island, factor):
        for arm in parts:
            sums.setdefault(arm, Sums())
        for arm, total in sums.items():
            part, kept = parts.get(arm, Sums()), factor**count
            total.pulls, total.gain = total.pulls * kept + part.pulls, total.gain * kept + part.gain
            total.usd = total.usd * kept + part.usd
        found += _believed(how, ended, sums)
    return tuple(found)


def _stretches(reader: LineageReader, island: int, factor: float) -> list[tuple[int, int, Mapping[ArmName, Sums]]]:
    """For each stretch: how many asks had ended by then, how many ended in it, each arm's sums faded to its end."""
    ended = ENDED.format(island=f"{island:d}")
    total = reader.sql(f"SELECT count(*) FROM ({ended})").scalar()
    width = stride(total, PARTS)
    last = f"least({total}, {width} * (1 + (e.n - 1) // {width}))"
    fade = f"pow({factor!r}, {last} - e.n)"
    rows = reader.sql(f"""
        WITH ended AS ({ended}),
        paid AS (SELECT ask, sum(cost_usd) AS usd FROM completions WHERE stage <> 'final' GROUP BY ask)
        SELECT {last} AS ended, e.operator, e.model, count(*) AS single, sum({fade}) AS pulls,
            sum({fade} * e.gain) AS gain, sum({fade} * coalesce(c.usd, 0)) AS usd
        FROM ended e LEFT JOIN paid c ON c.ask = e.ask GROUP BY ALL ORDER BY 1, 2, 3
    """).rows
    stretches: dict[int, dict[ArmName, Sums]] = {}
    counts: dict[int, int] = {}
    for at, operator, model, single, pulls, gain, usd in rows:
        stretches.setdefault(at, {})[operator, model] = Sums(pulls, gain, usd)
        counts[at] = counts.get(at, 0) + single
    return [(at, counts[at], parts) for at, parts in stretches.items()]


def _inherited(reader: LineageReader) -> dict[ArmName, Sums]:
    """What a router starts with, from earlier runs."""
    detail = reader.sql("SELECT detail FROM events WHERE kind = 'inherit' LIMIT 1").scalar()
    sums: dict[ArmName, Sums] = {}
    for operator, model, pulls, gain, usd, scale in json.loads(detail)["records"] if detail else ():
        if scale is not None:
            total = sums.setdefault((operator, model), Sums())
            total.pulls, total.gain, total.usd = total.pulls + pulls, total.gain + gain, total.usd + usd
    for total in sums.values():
        part = min(1.0, INHERITED_PULLS / max(total.pulls, 1e-12))
        total.pulls, total.gain, total.usd = total.pulls * part, total.gain * part, total.usd * part
    return sums


def _believed(how: SelectorSettings, ended: int, sums: Mapping[ArmName, Sums]) -> list[Belief]:
    pulls = sum(arm.pulls for arm in sums.values())
    mean_usd = sum(arm.usd for arm in sums.values()) / max(1e-12, pulls)
    found = []
    for name, arm in sums.items():
        price = 1.0
        if how.per_dollar:
            price = max(LEAST_USD, (arm.usd / arm.pulls if arm.pulls > 0 else mean_usd) + how.evaluation_usd)
        mean, low, high = _expected(how, arm, pulls)
        found.append(Belief(ended, name, arm.pulls, mean=mean, low=low, high=high, price=price))
    return found


def _expected(how: SelectorSettings, arm: Sums, pulls: float) -> tuple[float, float, float]:
    """Mean, low and high of the expected reward.

    Args:
        pulls: of all arms together.
    """
    if how.name in ("thompson", "router"):
        good, bad = 1 + arm.gain, 1 + max(0.0, arm.pulls - arm.gain)
        mean = good / (good + bad)
        deviation = math.sqrt(mean * (1 - mean) / (good + bad + 1))
        return mean, max(0.0, mean - WIDTH * deviation), min(1.0, mean + WIDTH * deviation)
    mean = arm.gain / arm.pulls if arm.pulls > 0 else 1.0
    if how.name == "ucb1" and arm.pulls > 0:
        return mean, mean, mean + math.sqrt(2 * math.log(max(math.e, pulls)) / arm.pulls)
    return mean, mean, mean
