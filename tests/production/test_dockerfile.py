"""The images: what is in them, who runs in them, and that a linter finds nothing."""

import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.production.reading import ROOT, Instruction, home_of, last, stages

TARGETS = ("cpu", "gpu")
HADOLINT = [
    str(Path(sys.executable).with_name("hadolint")),
    "--no-color",
    "--failure-threshold=style",
    "--disable-ignore-pragma",
    "--trusted-registry=docker.io",
]


def lint(dockerfile: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*HADOLINT, str(dockerfile)], capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing() -> None:
    done = lint(ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    worse = (ROOT / "Dockerfile").read_text().replace("tini=0.19.0-*", "tini").replace("USER 10001:10001", "USER root")
    (tmp_path / "Dockerfile").write_text(worse)
    done = lint(tmp_path / "Dockerfile")
    assert done.returncode == 1 and {"DL3008", "DL3002"} <= set(done.stdout.split())


def copied(target: str) -> list[str]:
    """Return what a stage and all that it copies from take out of the clone."""
    found = []
    for one in stages()[target]:
        if one.name == "COPY" and not one.text.startswith("--from"):
            found += one.words[:-1]
    return found


@pytest.mark.parametrize("stage", stages())
def test_what_is_copied_is_there_and_reaches_the_build(stage: str) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in lines if line.startswith("!")]
    for path in copied(stage):
        assert (ROOT / path).exists() and any(fnmatch(path, one) for one in let_through), path


def test_nothing_else_reaches_the_build() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    used = {path for stage in stages() for path in copied(stage)}
    assert {line[1:] for line in lines if line.startswith("!")} == used


def test_every_package_is_in_the_wheel() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {one.rstrip("*") for one in packages} <= set(copied("wheel"))


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_installed_is_what_the_locks_name(target: str) -> None:
    (install,) = (one.text for one in stages()[f"{target}-installed"] if "--requirement" in one.text)
    assert "--no-deps" in install and "--only-binary :all:" in install
    locks = {word for word in copied(f"{target}-installed") if word.endswith(".lock")}
    assert locks == {word.strip("/") for word in install.split() if word.endswith(".lock")}
    assert locks == {"cpu": {"requirements-cluster.lock"}, "gpu": locks | {"requirements-local.lock"}}[target]


def pins(lock: str) -> dict[str, str]:
    """Return what a lock names for the images' Python, by name."""
    found = {}
    for line in (ROOT / lock).read_text("utf-8").splitlines():
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate({"python_version": "3.11", "python_full_version": "3.11.15"}):
            found[one.name] = str(one.specifier)
    return found


def test_the_locks_agree_and_hold_all_that_limner_needs() -> None:
    cluster, local = pins("requirements-cluster.lock"), pins("requirements-local.lock")
    assert pins("requirements.lock").items() <= cluster.items()
    assert [name for name in cluster.keys() & local.keys() if cluster[name] != local[name]] == []


@pytest.mark.parametrize("target", TARGETS)
class TestImage:
    def stage(self, target: str) -> list[Instruction]:
        return stages()[target]

    def test_runs_as_nobody_of_importance_in_a_home_of_its_own(self, target: str) -> None:
        assert last(self.stage(target), "USER").text == "10001:10001"
        home = home_of(target)
        said = " ".join(one.text for one in self.stage(target))
        assert f"PREFECT_HOME={home}/prefect" in said
        assert f"useradd --uid 10001 --gid limner --home-dir {home} " in said
        assert f"--owner limner --group limner --mode 0700 {home}" in said

    def test_signals_arrive(self, target: str) -> None:
        assert last(self.stage(target), "STOPSIGNAL").text == "SIGTERM"
        assert last(self.stage(target), "ENTRYPOINT").words == ["tini", "--"]
        assert last(self.stage(target), "CMD").text.startswith("[")

    def test_says_whether_it_is_healthy(self, target: str) -> None:
        assert 'CMD ["' in last(self.stage(target), "HEALTHCHECK").text

    def test_holds_no_compiler_and_no_installer(self, target: str) -> None:
        """What is built lies in other stages; what is installed comes from one without pip."""
        ran = [one.text for one in self.stage(target) if one.name == "RUN"]
        assert len(ran) == 1 and "apt-get install --yes --no-install-recommends tini=" in ran[0]
        assert last(self.stage(target), "COPY").text == f"--from={target}-installed /opt/limner /opt/limner"
        assert any("venv --without-pip" in one.text for one in stages()[f"{target}-installed"])

    def test_finds_its_deployments_in_the_working_folder(self, target: str) -> None:
        assert last(self.stage(target), "WORKDIR").text == "/srv/limner"
        assert {"prefect.yaml", "samples"} <= set(copied(target))


def test_the_base_is_pinned_to_a_python_that_limner_takes() -> None:
    image = stages()["base"][0].text.split()[0]
    version = image.removeprefix("python:").removesuffix("-slim-bookworm")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert Requirement(f"python{wanted}").specifier.contains(version)
    assert len(version.split(".")) == 3
