"""Rendering templates to messages. A folder of the user's goes before the templates of the package, file by file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from evo.errors import ConfigError
from operators.llm.views import fenced, wanted
from operators.refusal import RefusalError

OWN = Path(__file__).with_name("templates")
SUFFIX = ".j2"


def check_templates(folder: str | None, names: tuple[str, ...]) -> None:
    """Read templates before a run pays for anything.

    Raises:
        ConfigError: no such folder, or a template that is no template.
    """
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"templates: there is no folder {folder}; it should hold files such as {names[0]}{SUFFIX}")
    for name in names:
        try:
            _environment(folder).get_template(name + SUFFIX)
        except TemplateError as error:
            raise ConfigError(f"the template {name}{SUFFIX} cannot be read: {error}") from error


def render(folder: str | None, name: str, variables: Mapping[str, Any]) -> str:
    """A template's text.

    Raises:
        RefusalError: the template failed.
    """
    try:
        return _environment(folder).get_template(name + SUFFIX).render(variables).strip() + "\n"
    except Exception as error:  # templates are the user's code
        reason = f"the template {name}{SUFFIX} failed: {type(error).__name__}: {error}"
        raise RefusalError("error", reason) from error


@cache
def constant(folder: str | None, name: str) -> str:
    """The text of a template that sees nothing.

    Raises:
        RefusalError: the template failed.
    """
    return render(folder, name, {})


@cache
def _environment(folder: str | None) -> Environment:
    folders = [OWN] if folder is None else [Path(folder), OWN]
    environment = Environment(
        loader=FileSystemLoader(folders, encoding="utf-8-sig"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals.update(fenced=fenced, wanted=wanted)
    return environment
