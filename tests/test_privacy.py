"""Libraries report nothing about their users to their makers: this product sees faces and hears voices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.triton import ENVIRONMENT, skip_without_triton
from triton_server.installation import find_installation

ROOT = Path(__file__).parents[1]
# Where it reports, ONNX Runtime keeps its reports and an identity of the machine below the home folder.
_LOAD = "onnxruntime.InferenceSession('model_repository/emotion_int8/1/model.onnx')"


def left_at_home(home: Path, python: Path, program: str, **variables: str) -> list[Path]:
    """Files that a program leaves in its home folder, outside of a CI, where ONNX Runtime never reports."""
    hidden = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "GITHUB_ACTIONS", "TF_BUILD"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    subprocess.run(
        [python, "-c", program], cwd=ROOT, env=environment | {"HOME": str(home)} | variables, check=True, timeout=60
    )
    return sorted(path for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("package", ["gateway.predict", "export", "benchmarks"])
def test_a_package_that_loads_models_reports_nothing(tmp_path: Path, package: str) -> None:
    assert left_at_home(tmp_path, Path(sys.executable), f"import {package}, onnxruntime; {_LOAD}") == []


def test_tritons_backend_reports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without_triton()
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    variables = find_installation(ENVIRONMENT).variables()
    chosen = {name: value for name, value in variables.items() if name.startswith("ORT_")}
    assert left_at_home(tmp_path, ENVIRONMENT / "bin" / "python", f"import onnxruntime; {_LOAD}", **chosen) == []
