"""From nothing to the first answer, and from the first answer to the ten-thousandth."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks import workloads
from benchmarks.contenders import PEERS, peer
from benchmarks.load import drive
from benchmarks.measuring import memory_bytes
from benchmarks.models import make_models
from benchmarks.results import FOLDER
from loadtest.clips import synthetic_clip
from loadtest.servers import ROOT, Contender, ours, running

STRETCH = 500


def measure_cold_start(rounds: int) -> dict[str, Any]:
    """Seconds from the start of a server's command to its first answer, and the memory that it then takes."""
    models = make_models(FOLDER / "models")
    contenders: list[Contender] = [ours("this project", models.repositories["emotion_int8"])]
    for name in PEERS:
        contenders.append(peer(name, models))
    probe = workloads.upload(workloads.clip(workloads.RECORDING))
    found: dict[str, dict[str, list[float]]] = {one.name: {"seconds": [], "megabytes": []} for one in contenders}
    for _ in range(rounds):
        for contender in contenders:
            begin = time.perf_counter()
            with running(contender, probe, log=FOLDER / "logs" / "cold.log") as server:
                found[contender.name]["seconds"].append(time.perf_counter() - begin)
                found[contender.name]["megabytes"].append(memory_bytes(server.pid) / 1e6)
    return {name: {key: statistics.median(values) for key, values in row.items()} for name, row in found.items()}


def measure_memory(requests: int) -> dict[str, Any]:
    """Memory of the server's processes, again and again while it answers whole and sampled clips by turns.

    The whole clips are small, so that ten thousand answers fit into minutes; workers are replaced on the way as they
    always are.
    """
    recording = workloads.clip(workloads.RECORDING)
    small = workloads.upload(synthetic_clip(1.0, "webm", "libvpx", "libopus", seed=0, width=160, height=120))
    contender = ours("memory", ROOT / "model_repository")
    with running(contender, workloads.upload(recording), log=FOLDER / "logs" / "memory.log") as server:
        payloads = [small]
        if (taken := workloads.sampled(server.address, recording)) is not None:
            payloads.append(taken)
        rows = []
        refused = 0
        for done in range(0, requests, STRETCH):
            outcome = drive(server.address, payloads, clients=4, requests=STRETCH, server_pid=server.pid)
            refused += sum(outcome.refusals.values())
            megabytes = memory_bytes(server.pid) / 1e6
            rows.append({"answers": done + STRETCH, "megabytes": megabytes, "per_second": outcome.throughput})
    return {"rows": rows, "refused": refused}
