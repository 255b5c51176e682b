"""Has a change made a prediction dearer? A ratio that noise does not move far, small enough for every test run.

CPU time of the whole server for a clip, over CPU time of bare decoding and of one run of the model for the same clip:
both are measured by turns in one run, on the same machine and beside the same neighbours.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import cv2

from avemotion.preprocessing.clip import read_clip
from benchmarks.load import drive
from benchmarks.measuring import interleaved
from benchmarks.models import committed_model
from benchmarks.results import FOLDER
from benchmarks.stages import bare_decode, run, session
from benchmarks.workloads import RECORDING, upload
from benchmarks.workloads import clip as workload
from loadtest.servers import ROOT, ours, running

LIMIT = 2.8
"""Largest ratio that passes; `python -m benchmarks guard` prints the present one."""

_ROUNDS = 5
_REQUESTS = 12


@dataclass(frozen=True)
class Guarded:
    """One measurement.

    Attributes:
        server: CPU seconds of the server for a clip.
        floor: CPU seconds of bare decoding and of the model.
    """

    server: float
    floor: float

    @property
    def ratio(self) -> float:
        """How many times the floor a prediction costs."""
        return self.server / self.floor


def measure_recording() -> dict[str, float]:
    """`measure` of the recording, as figures to keep."""
    return vars(measure(workload(RECORDING)))


def measure(clip: bytes, *, predictor: str = "onnxruntime", **settings: str) -> Guarded:
    """Measure the ratio.

    Args:
        clip: What is sent.
        predictor: Of the server.
        **settings: Of the gateway, without `EMO_`.
    """
    cv2.setNumThreads(1)
    model = session(committed_model())
    tensors = read_clip(clip).tensors()
    tasks = {"decode": lambda: bare_decode(clip), "model": lambda: run(model, tensors)}
    probe = upload(clip)
    contender = ours("guard", ROOT / "model_repository", predictor=predictor, **settings)
    servers, floors = [], []
    with running(contender, probe, log=FOLDER / "logs" / "guard.log") as server:
        drive(server.address, [probe], clients=2, requests=6)
        for _ in range(_ROUNDS):
            floors.append(sum(cost.cpu for cost in interleaved(tasks, 3).values()))
            outcome = drive(server.address, [probe], clients=2, requests=_REQUESTS, server_pid=server.pid)
            servers.append(outcome.cpu_per_answer)
    return Guarded(statistics.median(servers), statistics.median(floors))
