"""What a run can teach: each analysis is a function from a reader to a Table; docs/analysis.md has their SQL."""

from evo.analysis.descent import fates, founders, front_ancestry, takeover
from evo.analysis.improvements import cost_per_improvement, improvements, time_to_target, yield_over_time
from evo.analysis.traits import common_ancestors, traits_of_ancestors

__all__ = [
    "common_ancestors",
    "cost_per_improvement",
    "fates",
    "founders",
    "front_ancestry",
    "improvements",
    "takeover",
    "time_to_target",
    "traits_of_ancestors",
    "yield_over_time",
]
