"""The section of docs/PERFORMANCE.md about a GPU."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.tables import table

NOT_MEASURED: Final = """## On a GPU

**Not measured.** `k8s/overlays/gpu` serves the same models; on a machine with an NVIDIA GPU and `onnxruntime-gpu`,
`python -m benchmarks gpu` measures batches of 1 to 64 in FP32, FP16 and INT8. Nobody should plan with it before.
"""


def section(figures: dict[str, Any], machine: dict[str, str]) -> str:
    """The section, from what `benchmarks.gpu.measure` found.

    Args:
        figures: What it found.
        machine: What it ran on, as `benchmarks.machine.describe` says it.
    """
    card, runs = figures["card"], figures["runs"]
    batches = list(next(iter(runs.values())))
    head = ("variant", *(f"batch of {batch}" for batch in batches))
    facts = [
        ("card", f"{card['name']}, {card['memory']}, driver {card['driver']}"),
        ("ONNX Runtime", f"{figures['onnxruntime']}, built for CUDA {figures['cuda']}"),
        ("convolutions", f"`cudnn_conv_algo_search={figures['algorithm_search']}`"),
        ("processor", f"{machine['processor']}; {figures['cores']} of them may be used"),
    ]

    def by_batch(key: str) -> list[tuple[Any, ...]]:
        rows = {name: [row[batch][key] for batch in batches] for name, row in runs.items()}
        return [(name, *values) for name, values in rows.items() if any(value is not None for value in values)]

    rates = [(name, *(1000 * float(batch) / row[batch]["host_ms"] for batch in batches)) for name, row in runs.items()]
    parts = [
        "## On a GPU",
        "Models in ONNX Runtime, which is what Triton's `onnxruntime` backend runs; no server, no decoding. A run is "
        "all outputs of a batch of random tensors, from host memory to host memory unless said otherwise: medians of "
        f"{figures['rounds']} rounds in which all variants take turns, after warming up. FP16 is converted from FP32 "
        "and has its inputs and outputs. *INT8, CPU* is the committed model on all cores of the same machine.",
        table(("what", "value"), facts),
        "Clips per second, one batch at a time:",
        table(head, rates),
        "Milliseconds of a run:",
        table(head, by_batch("host_ms")),
        "Milliseconds of a run whose inputs and outputs lie in the card's memory:",
        table(head, by_batch("bound_ms")),
        f"Against FP32 on the CPU, over {figures['clips']} random clips, some without sound or video; *nodes on the "
        "CPU* are those that the provider left to the CPU, and *copies* what that costs between the two; *MiB* is what "
        "the card's memory grew by:",
        table(
            ("variant", "largest difference", "same first answer %", "nodes", "nodes on the CPU", "copies", "MiB"),
            [_agreement(figures, name) for name in runs],
        ),
    ]
    parts += [f"{name} was not measured: {reason}." for name, reason in figures["missing"].items()]
    return "\n\n".join(parts)


def _agreement(figures: dict[str, Any], name: str) -> tuple[Any, ...]:
    found, nodes = figures["agreement"][name], figures["nodes"][name]
    copies = nodes.get("copies", 0)
    return (
        name,
        f"{found['difference']:.1e}",
        100 * float(found["equal"]),
        sum(nodes.values()) - copies,
        nodes.get("CPUExecutionProvider", 0),
        copies,
        figures["memory_mb"][name],
    )
