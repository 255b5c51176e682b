"""How figures grow: with clients, with the length of a clip, with the size of a batch, and with decode workers."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks import workloads
from benchmarks.load import drive
from benchmarks.results import FOLDER
from loadtest.clips import synthetic_clip
from loadtest.payloads import ask
from loadtest.servers import ROOT, ours, running

CLIENTS = (1, 2, 4, 8, 16, 32)
LENGTHS = (1, 3, 10, 30, 60)
BATCHES = (1, 2, 4, 8)
WORKERS = (1, 2, 3, 4)


def measure(seconds: float, requests: int) -> dict[str, Any]:
    """All four, on the server as it is started by default.

    Args:
        seconds: Length of a measurement under load.
        requests: Number of requests of a measurement alone.
    """
    recording = workloads.clip(workloads.RECORDING)
    probe = workloads.upload(recording)
    figures: dict[str, Any] = {"clients": {}, "length": {}, "batch": {}, "workers": {}}
    repository = ROOT / "model_repository"
    with running(ours("growth", repository), probe, log=FOLDER / "logs" / "growth.log") as server:
        payloads = {workloads.RECORDING: probe}
        if (taken := workloads.sampled(server.address, recording)) is not None:
            payloads[workloads.SAMPLED] = taken
        for name, payload in payloads.items():
            drive(server.address, [payload], clients=8, requests=16)
            figures["clients"][name] = {
                str(clients): drive(
                    server.address, [payload], clients=clients, seconds=seconds, ramp=1.0, server_pid=server.pid
                ).summary()
                for clients in CLIENTS
            }
        for length in LENGTHS:
            data = synthetic_clip(length, "webm", "libvpx", "libopus", seed=0)
            row = {"megabytes": len(data) / 1e6}
            for name, path in (("predict", "/predict"), ("timeline", "/predict/timeline")):
                payload = workloads.upload(data, path)
                if ask(server.address, payload)[0] == 200:
                    outcome = drive(server.address, [payload], clients=1, requests=requests, server_pid=server.pid)
                    row[name] = outcome.summary()["p50_ms"]
                    row[f"{name}_cpu"] = outcome.summary()["server_cpu_ms"]
            figures["length"][str(length)] = row
        for size in BATCHES:
            payload = workloads.batch([recording] * size)
            if ask(server.address, payload)[0] == 200:
                outcome = drive(server.address, [payload], clients=1, requests=requests, server_pid=server.pid)
                figures["batch"][str(size)] = {
                    "per_clip_ms": statistics.median(outcome.latencies) * 1000 / size,
                    "per_clip_cpu_ms": outcome.summary()["server_cpu_ms"] / size,
                }
    for workers in WORKERS:
        contender = ours("workers", repository, decode_workers=str(workers))
        with running(contender, probe, log=FOLDER / "logs" / "workers.log") as server:
            drive(server.address, [probe], clients=8, requests=16)
            outcome = drive(server.address, [probe], clients=8, seconds=seconds, ramp=1.0, server_pid=server.pid)
            figures["workers"][str(workers)] = outcome.summary()
    return figures
