"""Which parts a stack has: by the settings, and by the GPUs that are found."""

from pathlib import Path

import pytest

from deployments.parts import Part
from deployments.roster import found_gpus, parts_of, worker_command
from limner.settings import Settings


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's program that knows of two GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def parts(tmp_path: Path, **more: object) -> dict[str, Part]:
    settings = Settings(home=tmp_path / "home", **more)  # type: ignore[arg-type]
    return {part.name: part for part in parts_of(settings, "http://127.0.0.1:1/api")}


def queues(part: Part) -> list[str]:
    words = part.command
    return [words[place + 1] for place, word in enumerate(words) if word == "--work-queue"]


def test_without_a_gpu_there_is_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = parts(tmp_path)
    assert list(found) == ["gateway", "sweeper", "runner", "worker-cpu"]
    assert queues(found["worker-cpu"]) == ["batch", "default"]
    assert {part.environment["LIMNER_GATEWAY_URL"] for part in found.values()} == {"http://127.0.0.1:4300"}


def test_interactive_runs_go_to_the_worker_where_no_process_waits_for_them(tmp_path: Path) -> None:
    found = parts(tmp_path, warm_processes=0)
    assert "runner" not in found and queues(found["worker-cpu"]) == ["interactive", "batch", "default"]


@pytest.mark.usefixtures("two_gpus")
def test_each_gpu_has_an_owner_and_a_worker_that_are_pinned_to_it(tmp_path: Path) -> None:
    found = parts(tmp_path, diffusers_model="/models/sdxl")
    pinned = {name: part.environment.get("CUDA_VISIBLE_DEVICES") for name, part in found.items()}
    assert pinned == {
        "gpu-owner-0": "0",
        "gpu-owner-1": "1",
        "gateway": None,
        "sweeper": None,
        "runner": None,
        "worker-cpu": None,
        "worker-gpu-0": "0",
        "worker-gpu-1": "1",
    }
    owners = f"{found['gpu-owner-0'].address},{found['gpu-owner-1'].address}"
    assert {part.environment["LIMNER_DIFFUSERS_URL"] for part in found.values()} == {owners}


@pytest.mark.usefixtures("two_gpus")
def test_owners_elsewhere_are_asked_and_none_is_started(tmp_path: Path) -> None:
    found = parts(tmp_path, diffusers_model="/models/sdxl", diffusers_url="http://gpu-1:4400")
    assert not any(name.startswith("gpu-owner") for name in found)
    assert found["runner"].environment["LIMNER_DIFFUSERS_URL"] == "http://gpu-1:4400"


@pytest.mark.usefixtures("two_gpus")
def test_a_model_without_a_gpu_is_owned_on_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert found_gpus() == []
    found = parts(tmp_path, diffusers_model="/models/tiny")
    assert "CUDA_VISIBLE_DEVICES" not in found["gpu-owner-0"].environment
    assert not any(name.startswith("worker-gpu") for name in found)


def test_a_worker_installs_nothing() -> None:
    command = worker_command("cpu", ("batch",), "one")
    assert command[-2:] == ("--install-policy", "never") and queues(Part("one", command, bool)) == ["batch"]
