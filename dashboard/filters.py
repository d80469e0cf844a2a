"""The filters that all views share: a run, an island, a range of tells. They are part of every link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Stretch:
    """An island and a range of tells of a run.

    Attributes:
        island: its number; None for all islands.
        first: the first tell.
        last: the last tell; None for the latest.
    """

    island: int | None = None
    first: int = 0
    last: int | None = None

    def tells(self, column: str = "tell") -> str:
        """The condition that a column of tells is in the range, in SQL."""
        conditions = [f"{column} >= {self.first:d}"] if self.first else []
        conditions += [f"{column} <= {self.last:d}"] if self.last is not None else []
        return " AND ".join(conditions) or "true"

    def individuals(self, table: str = "i") -> str:
        """The condition that a row of individuals is on the island and in the range, in SQL."""
        on_island = f" AND {table}.island = {self.island:d}" if self.island is not None else ""
        return self.tells(f"{table}.tell") + on_island

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole run."""
        return self == Stretch()


@dataclass(frozen=True, slots=True)
class Filters:
    """A run, and the part of it that is shown."""

    run: str
    stretch: Stretch = Stretch()

    def parameters(self, **more: int | str) -> dict[str, str]:
        """The query parameters of an address."""
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
        """The address of a view with the same filters, relative to the dashboard."""
        return f"/{view}?{urlencode(self.parameters(**more))}"
