"""Measure a checkpoint on people it has never seen, and write the result as JSON and as Markdown."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.contract import LABELS, MODALITIES
from preprocessing.errors import EmotionError
from training.checkpoint import Checkpoint, load_checkpoint
from training.data.cache import Cache
from training.data.pairing import TEST, VALIDATION
from training.data.samples import ClipSamples
from training.data.splits import IntArray
from training.evaluation import ABLATIONS, evaluate
from training.features import FeatureSamples, encode
from training.options import prepared


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.evaluate checkpoints/best.pt data`; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path, help="RAVDESS (Actor_XX/…), or prepared data")
    parser.add_argument("--output", type=Path, default=Path("runs/evaluation"), help="folder of the two reports")
    parser.add_argument(
        "--validation", action="store_true", help="measure on the validation actors, which chose epoch and temperature"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that read samples")
    options = parser.parse_args(arguments)
    try:
        checkpoint = load_checkpoint(options.checkpoint)
        cache = prepared(options.data)
    except (EmotionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    index = unseen_clips(checkpoint, cache, include_validation=options.validation)
    if not len(index):
        print(
            "error: the checkpoint was trained or tuned on every actor of this data; "
            "give other data, or --validation for the actors that tuned it.",
            file=sys.stderr,
        )
        return 1
    samples = ClipSamples(cache, index, VALIDATION if options.validation else TEST)
    network = checkpoint.network()
    report = evaluate(
        network, checkpoint.temperatures, FeatureSamples(encode(network, samples, workers=options.workers))
    )
    report["actors"] = sorted(set(cache.actors[index].tolist()))
    report["part"] = "validation" if options.validation else "test"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    text = markdown(report)
    (options.output / "report.md").write_text(text)
    print(text)
    return 0


def unseen_clips(checkpoint: Checkpoint, cache: Cache, *, include_validation: bool) -> IntArray:
    """Clips of actors that the checkpoint was not trained on; those that tuned it only where asked for, and only they.

    Args:
        checkpoint: Says whom it was trained on and validated with.
        cache: Prepared data.
        include_validation: Choose the validation actors instead of those that had no part at all.

    Returns:
        Indices into the usable clips of the cache.
    """
    trained = set(checkpoint.training.get("training_actors", []))
    tuned = set(checkpoint.training.get("validation_actors", [])) - trained
    wanted = tuned if include_validation else set(cache.actors.tolist()) - trained - tuned
    return np.flatnonzero(np.isin(cache.actors, sorted(wanted)))


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    rows = [name for name in (*ABLATIONS, *(f"{modality} branch" for modality in MODALITIES)) if name in report]
    lines = [
        f"{report['clips']} clips of actors {', '.join(map(str, report['actors']))} ({report['part']} part).",
        "",
        "| input | accuracy | unweighted recall | macro-F1 | calibration error |",
        "|---|---|---|---|---|",
    ]
    for name in rows:
        scores = report[name]
        lines.append(
            f"| {name} | {_percent(scores['accuracy'])} | {_percent(scores['unweighted_recall'])} | "
            f"{_percent(scores['macro_f1'])} | {scores['calibration_error']:.3f} |"
        )
    lines += ["", f"Calibration error before temperature scaling: {report['calibration_error_before']:.3f}.", ""]
    main_scores = report.get("both") or report[rows[0]]
    lines += ["| class | precision | recall | F1 | clips |", "|---|---|---|---|---|"]
    for each in main_scores["classes"]:
        lines.append(
            f"| {each['label']} | {_percent(each['precision'])} | {_percent(each['recall'])} | "
            f"{_percent(each['f1'])} | {each['clips']} |"
        )
    lines += ["", "Confusion (rows: true, columns: predicted):", "", f"| | {' | '.join(LABELS)} |"]
    lines.append("|---" * (len(LABELS) + 1) + "|")
    for label, counts in zip(LABELS, main_scores["confusion"], strict=True):
        lines.append(f"| {label} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    sys.exit(main())
