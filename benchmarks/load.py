"""A driver that costs next to nothing, because it shares the machine with what it measures.

Threads send bytes that were made before over kept connections, and look at what comes back. Locust (`loadtest/`)
is the tool for people; its own cost of a request, some milliseconds, would be in every figure here.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measuring import cpu_seconds, percentile
from loadtest.payloads import Payload, ask_over, connect


@dataclass
class Outcome:
    """What a load gave.

    Attributes:
        seconds: How long answers were counted.
        latencies: Seconds of each good answer that came meanwhile.
        uncounted: Good answers that came before or after.
        refusals: Other answers by status, `0` for a broken connection.
        server_cpu: CPU seconds of the server's processes, from the first request to the last answer.
        client_cpu: CPU seconds of this process, likewise.
        answers: The last good answer of each payload, by its index.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    uncounted: int = 0
    refusals: Counter[int] = field(default_factory=Counter)
    server_cpu: float = 0.0
    client_cpu: float = 0.0
    answers: dict[int, Any] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        """Good answers in a second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_per_answer(self) -> float:
        """CPU seconds of the server for a good answer."""
        return self.server_cpu / max(1, len(self.latencies) + self.uncounted)

    def summary(self) -> dict[str, float]:
        """The figures that are reported: rates, and times in milliseconds."""
        good = self.latencies or [float("nan")]
        return {
            "answers": len(self.latencies),
            "refused": sum(self.refusals.values()),
            "per_second": self.throughput,
            "p50_ms": 1000 * percentile(good, 0.5),
            "p95_ms": 1000 * percentile(good, 0.95),
            "p99_ms": 1000 * percentile(good, 0.99),
            "server_cpu_ms": 1000 * self.cpu_per_answer,
            "client_cpu_ms": 1000 * self.client_cpu / max(1, len(self.latencies) + self.uncounted),
        }


def drive(
    address: str,
    payloads: Sequence[Payload],
    *,
    clients: int,
    seconds: float | None = None,
    ramp: float = 0.0,
    requests: int | None = None,
    server_pid: int | None = None,
) -> Outcome:
    """Send payloads in turn from several clients, each of which waits for its answer before it sends again.

    Args:
        address: The server's URL.
        payloads: What to send.
        clients: How many send at once.
        seconds: For how long; answers that come later do not count.
        ramp: Seconds before that in which answers do not count either: a server that was idle answers nothing at
            first, and what it has begun at the end is not seen.
        requests: Or how many requests.
        server_pid: Root of the server's processes, whose CPU time is taken.
    """
    outcome = Outcome()
    lock = threading.Lock()
    sent = iter(range(requests)) if requests is not None else iter(range(2**62))
    begin = time.perf_counter() + ramp
    end = begin + seconds if seconds is not None else float("inf")

    def client() -> None:
        connection = connect(address)
        while time.perf_counter() < end:
            with lock:
                number = next(sent, None)
            if number is None:
                break
            index = number % len(payloads)
            started = time.perf_counter()
            status, answer = ask_over(connection, payloads[index])
            finished = time.perf_counter()
            with lock:
                if status != http.client.OK:
                    outcome.refusals[status] += 1
                else:
                    outcome.answers[index] = answer
                    if begin <= finished <= end:
                        outcome.latencies.append(finished - started)
                    else:
                        outcome.uncounted += 1
        connection.close()

    server_before = cpu_seconds(server_pid) if server_pid else 0.0
    client_before = time.process_time()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = min(time.perf_counter(), end) - begin
    outcome.client_cpu = time.process_time() - client_before
    outcome.server_cpu = cpu_seconds(server_pid) - server_before if server_pid else 0.0
    return outcome
