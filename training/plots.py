"""Plots of a report: confusion matrix and reliability diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from avemotion.preprocessing.contract import LABELS


def plot_confusion(counts: list[list[int]], path: Path, title: str) -> None:
    """Write a confusion matrix as a PNG file: predicted labels of each true label, in percent.

    Args:
        counts: [true label][predicted label].
        path: The file.
        title: Title of the plot.
    """
    table = np.array(counts, float)
    shares = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(shares, display_labels=LABELS)
    display.plot(ax=axes, cmap="Blues", values_format=".0f", xticks_rotation=45, im_kw={"vmin": 0, "vmax": 100})
    axes.set(title=title, xlabel="predicted", ylabel="true, % of its clips in the row")
    figure.savefig(path, dpi=110)


def plot_reliability(calibration: dict[str, Any], path: Path, title: str) -> None:
    """Write a reliability diagram before and after temperature scaling as a PNG file.

    Source: Guo et al. 2017, arXiv 1706.04599, figure 1; a point's area is its share of the clips.

    Args:
        calibration: `calibration` of `training.evaluation.summarise`.
        path: The file.
        title: Title of the plot.
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    figure.suptitle(title)
    for axes, when in zip(figure.subplots(1, 2, sharey=True), ("before", "after"), strict=True):
        bins = calibration[f"reliability_{when}"]
        confidence = [each["confidence"] for each in bins]
        accuracy = [each["accuracy"] for each in bins]
        clips = np.array([each["clips"] for each in bins])
        axes.plot((0, 1), (0, 1), color="grey", linestyle="--", label="calibrated")
        axes.plot(confidence, accuracy, color="tab:blue", linewidth=1)
        axes.scatter(confidence, accuracy, s=600 * clips / clips.sum(), color="tab:blue", alpha=0.6)
        axes.set(
            title=f"{when} temperature scaling: error {calibration[when]:.3f}",
            xlabel="confidence",
            xlim=(0, 1),
            ylim=(0, 1),
        )
    figure.axes[0].set_ylabel("accuracy")
    figure.axes[0].legend(loc="upper left")
    figure.savefig(path, dpi=110)
