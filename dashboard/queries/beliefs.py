"""What the choice of operators and models believes over time. No lineage says so: it is derived from what ended how.

The same sums as `evo.search.selectors` keeps, read at the end of each of many stretches: pulls, gain and dollars of each arm,
faded where the choice lets them. What was under way at that moment is left out, and so is what a router knows of single
sizes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.queries.operators import ENTERED, PARTS, REWARD
from evo.lineage import LineageReader
from evo.lineage.queries import quoted
from evo.search.selectors import INHERITED_PULLS, LEAST_USD
from evo.values import REEVALUATE_OPERATOR, SEED_OPERATOR

ArmName = tuple[str, str | None]
# Of a posterior's standard deviations: about nine draws of ten lie within so many of the mean.
WIDTH = 1.645
ENDED = f"""
    SELECT p.ask, p.operator, p.model, p.individual, {REWARD} AS gain,
        row_number() OVER (ORDER BY coalesce(i.told_at, p.proposed), p.ask) AS n
    FROM proposals p LEFT JOIN individuals i ON i.id = p.individual LEFT JOIN {ENTERED}
    WHERE p.island = {{island}} AND p.operator NOT IN ({quoted(SEED_OPERATOR)}, {quoted(REEVALUATE_OPERATOR)})
        AND (p.outcome <> 'ok' OR i.id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a run chooses.

    Attributes:
        name: as in the configuration.
        per_dollar: whether gains are held against their price.
        evaluation_usd: what an evaluation is taken to cost beside its completions.
        half_life: after how many ends a result counts half; None never.
    """

    name: str = "weights"
    per_dollar: bool = False
    evaluation_usd: float = 0.0
    half_life: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether what it believes can be derived."""
        return self.name in ("weights", "ucb1", "thompson", "router")

    @property
    def learns(self) -> bool:
        """Whether what came of asks changes what is asked next."""
        return self.name != "weights"

    @property
    def span(self) -> str:
        """What lies between low and high, in words."""
        spans = {
            "thompson": "the band holds about nine draws of ten from the posterior",
            "router": "the band holds about nine draws of ten from the posterior of all sizes together",
            "ucb1": "the band reaches up to the bound by which it chooses",
        }
        return spans.get(self.name, "")


@dataclass(slots=True)
class Sums:
    """Of one arm."""

    pulls: float = 0.0
    gain: float = 0.0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of an arm after so many ends.

    Attributes:
        mean: reward expected of an ask, 0 to 1.
        low: below which it hardly is; for ucb1, and without a bandit, the mean.
        high: above which it hardly is; for ucb1 the bound by which it chooses.
        price: dollars an ask; 1 where money does not count.
    """

    ended: int
    arm: ArmName
    pulls: float
    mean: float
    low: float
    high: float
    price: float


def rule(reader: LineageReader) -> Rule:
    """How the run chooses, as its configuration says."""
    config = reader.sql("SELECT config FROM runs").scalar()
    choice = (json.loads(config).get("search") or {}).get("choice") or {} if config else {}
    name, options = choice.get("name", "weights"), choice.get("options") or {}
    return Rule(
        name,
        bool(options.get("per_dollar", name == "router")),
        float(options.get("evaluation_usd", 0.0)),
        options.get("half_life"),
    )


def beliefs(reader: LineageReader, island: int) -> tuple[Belief, ...]:
    """What an island's choice believed of each arm that was ever asked, after up to 2 * PARTS stretches of ends."""
    how = rule(reader)
    factor = 1.0 if how.half_life is None else 0.5 ** (1 / how.half_life)
    sums = _inherited(reader) if how.name == "router" else {}
    found: list[Belief] = []
    for ended, count, parts in _stretches(reader, island, factor):
        for arm in parts:
            sums.setdefault(arm, Sums())
        for arm, one in sums.items():
            part, kept = parts.get(arm, Sums()), factor**count
            one.pulls, one.gain = one.pulls * kept + part.pulls, one.gain * kept + part.gain
            one.usd = one.usd * kept + part.usd
        found += _believed(how, ended, sums)
    return tuple(found)


def _stretches(reader: LineageReader, island: int, factor: float) -> list[tuple[int, int, Mapping[ArmName, Sums]]]:
    """Of each stretch: how many had ended by then, how many ended in it, and by arm their sums, faded to its end."""
    ended = ENDED.format(island=f"{island:d}")
    total = reader.sql(f"SELECT count(*) FROM ({ended})").scalar()
    width = 1 << max(0, total // PARTS).bit_length()
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
    """What a router begins with, from earlier runs."""
    detail = reader.sql("SELECT detail FROM events WHERE kind = 'inherit' LIMIT 1").scalar()
    sums: dict[ArmName, Sums] = {}
    for operator, model, pulls, gain, usd, scale in json.loads(detail)["records"] if detail else ():
        if scale is not None:
            one = sums.setdefault((operator, model), Sums())
            one.pulls, one.gain, one.usd = one.pulls + pulls, one.gain + gain, one.usd + usd
    for one in sums.values():
        part = min(1.0, INHERITED_PULLS / max(one.pulls, 1e-12))
        one.pulls, one.gain, one.usd = one.pulls * part, one.gain * part, one.usd * part
    return sums


def _believed(how: Rule, ended: int, sums: Mapping[ArmName, Sums]) -> list[Belief]:
    total = sum(one.pulls for one in sums.values())
    mean_usd = sum(one.usd for one in sums.values()) / max(1e-12, total)
    found = []
    for arm, one in sums.items():
        price = 1.0
        if how.per_dollar:
            price = max(LEAST_USD, (one.usd / one.pulls if one.pulls > 0 else mean_usd) + how.evaluation_usd)
        found.append(Belief(ended, arm, one.pulls, *_expected(how, one, total), price))
    return found


def _expected(how: Rule, one: Sums, total: float) -> tuple[float, float, float]:
    """Mean, low and high of the reward expected."""
    if how.name in ("thompson", "router"):
        good, bad = 1 + one.gain, 1 + max(0.0, one.pulls - one.gain)
        mean = good / (good + bad)
        deviation = math.sqrt(mean * (1 - mean) / (good + bad + 1))
        return mean, max(0.0, mean - WIDTH * deviation), min(1.0, mean + WIDTH * deviation)
    mean = one.gain / one.pulls if one.pulls > 0 else 1.0
    if how.name == "ucb1" and one.pulls > 0:
        return mean, mean, mean + math.sqrt(2 * math.log(max(math.e, total)) / one.pulls)
    return mean, mean, mean
