"""What one prediction is made of, measured in this process, one stage after the other."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime

from avemotion.client.sampling import Sampling, sample_clip
from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import INPUTS, PROBABILITIES
from avemotion.preprocessing.log_mel import log_mel
from avemotion.preprocessing.sampled import read_sampled
from benchmarks import workloads
from benchmarks.measuring import Cost, interleaved
from benchmarks.models import committed_model, make_models
from benchmarks.results import FOLDER

BATCH = 8
_SAMPLING = Sampling(longest_side=384, jpeg_quality=0.7)


def measure(rounds: int) -> dict[str, Any]:
    """Costs of the stages in milliseconds, by clip and stage.

    Args:
        rounds: How often each is measured.
    """
    cv2.setNumThreads(1)
    int8 = session(committed_model())
    fp32 = session(make_models(FOLDER / "models").fp32)
    figures: dict[str, Any] = {}
    for name in (workloads.RECORDING, workloads.ORIGINAL):
        data = workloads.clip(name)
        found = read_clip(data)
        waveform = found.waveform
        tasks: dict[str, Callable[[], object]] = {
            "demux": partial(demux, data),
            "bare decode": partial(bare_decode, data),
            "clip to tensors": partial(read_clip, data),
            "of that: log-mel": partial(log_mel, waveform),
        }
        figures[name] = _milliseconds(interleaved(tasks, rounds))
    recording = workloads.clip(workloads.RECORDING)
    taken = sample_clip(recording, _SAMPLING)
    figures[workloads.SAMPLED] = _milliseconds(
        interleaved({"samples to tensors": lambda: read_sampled(taken.frames, taken.audio)}, rounds)
    )
    tensors = read_clip(recording).tensors()
    many = {key: np.repeat(array, BATCH, axis=0) for key, array in tensors.items()}
    models = interleaved(
        {
            "INT8": lambda: run(int8, tensors),
            f"INT8, batch of {BATCH}": lambda: run(int8, many),
            "FP32": lambda: run(fp32, tensors),
            f"FP32, batch of {BATCH}": lambda: run(fp32, many),
        },
        rounds,
    )
    figures["model"] = _milliseconds(models)
    return figures


def demux(data: bytes) -> int:
    """Read all packets; returns how many there are."""
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.demux())


def bare_decode(data: bytes) -> int:
    """Decode every packet of both tracks on one thread, and do nothing with it; returns the number of frames."""
    with av.open(io.BytesIO(data)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        return sum(len(packet.decode()) for packet in container.demux(streams))


def session(path: Path) -> onnxruntime.InferenceSession:
    """A model on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(model: onnxruntime.InferenceSession, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Probabilities of a batch."""
    found = model.run([PROBABILITIES.name], {spec.name: tensors[spec.name] for spec in INPUTS})
    return np.asarray(found[0])


def _milliseconds(costs: Mapping[str, Cost]) -> dict[str, dict[str, float]]:
    return {name: {"wall": 1000 * cost.wall, "cpu": 1000 * cost.cpu} for name, cost in costs.items()}
