"""`python -m evo`: the same as `evo`."""

from evo.cli import main

main()
