"""The exported models on an NVIDIA GPU, in ONNX Runtime, which Triton's `onnxruntime` backend runs.

A run takes a batch from host memory to host memory, as in Triton. Each variant's answers are compared with those of
FP32 on the CPU, because a fast wrong model is worth nothing. The machine needs `onnxruntime-gpu`, `onnx`, `psutil` and
the files that `benchmarks.models.make_models` names.
"""

from __future__ import annotations

import contextlib
import importlib
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from avemotion.preprocessing.contract import FRAME_COUNT, FRAME_SIZE, INPUTS, LOG_MEL, WINDOW_SECONDS
from benchmarks.measuring import interleaved
from benchmarks.models import Tensors, committed_model, infer, make_models, session
from benchmarks.results import NotMeasurableError, Section, describe, section, table
from loadtest import drawn_face

BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"

_SEEDS: Final = 3
_DRAWN: Final = 200
_FACE: Final = np.s_[30:160, 35:165]
"""Side of the drawings in pixels, and where their face is."""


def measure(rounds: int) -> Section:
    """Speed and agreement of FP32, FP16 and INT8 on the GPU, and of INT8 on the CPU.

    Args:
        rounds: Number of measurements of each.

    Raises:
        NotMeasurableError: There is no NVIDIA GPU, or ONNX Runtime cannot use it.
    """
    card = _card()
    _load_libraries()
    fp32 = make_models().fp32
    try:
        sessions = {
            "FP32": open_session(fp32, CUDA, use_tf32="0"),
            "FP32, TF32 allowed": open_session(fp32, CUDA, use_tf32="1"),
            "FP16": open_session(half(fp32), CUDA),
            "INT8": open_session(committed_model(), CUDA),
            "INT8, CPU": open_session(committed_model(), CPU),
        }
    except Exception as error:  # ONNX Runtime's errors share no other base
        raise NotMeasurableError(f"ONNX Runtime does not run on this card: {error}") from error
    version = f"{onnxruntime.__version__}, built for CUDA {getattr(onnxruntime, 'cuda_version', 'unknown')}"
    return section(
        "On a GPU",
        f"{card}; ONNX Runtime {version}; {describe()['processor']}. Clips per second by batch, from "
        f"host memory to host memory, without decoding or a server; medians of {rounds} rounds. The last columns "
        "compare random clips with FP32 on the CPU.",
        table(
            ("model", *map(str, BATCHES), "largest difference", "same top label %"),
            compare(sessions, fp32, BATCHES, rounds),
        ),
    )


def compare(
    sessions: Mapping[str, onnxruntime.InferenceSession], reference: Path, batches: Sequence[int], rounds: int
) -> list[tuple[str | float, ...]]:
    """Measure sessions by turns, and compare their answers.

    Args:
        sessions: The sessions by name.
        reference: FP32 model, whose answers on the CPU are taken as right.
        batches: Numbers of clips in a batch.
        rounds: Number of measurements of each.

    Returns:
        For each session its name, the clips per second with each batch, and what `agreement` returns.
    """
    rates: dict[str, list[float]] = {name: [] for name in sessions}
    for batch in batches:
        inputs = drawn_inputs(batch, 0)
        costs = interleaved({name: partial(one.run, None, inputs) for name, one in sessions.items()}, rounds)
        for name, cost in costs.items():
            rates[name].append(1000 * batch / cost["wall"])
    cases = [drawn_inputs(batch, seed) for batch in batches for seed in range(_SEEDS)]
    right = session(reference)
    expected = [infer(right, inputs) for inputs in cases]
    return [
        (name, *rates[name], *agreement([infer(one, inputs) for inputs in cases], expected))
        for name, one in sessions.items()
    ]


def open_session(model: Path | bytes, provider: str, **options: str) -> onnxruntime.InferenceSession:
    """A session of a model, given as file or bytes, with options of its execution provider.

    Raises:
        RuntimeError: It would run on another provider, as ONNX Runtime does if libraries are missing.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    # Idle threads of one session must not take cores from the next one.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    opened = onnxruntime.InferenceSession(model, settings, providers=[(provider, options)])
    if opened.get_providers()[0] != provider:
        raise RuntimeError(f"{provider} could not be loaded; {opened.get_providers()[0]} would run instead")
    return opened


def half(model: Path) -> bytes:
    """The model with weights and arithmetic in FP16, and with the same inputs and outputs."""
    import onnx  # noqa: PLC0415 (needed on a machine with a GPU only)
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    return bytes(convert_float_to_float16(onnx.load(model), keep_io_types=True).SerializeToString())


def agreement(found: Sequence[npt.NDArray[Any]], expected: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
    """The largest difference of a probability (1 for NaN) and the percentage of equal top labels.

    Both are given as probabilities [batch, labels] of each batch.
    """
    one, other = np.nan_to_num(np.concatenate(found), nan=-1.0), np.concatenate(expected)
    equal = one.argmax(axis=1) == other.argmax(axis=1)
    return min(1.0, float(np.abs(one - other).max())), 100 * float(equal.mean())


def drawn_inputs(batch: int, seed: int) -> Tensors:
    """Tensors of the contract's inputs, at random: a drawn face in changing light, and noise, in which nobody is heard.

    In random frames a network finds nobody, and then gives all labels the same probability. Two of three clips lack a
    modality.
    """
    random = np.random.default_rng([seed, batch])
    pictures = drawn_face.frames(_DRAWN, _DRAWN, WINDOW_SECONDS)
    shown = [pictures[number] for number in np.linspace(0, len(pictures) - 1, FRAME_COUNT, dtype=int)]
    face = np.stack([cv2.resize(picture[_FACE], (FRAME_SIZE, FRAME_SIZE)) for picture in shown])
    light = random.uniform(0.6, 1.2, (batch, 1, 1, 1, 1))
    frames = np.clip(light * face + random.normal(0, 8, (batch, *face.shape)), 0, 255)
    log_mel = random.uniform(-1, random.uniform(-0.9, 1, (batch, 1, 1)), (batch, *LOG_MEL.shape))
    present = np.resize([[True, True], [True, False], [False, True]], (batch, 2))
    return {spec.name: array.astype(spec.dtype) for spec, array in zip(INPUTS, (frames, log_mel, present), strict=True)}


def _load_libraries() -> None:
    """Load NVIDIA's libraries from Python packages, which are on no search path."""
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")
    if (preload := getattr(onnxruntime, "preload_dlls", None)) is not None:
        preload()


def _card() -> str:
    """Name, memory and driver of the first card.

    Raises:
        NotMeasurableError: There is none, or this ONNX Runtime is the package for the CPU.
    """
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NotMeasurableError("there is no NVIDIA GPU here (nvidia-smi shows none)") from error
    if CUDA not in onnxruntime.get_available_providers():
        raise NotMeasurableError(f"onnxruntime {onnxruntime.__version__} here is the package for the CPU")
    return "{}, {}, driver {}".format(*map(str.strip, output.splitlines()[0].split(",")))
