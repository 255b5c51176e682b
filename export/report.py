"""The report on an export, as JSON and as Markdown, written beside the INT8 model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from export.choices import Limits, Recipe
from export.gate import Comparison
from export.layers import Loss
from export.parity import BATCH_SIZES
from export.timing import Timings

_WORST_LAYERS = 8


@dataclass(frozen=True)
class Alternative:
    """Another way to quantise the same model with the same clips.

    Attributes:
        recipe: The recipe.
        comparison: Its result.
        megabytes: Size of the file, in 10^6 bytes.
    """

    recipe: Recipe
    comparison: Comparison
    megabytes: float


@dataclass(frozen=True)
class Report:
    """Everything that an export measured.

    Attributes:
        checkpoint: Name of the checkpoint's file.
        git_commit: Commit of the exporting code.
        parity: Largest difference between torch and ONNX FP32.
        limits: The limits of the export.
        recipe: How the model was quantised.
        convolutions: Number of quantised convolutions.
        calibration_clips: Number of clips that set the ranges.
        comparison: INT8 against FP32 on held-out clips.
        megabytes: Sizes of the files, in 10^6 bytes, by name.
        timings: Speed of both models.
        losses: Signal-to-noise ratio of quantised tensors, worst first.
        alternatives: Results of other recipes; empty unless requested.
    """

    checkpoint: str
    git_commit: str
    parity: float
    limits: Limits
    recipe: Recipe
    convolutions: int
    calibration_clips: int
    comparison: Comparison
    megabytes: dict[str, float]
    timings: Timings
    losses: list[Loss]
    alternatives: list[Alternative]

    def as_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def as_markdown(self) -> str:
        """The report as Markdown."""
        return (
            "\n\n".join(
                filter(None, [self._head(), self._closeness(), self._speed(), self._layers(), self._alternatives()])
            )
            + "\n"
        )

    def _head(self) -> str:
        return (
            f"# Export of {self.checkpoint}\n\n"
            f"By `python -m export` at commit {self.git_commit[:12]}, ONNX Runtime {self.timings.onnxruntime}. "
            f"INT8: {self.recipe}; {self.convolutions} convolutions, calibrated on {self.calibration_clips} clips of "
            "training actors."
        )

    def _closeness(self) -> str:
        comparison, limits = self.comparison, self.limits
        loss = comparison.fp32_accuracy - comparison.int8_accuracy
        return "## Closeness\n\n" + _table(
            ("what", "found", "limit"),
            [
                (
                    f"torch against ONNX FP32, largest difference, batch sizes {', '.join(map(str, BATCH_SIZES))}, "
                    "also with a missing modality",
                    f"{self.parity:.1e}",
                    f"{limits.tolerance:.0e}",
                ),
                (
                    f"same label by INT8 and FP32, {comparison.clips} held-out clips",
                    f"{comparison.agreement:.1%}",
                    f"{limits.min_agreement:.1%}",
                ),
                ("same label by the video branches of both", f"{comparison.video_agreement:.1%}", ""),
                ("largest change of a probability", f"{comparison.probability_change:.3f}", ""),
                ("accuracy FP32", f"{comparison.fp32_accuracy:.1%}", ""),
                (
                    "accuracy INT8",
                    f"{comparison.int8_accuracy:.1%} ({-loss:+.1%})",
                    f"{-limits.max_accuracy_loss:+.1%}",
                ),
                *((f"size {name}", f"{size:.1f} MB", "") for name, size in self.megabytes.items()),
            ],
        )

    def _speed(self) -> str:
        timings = self.timings
        rows = [
            (
                str(threads),
                name.upper(),
                f"{timing.wall_ms:.1f}",
                f"{timing.cpu_ms:.1f}",
                f"{timing.giga_operations:.0f}",
                f"{timings.peaks[threads][name]:.0f}",
                f"{timing.peak_share:.0%}",
            )
            for threads, models in timings.models.items()
            for name, timing in models.items()
        ]
        ratios = ", ".join(f"{timings.speed_up(threads):.2f} × at {threads}" for threads in timings.models)
        return (
            f"## Speed\n\n{timings.processor} ({', '.join(timings.instruction_sets)}), {timings.cores} cores. One "
            "clip: "
            f"{timings.operations / 1e9:.2f} · 10⁹ operations. Models and matrix products take turns; medians of "
            f"{timings.runs} runs. INT8 against FP32: {ratios} threads, in CPU time at one thread and wall-clock time "
            "at more.\n\n"
            + _table(("threads", "model", "ms", "CPU ms", "10⁹ operations/s", "matrix product", "share of it"), rows)
        )

    def _layers(self) -> str:
        rows = [
            (loss.layer.removeprefix("network."), loss.kind, f"{loss.decibels:.1f}")
            for loss in self.losses[:_WORST_LAYERS]
        ]
        return "## Layers with the largest loss\n\n" + _table(("layer", "tensor", "signal-to-noise ratio, dB"), rows)

    def _alternatives(self) -> str:
        if not self.alternatives:
            return ""
        chosen = Alternative(self.recipe, self.comparison, self.megabytes["INT8"])
        rows: list[tuple[Any, ...]] = [
            (
                f"{item.recipe.scope}{' (this one)' if item is chosen else ''}",
                item.recipe.calibration,
                item.recipe.activations,
                f"{item.comparison.agreement:.1%}",
                f"{item.comparison.video_agreement:.1%}",
                f"{item.comparison.int8_accuracy:.1%}",
                f"{item.comparison.probability_change:.3f}",
                f"{item.megabytes:.1f}",
            )
            for item in (chosen, *self.alternatives)
        ]
        header = (
            *("scope", "calibration", "activations", "agreement", "agreement of the video branch", "accuracy"),
            *("largest change of a probability", "MB"),
        )
        return "## Recipes compared, same clips\n\n" + _table(header, rows)


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
