"""The floors of the house: what may import what, and what stays light to import."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter import configuration
from importlinter.application import use_cases
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# Each is heavy or belongs to a floor above; nothing on the craft's way to a picture loads one on import.
NEVER_IN_THE_CRAFT = ("prefect", "torch", "diffusers", "transformers", "blocks", "tasks", "flows", "deployments")


def loaded_by(module: str) -> set[str]:
    """Return the names of every module that a new process has loaded once it has imported one."""
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_contract_of_the_floors_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configuration.configure()
    kept = use_cases.lint_imports(str(ROOT / "pyproject.toml"), cache_dir=None, no_logo=True)
    said = capsys.readouterr().out
    assert kept, said
    assert f"{len(PYPROJECT['tool']['importlinter']['contracts'])} kept, 0 broken" in said


@pytest.mark.parametrize(
    "module",
    [
        "limner.press",
        "limner.illustrating",
        "limner.requests",
        "limner.home.ledger",
        "limner.providers.sketch",
        "limner.providers.diffusers",
    ],
)
def test_the_craft_loads_neither_prefect_nor_a_model(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert [name for name in NEVER_IN_THE_CRAFT if name in loaded] == []


@pytest.mark.parametrize("module", ["limner.planners.chapters", "limner.planners.prompts"])
def test_planners_are_pure(module: str) -> None:
    loaded = loaded_by(module)
    above = ("limner.providers", "limner.bucket", "limner.ledger", "limner.home", "sqlalchemy", "psycopg", "minio")
    assert [name for name in above if name in loaded] == []


def test_the_seams_load_next_to_nothing() -> None:
    loaded = loaded_by("limner.chain") | loaded_by("limner.providers.seam")
    assert [name for name in ("pydantic", "numpy", "cv2", "sqlalchemy", "httpx", "yaml") if name in loaded] == []


@pytest.mark.parametrize("name", ["requirements-dev.lock", "requirements-local.lock"])
def test_the_larger_locks_hold_the_base_lock_in_the_same_versions(name: str) -> None:
    def pins(lock: str) -> dict[str, str]:
        lines = (ROOT / lock).read_text("utf-8").splitlines()
        return {Requirement(line).name: str(Requirement(line).specifier) for line in lines if line.strip()}

    base, larger = pins("requirements.lock"), pins(name)
    assert base.items() <= larger.items()


def test_the_lock_for_the_processor_is_the_local_one_without_what_gpus_need() -> None:
    def rows(lock: str) -> list[str]:
        return [line for line in (ROOT / lock).read_text("utf-8").splitlines() if line.strip()]

    pins = [line.replace("+cpu", "") for line in rows("requirements-local-cpu.lock")]
    local = {Requirement(line).name: str(Requirement(line).specifier) for line in rows("requirements-local.lock")}
    dev = {Requirement(line).name: str(Requirement(line).specifier) for line in rows("requirements-dev.lock")}
    for one in map(Requirement, pins):
        assert not one.name.startswith(("nvidia", "cuda", "triton"))
        # Several rows of one name are for several Pythons.
        assert one.name == "networkx" or str(one.specifier) == local[one.name] == dev.get(one.name, local[one.name])
    # On Linux the build without a suffix brings gigabytes for GPUs.
    torch = [line for line in rows("requirements-local-cpu.lock") if line.startswith("torch==")]
    assert [("+cpu" in line, line.endswith("sys_platform == 'linux'")) for line in torch].count((True, True)) == 1
    assert all("+cpu" in line or line.endswith("sys_platform != 'linux'") for line in torch)
    both = {Requirement(line).name for line in [*rows("requirements.lock"), *pins]}
    assert {Requirement(one).name for one in PYPROJECT["project"]["optional-dependencies"]["local"]} <= both


def test_the_locks_satisfy_every_requirement_of_the_project() -> None:
    def check(lock: str, asked: list[str]) -> list[str]:
        rows = [Requirement(line) for line in (ROOT / lock).read_text("utf-8").splitlines() if line.strip()]
        pins = {row.name.lower(): str(row.specifier).removeprefix("==") for row in rows}
        return [
            one
            for one in map(Requirement, asked)
            if one.name.lower() not in pins or not one.specifier.contains(pins[one.name.lower()], prereleases=True)
        ]

    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    assert check("requirements.lock", project["dependencies"]) == []
    assert check("requirements-dev.lock", project["dependencies"] + extras["dev"]) == []
    assert check("requirements-local.lock", project["dependencies"] + extras["local"]) == []


def test_the_base_lock_brings_no_torch_and_no_tools() -> None:
    rows = [Requirement(line) for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines() if line.strip()]
    assert {row.name for row in rows} & {"torch", "diffusers", "pytest", "ruff", "mypy", "import-linter"} == set()
    assert all(str(row.specifier).startswith("==") for row in rows)


def test_every_package_is_checked_for_types_and_floors() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(PYPROJECT["tool"]["importlinter"]["root_packages"])
    # The client is a distribution of its own, and stands on none of the floors.
    assert packages | {"limner_client"} == set(PYPROJECT["tool"]["mypy"]["packages"])


def test_every_provider_is_independent_of_the_others() -> None:
    folder = ROOT / "limner" / "providers"
    # What a provider is, which there are, and what some of them share.
    others = {"__init__", "__pycache__", "seam", "opening", "queued", "inputs"}
    names = {path.stem for path in folder.iterdir()} - others
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    independent = next(one["modules"] for one in contracts if one["type"] == "independence")
    assert {f"limner.providers.{name}" for name in names} == set(independent)
