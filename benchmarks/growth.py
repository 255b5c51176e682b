"""How figures grow with clients, with the length of a clip, with decode workers, and over thousands of answers."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

from benchmarks.driver import drive
from benchmarks.measuring import memory_bytes
from benchmarks.models import make_models
from benchmarks.results import FOLDER, Section, section, short, table
from benchmarks.serving import OURS, PEERS, peer
from benchmarks.turns import CLIENTS
from benchmarks.workloads import RECORDING, SAMPLED, payload, upload
from loadtest.clips import synthetic_clip
from loadtest.payloads import Payload
from loadtest.servers import Running, ours, running

_LOG: Final = FOLDER / "logs" / "growth.log"
_CLIENTS: Final = (1, 2, 4, 8, 16, 32)
_FIGURES: Final = {"per_second": "per s", "p50_ms": "p50 ms", "failed": "answers 429"}
_LENGTHS: Final = (1, 3, 10, 30, 60)
_WORKERS: Final = (1, 2, 3, 4)
_STRETCH: Final = 500
"""Answers between two looks at the memory."""


def measure_load(seconds: float, requests: int) -> Section:
    """This checkout's gateway with more clients, longer clips and other numbers of decode workers.

    Args:
        seconds: Length of a measurement under load.
        requests: Number of requests of a measurement with one client.
    """
    probe = payload(RECORDING)
    clients: list[Any] = []
    lengths: list[Any] = [["predict: p50 ms"], ["predict/timeline: p50 ms"]]
    workers = []
    with running(ours("growth"), probe, log=_LOG) as server:
        for name in (RECORDING, SAMPLED):
            loads = [_load(server, payload(name), count, seconds) for count in _CLIENTS]
            clients += [(f"{name}: {what}", *(load[key] for load in loads)) for key, what in _FIGURES.items()]
        for length in _LENGTHS:
            data = synthetic_clip(length, "webm", "libvpx", "libopus", seed=0)
            for row, path in zip(lengths, ("/predict", "/predict/timeline"), strict=True):
                load = drive(server.address, [upload(data, path)], clients=1, requests=requests)
                row.append(load.summary()["p50_ms"])
    for count in _WORKERS:
        with running(ours("growth", decode_workers=str(count)), probe, log=_LOG) as server:
            workers.append(_load(server, probe, CLIENTS, seconds)["per_second"])
    by_length = dict(zip(_LENGTHS, lengths[1][1:], strict=True))
    return section(
        "More clients",
        f"A full queue is answered with 429. `/predict/timeline` takes {short(by_length[3] / 1000)} s for 3 s of a "
        f"synthetic clip, {short(by_length[10] / 1000)} s for 10 s and {short(by_length[60] / 1000)} s for 60 s.",
        table(("clients", *map(str, _CLIENTS)), clients),
        table(("one client, seconds of a synthetic clip", *map(str, _LENGTHS)), lengths, on_page=False),
        table(("decode workers", *map(str, _WORKERS)), [("recording: per s", *workers)], on_page=False),
    )


def _load(server: Running, request: Payload, clients: int, seconds: float) -> dict[str, float]:
    drive(server.address, [request], clients=clients, requests=2 * CLIENTS)
    return drive(server.address, [request], clients=clients, seconds=seconds, ramp=1.0).summary()


def measure_cold_start(rounds: int) -> Section:
    """From a server's command to its first answer.

    Args:
        rounds: Number of starts of each.
    """
    models = make_models()
    contenders = [ours(OURS, model_repository=str(models.repositories["emotion_int8"]))]
    contenders += [peer(name, models) for name in PEERS]
    found: dict[str, list[tuple[float, float]]] = {one.name: [] for one in contenders}
    for contender in contenders * rounds:
        begin = time.perf_counter()
        with running(contender, payload(RECORDING), log=_LOG) as server:
            found[contender.name].append((time.perf_counter() - begin, memory_bytes(server.pid) / 1e6))
    seconds, megabytes = ([statistics.median(row[which] for row in found[name]) for name in found] for which in (0, 1))
    return section(
        "Cold start",
        "From the command to the first answer, and memory after it (proportional set size of all processes).",
        table(("", *found), [("seconds", *seconds), ("MB", *megabytes)]),
    )


def measure_memory(answers: int) -> Section:
    """Memory of the gateway's and Triton's processes while four clients send whole and sampled clips.

    The whole clips are small, so that ten thousand answers take minutes. Decode workers are recycled as always.

    Args:
        answers: Number of requests.
    """
    small = upload(synthetic_clip(1.0, "webm", "libvpx", "libopus", seed=0, width=160, height=120))
    payloads = [small, payload(SAMPLED)]
    megabytes, failed = {}, 0.0
    with running(ours("memory"), payload(RECORDING), log=_LOG) as server:
        for done in range(_STRETCH, answers + 1, _STRETCH):
            load = drive(server.address, payloads, clients=4, requests=_STRETCH)
            failed += load.summary()["failed"]
            megabytes[str(done)] = memory_bytes(server.pid) / 1e6
    return section(
        "Memory over 10,000 answers",
        f"Gateway and Triton (proportional set size) take {min(megabytes.values()):.0f} to "
        f"{max(megabytes.values()):.0f} MB while four clients send small whole clips and sampled ones by turns, "
        f"{megabytes[str(done)]:.0f} MB at the end. {failed:g} requests failed.",
        table(("answers", *megabytes), [("MB", *megabytes.values())], on_page=False),
    )
