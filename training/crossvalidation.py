"""Train a recipe in each of six actor-disjoint folds, and test each network on actors that it was not trained on.

On RAVDESS, results depend strongly on the split and on which actors are tested, so that a single split says little. The
temperatures of a fold are fitted to the predictions of the other folds, so that no clip takes part in its own
calibration.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.errors import EmotionError
from training.checkpoint import Checkpoint
from training.data.cache import Cache
from training.data.splits import FOLDS, split_clips
from training.evaluation import MEASURED, Predictions, fit_temperatures, predict_all, summarise
from training.network import NetworkConfig, Temperatures
from training.options import parser
from training.robustness import CONDITIONS, recall_when_recorded_otherwise
from training.train import train_network

VARIANTS: Final = (
    NetworkConfig("late"),
    NetworkConfig("concat"),
    NetworkConfig("gated"),
    NetworkConfig("xattn", "concat"),
    NetworkConfig("xattn", "gated"),
    NetworkConfig("xattn", "concat", xattn_tokens="mel"),
    NetworkConfig("xattn", "gated", xattn_tokens="mel"),
)
"""The fusions and heads that are compared."""

MIXED: Final = "mixed"
"""Value of `{fold}` for the split that mixes actors."""


class RecipeError(EmotionError):
    """A checkpoint does not hold the options that it was trained with."""

    code = "bad_recipe"


@dataclass(frozen=True)
class CrossValidation:
    """The result of training and testing a recipe in every fold.

    Attributes:
        report: `summarise` of all out-of-fold predictions; `folds` with mean, deviation and each fold's value of the
            unweighted recall of each of `MEASURED`, and of the calibration error; `recordings` with the same of the
            recall of voices under each of `robustness.CONDITIONS`; empty unless requested.
        temperatures: Fitted to all out-of-fold predictions, for serving the recipe's network.
        predictions: All out-of-fold predictions, by name in `ABLATIONS`.
    """

    report: dict[str, Any]
    temperatures: Temperatures
    predictions: dict[str, Predictions]


def recipe_of(checkpoint: Checkpoint, cache: Cache, init_from: Iterable[Path] | None) -> argparse.Namespace:
    """The options that a checkpoint was trained with, for its own fusion.

    Args:
        checkpoint: Holds its options.
        cache: Data to train on instead of the checkpoint's own.
        init_from: Branches that a fold starts from, instead of the checkpoint's own; `{fold}` in a name stands for the
            fold's number, or `mixed`.

    Raises:
        RecipeError: The checkpoint has no options, or options that no longer exist.
    """
    described = checkpoint.training.get("options")
    if not described:
        raise RecipeError("The checkpoint does not hold the options that it was trained with.")
    options = parser().parse_args([])
    unknown = described.keys() - vars(options).keys()
    if unknown:
        raise RecipeError(f"The checkpoint was trained with options that no longer exist: {', '.join(unknown)}.")
    vars(options).update(described)
    options.data, options.resume, options.wandb, options.train_on_test = cache.folder, False, False, False
    options.run = Path(described["run"])
    options.init_from = [Path(file) for file in (described["init_from"] if init_from is None else init_from)]
    return options


def variant_of(options: argparse.Namespace, config: NetworkConfig) -> argparse.Namespace:
    """The same options for another fusion, which gets its own default learning rate."""
    changed = copy.copy(options)
    if config.fusion != options.fusion:
        changed.learning_rate = None
    changed.fusion, changed.xattn_head, changed.xattn_tokens = config.fusion, config.xattn_head, config.xattn_tokens
    return changed


def cross_validate(options: argparse.Namespace, cache: Cache, *, recordings: bool = False) -> CrossValidation:
    """Train and test in every fold.

    Args:
        options: Options of `training.train`; a patience of 0 trains on all other folds, any other value holds one of
            them out to choose the epoch.
        cache: The cache.
        recordings: Also measure voices under other recording conditions.

    Raises:
        LeakError: A fold starts from a branch that was trained on its tested actors.
    """
    folds = [_fold(options, cache, fold, recordings=recordings) for fold in range(FOLDS)]
    raw = [fold.predictions for fold in folds]
    actors = np.concatenate([fold.actors for fold in folds])
    sizes = [len(fold.actors) for fold in folds]
    calibrated = []
    for number, found in enumerate(raw):
        others = [place for place in range(FOLDS) if place != number]
        temperatures = fit_temperatures(_joined([raw[i]["both"] for i in others], [sizes[i] for i in others]))
        calibrated.append({name: predictions.calibrated(temperatures) for name, predictions in found.items()})
    together, adjusted = (
        {name: _joined([found[name] for found in predictions], sizes) for name in raw[0]}
        for predictions in (raw, calibrated)
    )
    report = summarise(together, adjusted, actors)
    by_fold = [summarise(*pair) for pair in zip(raw, calibrated, strict=True)]
    report["folds"] = {
        name: _spread([found[name]["unweighted_recall"] for found in by_fold])
        for name in MEASURED
        if all(name in found for found in by_fold)
    } | {"calibration_error": _spread([found["calibration"]["after"] for found in by_fold])}
    report["recordings"] = {
        name: _spread([fold.recordings[name] for fold in folds])
        for name in CONDITIONS
        if all(name in fold.recordings for fold in folds)
    }
    temperatures = fit_temperatures(together["both"])
    report["temperatures"] = asdict(temperatures)
    return CrossValidation(report, temperatures, together)


def mixed_recall(options: argparse.Namespace, cache: Cache) -> float:
    """Unweighted recall of the fusion if training and test share actors: a warning, not a result."""
    mixed = copy.copy(options)
    mixed.split_mode = "stratified"
    found = _fold(mixed, cache, 0, name=MIXED).predictions
    summary = summarise(found, found)
    return float(summary["both"]["unweighted_recall"])


@dataclass(frozen=True)
class _Fold:
    """Predictions of one fold's network on its test clips, their actors, and recall by condition."""

    predictions: dict[str, Predictions]
    actors: npt.NDArray[np.int64]
    recordings: dict[str, float]


def _fold(
    options: argparse.Namespace, cache: Cache, fold: int, name: str | None = None, *, recordings: bool = False
) -> _Fold:
    """Train one fold's network, and test it."""
    own = copy.copy(options)
    own.split_mode = "stratified" if name == MIXED else "kfold"
    own.init_from = [Path(str(file).replace("{fold}", name or str(fold))) for file in options.init_from]
    own.fold, own.seed = fold, options.seed
    split = split_clips(
        cache, own.split_mode, fold=fold, seed=own.seed, train_on_validation=own.early_stopping_patience == 0
    )
    network, parts = train_network(own, cache, split, states=False)
    found = recall_when_recorded_otherwise(network, cache, split.test) if recordings else {}
    return _Fold(predict_all(network, parts["test"]), cache.actors[split.test], found)


def _joined(parts: list[Predictions], sizes: list[int]) -> Predictions:
    """Concatenated predictions of consecutive parts with the given numbers of samples."""
    begins = np.cumsum([0, *sizes[:-1]])
    return Predictions(
        fused=np.concatenate([part.fused for part in parts]),
        video=np.concatenate([part.video for part in parts]),
        audio=np.concatenate([part.audio for part in parts]),
        present=np.concatenate([part.present for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        places=np.concatenate([part.places + begin for part, begin in zip(parts, begins, strict=True)]),
    )


def _spread(values: list[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values)), "by_fold": values}
