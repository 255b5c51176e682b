"""Measure a checkpoint on unseen actors, or its recipe over folds; write the results as JSON, Markdown and plots."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from avemotion.preprocessing.errors import EmotionError
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.crossvalidation import VARIANTS, cross_validate, mixed_recall, recipe_of, variant_of
from training.data.cache import Cache
from training.data.pairing import TEST
from training.data.samples import ClipSamples
from training.data.splits import IntArray
from training.evaluation import evaluate
from training.features import FeatureSamples, encode
from training.network import NetworkConfig, Temperatures
from training.options import prepared
from training.plots import plot_confusion, plot_reliability
from training.report import folds_markdown, measured_markdown, mixed_warning, recordings_markdown
from training.robustness import recall_when_recorded_otherwise


class NoUnseenActorsError(EmotionError):
    """A checkpoint was trained or tuned on every actor of the data."""

    code = "nobody_unseen"


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.evaluate checkpoints/best.pt data`; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        checkpoint = load_checkpoint(options.checkpoint)
        cache = prepared(options.data)
        options.output.mkdir(parents=True, exist_ok=True)
        if options.compare:
            text = compare(checkpoint, cache, options)
        elif options.kfold:
            text = over_folds(checkpoint, cache, options)
        else:
            text = once(checkpoint, cache, options)
    except (EmotionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    (options.output / "report.md").write_text(text)
    print(text)
    return 0


def once(checkpoint: Checkpoint, cache: Cache, options: argparse.Namespace) -> str:
    """Measure the checkpoint itself, write report.json, confusion.png and reliability.png, and return the report.

    Raises:
        NoUnseenActorsError: The data has no actors to measure it on.
    """
    index = unseen_clips(checkpoint, cache, include_validation=options.validation)
    if not len(index):
        raise NoUnseenActorsError(
            "The checkpoint was trained or tuned on every actor of this data; "
            "use other data, or --validation for the actors that tuned it."
        )
    report = _measured(checkpoint, cache, index, options.workers)
    report["recordings"] = recall_when_recorded_otherwise(checkpoint.network(), cache, index)
    report["part"] = "validation" if options.validation else "test"
    _write(options.output, report, "actors never trained on")
    heading = f"{report['clips']} clips of actors {', '.join(report['actors'])} ({report['part']} part)."
    return f"{heading}\n\n{measured_markdown(report)}\n{recordings_markdown(report['recordings'])}"


def over_folds(checkpoint: Checkpoint, cache: Cache, options: argparse.Namespace) -> str:
    """Repeat the checkpoint's recipe in every fold, and once with actors mixed; report all out-of-fold predictions.

    With `--calibrate`, the temperatures fitted to these are written into the checkpoint.
    """
    recipe = recipe_of(checkpoint, cache, options.init_from)
    found = cross_validate(recipe, cache, recordings=True)
    found.report["mixed_unweighted_recall"] = mixed_recall(recipe, cache)
    _write(options.output, found.report, "out-of-fold, actors never trained on")
    if options.calibrate:
        save_checkpoint(options.checkpoint, calibrated(checkpoint, found.temperatures, cache, options.workers))
    warning = mixed_warning(found.report["mixed_unweighted_recall"], found.report)
    folds = folds_markdown({_name(checkpoint.config): found.report})
    recordings = recordings_markdown(found.report["recordings"])
    return (
        f"{folds}\n{warning}\n{recordings}\nAll out-of-fold predictions together:\n\n{measured_markdown(found.report)}"
    )


def compare(checkpoint: Checkpoint, cache: Cache, options: argparse.Namespace) -> str:
    """Repeat the checkpoint's recipe in every fold with every fusion and head, write report.json, return the table."""
    recipe = recipe_of(checkpoint, cache, options.init_from)
    reports: dict[str, dict[str, Any]] = {}
    for config in VARIANTS:
        reports[_name(config)] = cross_validate(variant_of(recipe, config), cache).report
        print(folds_markdown(reports).splitlines()[1 + len(reports)], file=sys.stderr, flush=True)
    (options.output / "report.json").write_text(json.dumps(reports, indent=2) + "\n")
    return folds_markdown(reports)


def calibrated(checkpoint: Checkpoint, temperatures: Temperatures, cache: Cache, workers: int = 0) -> Checkpoint:
    """The checkpoint with other temperatures, and with metrics measured with them."""
    changed = replace(checkpoint, temperatures=temperatures)
    parts = {
        part: unseen_clips(checkpoint, cache, include_validation=part == "validation") for part in checkpoint.metrics
    }
    metrics = {part: _measured(changed, cache, index, workers) for part, index in parts.items() if len(index)}
    return replace(changed, metrics=metrics)


def unseen_clips(checkpoint: Checkpoint, cache: Cache, *, include_validation: bool) -> IntArray:
    """Clips of actors that the checkpoint was neither trained nor tuned on, or of those that only tuned it.

    Args:
        checkpoint: Holds its training and validation actors.
        cache: The cache.
        include_validation: Choose the validation actors instead of the unseen ones.

    Returns:
        Indices into the usable clips of the cache.
    """
    trained = set(checkpoint.training.get("training_actors", []))
    tuned = set(checkpoint.training.get("validation_actors", [])) - trained
    wanted = tuned if include_validation else set(cache.actors.tolist()) - trained - tuned
    return np.flatnonzero(np.isin(cache.actors, sorted(wanted)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", type=Path, help="folder with RAVDESS (Actor_XX/…), or a cache of training.prepare")
    parser.add_argument("--output", type=Path, default=Path("runs/evaluation"), help="folder for report and plots")
    parser.add_argument("--workers", type=int, default=0, help="processes that read samples")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--validation", action="store_true", help="measure on the validation actors, which may have tuned it"
    )
    what.add_argument(
        "--kfold", action="store_true", help="train its recipe in six actor-disjoint folds: mean ± deviation"
    )
    what.add_argument("--compare", action="store_true", help="like --kfold with each fusion and head, as a table")
    parser.add_argument(
        "--init_from",
        nargs="*",
        help="with --kfold or --compare: branches that a fold starts from; {fold} becomes 0 … 5 or mixed",
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="with --kfold: write temperatures fitted to all folds into the checkpoint",
    )
    return parser


def _measured(checkpoint: Checkpoint, cache: Cache, index: IntArray, workers: int) -> dict[str, Any]:
    samples = FeatureSamples(encode(checkpoint.network(), ClipSamples(cache, index, TEST), workers=workers))
    return evaluate(checkpoint.network(), checkpoint.temperatures, samples, cache.actors[index])


def _write(folder: Path, report: dict[str, Any], title: str) -> None:
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    plot_confusion(report["both"]["confusion"], folder / "confusion.png", f"{report['clips']} clips, {title}")
    plot_reliability(report["calibration"], folder / "reliability.png", f"{report['clips']} clips, {title}")


def _name(config: NetworkConfig) -> str:
    if config.fusion != "xattn":
        return config.fusion
    return f"xattn over {config.xattn_tokens} tokens, {config.xattn_head} head"


if __name__ == "__main__":
    sys.exit(main())
