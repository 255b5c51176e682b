"""`python -m loadtest`, against a gateway with made-up numbers, and against servers with faults."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadtest.__main__ import NOT_RUN, main
from tests.gateway.running import environment, running_gateway, settings_for_tests
from tests.loadtest.bodies import response
from tests.support.clips import noise, synthetic_clip

GENEROUS = "all: {error_ratio: 0, p99: 60000}"
Run = Callable[..., tuple[int, str]]


def options(output: Path, *given: str, slo: str = GENEROUS) -> list[str]:
    """Options of a load test with these objectives; its clips and its results lie in the folder."""
    clips = output / "data" / "clips"
    clips.mkdir(parents=True)
    for seed in range(2):  # small, so that what is tested is not the encoder
        (clips / f"chrome_{seed}.webm").write_bytes(synthetic_clip(waveform=noise(3, 48_000, seed)))
    (output / "slo.yaml").write_text(slo)
    return ["--output", str(output), "--slo", str(output / "slo.yaml"), *given]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a load test in this process, and Locust in one of its own; returns the exit status and the output."""

    def run(*given: str, slo: str = GENEROUS) -> tuple[int, str]:
        monkeypatch.setenv("EMO_DATA", str(tmp_path / "data"))
        status = main(options(tmp_path, *given, slo=slo))
        return status, "".join(capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, dict[str, Any]]:
    """A run in two steps over every REST endpoint, as people start it."""
    output = tmp_path_factory.mktemp("stepped")
    with running_gateway(settings_for_tests()) as gateway:
        given = options(
            output,
            *("--host", str(gateway.base_url), "--shape", "step", "--users", "2", "--seconds", "4"),
            *("--endpoints", "predict,batch,timeline,sampled"),
        )
        done = subprocess.run(
            [sys.executable, "-m", "loadtest", *given],
            env=environment(EMO_DATA=str(output / "data")),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert (output / "summary.json").is_file(), done.stdout + done.stderr
    return done.returncode, output, json.loads((output / "summary.json").read_text())


def test_a_run_within_its_objectives_ends_with_0(stepped: tuple[int, Path, dict[str, Any]]) -> None:
    code, _, summary = stepped
    assert code == 0, summary["failures"]
    assert summary["endpoints"]["all"]["failed"] == 0


def test_a_run_leaves_csv_html_png_and_figures_of_every_step(stepped: tuple[int, Path, dict[str, Any]]) -> None:
    _, output, summary = stepped
    assert (output / "latency.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (output / "report.html").read_text()
    with (output / "locust_stats.csv").open() as file:
        rows = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    for name in ("predict", "predict/batch", "predict/timeline", "predict/sampled"):
        assert 0 < rows[name] <= summary["endpoints"][name]["requests"]
    assert [step["users"] for step in summary["steps"]] == [1, 2]
    assert all(step["gateway_ms"]["decode"] > 0 for step in summary["steps"])
    total = sum(step["endpoints"]["all"]["requests"] for step in summary["steps"])
    assert 0 < total <= summary["endpoints"]["all"]["requests"]


def test_a_load_test_of_another_machine_ends_with_2(run: Run) -> None:
    status, said = run("--host", "http://192.0.2.1:8000")
    assert status == NOT_RUN, said
    assert "is another machine; say --allow-remote" in said


def test_a_load_test_that_cannot_be_prepared_ends_with_2(run: Run) -> None:
    status, said = run("--host", "http://127.0.0.1:1", "--endpoints", "sampled")
    assert status == NOT_RUN, said
    assert "says why" in said


@pytest.mark.slow
def test_a_full_server_is_counted_apart_and_wrong_answers_and_missed_objectives_end_with_1(
    run: Run, tmp_path: Path
) -> None:
    def answer(number: int) -> tuple[int, str]:
        return (200, response(number % 3)) if number % 3 else (429, "{}")

    with _server(answer) as host:
        given = ("--host", host, "--seconds", "2", "--endpoints", "predict")
        status, said = run(*given, slo="predict: {error_ratio: 0, p50: 0.001}")
    figures = json.loads((tmp_path / "summary.json").read_text())["endpoints"]["predict"]
    assert status == 1, said
    assert figures["refused"] > 0
    assert figures["failed"] > 0
    assert "the same clip got" in said
    assert "predict: error_ratio is" in said
    assert "predict: p50 is" in said
    assert "objectives missed" in said


@pytest.mark.slow
def test_the_open_loop_does_not_wait_for_answers_and_times_from_the_intended_send(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers nothing before the fifth request, and the client starts 300 s late."""
    locustfile = tmp_path / "late.py"
    locustfile.write_text(
        "from loadtest import users\n"
        "from loadtest.locustfile import *\n"
        "punctual = users.poisson\n"
        "users.poisson = lambda rng, rate, start: punctual(rng, rate, start - 300)\n"
    )
    monkeypatch.setattr("loadtest.__main__.LOCUSTFILE", locustfile)
    fifth = threading.Event()

    def answer(number: int) -> tuple[int, str]:
        if number == 4:
            fifth.set()
        return (200, response()) if fifth.wait(30) else (500, "")

    with _server(answer) as host:
        given = ("--host", host, "--seconds", "2", "--endpoints", "open", "--rate", "0.1")
        status, said = run(*given, slo="all: {error_ratio: 0}")
    figures = json.loads((tmp_path / "summary.json").read_text())["endpoints"]["predict"]
    assert status == 0, said
    assert figures["p50"] > 90_000, "longer than a request may take, which ends after 60 s"


@contextmanager
def _server(answer: Callable[[int], tuple[int, str]]) -> Iterator[str]:
    """A server whose n-th answer is `answer(n)`."""
    numbers = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answer(next(numbers))
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
