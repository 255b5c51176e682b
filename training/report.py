"""Evaluation results as Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from avemotion.preprocessing.contract import LABELS
from training.evaluation import MEASURED


def measured_markdown(report: dict[str, Any]) -> str:
    """Scores by input, by class and by actor, calibration, and the confusion matrix."""
    lines = ["| input | accuracy | unweighted recall | macro-F1 | calibration error |", "|---|---|---|---|---|"]
    for name in MEASURED:
        if name in report:
            scores = report[name]
            shares = (_percent(scores[key]) for key in ("accuracy", "unweighted_recall", "macro_f1"))
            lines.append(f"| {name} | {' | '.join(shares)} | {scores['calibration_error']:.3f} |")
    both = report["both"]
    calibration = report["calibration"]
    lines += [
        "",
        f"Calibration error of both: {calibration['before']:.3f} before temperature scaling, "
        f"{calibration['after']:.3f} after. A perfectly calibrated model would show on as many clips "
        f"{calibration['by_chance_mean']:.3f} on average, and more than "
        f"{calibration['by_chance_95th_percentile']:.3f} in one case of twenty.",
        "",
        "| class | precision | recall | F1 | clips |",
        "|---|---|---|---|---|",
    ]
    for each in both["classes"]:
        shares = (_percent(each[key]) for key in ("precision", "recall", "f1"))
        lines.append(f"| {each['label']} | {' | '.join(shares)} | {each['clips']} |")
    lines += ["", *_actors(report.get("actors", {})), "Confusion (rows: true, columns: predicted):", ""]
    lines += [f"| | {' | '.join(LABELS)} |", "|---" * (len(LABELS) + 1) + "|"]
    for label, counts in zip(LABELS, both["confusion"], strict=True):
        lines.append(f"| {label} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


def folds_markdown(reports: dict[str, dict[str, Any]]) -> str:
    """Mean ± standard deviation over the folds, in percent, one row per recipe."""
    lines = [f"| fusion | {' | '.join(MEASURED)} | calibration error |", "|---" * (len(MEASURED) + 2) + "|"]
    for name, report in reports.items():
        cells = [_mean(report["folds"].get(each)) for each in MEASURED]
        pooled = f"{report['calibration']['before']:.3f} → {report['calibration']['after']:.3f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {pooled} |")
    chance = max(report["calibration"]["by_chance_mean"] for report in reports.values())
    lines += [
        "",
        "Unweighted recall, mean ± standard deviation over the folds. Calibration error of all out-of-fold predictions "
        "before and after temperature scaling, each fold's temperature fitted to the other folds; a perfectly "
        f"calibrated model would show up to {chance:.3f} on average on as many clips.",
    ]
    return "\n".join(lines) + "\n"


def recordings_markdown(recordings: dict[str, Any]) -> str:
    """Recall of the voice alone by recording condition: one value, or mean and deviation over folds."""
    lines = ["| recording condition | unweighted recall, audio only |", "|---|---|"]
    for name, recall in recordings.items():
        lines.append(f"| {name} | {_mean(recall) if isinstance(recall, dict) else _percent(recall)} |")
    return "\n".join(lines) + "\n"


def mixed_warning(mixed: float, report: dict[str, Any]) -> str:
    """The score of a split that mixes actors, as a warning."""
    unseen = report["folds"]["both"]["mean"]
    return (
        f"With actors mixed between training and test, the same recipe scores {_percent(mixed)}: "
        f"{100 * (mixed - unseen):+.1f} points, by recognising voices instead of emotions. "
        "This is a warning; do not report it.\n"
    )


def _actors(actors: dict[str, dict[str, Any]]) -> list[str]:
    if not actors:
        return []
    recalls = np.array([each["unweighted_recall"] for each in actors.values()])
    lines = ["| actor | accuracy | unweighted recall | clips |", "|---|---|---|---|"]
    for actor, each in actors.items():
        shares = (_percent(each[key]) for key in ("accuracy", "unweighted_recall"))
        lines.append(f"| {actor} | {' | '.join(shares)} | {each['clips']} |")
    spread = f"from {_percent(recalls.min())} to {_percent(recalls.max())}, deviation {_percent(recalls.std())}"
    return [*lines, "", f"Unweighted recall by actor: {spread}.", ""]


def _mean(spread: dict[str, Any] | None) -> str:
    return "–" if spread is None else f"{_percent(spread['mean'])} ± {_percent(spread['deviation'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
