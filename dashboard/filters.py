"""What is looked at: a run, an island, a stretch of its time. The same for all views, and part of every link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a run.

    Attributes:
        island: its number; None for all islands.
        first: the first tell.
        last: the last tell; None follows the run.
    """

    island: int | None = None
    first: int = 0
    last: int | None = None

    def tells(self, column: str = "tell") -> str:
        """The condition on a column of tells, in SQL."""
        conditions = [f"{column} >= {self.first:d}"] if self.first else []
        conditions += [f"{column} <= {self.last:d}"] if self.last is not None else []
        return " AND ".join(conditions) or "true"

    def individuals(self, table: str = "i") -> str:
        """The condition on a table with the columns of individuals, in SQL."""
        on_island = f" AND {table}.island = {self.island:d}" if self.island is not None else ""
        return self.tells(f"{table}.tell") + on_island

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self == Stretch()


@dataclass(frozen=True, slots=True)
class Filters:
    """A run, and what of it."""

    run: str
    stretch: Stretch = Stretch()

    def parameters(self, **more: int | str) -> dict[str, str]:
        """What an address says of them."""
        stretch = self.stretch
        named: Mapping[str, int | str | None] = {
            "run": self.run,
            "island": stretch.island,
            "from": stretch.first or None,
            "to": stretch.last,
            **more,
        }
        return {key: str(value) for key, value in named.items() if value is not None}

    def link(self, view: str, **more: int | str) -> str:
        """The address of a view, relative to the dashboard's, with the same filters."""
        return f"/{view}?{urlencode(self.parameters(**more))}"
