"""Benchmarks: ratios against a bound or a baseline measured in the same run. `make bench` runs them all."""
