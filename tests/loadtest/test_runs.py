"""`python -m loadtest` as people start it, against a gateway with made-up numbers, and against servers with faults."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadtest.__main__ import NOT_RUN
from tests.gateway.running import environment, running_gateway, settings_for_tests
from tests.loadtest.bodies import response
from tests.support.clips import noise, synthetic_clip

GENEROUS = "all: {error_ratio: 0, p99: 60000}"


def run(output: Path, *arguments: str, slo: str = GENEROUS) -> tuple[int, str]:
    """Exit code and output of a load test."""
    clips = output / "data" / "clips"
    clips.mkdir(parents=True)
    for seed in range(2):  # small, so that what is tested is not the encoder
        (clips / f"chrome_{seed}.webm").write_bytes(synthetic_clip(waveform=noise(3, 48_000, seed)))
    (output / "slo.yaml").write_text(slo)
    result = subprocess.run(
        [sys.executable, "-m", "loadtest", "--output", str(output), "--slo", str(output / "slo.yaml"), *arguments],
        env=environment(EMO_DATA=str(output / "data")),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, dict[str, Any]]:
    """A run in two steps over every REST endpoint."""
    output = tmp_path_factory.mktemp("stepped")
    with running_gateway(settings_for_tests()) as gateway:
        code, said = run(
            output,
            *("--host", str(gateway.base_url), "--shape", "step", "--users", "5", "--seconds", "8"),
            *("--endpoints", "predict,batch,timeline,sampled"),
        )
    assert (output / "summary.json").is_file(), said
    return code, output, json.loads((output / "summary.json").read_text())


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
    assert [step["users"] for step in summary["steps"]] == [1, 2, 4, 5]
    assert all(step["gateway_ms"]["decode"] > 0 for step in summary["steps"])
    total = sum(step["endpoints"]["all"]["requests"] for step in summary["steps"])
    assert 0 < total <= summary["endpoints"]["all"]["requests"]


def test_a_missed_objective_ends_with_1_and_is_named(tmp_path: Path) -> None:
    with running_gateway(settings_for_tests()) as gateway:
        code, said = run(
            tmp_path,
            *("--host", str(gateway.base_url), "--seconds", "3", "--endpoints", "predict"),
            slo="predict: {p50: 0.001}",
        )
    assert code == 1, said
    assert "predict: p50 is" in said
    assert "objectives missed" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "http://192.0.2.1:8000"), "is another machine; say --allow-remote"),
        (("--host", "http://127.0.0.1:1", "--endpoints", "sampled"), "says why"),
    ],
)
def test_a_test_that_cannot_run_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, output = run(tmp_path, *arguments, "--seconds", "2")
    assert code == NOT_RUN, output
    assert said in output


def test_a_full_server_is_counted_apart_and_a_wrong_answer_is_an_error(tmp_path: Path) -> None:
    def answer(number: int) -> tuple[int, str]:
        return (200, response(number % 3)) if number % 3 else (429, "{}")

    with _server(ThreadingHTTPServer, answer) as host:
        code, said = run(tmp_path, "--host", host, "--seconds", "3", "--endpoints", "predict")
    figures = json.loads((tmp_path / "summary.json").read_text())["endpoints"]["predict"]
    assert code == 1, said
    assert figures["refused"] > 0
    assert figures["failed"] > 0
    assert "the same clip got" in said


def test_the_open_loop_charges_the_time_that_requests_wait_for_a_slow_server(tmp_path: Path) -> None:
    """One request at a time, 0.2 s each, and 10 a second: a closed loop would report 0.2 s for ever."""

    def answer(_: int) -> tuple[int, str]:
        time.sleep(0.2)
        return 200, response()

    with _server(HTTPServer, answer) as host:
        run(tmp_path, "--host", host, "--seconds", "4", "--endpoints", "open", "--rate", "10")
    figures = json.loads((tmp_path / "summary.json").read_text())["endpoints"]["predict"]
    assert figures["p95"] > 1000


def test_the_open_loop_times_from_the_intended_send() -> None:
    """In a process of its own, because Locust replaces parts of the standard library."""
    script = """
import sys, time
from locust import events
from loadtest.payloads import multipart
from loadtest.users import send_at
times = []
events.request.add_listener(lambda response_time, **_: times.append(response_time))
send_at(sys.argv[1], "clip", multipart("/predict", []), time.perf_counter() - 3)
assert 3000 <= times[0] < 60000, times
"""
    with _server(ThreadingHTTPServer, lambda _: (429, "{}")) as host:
        subprocess.run([sys.executable, "-c", script, host], cwd=Path(__file__).parents[2], check=True, timeout=100)


@contextmanager
def _server(kind: type[HTTPServer], answer: Any) -> Iterator[str]:
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

    with kind(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
