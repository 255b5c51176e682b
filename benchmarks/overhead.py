"""What the gateway adds to decoding and inference: time to one request, and work to a saturated machine.

Time is what a client waited, less what the answer says of decoding and inference: the way over loopback, the form, the
queue, moving bytes to the worker and back, and the answer. The client is a bare socket: the request is made before the
clock starts and the answer is read after it stops, so that no client's library counts. Work shows in how many clips
the server answers, of those that the same cores decode and infer without it.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import time
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from avemotion.preprocessing.clip import read_clip
from benchmarks import workloads
from benchmarks.floor import Floor
from benchmarks.measuring import interleaved, percentile
from benchmarks.models import committed_model
from benchmarks.results import FOLDER
from benchmarks.serving import compare
from benchmarks.stages import bare_decode
from loadtest.payloads import Payload
from loadtest.servers import ROOT, ours, running

LIMIT: Final = 5.0
"""Milliseconds of a recording's median that are aimed at, on a machine that takes `REFERENCE` for its bare decoding."""

REFERENCE: Final = 94.0
"""Milliseconds of bare decoding of the recording, on the machine for which the aim was set."""

SHARE: Final = 0.85
"""Share of what decoding and inference allow that is aimed at, where the server is saturated with recordings."""

_WARM_UP: Final = 10
_TIMEOUT: Final = 60.0
_SIZE: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def measure(requests: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Ask this project's server, with Triton behind it: one request at a time, and then by eight clients at once.

    Args:
        requests: How many of each clip are measured one at a time.
        rounds: How often the saturated server takes turns with its stages alone and with the floor.
        seconds: Length of a turn.

    Returns:
        `clips`: by clip and stage, milliseconds at `p50` and `p95`; `waited` is what the client waited, and `overhead`
        that less decoding and inference. `bare_decode`: milliseconds of bare decoding of the recording. `saturated`:
        as `benchmarks.serving.compare` gives it, with the floors `stages` and `floor`.
    """
    recording = workloads.clip(workloads.RECORDING)
    probe = workloads.upload(recording)
    bare = partial(interleaved, {"bare": partial(bare_decode, recording)}, 5)
    with running(ours("overhead", ROOT / "model_repository"), probe, log=FOLDER / "logs" / "overhead.log") as server:
        payloads = workloads.payloads(server.address, tuple(workloads.MEANINGS))
        before = bare()["bare"].wall
        clips = {name: _measure_one(server.address, payload, requests) for name, payload in payloads.items()}
        after = bare()["bare"].wall
    return {
        "clips": clips,
        "bare_decode": 1000 * (before + after) / 2,
        "requests": requests,
        "saturated": _saturated(recording, rounds, seconds),
    }


def _saturated(recording: bytes, rounds: int, seconds: float) -> dict[str, Any]:
    model, clips = committed_model(), {workloads.RECORDING: recording}
    server = ours("this project", ROOT / "model_repository")
    with Floor(model, clips) as floor, Floor(model, clips, read_clip) as stages:
        floors = {"stages": stages, "floor": floor}
        return compare([server], [workloads.RECORDING], rounds, seconds, requests=1, floors=floors)


def _measure_one(address: str, payload: Payload, requests: int) -> dict[str, Any]:
    rows: dict[str, list[float]] = {}
    server = urlsplit(address)
    head = (
        f"POST {payload.path} HTTP/1.1\r\nHost: {server.netloc}\r\nContent-Type: {payload.content_type}\r\n"
        f"Content-Length: {len(payload.body)}\r\n\r\n"
    )
    request = head.encode() + payload.body
    with socket.create_connection((server.hostname or "", server.port or 0), timeout=_TIMEOUT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(_WARM_UP + requests):
            begin = time.perf_counter()
            connection.sendall(request)
            answer = _answer(connection)
            waited = 1000 * (time.perf_counter() - begin)
            stages = _stages(answer)
            if number >= _WARM_UP:
                overhead = waited - stages["decode"] - stages["inference"]
                for name, value in {"overhead": overhead, "waited": waited, **stages}.items():
                    rows.setdefault(name, []).append(value)
    return {name: {"p50": statistics.median(values), "p95": percentile(values, 0.95)} for name, values in rows.items()}


def _answer(connection: socket.socket) -> bytes:
    """The bytes of one answer, whose head says how long its body is."""
    answer = b""
    while True:
        chunk = connection.recv(2**16)
        if not chunk:
            raise RuntimeError(f"the connection was closed after {answer!r}")
        answer += chunk
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and (size := _SIZE.search(head)) and len(body) >= int(size[1]):
            return answer


def _stages(answer: bytes) -> dict[str, float]:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"a request was answered with {head!r}: {body!r}")
    stages: dict[str, float] = json.loads(body)["timings_ms"]
    return stages
