"""The exported models on an NVIDIA GPU, through the provider that Triton's `onnxruntime` backend runs on.

A run from host memory to host memory is what Triton does for a batch. The same with tensors that lie on the device
shows how much of it is copying. As a fast wrong model is worth nothing, what each variant answers is compared with
what FP32 answers on the CPU in the same run.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from avemotion.preprocessing.contract import FRAME_SIZE, FRAMES, INPUTS, LOG_MEL, OUTPUTS, PROBABILITIES
from benchmarks.measuring import interleaved
from benchmarks.models import committed_model, fp32_model
from benchmarks.results import FOLDER, NotMeasurableError

BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
ALGORITHM_SEARCH: Final = "EXHAUSTIVE"
"""How cuDNN picks the algorithm of each convolution; the default of ONNX Runtime and of Triton's backend."""

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"

_TENSORRT_LIBRARY: Final = "libnvinfer.so.10"
_NAMES: Final = [spec.name for spec in OUTPUTS]
_PRESENCE: Final = ((True, True), (True, False), (False, True))
_SEEDS: Final = 3
_BLOCK: Final = 8
"""Pixels of one colour side by side: noise in single pixels looks alike to a network, whatever the seed."""

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Variant:
    """One way to run the network.

    Attributes:
        name: What the report calls it.
        model: ONNX file, or its bytes.
        provider: ONNX Runtime's name of what runs it.
        options: The provider's options.
    """

    name: str
    model: Path | bytes
    provider: str
    options: Mapping[str, str] = field(default_factory=dict)


def measure(rounds: int, batches: Sequence[int] = BATCHES) -> dict[str, Any]:
    """Time and agreement of all variants, with what they ran on.

    Args:
        rounds: How often each is measured.
        batches: Clips in a batch.

    Raises:
        NotMeasurableError: There is no NVIDIA GPU, or ONNX Runtime cannot use it.
    """
    card = _card()
    _load_libraries()
    fp32 = fp32_model(FOLDER / "models")
    cuda = {"cudnn_conv_algo_search": ALGORITHM_SEARCH}
    probe = Variant("probe", committed_model(), CUDA, cuda)
    try:
        open_session(probe)
    except Exception as error:  # those of ONNX Runtime share no other base
        raise NotMeasurableError(f"ONNX Runtime does not run on the {card['name']}: {error}") from error
    variants = [
        Variant("FP32", fp32, CUDA, cuda | {"use_tf32": "0"}),
        Variant("FP32, TF32 allowed", fp32, CUDA, cuda | {"use_tf32": "1"}),
        Variant("FP16", half(fp32), CUDA, cuda),
        Variant("INT8", committed_model(), CUDA, cuda),
        Variant("INT8, CPU", committed_model(), CPU),
    ]
    missing = {}
    if _has_tensorrt():
        variants.insert(-1, Variant("TensorRT, FP16", fp32, TENSORRT, _tensorrt(max(batches))))
    else:
        missing["TensorRT"] = f"its libraries ({_TENSORRT_LIBRARY}) were absent"
    figures = compare(variants, fp32, batches, rounds, device="cuda")
    figures["missing"] = missing | figures["missing"]
    return {
        "card": card,
        "onnxruntime": onnxruntime.__version__,
        "cuda": getattr(onnxruntime, "cuda_version", None),
        "algorithm_search": ALGORITHM_SEARCH,
        "cores": len(os.sched_getaffinity(0)),
        **figures,
    }


def compare(
    variants: Sequence[Variant], reference: Path, batches: Sequence[int], rounds: int, *, device: str
) -> dict[str, Any]:
    """Measure variants by turns, and compare their answers.

    Args:
        variants: What is measured; one that cannot be opened or run is reported as missing, with the reason.
        reference: FP32 model whose answers on the CPU are right.
        batches: Clips in a batch.
        rounds: How often each is measured.
        device: Where tensors of the bound runs lie, in ONNX Runtime's words; variants on the CPU have none.

    Returns:
        `agreement` (largest difference of a probability, share of equal first answers), `nodes` by provider and
        `memory_mb` by variant; `runs` by variant and batch, with `host_ms` and `bound_ms`; `missing` with reasons;
        `clips` that were compared.
    """
    right = open_session(Variant("reference", reference, CPU))
    cases = [random_inputs(batch, seed) for batch in batches for seed in range(_SEEDS)]
    expected = [_probabilities(right, inputs) for inputs in cases]
    sessions: dict[str, onnxruntime.InferenceSession] = {}
    figures: dict[str, Any] = {"agreement": {}, "nodes": {}, "memory_mb": {}, "runs": {}, "missing": {}}
    for variant in variants:
        before = _memory_mb()
        try:
            session = open_session(variant)
            found = [_probabilities(session, inputs) for inputs in cases]
            nodes = placement(variant)
        except Exception as error:  # one variant that fails must not take the others' figures along
            figures["missing"][variant.name] = " ".join(str(error).split())[:300]
            print(f"{variant.name} cannot be measured: {error}", flush=True)
            continue
        after = _memory_mb()
        sessions[variant.name] = session
        figures["agreement"][variant.name] = agreement(found, expected)
        figures["nodes"][variant.name] = nodes
        is_known = before is not None and after is not None and variant.provider != CPU
        figures["memory_mb"][variant.name] = (after or 0.0) - (before or 0.0) if is_known else None
        figures["runs"][variant.name] = {}
        # A machine that is lent for minutes may be gone before the last figure.
        print(f"{variant.name}: {figures['agreement'][variant.name]}, nodes {nodes}", flush=True)
    on_device = [variant.name for variant in variants if variant.name in sessions and variant.provider != CPU]
    for batch in batches:
        inputs = random_inputs(batch, 0)
        tasks: dict[str, Callable[[], object]] = {}
        for name, session in sessions.items():
            tasks[f"{name} host"] = partial(session.run, _NAMES, inputs)
            if name in on_device or device == "cpu":
                tasks[f"{name} bound"] = bound(session, inputs, device)
        for task in tasks.values():
            task()
        costs = interleaved(tasks, rounds)
        for name in sessions:
            bound_cost = costs.get(f"{name} bound")
            figures["runs"][name][str(batch)] = {
                "host_ms": 1000 * costs[f"{name} host"].wall,
                "host_cpu_ms": 1000 * costs[f"{name} host"].cpu,
                "bound_ms": None if bound_cost is None else 1000 * bound_cost.wall,
            }
        print(f"batch of {batch}: { ({name: runs[str(batch)] for name, runs in figures['runs'].items()}) }", flush=True)
    figures["clips"] = sum(len(answers) for answers in expected)
    figures["rounds"] = rounds
    return figures


def open_session(variant: Variant, profile: Path | None = None) -> onnxruntime.InferenceSession:
    """A session of a variant.

    Args:
        variant: Which.
        profile: Where to keep what each node took; nowhere by default.

    Raises:
        RuntimeError: It would run on another provider, as ONNX Runtime does where libraries are missing.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Idle threads of one session must not take cores from the next one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    providers: list[Any] = [(variant.provider, dict(variant.options))]
    if variant.provider == TENSORRT:
        providers.append(CUDA)
    model = variant.model if isinstance(variant.model, bytes) else str(variant.model)
    session = onnxruntime.InferenceSession(model, options, providers=providers)
    if session.get_providers()[0] != variant.provider:
        raise RuntimeError(f"{variant.provider} could not be loaded; {session.get_providers()[0]} would run instead")
    return session


def half(model: Path) -> bytes:
    """The model with weights and arithmetic in FP16 and with the inputs and outputs that it has."""
    import onnx  # noqa: PLC0415 (only where there is a GPU)
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    return bytes(convert_float_to_float16(onnx.load(model), keep_io_types=True).SerializeToString())


def bound(session: onnxruntime.InferenceSession, inputs: Tensors, device: str) -> Callable[[], object]:
    """A run whose inputs and outputs lie on the device, ended when the device has ended.

    Args:
        session: What to run.
        inputs: A batch, which is copied to the device once, here.
        device: Where, in ONNX Runtime's words.
    """
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0))
    for name in _NAMES:
        binding.bind_output(name, device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def placement(variant: Variant) -> dict[str, int]:
    """How many nodes of the optimised graph each provider runs; copies between providers count as `copies`."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(variant, Path(folder) / "profile")
        session.run(_NAMES, random_inputs(2, 0))
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes = {
        event["args"]["node_index"]: "copies" if event["args"]["op_name"].startswith("Memcpy") else provider
        for event in events
        if event.get("cat") == "Node" and (provider := event.get("args", {}).get("provider"))
    }
    return dict(Counter(nodes.values()))


def agreement(found: Sequence[npt.NDArray[Any]], expected: Sequence[npt.NDArray[Any]]) -> dict[str, float]:
    """How far answers are from the right ones.

    Args:
        found: Probabilities float[batch, labels] of each batch.
        expected: Those that are right, likewise.

    Returns:
        `difference`, the largest of a probability, and `equal`, the share of clips with the same first answer.
        Answers that are not numbers differ by 1.
    """
    one, other = np.nan_to_num(np.concatenate(found), nan=-1.0), np.concatenate(expected)
    equal = one.argmax(axis=1) == other.argmax(axis=1)
    return {"difference": min(1.0, float(np.abs(one - other).max())), "equal": float(equal.mean())}


def random_inputs(batch: int, seed: int) -> Tensors:
    """Random tensors of the contract's inputs: coloured blocks, and clips that lack sound or video by turns."""
    random = np.random.default_rng([seed, batch])
    low = random.integers(0, 200, (batch, 1, 1, 1, 1))
    blocks = FRAME_SIZE // _BLOCK
    coarse = low + random.integers(0, 56, (batch, FRAMES.shape[0], blocks, blocks, 3))
    frames = coarse.astype(FRAMES.dtype).repeat(_BLOCK, axis=2).repeat(_BLOCK, axis=3)
    log_mel = random.uniform(-1, random.uniform(-0.9, 1, (batch, 1, 1)), (batch, *LOG_MEL.shape))
    present = np.array([_PRESENCE[index % len(_PRESENCE)] for index in range(batch)])
    arrays = (frames, log_mel, present)
    return {spec.name: array.astype(spec.dtype) for spec, array in zip(INPUTS, arrays, strict=True)}


def _probabilities(session: onnxruntime.InferenceSession, inputs: Tensors) -> npt.NDArray[Any]:
    return np.asarray(session.run(_NAMES, inputs)[_NAMES.index(PROBABILITIES.name)])


def _load_libraries() -> None:
    """Load NVIDIA's libraries where Python packages have brought them, as no search path leads there."""
    for package in ("torch", "tensorrt"):
        with contextlib.suppress(ImportError):
            importlib.import_module(package)
    if (preload := getattr(onnxruntime, "preload_dlls", None)) is not None:
        preload()


def _has_tensorrt() -> bool:
    try:
        ctypes.CDLL(_TENSORRT_LIBRARY)
    except OSError:
        return False
    return TENSORRT in onnxruntime.get_available_providers()


def _tensorrt(largest: int) -> dict[str, str]:
    """Options for one engine that takes every batch up to the largest, instead of one for each."""

    def shapes(batch: int) -> str:
        return ",".join(f"{spec.name}:{'x'.join(map(str, (batch, *spec.shape)))}" for spec in INPUTS)

    return {
        "trt_fp16_enable": "1",
        "trt_profile_min_shapes": shapes(1),
        "trt_profile_opt_shapes": shapes(8),
        "trt_profile_max_shapes": shapes(largest),
    }


def _card() -> dict[str, str]:
    """Name, driver and memory of the card.

    Raises:
        NotMeasurableError: There is none, or this ONNX Runtime is one for the CPU alone.
    """
    found = _ask("name", "driver_version", "memory.total")
    if found is None:
        raise NotMeasurableError("there is no NVIDIA GPU here (nvidia-smi shows none)")
    if CUDA not in onnxruntime.get_available_providers():
        raise NotMeasurableError(
            f"onnxruntime {onnxruntime.__version__} here is the package for the CPU; onnxruntime-gpu has {CUDA}"
        )
    return dict(zip(("name", "driver", "memory"), found, strict=True))


def _memory_mb() -> float | None:
    """Memory in use on the card, in MiB; None where that is not known."""
    found = _ask("memory.used")
    return None if found is None else float(found[0].split()[0])


def _ask(*fields: str) -> list[str] | None:
    """What nvidia-smi says of the first card; None where there is none."""
    try:
        result = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = result.stdout.strip().splitlines()
    return [value.strip() for value in lines[0].split(",")] if lines else None
