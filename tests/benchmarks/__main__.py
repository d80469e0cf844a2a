"""`python -m tests.benchmarks [NAME...]`: run the benchmarks and print their rows."""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "isolation",
    "throughput",
    "utilisation",
    "scaling",
    "pipeline",
    "short_run",
    "no_latency",
    "multiobjective",
    "nas",
    "tells",
    "indicators",
    "niches",
    "optimisers",
    "racing",
    "freshness",
    "endurance",
    "million",
    "readers",
    "simulation",
    "parsing",
)

for name in sys.argv[1:] or NAMES:
    print(f"{name}:", flush=True)
    for row in importlib.import_module(f"tests.benchmarks.{name}").measure():
        print(f"  {row.line()}", flush=True)
