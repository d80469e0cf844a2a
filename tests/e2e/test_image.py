"""The image of every node: what goes into it, how it is installed, and what a container takes from the sandbox."""

from __future__ import annotations

import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from cluster.keys import _NAME_OF_A_KEY
from cluster.sandbox.launch import bubblewrap_problem
from tests.conftest import Evo
from tests.e2e.test_deploy import PROJECT, documents, text_of
from tests.support.paths import ROOT


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in text_of("Dockerfile").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(words[0], words[1]) for line in joined if (words := line.split(maxsplit=1))]


def test_what_the_image_copies_is_there_and_let_through() -> None:
    _, *let_through = (line for line in text_of("Dockerfile.dockerignore").splitlines() if line.startswith(("*", "!")))
    copied = [word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1] if word[:2] != "--"]
    assert text_of("Dockerfile.dockerignore").startswith("*\n"), "nothing that is not named"
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern.removeprefix("!")) for pattern in let_through), source
    assert set(copied) >= {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    assert set(copied) >= set(packages["targets"]["wheel"]["packages"])


def test_the_image_installs_as_the_makefile_does_but_for_good() -> None:
    (pip,) = (shlex.split(rest) for name, rest in instructions() if name == "RUN" and "pip install" in rest)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    flags = re.search(r"-m pip (install.*?) -e ", makefile)
    assert flags
    assert pip[:3] == ["python", "-m", "pip"]
    assert [word for word in pip[3:] if word.startswith("-") or word == "install"] == [
        *shlex.split(flags[1]),
        "--no-cache-dir",
    ]
    assert [word for word in pip[4:] if not word.startswith("-")] == [".", "ray[default]==${RAY_VERSION}"]


def test_the_image_has_what_ray_up_and_kuberay_call() -> None:
    (apt,) = (rest for name, rest in instructions() if name == "RUN" and "apt-get install" in rest)
    packages = {word for word in apt.split("&&")[1].split() if not word.startswith("-")} - {"apt-get", "install"}
    assert packages == {"bubblewrap", "openssh-client", "rsync", "wget"}


def test_ray_up_learns_from_the_image_where_its_user_lives() -> None:
    """Its docker runner looks for HOME= in the image's environment, and takes /root where there is none."""
    (environment,) = (rest.split() for name, rest in instructions() if name == "ENV")
    assert "HOME=/home/evo" in environment
    mounts = documents("cloud.yaml")[0]["docker"]["head_run_options"]
    assert [mount.rpartition(":")[2] for mount in mounts] == ["/home/evo/runs"]


def test_the_image_runs_as_nobody_special_and_holds_no_key() -> None:
    names = [name for name, _ in instructions()]
    users = [rest for name, rest in instructions() if name == "USER"]
    assert names[0] == "FROM"
    assert users == ["evo"]
    assert "RUN" not in names[names.index("USER") :]
    for name, rest in instructions():
        if name in ("ENV", "ARG"):
            assert not _NAME_OF_A_KEY.search(rest.partition("=")[0]), rest
    assert not any(name == "ADD" or rest.split()[0] in (".", "./") for name, rest in instructions() if name != "RUN")


@pytest.mark.parametrize("here", ["installed but refused here", "not installed"])
def test_check_says_how_candidates_are_held_where_a_container_refuses_bubblewrap(
    evo: Evo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str
) -> None:
    if "refused" in here:
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho no namespaces for you >&2\nexit 1\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap_problem.cache_clear()
    answer = evo("check", "circle_packing")
    strict = evo("check", "circle_packing", "--set", "sandbox.require_isolation=namespace")
    bubblewrap_problem.cache_clear()
    assert f"bubblewrap is {here}" in answer.out
    assert (
        "so candidates are isolated by limits, a system call filter and, where the kernel has it, Landlock"
        in answer.out
    )
    assert strict.code == 2
    assert "bubblewrap is" in strict.err
