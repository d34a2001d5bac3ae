"""The client's README: its examples, run as they stand against a gateway, a Prefect API and a runner."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments.gateway.house import House

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = BLOCK.findall((ROOT / "client" / "README.md").read_text())


@pytest.mark.parametrize(("language", "example"), EXAMPLES, ids=["in-a-thread", "in-a-loop", "curl"])
def test_an_example_does_what_it_says(house: House, tmp_path: Path, language: str, example: str) -> None:
    shutil.copy(ROOT / "samples" / "alice.txt", tmp_path)
    command = [sys.executable, "-c", example] if language == "python" else ["bash", "-euo", "pipefail", "-c", example]
    told = {"LIMNER_URL": house.url, "LIMNER_TOKEN": house.token(f"reader-{len(example)}")}
    clean = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "client")}
    ran = subprocess.run(  # noqa: PLW1510
        command, env=clean | told, cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "complete" in ran.stdout
    pictures = [one for one in tmp_path.glob("*.png") if one.read_bytes().startswith(b"\x89PNG")]
    assert len(pictures) == {"in-a-thread": 2, "in-a-loop": 0, "curl": 1}[_id(example)]
    if _id(example) == "in-a-loop":
        assert "request.limit: Input should be greater than or equal to 1" in ran.stdout


def _id(example: str) -> str:
    return "curl" if "curl" in example else "in-a-loop" if "asyncio" in example else "in-a-thread"
