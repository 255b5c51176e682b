"""Where Triton cannot run, one sentence says why; where it can, a space in a path is no reason."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tritonclient import grpc

from avemotion.preprocessing import contract
from tests.support.triton import ENVIRONMENT, STANDIN, serving, skip_without_triton
from tests.triton_server.client import ask_onnxruntime, ask_triton, random_inputs
from triton_server.errors import TritonUnavailableError
from triton_server.installation import find_installation


def why_not(environment: Path = ENVIRONMENT) -> str:
    with pytest.raises(TritonUnavailableError) as unavailable:
        find_installation(environment)
    return unavailable.value.message


@pytest.fixture
def pretending(tmp_path: Path) -> Callable[..., Path]:
    """Makes an environment whose Python says what a test wants about itself, and the truth otherwise."""
    skip_without_triton()
    site_packages = find_installation(ENVIRONMENT).server.parents[3]

    def make(**claims: Any) -> Path:
        truth = {"version": "3.11", "site_packages": str(site_packages), "library_folders": [], "missing": []}
        python = tmp_path / "pretending" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\necho {shlex.quote(json.dumps(truth | claims))}\n")
        python.chmod(0o755)
        return tmp_path / "pretending"

    return make


def test_an_environment_that_is_not_there_is_named(tmp_path: Path) -> None:
    skip_without_triton()
    assert why_not(tmp_path / "nowhere").startswith(f"There is no virtual environment '{tmp_path / 'nowhere'}'")


def test_an_environment_without_the_wheel_is_named(pretending: Callable[..., Path]) -> None:
    environment = pretending(missing=["pytriton", "onnxruntime"])
    assert why_not(environment) == (
        f"Environment '{environment}' lacks pytriton and onnxruntime: "
        "install triton_server/requirements.txt into it with --no-deps."
    )


def test_a_python_without_a_stub_is_named(pretending: Callable[..., Path]) -> None:
    environment = pretending(version="3.99")
    assert why_not(environment) == (
        f"Triton's wheel has no stub for Python 3.99 of environment '{environment}'; "
        "it has 3.8, 3.9, 3.10, 3.11, 3.12, 3.13."
    )


def test_a_python_without_its_shared_library_is_named(pretending: Callable[..., Path], tmp_path: Path) -> None:
    # A version that no machine of today has installed.
    message = why_not(pretending(version="3.8", library_folders=[str(tmp_path)]))
    assert message.startswith(
        "Triton's triton_python_backend_stub needs the shared library libpython3.8.so.1.0, which is in none of "
    )
    assert str(tmp_path) in message


def test_a_python_that_does_not_start_is_named(tmp_path: Path) -> None:
    skip_without_triton()
    python = tmp_path / "broken" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho no luck >&2\nexit 1\n")
    python.chmod(0o755)
    assert why_not(tmp_path / "broken") == (
        f"The Python of environment '{tmp_path / 'broken'}' does not start: no luck."
    )


@pytest.mark.parametrize(
    ("function", "answer", "reason"),
    [
        ("system", "Darwin", "Triton's wheel is for Linux on x86_64; this is Darwin on "),
        ("machine", "aarch64", "Triton's wheel is for Linux on x86_64; this is Linux on aarch64."),
        ("libc_ver", ("glibc", "2.31"), "Triton's wheel needs glibc 2.35 or newer; this system has glibc 2.31."),
        ("libc_ver", ("", ""), "Triton's wheel needs glibc 2.35 or newer; this system has another C library."),
    ],
    ids=["another system", "another processor", "an old glibc", "no glibc"],
)
def test_a_machine_that_the_wheel_is_not_for_is_named(
    monkeypatch: pytest.MonkeyPatch, function: str, answer: object, reason: str
) -> None:
    for name, fits in (("system", "Linux"), ("machine", "x86_64"), ("libc_ver", ("glibc", "2.36"))):
        monkeypatch.setattr(platform, name, lambda value=answer if name == function else fits: value)
    assert why_not().startswith(reason)


def test_a_machine_without_bash_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without_triton()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert why_not() == "Triton starts its Python stub through bash, which is not on the PATH."


def test_repository_and_environment_may_lie_under_a_path_with_spaces(standin_repository: Path, tmp_path: Path) -> None:
    skip_without_triton()
    folder = tmp_path / "it's a path, with spaces & $signs"
    repository = shutil.copytree(standin_repository, folder / "model repository")
    environment = folder / "environment of triton"
    environment.symlink_to(ENVIRONMENT)
    inputs = random_inputs(2, seed=6)
    expected = ask_onnxruntime(repository / STANDIN / "1" / "model.onnx", inputs)
    with (
        serving(repository, environment=environment) as server,
        grpc.InferenceServerClient(server.grpc_address) as client,
    ):
        answered = ask_triton(client, STANDIN, inputs)
    assert answered[contract.LOGITS.name] == pytest.approx(expected[contract.LOGITS.name], abs=1e-5)
