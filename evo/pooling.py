"""Several scores of a genome, each on cases of its own, as a single score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evo.values import Score


def pooled(scores: Sequence[Score]) -> Score:
    """Objectives and descriptors as means weighted by the number of cases, violations the largest, cases together.

    The feedback is that of the parts in turn. A single score comes back as it is.

    Raises:
        ValueError: no score, or no case in any.
    """
    if len(scores) == 1:
        return scores[0]
    weights = [len(part.cases) for part in scores]
    if not any(weights):
        raise ValueError("scores without cases have no weights by which they could be pooled")
    violations: dict[str, float] = {}
    for part in scores:
        violations |= {name: max(amount, violations.get(name, amount)) for name, amount in part.violations.items()}
    return Score(
        _means([part.objectives for part in scores], weights),
        violations,
        "\n\n".join(dict.fromkeys(part.feedback for part in scores if part.feedback)),
        {name: score for part in scores for name, score in part.cases.items()},
        _means([part.descriptors for part in scores], weights),
    )


def _means(rows: Sequence[Mapping[str, float]], weights: Sequence[int]) -> dict[str, float]:
    """Of each name, over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    having = {
        name: [(row[name], weight) for row, weight in zip(rows, weights, strict=True) if name in row] for name in names
    }
    return {
        name: math.fsum(value * weight for value, weight in pairs) / max(1, sum(weight for _, weight in pairs))
        for name, pairs in having.items()
    }
