"""Arguments that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a configuration value.")
]
ModelName = Annotated[str | None, typer.Option(help="Language model that proposes.")]
Target = Annotated[str, typer.Argument(metavar="CONFIG|PROBLEM", help="A YAML file, or the name of a problem.")]
