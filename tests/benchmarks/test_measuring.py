"""Is CPU time of a tree of processes, and of a load, what it should be?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from benchmarks import overhead, stages
from benchmarks.floor import Floor
from benchmarks.load import drive
from benchmarks.measuring import awake, cpu_seconds, interleaved, percentile, suspended
from benchmarks.models import committed_model, make_models
from loadtest.payloads import multipart, wait_until
from tests.support.clips import synthetic_clip

_BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
_FAMILY = f"""
import subprocess, sys
running = subprocess.Popen([sys.executable, '-c', {_BURN!r} + "print('done', flush=True)\\ninput()"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
subprocess.run([sys.executable, '-c', {_BURN!r}])
running.stdout.readline()
print('done', flush=True)
input()
running.communicate(b'x')
"""


def test_cpu_time_of_living_and_of_ended_children_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = cpu_seconds(process.pid)
        process.communicate(b"x")
    assert 0.95 < found < 3.0


def test_tasks_take_turns_and_waiting_is_no_cpu_time() -> None:
    order: list[str] = []

    def sleep() -> None:
        order.append("sleep")
        time.sleep(0.05)

    def burn() -> None:
        order.append("burn")
        begin = time.process_time()
        while time.process_time() - begin < 0.05:
            pass

    costs = interleaved({"sleep": sleep, "burn": burn}, 3)
    assert order == ["sleep", "burn"] * 4
    assert costs["sleep"].wall >= 0.05
    assert costs["sleep"].cpu < 0.03
    assert costs["burn"].cpu >= 0.05


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 0.99) == 7.0


@pytest.fixture
def server() -> Iterator[str]:
    """Answers after 50 ms, and every third time with 429."""
    numbers = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(0.05)
            data = json.dumps({"probs": []}).encode()
            self.send_response(429 if next(numbers) % 3 == 2 else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


def test_a_load_counts_good_answers_and_refusals_apart(server: str) -> None:
    outcome = drive(server, [multipart("/predict", [("file", "video/webm", b"x" * 1000)])], clients=3, requests=30)
    assert (len(outcome.latencies), outcome.refusals[429]) == (20, 10)
    assert min(outcome.latencies) >= 0.05


def test_several_clients_ask_at_once(server: str) -> None:
    payload = multipart("/predict", [])
    alone = drive(server, [payload], clients=1, requests=12)
    together = drive(server, [payload], clients=6, requests=12)
    assert together.throughput > 2 * alone.throughput


def test_the_floor_decodes_every_frame_of_both_tracks() -> None:
    clip = synthetic_clip(frame_times=range(0, 3000, 100))
    assert stages.bare_decode(clip) == 30 + -(-3 * 48_000 // 1024)
    assert stages.demux(clip) >= 30


@pytest.mark.parametrize("decode", [stages.bare_decode, read_clip], ids=["codec alone", "whole stage"])
def test_the_floor_keeps_every_core_busy_and_counts_the_clips_of_all(decode: Callable[[bytes], object]) -> None:
    clip = synthetic_clip(frame_times=range(0, 500, 100))
    with Floor(committed_model(), {"clip": clip}, decode) as floor:
        begin = time.perf_counter()
        found = floor.measure("clip", 0.5)
        seconds = time.perf_counter() - begin
    cores = len(os.sched_getaffinity(0))
    assert found["per_second"] * seconds >= cores * stages.BATCH, "a batch of each core at least"
    assert 0.2 < found["per_second"] * found["cpu_ms"] / 1000 / cores < 1.1, "CPU of one core in a second"


def test_the_overhead_is_what_the_stages_leave_of_the_wait() -> None:
    found = overhead.measure(2, 1, 0.5)
    for clip, stages_of_clip in found["clips"].items():
        medians = {stage: row["p50"] for stage, row in stages_of_clip.items()}
        assert 0 < medians["overhead"] < medians["waited"], clip
        assert medians["upload"] + medians["queue"] < medians["overhead"], clip
    assert set(found["clips"]) == {"recording", "original", "sampled"}
    assert found["bare_decode"] > 0
    rates = {name: by["recording"]["per_second"] for name, by in found["saturated"]["floors"].items()}
    assert set(rates) == {"stages", "floor"}
    assert all(rate > 0 for rate in rates.values())
    assert found["saturated"]["figures"]["this project"]["recording"]["saturated"]["per_second"] > 0


def test_the_fp32_model_is_the_committed_one_without_rounding(tmp_path_factory: pytest.TempPathFactory) -> None:
    models = make_models(tmp_path_factory.mktemp("models") / "models")
    tensors = {
        "frames": np.random.default_rng(0).integers(0, 256, (2, 8, 112, 112, 3), np.uint8),
        "log_mel": np.random.default_rng(1).uniform(-1, 1, (2, 64, 188)).astype(np.float32),
        "present": np.ones((2, 2), bool),
    }
    fp32 = stages.run(stages.session(models.fp32), tensors)
    int8 = stages.run(stages.session(committed_model()), tensors)
    assert (fp32.argmax(axis=1) == int8.argmax(axis=1)).all()
    assert (fp32 != int8).any()


def test_answers_before_and_after_the_measured_time_count_for_the_cost_only(server: str) -> None:
    outcome = drive(server, [multipart("/predict", [])], clients=1, seconds=0.5, ramp=0.5)
    assert outcome.seconds == pytest.approx(0.5)
    assert 0 < len(outcome.latencies) <= 10
    assert outcome.uncounted >= 2
    outcome.server_cpu = 1.0
    assert outcome.cpu_per_answer == 1 / (len(outcome.latencies) + outcome.uncounted)


def test_suspended_processes_take_no_time_and_go_on_afterwards() -> None:
    burn = [sys.executable, "-c", "print('begun', flush=True)\nwhile True: pass"]
    with subprocess.Popen(burn, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with suspended([process.pid]):
                before = cpu_seconds(process.pid)
                time.sleep(0.2)
                assert cpu_seconds(process.pid) == before
                with awake(process.pid):
                    wait_until(lambda: cpu_seconds(process.pid) > before, "it is awake", 10.0)
                before = cpu_seconds(process.pid)
                time.sleep(0.2)
                assert cpu_seconds(process.pid) == before
            wait_until(lambda: cpu_seconds(process.pid) > before, "it goes on", 10.0)
        finally:
            process.kill()
