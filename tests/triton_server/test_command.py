"""The command: it ends when told to, says in one sentence why it cannot start, and leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.triton import STANDIN, skip_without_triton
from tests.triton_server.processes import (
    SERVER,
    STUB,
    command,
    descendants,
    is_running,
    options_on_free_ports,
    private_folders,
    shared_memory,
    wait_for,
    wait_for_line,
)
from triton_server.__main__ import main

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
Refusal = Callable[..., str]


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where the command makes its temporary folders; nothing of it may be left."""
    skip_without_triton()
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert not private_folders(folder)


@pytest.fixture
def repository(standin_repository: Path, tmp_path: Path) -> Path:
    """A copy of the stand-in's repository that a test may change, under a path with spaces."""
    return Path(shutil.copytree(standin_repository, tmp_path / "a path with spaces & more"))


@pytest.fixture
def refusal(temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Refusal]:
    """Runs the command in this process, which is faster; returns why the command refuses to start."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def run(repository: Path, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["triton_server", *options_on_free_ports(repository), *arguments])
        assert main() == 1
        return capsys.readouterr().err.rstrip("\n")

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_signal_ends_the_server_and_leaves_nothing(repository: Path, temporary: Path) -> None:
    with command(repository, temporary=temporary) as process:
        wait_for_line(process, "ready after")
        folders, family = private_folders(temporary), descendants(process.pid)
        assert folders
        assert shared_memory(folders)
        assert {SERVER, STUB} <= {Path(member.exe()).name for member in family}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not any(is_running(member) for member in family)
        assert not shared_memory(folders)


Phase = Callable[[int], list[psutil.Process]]
PHASES: dict[str, Phase] = {
    "its first child runs": descendants,
    "tritonserver runs": lambda pid: descendants(pid, SERVER),
    "the stub runs": lambda pid: descendants(pid, STUB),
}


@pytest.mark.parametrize(("phase", "number"), list(zip(PHASES.values(), SIGNALS, strict=True)), ids=PHASES)
def test_a_signal_during_start_leaves_nothing_either(
    repository: Path, temporary: Path, phase: Phase, number: signal.Signals
) -> None:
    with command(repository, temporary=temporary) as process:
        wait_for(lambda: phase(process.pid), "the phase is reached")
        folders, family = private_folders(temporary), descendants(process.pid)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert not any(is_running(member) for member in family)
        assert not shared_memory(folders)


@pytest.mark.parametrize("phase", list(PHASES.values()), ids=PHASES)
def test_a_launcher_killed_during_start_takes_everything_with_it(
    repository: Path, temporary: Path, phase: Phase
) -> None:
    with command(repository, temporary=temporary) as process:
        wait_for(lambda: phase(process.pid), "the phase is reached")
        _kill_and_expect_nothing(process, temporary)


def test_a_killed_launcher_takes_everything_with_it(repository: Path, temporary: Path) -> None:
    with command(repository, temporary=temporary) as process:
        wait_for_line(process, "ready after")
        _kill_and_expect_nothing(process, temporary)


def _kill_and_expect_nothing(process: subprocess.Popen[str], temporary: Path) -> None:
    folders, family = private_folders(temporary), descendants(process.pid)
    process.kill()
    process.wait(10)
    wait_for(lambda: not any(is_running(member) for member in family), "every process has ended", 15)
    wait_for(lambda: not private_folders(temporary), "the private folder is removed", 15)
    assert not shared_memory(folders)


def test_a_repository_that_is_not_there_is_named_in_one_line_and_the_process_ends_with_1(
    tmp_path: Path, temporary: Path
) -> None:
    missing = tmp_path / "nowhere"
    with command(missing, temporary=temporary) as process:
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, f"error: Model repository '{missing}' not found.\n")


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port", "--metrics-port"])
def test_a_port_in_use_is_named_before_anything_is_started(repository: Path, refusal: Refusal, option: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        message = refusal(repository, option, str(port))
    assert message == f"error: Port {port} on 127.0.0.1 is already in use; choose another one with {option}."


def test_one_port_for_two_interfaces_is_noticed(repository: Path, refusal: Refusal) -> None:
    message = refusal(repository, "--grpc-port", "28101", "--http-port", "28101")
    assert message == "error: Port 28101 on 127.0.0.1 is already in use; choose another one with --http-port."


def test_an_address_of_another_machine_is_refused(repository: Path, refusal: Refusal) -> None:
    assert "Triton cannot listen on 192.0.2.1:" in refusal(repository, "--host", "192.0.2.1")


def test_a_model_that_is_not_there_is_named_with_those_that_are(repository: Path, refusal: Refusal) -> None:
    assert refusal(repository, "--model", "other") == (
        f"error: Model repository '{repository}' has no model 'other' with a config.pbtxt; it has {STANDIN}."
    )


def test_a_repository_without_a_version_of_any_model_is_refused(repository: Path, refusal: Refusal) -> None:
    shutil.rmtree(repository / STANDIN / "1")
    assert "has no model with a config.pbtxt and a version folder" in refusal(repository)


def test_a_model_without_a_version_is_named(repository: Path, refusal: Refusal) -> None:
    model = repository / STANDIN
    (model / "1" / "model.onnx").unlink()
    assert refusal(repository, "--model", STANDIN) == (
        f"error: Model '{STANDIN}' has no version folder with a model file in '{model}'."
    )


@pytest.mark.parametrize(
    ("wanted", "written", "reason"),
    [
        (
            "dims: [ 64, 188 ]",
            "dims: [ 64, 187 ]",
            "input 'log_mel' has shape [-1, 64, 187] in config.pbtxt with its batch dimension "
            "but [-1, 64, 188] in the ONNX graph (-1 is any size).",
        ),
        ("KIND_CPU", "KIND_GPU", "has kind KIND_GPU but no GPUs are available."),
        ("max_batch_size: 16", "max_batch_size: many", "3:17: Expected integer, got: many)."),
    ],
    ids=["by the backend", "by Triton", "by Triton's parser"],
)
def test_a_configuration_that_does_not_fit_is_refused(
    repository: Path, refusal: Refusal, wanted: str, written: str, reason: str
) -> None:
    config = repository / STANDIN / "config.pbtxt"
    assert wanted in config.read_text()
    config.write_text(config.read_text().replace(wanted, written))
    message = refusal(repository)
    assert message.startswith(f"error: Triton did not start: model '{STANDIN}' failed to load: ")
    assert message.endswith(reason)


def test_a_damaged_model_file_is_named_by_the_path_that_people_know(repository: Path, refusal: Refusal) -> None:
    model = repository / STANDIN / "1" / "model.onnx"
    model.write_bytes(model.read_bytes()[:1000])
    assert str(model) in refusal(repository)
