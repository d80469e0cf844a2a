"""What a benchmark reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        aim: the smallest (or, where `at_most`, the largest) figure that is good enough; None where there is no aim.
    """

    what: str
    figure: float
    unit: str = ""
    aim: float | None = None
    at_most: bool = False

    def line(self) -> str:
        if self.aim is None:
            verdict = ""
        else:
            met = self.figure <= self.aim if self.at_most else self.figure >= self.aim
            verdict = f"aim {'<=' if self.at_most else '>='} {self.aim:g}: {'met' if met else 'MISSED'}"
        return f"{self.what:<78} {self.figure:>10.4g} {self.unit:<6} {verdict}".rstrip()
