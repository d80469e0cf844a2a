"""What a user starts from on a cluster: each file is checked as far as can be without one."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from cluster.keys import _NAME_OF_A_KEY
from evo.cli.app import app
from evo.config.loading import load_config
from tests.support.paths import ROOT

FOLDER = ROOT / "docs/deploy"
PAGE = ROOT / "docs/clusters.md"
RAY_UP = ("cloud.yaml", "own_hosts.yaml")
KUBERAY = ("kuberay_job.yaml", "kuberay_cluster.yaml")
SHELL = ("slurm.sbatch", "run_or_resume.sh")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

PLACEHOLDERS = {"ID": "7"}
"""Words that stand for a number, and one."""


def text_of(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def every_text() -> dict[str, str]:
    places = [*FOLDER.iterdir(), PAGE, ROOT / "README.md"]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in places}


# Commands


def indented(text: str) -> Iterator[str]:
    """Command lines: of a script itself, and those set off in its comments."""
    for line in text.replace("\\\n", " ").splitlines():
        yield line.removeprefix("#   ").strip().removeprefix("exec ")


def fenced(text: str) -> Iterator[str]:
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    for name, text in every_text().items():
        for line in fenced(text) if name.endswith(".md") else indented(text):
            if line.startswith(f"{program} "):
                yield name, shlex.split(line, comments=True)[1:]


def known() -> Mapping[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def overrides(words: Sequence[str]) -> list[str]:
    return [value for option, value in pairwise(words) if option == "--set" and "$" not in value]


def test_every_command_in_the_files_is_one_of_evos_with_its_options() -> None:
    seen = set()
    for place, (command, *words) in commands("evo"):
        seen.add(command)
        assert command in known(), f"{place}: evo {command}"
        known()[command].make_context(command, [PLACEHOLDERS.get(word, word) for word in words if word != "$@"])
    assert seen >= {"run", "resume"}, "the scripts start runs and go on with them"
    assert seen >= {"submit", "jobs", "stop", "fetch"}, "and clusters that stay are sent some"


def test_every_setting_in_the_files_is_one_that_evo_knows() -> None:
    job = next(document for document in documents("kuberay_job.yaml") if document["kind"] == "RayJob")
    script, folder, target, *words = shlex.split(job["spec"]["entrypoint"])
    assert (script, Path(folder).parent) == ("run_or_resume.sh", Path("/home/evo/runs"))
    assert load_config(target, overrides(words)).config.executor.address == "auto"
    assert overrides(words)
    for _, (command, *rest) in commands("evo"):
        if command in ("run", "resume", "check"):
            load_config("sphere", overrides(rest))


def ray_commands() -> Iterator[tuple[str, str, list[str]]]:
    """Place, whole line, and the words behind `ray`: from comments, the page, and the commands of `ray up`."""
    for place, words in commands("ray"):
        yield place, "", words
    for name in RAY_UP:
        for key, lines in documents(name)[0].items():
            for line in lines if key.endswith("_commands") else ():
                for part in re.split(r";|&&|\|\|", line):
                    if Path((words := shlex.split(part))[0]).name == "ray":
                        yield name, line, words[1:]


def test_every_ray_command_in_the_files_is_one_of_rays_with_its_options() -> None:
    from ray.scripts.scripts import cli

    for _, _, (command, *words) in (found := list(ray_commands())):
        cli.commands[command].make_context(command, words)
    assert {words[0] for _, _, words in found} >= {"start", "stop", "up", "down", "get-auth-token"}
    assert all(place for place, _, _ in found)


def test_wherever_ray_starts_it_asks_for_a_token() -> None:
    starts = [line for place, line, words in ray_commands() if words[0] == "start" and place in RAY_UP]
    assert len(starts) == 4
    assert all("export RAY_AUTH_MODE=token" in line for line in starts)
    assert [spec["authOptions"] for spec in map(cluster_spec, KUBERAY)] == [{"mode": "token"}] * 2
    assert "export RAY_AUTH_MODE=token" in text_of("slurm.sbatch")


# ray up


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all(text_of(name)))


@pytest.mark.parametrize("name", RAY_UP)
def test_a_file_for_ray_up_is_what_ray_itself_takes(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(documents(name)[0]))


@pytest.mark.parametrize("name", RAY_UP)
def test_a_file_for_ray_up_with_an_unknown_key_is_refused(name: str) -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(ValidationError, match="worker_count"):
        validate_config(prepare_config(documents(name)[0] | {"worker_count": 3}))


def test_no_candidate_runs_where_the_keys_are() -> None:
    cloud = documents("cloud.yaml")[0]
    assert cloud["available_node_types"][cloud["head_node_type"]]["resources"] == {"CPU": 0}
    assert [spec["headGroupSpec"]["rayStartParams"] for spec in map(cluster_spec, KUBERAY)] == [{"num-cpus": "0"}] * 2


# Kubernetes: the names of ray.io/v1 and of a pod, as far as the files may use them; None stands for anything.

SECURITY = {
    **dict.fromkeys(("runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "allowPrivilegeEscalation", "procMount")),
    "capabilities": {"drop": None, "add": None},
    "seccompProfile": {"type": None},
    "appArmorProfile": {"type": None},
}
CONTAINER = {
    **dict.fromkeys(("name", "image", "imagePullPolicy", "command", "args")),
    "securityContext": SECURITY,
    "env": {"name": None, "value": None, "valueFrom": {"secretKeyRef": dict.fromkeys(("name", "key", "optional"))}},
    "ports": dict.fromkeys(("name", "containerPort")),
    "resources": {"requests": None, "limits": None},
    "volumeMounts": dict.fromkeys(("name", "mountPath", "readOnly", "subPath")),
}
POD = {
    "metadata": dict.fromkeys(("labels", "annotations")),
    "spec": {
        **dict.fromkeys(("restartPolicy", "terminationGracePeriodSeconds", "nodeSelector", "tolerations", "hostUsers")),
        "securityContext": SECURITY,
        "containers": CONTAINER,
        "volumes": {"name": None, "persistentVolumeClaim": {"claimName": None}},
    },
}
CLUSTER = {
    **dict.fromkeys(("rayVersion", "enableInTreeAutoscaling", "suspend")),
    "authOptions": {"mode": None},
    "autoscalerOptions": dict.fromkeys(("upscalingMode", "idleTimeoutSeconds", "resources", "env")),
    "headGroupSpec": {"serviceType": None, "rayStartParams": None, "template": POD},
    "workerGroupSpecs": {
        **dict.fromkeys(("groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams")),
        "template": POD,
    },
}
JOB_KEYS = (
    *("entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "submissionMode"),
    *("activeDeadlineSeconds", "runtimeEnvYAML", "entrypointNumCpus", "suspend"),
)
SPECS = {
    "RayJob": {**dict.fromkeys(JOB_KEYS), "rayClusterSpec": CLUSTER},
    "RayCluster": CLUSTER,
    "PersistentVolumeClaim": {"accessModes": None, "resources": {"requests": None}, "storageClassName": None},
}


def unknown_names(value: Any, names: Any, place: str = "spec") -> list[str]:
    if names is None:
        return []
    if isinstance(value, list):
        return [name for item in value for name in unknown_names(item, names, place)]
    wrong = [f"{place}.{key}" for key in value if key not in names]
    return wrong + [
        name
        for key, inner in value.items()
        if key in names
        for name in unknown_names(inner, names[key], f"{place}.{key}")
    ]


def cluster_spec(name: str) -> Any:
    spec = next(document["spec"] for document in documents(name) if document["kind"].startswith("Ray"))
    return spec.get("rayClusterSpec", spec)


def pods(spec: Any) -> list[Any]:
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("name", KUBERAY)
def test_kubernetes_files_use_names_that_there_are(name: str) -> None:
    for document in documents(name):
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        assert document["apiVersion"] == ("ray.io/v1" if document["kind"].startswith("Ray") else "v1")
        assert unknown_names(document["spec"], SPECS[document["kind"]]) == []


def test_a_misspelt_name_deep_in_a_kubernetes_file_is_found() -> None:
    spec = cluster_spec("kuberay_job.yaml")
    spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["volumeMount"] = []
    assert unknown_names(spec, CLUSTER) == ["spec.workerGroupSpecs.template.spec.containers.volumeMount"]


@pytest.mark.parametrize("name", KUBERAY)
def test_runs_lie_on_a_volume_that_outlives_the_pods(name: str) -> None:
    claims = {
        document["metadata"]["name"] for document in documents(name) if document["kind"] == "PersistentVolumeClaim"
    }
    head = pods(cluster_spec(name))[0]
    volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in head["volumes"]}
    assert {mount["mountPath"]: volumes[mount["name"]] for mount in head["containers"][0]["volumeMounts"]} == {
        "/home/evo/runs": next(iter(claims))
    }


@pytest.mark.parametrize("name", KUBERAY)
def test_pods_are_as_large_as_they_say_and_run_as_the_images_user(name: str) -> None:
    for pod in pods(cluster_spec(name)):
        assert pod["securityContext"]["runAsNonRoot"]
        assert f"--uid {pod['securityContext']['runAsUser']} " in text_of("Dockerfile")
        (container,) = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"], "Ray counts the limits"
        assert not container["securityContext"]["allowPrivilegeEscalation"]


@pytest.mark.parametrize("name", KUBERAY)
def test_the_autoscaler_has_room_to_scale(name: str) -> None:
    spec = cluster_spec(name)
    assert spec["enableInTreeAutoscaling"]
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] < group["maxReplicas"]


# Versions


def test_versions_are_the_projects_everywhere() -> None:
    everything = "\n".join(every_text().values())
    rays = set(re.findall(r'(?:RAY_VERSION=|ray\[default\]==|rayVersion: ")(\d+\.\d+\.\d+)', everything))
    requirement = next(dependency for dependency in PROJECT["dependencies"] if re.match(r"ray\b", dependency))
    assert len(rays) == 1, "all nodes need one Ray"
    assert Version(rays.pop()) in SpecifierSet(re.sub(r"^ray(\[.*\])?", "", requirement))
    pythons = set(re.findall(r"python:?(3\.\d+)\b", everything))
    assert len(pythons) == 1, "and one Python"
    assert Version(pythons.pop()) in SpecifierSet(PROJECT["requires-python"])
    assert set(re.findall(r"evo-platform:([\w.]+)", everything)) == {PROJECT["version"]}


# Shell


@pytest.mark.parametrize("name", SHELL)
def test_scripts_are_ones_that_bash_can_read(name: str) -> None:
    assert subprocess.run(["bash", "-n", str(FOLDER / name)], capture_output=True, check=True).stderr == b""


def test_the_slurm_script_takes_for_a_key_what_the_cluster_does() -> None:
    assert f"grep -Ei '{_NAME_OF_A_KEY.pattern.replace('(?:', '(')}'" in text_of("slurm.sbatch")


def test_slurm_is_asked_for_a_warning_and_to_queue_again() -> None:
    asked = set(re.findall(r"^#SBATCH (--[\w-]+(?:=\S+)?)$", text_of("slurm.sbatch"), re.MULTILINE))
    assert asked >= {"--signal=B:TERM@60", "--requeue", "--no-kill", "--open-mode=append"}
    first_command = re.search(r"^[^#\n]", text_of("slurm.sbatch"), re.MULTILINE)
    assert first_command
    assert "#SBATCH" not in text_of("slurm.sbatch")[first_command.start() :], "Slurm reads none below a command"


# The page


def test_the_page_names_every_file_and_links_that_it_makes_lead_somewhere() -> None:
    page = PAGE.read_text("utf-8")
    for path in FOLDER.iterdir():
        if path.suffix != ".dockerignore":
            assert f"deploy/{path.name}" in page, path.name
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert link.startswith("https://") or (PAGE.parent / link).exists(), link
    assert "docs/clusters.md" in (ROOT / "README.md").read_text("utf-8")
