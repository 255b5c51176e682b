"""Latency against throughput, step by step, as a PNG file: where a server stops getting faster and starts to queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw the steps of a run.

    Args:
        summary: What the locustfile wrote.
        path: The PNG file.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    names = sorted({name for step in summary["steps"] for name in step["endpoints"]} - {"all"})
    for number, name in enumerate(names):
        points = [
            (step["endpoints"][name], step["users"])
            for step in summary["steps"]
            if name in step["endpoints"] and step["endpoints"][name]["p50"] is not None
        ]
        for key, style in (("p50", "-o"), ("p95", "--^")):
            throughput = [figures["throughput"] for figures, _ in points]
            latency = [figures[key] for figures, _ in points]
            axes.plot(throughput, latency, style, color=f"C{number}", label=f"{name} {key}", markersize=4)
        for figures, users in points:
            axes.annotate(
                str(users),
                (figures["throughput"], figures["p50"]),
                fontsize=7,
                xytext=(3, 3),
                textcoords="offset points",
            )
    axes.set(
        xlabel="answers per second", ylabel="latency (ms)", yscale="log", title=f"{summary['shape']}, by users at once"
    )
    axes.grid(alpha=0.3)
    if names:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
