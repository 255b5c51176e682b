"""Benchmark of settings of dynamic batching, on a real Triton server with closed-loop clients.

One setting at a time is changed from the default configuration. Results: docs/decisions/batching.md.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tritonclient.grpc import InferInput, np_to_triton_dtype
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from avemotion.preprocessing.contract import PROBABILITIES
from export.errors import RepositoryError
from export.parity import random_inputs
from export.repository import MODEL_FILE, served, write_configuration
from export.timing import describe_processor
from export.triton_config import Serving, render_config
from triton_server.launcher import TritonServer
from triton_server.options import LauncherOptions

DELAYS: Final = (0, 500, 2_000, 5_000, 20_000)
BATCHES: Final = (1, 4, 8, 16, 32)
_WARM_UP_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Row:
    """One setting under one load.

    Attributes:
        setting: The setting that was changed.
        clients: Concurrent requests, of one clip each.
        clips_per_second: Throughput.
        median_ms: Median latency.
        p95_ms: 95th percentile of the latency.
        mean_batch: Mean number of clips in one run of the model.
        failed: Number of failed requests.
    """

    setting: str
    clients: int
    clips_per_second: float
    median_ms: float
    p95_ms: float
    mean_batch: float
    failed: int


def settings(cores: int) -> Iterator[tuple[str, Serving]]:
    """The settings to measure, by name."""
    default = Serving()
    yield "default", default
    for delay in DELAYS:
        if delay != default.max_queue_delay_microseconds:
            yield f"delay {delay} µs", dataclasses.replace(default, max_queue_delay_microseconds=delay)
    for batch in BATCHES:
        if batch != default.max_batch_size:
            yield f"largest batch {batch}", dataclasses.replace(default, max_batch_size=batch)
    yield "preferred batches 4, 8", dataclasses.replace(default, preferred_batch_sizes=(4, 8))
    for instances, threads in dict.fromkeys(((1, 1), (1, cores), (cores, 1), (cores, cores))):
        serving = dataclasses.replace(default, instances=instances, cores=instances * threads)
        if serving != default:
            yield f"{_plural(instances, 'instance')} of {_plural(threads, 'thread')}", serving


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sweep(
    model: Path, output: Path, *, seconds: float, clients: tuple[int, ...], say: Callable[[str], None] = print
) -> list[Row]:
    """Measure every setting under every load, and write the results.

    Args:
        model: Folder of the model whose served version is measured.
        output: Folder for `sweep.json` and `sweep.md`.
        seconds: Duration of each load.
        clients: Numbers of concurrent requests.
        say: Called with each result.

    Raises:
        RepositoryError: The model has no version.
        TritonServerError: Triton cannot run on this machine.
    """
    version = served(model)
    if version is None:
        raise RepositoryError(f"{model} has no version to measure.")
    rows = []
    for name, serving in settings(len(os.sched_getaffinity(0))):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / model.name
            write_configuration(copy, model.name, "face")
            (copy / "config.pbtxt").write_text(render_config(model.name, "face", serving))
            (copy / "1").mkdir()
            shutil.copyfile(version.folder / MODEL_FILE, copy / "1" / MODEL_FILE)
            with TritonServer(_options(Path(folder))) as server:
                for count in clients:
                    rows.append(asyncio.run(_load(server.grpc_address, model.name, name, count, seconds)))
                    say(" | ".join(_cells(rows[-1])))
    _write(output, rows, seconds)
    say(f"{output / 'sweep.md'}")
    return rows


async def _load(address: str, model: str, setting: str, clients: int, seconds: float) -> Row:
    """Keep a number of requests in flight for some seconds."""
    latencies: list[float] = []
    failed = 0
    inputs = [_as_inputs(seed) for seed in range(8)]
    async with InferenceServerClient(address) as client:
        begin = time.perf_counter() + _WARM_UP_SECONDS
        end = begin + seconds

        async def ask(number: int) -> None:
            nonlocal failed
            while (sent := time.perf_counter()) < end:
                try:
                    answer = await client.infer(model, inputs[number % len(inputs)])
                    assert answer.as_numpy(PROBABILITIES.name) is not None  # noqa: S101 (a response must have it)
                except InferenceServerException:
                    failed += 1
                    continue
                if sent >= begin:
                    latencies.append(1e3 * (time.perf_counter() - sent))

        before = await _counts(client, model)
        await asyncio.gather(*(ask(number) for number in range(clients)))
        took = time.perf_counter() - begin
        after = await _counts(client, model)
    clips, runs = (late - early for early, late in zip(before, after, strict=True))
    median, p95 = np.percentile(latencies, (50, 95)) if latencies else (float("nan"), float("nan"))
    return Row(setting, clients, len(latencies) / took, float(median), float(p95), clips / max(runs, 1), failed)


async def _counts(client: InferenceServerClient, model: str) -> tuple[int, int]:
    """Number of clips and of runs of the model so far."""
    statistics = await client.get_inference_statistics(model, as_json=True)
    (found,) = statistics["model_stats"]
    return int(found.get("inference_count", 0)), int(found.get("execution_count", 0))


def _as_inputs(seed: int) -> list[InferInput]:
    """One random clip with both modalities, as Triton's client sends it."""
    items = []
    for name, array in random_inputs(1, (True, True), seed).items():
        item = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        item.set_data_from_numpy(array)
        items.append(item)
    return items


def _options(repository: Path) -> LauncherOptions:
    """Options with free ports, so that a running Triton server does not interfere."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        grpc, http, metrics = (listener.getsockname()[1] for listener in sockets)
    return LauncherOptions(model_repository=repository, grpc_port=grpc, http_port=http, metrics_port=metrics)


def _write(output: Path, rows: list[Row], seconds: float) -> None:
    processor, instruction_sets = describe_processor()
    cores = len(os.sched_getaffinity(0))
    output.mkdir(parents=True, exist_ok=True)
    facts = {"processor": processor, "instruction_sets": instruction_sets, "cores": cores, "seconds": seconds}
    (output / "sweep.json").write_text(json.dumps(facts | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    header = ("setting", "clients", "clips/s", "median ms", "p95 ms", "mean batch", "failed")
    lines = [header, tuple("---" for _ in header), *(_cells(row) for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    (output / "sweep.md").write_text(
        f"{processor} ({', '.join(instruction_sets)}), {cores} cores, shared by Triton and the clients; "
        f"{seconds:g} s per row.\n\n{table}\n"
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.setting,
        str(row.clients),
        f"{row.clips_per_second:.1f}",
        f"{row.median_ms:.0f}",
        f"{row.p95_ms:.0f}",
        f"{row.mean_batch:.1f}",
        str(row.failed),
    )
