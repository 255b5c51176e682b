"""Speed of the FP32 and the INT8 model, relative to each other and to the processor's peak.

The peak is that of a matrix product. Models and matrix products take turns, so that other load on the machine slows
all of them alike.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export.parity import open_session, random_inputs

THREADS: Final = (1, 2)

_SIDE: Final = 1024
_WARMUPS: Final = 2
_PAUSE: Final = 0.01
_LONGEST_WAIT: Final = 0.5
"""Interval of checks whether this process is idle, and limit of the wait, in seconds."""

_INSTRUCTION_SETS: Final = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni", "avx512_bf16",
    "amx_int8", "amx_bf16",
)  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """One model at one number of threads.

    Attributes:
        wall_ms: Median time of a clip, in milliseconds.
        cpu_ms: Median CPU time of a clip over all threads, in milliseconds; at one thread this equals `wall_ms` on an
            idle machine.
        giga_operations: Operations per second, in 10^9, by `cpu_ms` at one thread and by `wall_ms` at more.
        peak_share: The same as a share of the speed of a matrix product of that number type.
    """

    wall_ms: float
    cpu_ms: float
    giga_operations: float
    peak_share: float


@dataclass(frozen=True)
class Timings:
    """All models at all numbers of threads.

    Attributes:
        processor: Name of the processor.
        instruction_sets: Its instruction sets that matter for these models.
        cores: Number of cores that this process may use.
        onnxruntime: Version of ONNX Runtime.
        runs: Runs of each model.
        operations: Multiplications and additions per clip, each counted as one operation.
        models: Timings by number of threads and name of the model.
        peaks: Operations per second of matrix products, in 10^9, by number of threads and number type.
    """

    processor: str
    instruction_sets: tuple[str, ...]
    cores: int
    onnxruntime: str
    runs: int
    operations: int
    models: dict[int, dict[str, Timing]]
    peaks: dict[int, dict[str, float]]

    def speed_up(self, threads: int) -> float:
        """Speed of INT8 relative to FP32, in CPU time at one thread and in wall-clock time at more."""
        fp32, int8 = self.models[threads]["fp32"], self.models[threads]["int8"]
        return fp32.cpu_ms / int8.cpu_ms if threads == 1 else fp32.wall_ms / int8.wall_ms


def measure(fp32: Path, int8: Path, *, runs: int = 15, threads: Sequence[int] = THREADS) -> Timings:
    """Time both models and a matrix product of each number type, in turns.

    Args:
        fp32: The exported model.
        int8: The quantised model.
        runs: Runs of each; the median counts for models and the best run for matrix products.
        threads: Numbers of threads.
    """
    operations = count_operations(fp32)
    models: dict[int, dict[str, Timing]] = {}
    peaks: dict[int, dict[str, float]] = {}
    for count in threads:
        clip = random_inputs(1, (True, True), seed=0)
        sessions = {name: open_session(path, threads=count) for name, path in (("fp32", fp32), ("int8", int8))}
        products = {name: _product(name, threads=count) for name in ("fp32", "int8")}
        calls: dict[str, Callable[[], object]] = {
            **{f"model {name}": _call(session, clip) for name, session in sessions.items()},
            **{f"product {name}": call for name, call in products.items()},
        }
        wall, cpu = _in_turns(calls, runs)
        clock = cpu if count == 1 else wall
        product = 2 * _SIDE**3
        peaks[count] = {name: product / min(clock[f"product {name}"]) / 1e9 for name in products}
        models[count] = {}
        for name in sessions:
            rate = operations / float(np.median(clock[f"model {name}"])) / 1e9
            models[count][name] = Timing(
                wall_ms=1e3 * float(np.median(wall[f"model {name}"])),
                cpu_ms=1e3 * float(np.median(cpu[f"model {name}"])),
                giga_operations=rate,
                peak_share=rate / peaks[count][name],
            )
    processor, instruction_sets = describe_processor()
    return Timings(
        processor=processor,
        instruction_sets=instruction_sets,
        cores=_cores(),
        onnxruntime=onnxruntime.__version__,
        runs=runs,
        operations=operations,
        models=models,
        peaks=peaks,
    )


def describe_processor() -> tuple[str, tuple[str, ...]]:
    """Name of the processor and its instruction sets that matter for these models; empty if unknown."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.is_file() else ""
    lines = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    flags = lines.get("flags", "").split()
    name = lines.get("model name") or platform.processor() or platform.machine()
    return name, tuple(flag for flag in _INSTRUCTION_SETS if flag in flags)


def count_operations(path: Path) -> int:
    """Multiplications and additions in the convolutions of an FP32 model for one clip; the rest is below 1 %."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in inferred.graph.value_info
    }
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return sum(
        2
        * int(np.prod(weights[node.input[1]]))
        * int(np.prod([shapes[node.output[0]][0], *shapes[node.output[0]][2:]]))
        for node in model.graph.node
        if node.op_type == "Conv"
    )


def _in_turns(
    calls: Mapping[str, Callable[[], object]], runs: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of wall-clock time and of CPU time by name; each round has another order."""
    random = np.random.default_rng(0)
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(_WARMUPS + runs):
        for name in random.permutation(list(calls)):
            _wait_for_idle_threads()
            begin, begin_cpu = time.perf_counter(), time.process_time()
            calls[name]()
            end, end_cpu = time.perf_counter(), time.process_time()
            if index >= _WARMUPS:
                wall[name].append(end - begin)
                cpu[name].append(end_cpu - begin_cpu)
    return wall, cpu


def _wait_for_idle_threads() -> None:
    """Wait until threads of the previous session stop spinning: they would take cores from the next one."""
    deadline = time.perf_counter() + _LONGEST_WAIT
    while time.perf_counter() < deadline:
        before = time.process_time()
        time.sleep(_PAUSE)
        if time.process_time() - before < _PAUSE / 10:
            return


def _call(session: onnxruntime.InferenceSession, inputs: dict[str, Any]) -> Callable[[], object]:
    return lambda: session.run(None, inputs)


def _product(kind: str, *, threads: int) -> Callable[[], object]:
    """A product of two square matrices by ONNX Runtime: of floats, or of unsigned and signed 8-bit integers."""
    random = np.random.default_rng(0)
    weights: Any
    if kind == "fp32":
        weights, left = (random.normal(size=(_SIDE, _SIDE)).astype(np.float32) for _ in range(2))
        operator, types = "MatMul", (TensorProto.FLOAT, TensorProto.FLOAT)
    else:
        weights = random.integers(-127, 128, (_SIDE, _SIDE), np.int8)
        left = random.integers(0, 256, (_SIDE, _SIDE), np.uint8)
        operator, types = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "weights"], ["product"])],
        kind,
        [helper.make_tensor_value_info("left", types[0], [_SIDE, _SIDE])],
        [helper.make_tensor_value_info("product", types[1], [_SIDE, _SIDE])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = open_session(model.SerializeToString(), threads=threads)
    return _call(session, {"left": left})


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
