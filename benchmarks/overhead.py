"""What the gateway adds to decoding and inference, one request at a time.

What a client waited, less what the answer says of decoding and inference: the way over loopback, the form, the queue,
moving bytes to the worker and back, and the answer. The request is made before, so that no client's library counts.
"""

from __future__ import annotations

import http.client
import statistics
import time
from functools import partial
from typing import Any, Final

from benchmarks import workloads
from benchmarks.measuring import interleaved, percentile
from benchmarks.results import FOLDER
from benchmarks.stages import bare_decode
from loadtest.payloads import Payload, ask_over, connect
from loadtest.servers import ROOT, ours, running

LIMIT: Final = 5.0
"""Milliseconds of a recording's median that are aimed at, on a machine that takes `REFERENCE` for its bare decoding."""

REFERENCE: Final = 94.0
"""Milliseconds of bare decoding of the recording, on the machine for which the aim was set."""

_WARM_UP: Final = 10


def measure(requests: int) -> dict[str, Any]:
    """Ask this project's server, with Triton behind it.

    Args:
        requests: How many of each clip are measured.

    Returns:
        `clips`: by clip and stage, milliseconds at `p50` and `p95`; `waited` is what the client waited, and `overhead`
        that less decoding and inference. `bare_decode`: milliseconds of bare decoding of the recording.
    """
    recording = workloads.clip(workloads.RECORDING)
    probe = workloads.upload(recording)
    bare = partial(interleaved, {"bare": partial(bare_decode, recording)}, 5)
    with running(ours("overhead", ROOT / "model_repository"), probe, log=FOLDER / "logs" / "overhead.log") as server:
        payloads = workloads.payloads(server.address, tuple(workloads.MEANINGS))
        before = bare()["bare"].wall
        connection = connect(server.address)
        clips = {name: _measure_one(connection, payload, requests) for name, payload in payloads.items()}
        connection.close()
        after = bare()["bare"].wall
    return {"clips": clips, "bare_decode": 1000 * (before + after) / 2, "requests": requests}


def _measure_one(connection: http.client.HTTPConnection, payload: Payload, requests: int) -> dict[str, Any]:
    rows: dict[str, list[float]] = {}
    for number in range(_WARM_UP + requests):
        begin = time.perf_counter()
        status, answer = ask_over(connection, payload)
        waited = 1000 * (time.perf_counter() - begin)
        if status != http.client.OK:
            raise RuntimeError(f"a request was answered with {status}: {answer}")
        stages = answer["timings_ms"]
        if number >= _WARM_UP:
            overhead = waited - stages["decode"] - stages["inference"]
            for name, value in {"overhead": overhead, "waited": waited, **stages}.items():
                rows.setdefault(name, []).append(value)
    return {name: {"p50": statistics.median(values), "p95": percentile(values, 0.95)} for name, values in rows.items()}
