"""Compare the fusions on actor-disjoint folds, each trained on top of branches that never heard the tested actors.

The video branch is the same in all folds, for it was trained on other people's faces altogether; the audio branch is
that of `training.pretrain_voices` for each fold. Training lasts a fixed number of epochs, so that the tested clips
choose nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from preprocessing.contract import LOG_MEL
from preprocessing.errors import EmotionError
from training.data.augmentation import Augmentation
from training.data.cache import Cache, open_cache
from training.data.pairing import TEST, TRAINING
from training.data.samples import ClipSamples
from training.data.splits import FOLDS, actor_folds
from training.evaluation import evaluate
from training.features import AUDIO_FEATURES, FeatureSamples, encode
from training.module import EmotionModule, Optimization
from training.network import EmotionNetwork, NetworkConfig, Temperatures
from training.order import EpochOrder
from training.start import share_neutral_with_calm, start_from

VARIANTS: Final = (
    NetworkConfig("late"),
    NetworkConfig("concat"),
    NetworkConfig("gated"),
    NetworkConfig("xattn", "concat"),
    NetworkConfig("xattn", "gated"),
)

MEASURED: Final = ("both", "video only", "audio only", "video branch", "audio branch")


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.compare CACHE --video video.pt --voices runs/voices`; returns the status."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__)
    parser.add_argument("cache", type=Path, help="folder written by training.prepare")
    parser.add_argument("--video", type=Path, required=True, help="video branch of training.pretrain_faces")
    parser.add_argument("--voices", type=Path, required=True, help="folder with fold0.pt … of training.pretrain_voices")
    parser.add_argument("--output", type=Path, default=Path("runs/compare"), help="folder of compare.json and .md")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--views", type=int, default=2, help="changed copies of each training clip")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        report = compare(options)
    except EmotionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "compare.json").write_text(json.dumps(report, indent=2) + "\n")
    text = markdown(report)
    (options.output / "compare.md").write_text(text)
    print(text)
    return 0


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Train and test every variant in every fold; unweighted recalls by variant, what was measured, and fold."""
    torch.manual_seed(options.seed)
    cache = open_cache(options.cache)
    training, testing = _encoded(cache, options)
    folds = actor_folds(cache)
    # Copies of the training part lie one after the other.
    training_folds = np.tile(folds, options.views)
    recalls: dict[str, dict[str, list[float]]] = {}
    for fold in range(FOLDS):
        for variant in VARIANTS:
            lightning.seed_everything(options.seed + fold, verbose=False)
            network = _network(variant, cache, options, fold, tested=set(cache.actors[folds == fold].tolist()))
            fitted = FeatureSamples(
                _part(network, training, training_folds != fold), swap_faces=cache.faces is not None
            )
            fit_fusion(network, fitted, options)
            tested = FeatureSamples(_part(network, testing, folds == fold))
            found = evaluate(network, Temperatures(), tested)
            name = f"xattn, {variant.xattn_head} head" if variant.fusion == "xattn" else variant.fusion
            row = recalls.setdefault(name, {})
            for measured in MEASURED:
                row.setdefault(measured, []).append(found[measured]["unweighted_recall"])
        print(f"fold {fold + 1} of {FOLDS} done", flush=True)
    return {"epochs": options.epochs, "views": options.views, "seed": options.seed, "unweighted_recall": recalls}


def fit_fusion(network: EmotionNetwork, samples: FeatureSamples, options: argparse.Namespace) -> None:
    """Train a fusion on kept features of frozen branches, for a fixed number of epochs."""
    # Sixteen weights and eight biases of `late` have further to go than those of a layer.
    rate = 1e-2 if network.config.fusion == "late" else 1e-3
    module = EmotionModule(network, replace(Optimization(), learning_rate=rate, branch_share=0.0), seed=options.seed)
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The 'train_dataloader' does not have many workers")
        trainer.fit(
            module,
            DataLoader(samples, options.batch_size, sampler=EpochOrder(len(samples), options.seed), drop_last=True),
        )


def markdown(report: dict[str, Any]) -> str:
    """Mean ± standard deviation over the folds, in percent."""
    lines = [f"| fusion | {' | '.join(MEASURED)} |", "|---" * (len(MEASURED) + 1) + "|"]
    for name, row in report["unweighted_recall"].items():
        cells = [f"{100 * np.mean(row[each]):.1f} ± {100 * np.std(row[each]):.1f}" for each in MEASURED]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _encoded(cache: Cache, options: argparse.Namespace) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All clips as training and as test clips; of audio features only the spectrograms matter here."""
    network = _network(VARIANTS[0], cache, options, 0, tested=set())
    everything = np.arange(len(cache.records))
    samples = ClipSamples(cache, everything, TRAINING, seed=options.seed)
    changed = encode(network, samples, augmentation=Augmentation(), views=options.views, bfloat16=True)
    return changed, encode(network, ClipSamples(cache, everything, TEST), bfloat16=True)


def _network(
    variant: NetworkConfig, cache: Cache, options: argparse.Namespace, fold: int, *, tested: set[int]
) -> EmotionNetwork:
    network = EmotionNetwork(variant)
    start_from(network, [options.video, options.voices / f"fold{fold}.pt"], tested)
    if cache.faces is not None:
        share_neutral_with_calm(network)
    return network


@torch.inference_mode()
def _part(network: EmotionNetwork, tensors: dict[str, Tensor], wanted: np.ndarray) -> dict[str, Tensor]:
    """Some samples, with this network's own audio features."""
    index = torch.from_numpy(np.flatnonzero(wanted))
    part = {name: values[index] for name, values in tensors.items()}
    network.eval()
    part[AUDIO_FEATURES] = torch.cat([network.encode_audio(each) for each in torch.split(part[LOG_MEL.name], 64)])
    return part


if __name__ == "__main__":
    sys.exit(main())
