"""The load driver counts answers, failures and times; a stub server decides what it gets."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.driver import Outcome, Response, drive
from benchmarks.overhead import stages
from loadtest.payloads import multipart

PAYLOAD = multipart("/predict", [("file", "video/webm", b"x" * 100_000)])


@contextmanager
def stub(status: Callable[[int], int]) -> Iterator[str]:
    """A server whose n-th response has the status `status(n)`; 0 closes the connection instead."""
    numbers = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = status(next(numbers))
            if not found:
                self.close_connection = True
                return
            answer = json.dumps({"path": self.path, "bytes": len(body)}).encode()
            self.send_response(found)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


def test_answers_and_failures_are_counted_apart() -> None:
    with stub(lambda number: (200, 429, 0)[number % 3]) as address:
        outcome = drive(address, [PAYLOAD], clients=1, requests=30)
    assert len(outcome.responses) == 10
    assert outcome.failures == {429: 10, 0: 10}
    assert outcome.summary()["failed"] == 20
    assert {response.body for response in outcome.responses} == {
        json.dumps({"path": "/predict", "bytes": len(PAYLOAD.body)}).encode()
    }


def test_clients_send_at_the_same_time() -> None:
    together = threading.Barrier(4)

    def status(_: int) -> int:
        together.wait(60)  # breaks, and the test fails, unless four requests are in flight
        return 200

    with stub(status) as address:
        outcome = drive(address, [PAYLOAD], clients=4, requests=12)
    assert len(outcome.responses) == 12


def test_payloads_are_sent_in_turn() -> None:
    paths = ["/a", "/b", "/c"]
    with stub(lambda _: 200) as address:
        outcome = drive(address, [multipart(path, []) for path in paths], clients=1, requests=6)
    assert [json.loads(response.body)["path"] for response in outcome.responses] == paths * 2


def test_answers_before_the_measured_time_count_for_the_cost_only() -> None:
    with stub(lambda _: 200) as address:
        outcome = drive(address, [PAYLOAD], clients=1, requests=5, ramp=3600)
    assert (outcome.responses, outcome.uncounted) == ([], 5)


def test_a_load_ends_when_its_time_is_over() -> None:
    with stub(lambda _: 200) as address:
        outcome = drive(address, [PAYLOAD], clients=2, seconds=0.3)
    assert outcome.seconds == pytest.approx(0.3)


def _answered(milliseconds: list[float], timings: dict[str, float]) -> Outcome:
    body = json.dumps({"timings_ms": timings}).encode()
    responses = [Response(200, body, value / 1000) for value in milliseconds]
    return Outcome(2.0, responses, len(responses), Counter(), 0.6, 0.06)


def test_figures_are_rates_medians_and_cost_per_answer() -> None:
    summary = _answered([10, 20, 60], {}).summary()
    assert summary["per_second"] == 1.5
    assert (summary["p50_ms"], summary["p95_ms"]) == (20, 60)
    assert summary["server_cpu_ms"] == pytest.approx(100)
    assert summary["driver_cpu_ms"] == pytest.approx(10)


def test_overhead_is_what_decoding_and_inference_leave_of_the_wait() -> None:
    timings = {"upload": 1.0, "queue": 2.0, "decode": 60.0, "inference": 30.0, "total": 95.0}
    found = stages(_answered([95, 100, 101], timings))
    assert found["waited"] == pytest.approx(100)
    assert found["overhead"] == pytest.approx(10)
    assert found["overhead p95"] == pytest.approx(11)
    assert found["queue"] == 2.0
    assert _answered([100], {"decode": 60.0}).overheads() == []
