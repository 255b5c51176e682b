"""Train the network and write `checkpoints/best.pt`: the best epoch's weights, calibrated, with honest metrics."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from torch.utils.data import DataLoader

from preprocessing.errors import EmotionError
from training.checkpoint import Checkpoint, save_checkpoint
from training.data.augmentation import Augmentation
from training.data.cache import Cache
from training.data.pairing import TEST, TRAINING, VALIDATION
from training.data.samples import ClipSamples
from training.data.splits import IntArray, Split, split_clips
from training.evaluation import answer, evaluate, fit_temperatures
from training.features import FeatureSamples, encode
from training.module import WATCHED, EmotionModule, Optimization
from training.network import EmotionNetwork, NetworkConfig
from training.options import parser, prepared
from training.order import EpochOrder
from training.start import load_video_weights, share_neutral_with_calm, start_from

Samples = ClipSamples | FeatureSamples

STATES = "states"
"""Folder of resumable states below that of the run."""


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.train --fusion xattn …`; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        metrics = train(options)
    except (EmotionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for part, found in metrics.items():
        both = found.get("both") or found
        print(
            f"{part}: {found['clips']} clips, accuracy {both['accuracy']:.3f}, "
            f"unweighted recall {both['unweighted_recall']:.3f}, calibration error {both['calibration_error']:.3f}"
        )
    print(f"wrote {options.output}")
    return 0


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Run training as the options say, write the checkpoint, and return the metrics in it."""
    lightning.seed_everything(options.seed, workers=True, verbose=False)
    cache = prepared(options.data)
    split = split_clips(
        cache, options.split_mode, fold=options.fold, seed=options.seed, train_on_test=options.train_on_test
    )
    network = EmotionNetwork(NetworkConfig(options.fusion, options.xattn_head, options.dropout))
    initialise(network, options, cache, split)
    training, validation = samples_of(network, cache, split, options)
    fit(network, training, validation, options)
    parts = {"validation": measured(network, cache, split.validation, VALIDATION, options)}
    if len(split.test):
        parts["test"] = measured(network, cache, split.test, TEST, options)
    temperatures = fit_temperatures(answer(network, parts["validation"]))
    metrics = {part: evaluate(network, temperatures, samples) for part, samples in parts.items()}
    checkpoint = Checkpoint(
        config=network.config,
        weights=network.state_dict(),
        crop=cache.crop,
        temperatures=temperatures,
        metrics=metrics,
        training=description(options, cache, split),
    )
    save_checkpoint(options.output, checkpoint)
    return metrics


def initialise(network: EmotionNetwork, options: argparse.Namespace, cache: Cache, split: Split) -> None:
    """Load what the options say training starts from."""
    if options.video_weights:
        load_video_weights(network, options.video_weights)
    tested = set() if options.split_mode == "stratified" else actors_of(cache, split, "validation", "test")
    loaded = start_from(network, options.init_from, tested)
    if cache.faces is not None and "video_classifier.weight" in loaded and not any("fusion" in name for name in loaded):
        share_neutral_with_calm(network)


def fit(network: EmotionNetwork, training: Samples, validation: Samples, options: argparse.Namespace) -> None:
    """Train until the validation recall stops rising, and leave the best epoch's weights in the network."""
    settings = Optimization(
        learning_rate=options.learning_rate,
        branch_share=0.0 if options.freeze_branches else options.branch_share,
        weight_decay=options.weight_decay,
        scheduler=options.scheduler,
        label_smoothing=options.label_smoothing,
        mixup=options.mixup,
    )
    module = EmotionModule(network, settings, seed=options.seed)
    states = options.run / STATES
    best = ModelCheckpoint(states, "best", monitor=WATCHED, mode="max", enable_version_counter=False)
    # Without anything to monitor it keeps the newest; `save_last` would keep the newest that was a best one.
    newest = ModelCheckpoint(states, "last", enable_version_counter=False)
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        accelerator="auto",
        devices=options.devices if options.devices == "auto" else int(options.devices),
        precision=options.precision,
        gradient_clip_val=1.0,
        deterministic="warn",
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=loggers(options),
        callbacks=[
            best,
            newest,
            EarlyStopping(WATCHED, mode="max", patience=options.early_stopping_patience),
            LearningRateMonitor("epoch"),
            TQDMProgressBar(refresh_rate=20),
        ],
        default_root_dir=options.run,
        enable_model_summary=False,
    )
    last = states / "last.ckpt"
    trainer.fit(
        module,
        DataLoader(
            training,
            options.batch_size,
            sampler=EpochOrder(len(training), options.seed),
            # A last batch of one sample would break batch normalisation.
            drop_last=len(training) > options.batch_size,
            num_workers=options.workers,
            # The loader's own draws must not move the random numbers that batches are changed by.
            generator=torch.Generator(),
        ),
        DataLoader(validation, options.batch_size, num_workers=options.workers),
        ckpt_path=last if options.resume and last.is_file() else None,
        # The state is the run's own and holds more than weights: optimizer, schedule, callbacks.
        weights_only=False,
    )
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=False)["state_dict"]
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})


def loggers(options: argparse.Namespace) -> list[Logger]:
    """A CSV file always; Weights & Biases where it is asked for."""
    found: list[Logger] = [CSVLogger(options.run, name="metrics")]
    if options.wandb:
        offline = not (os.environ.get("WANDB_API_KEY") or (Path.home() / ".netrc").is_file())
        logger = WandbLogger(project="audio-visual-emotion", save_dir=options.run, offline=offline)
        logger.log_hyperparams({name: str(value) for name, value in vars(options).items()})
        found.append(logger)
    return found


def samples_of(
    network: EmotionNetwork, cache: Cache, split: Split, options: argparse.Namespace
) -> tuple[Samples, Samples]:
    """The training and the validation part; features of frozen branches instead."""
    training = ClipSamples(cache, split.training, TRAINING, seed=options.seed)
    validation = ClipSamples(cache, split.validation, VALIDATION)
    if not options.freeze_branches:
        return training, validation
    bfloat16 = options.precision.startswith("bf16")
    kept = encode(
        network,
        training,
        augmentation=Augmentation(),
        views=options.views,
        workers=options.workers,
        bfloat16=bfloat16,
    )
    # Faces were paired by label, so that within a label any face goes with any voice.
    return FeatureSamples(kept, swap_faces=cache.faces is not None, seed=options.seed), FeatureSamples(
        encode(network, validation, workers=options.workers, bfloat16=bfloat16)
    )


def measured(
    network: EmotionNetwork, cache: Cache, index: IntArray, part: int, options: argparse.Namespace
) -> FeatureSamples:
    """Features of unchanged clips, to measure on."""
    return FeatureSamples(encode(network, ClipSamples(cache, index, part), workers=options.workers))


def actors_of(cache: Cache, split: Split, *parts: str) -> set[int]:
    """Actors of some parts of a split."""
    return {int(actor) for part in parts for actor in cache.actors[split.parts()[part]]}


def description(options: argparse.Namespace, cache: Cache, split: Split) -> dict[str, Any]:
    """What the checkpoint says of the run."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return {
        "options": {name: _plain(value) for name, value in vars(options).items()},
        "git_commit": commit.stdout.strip() or "unknown",
        "clips": {part: len(index) for part, index in split.parts().items()},
        "pairing": "faces of FER2013 for voices of RAVDESS" if cache.faces is not None else "clips of RAVDESS",
        **{f"{part}_actors": sorted(actors_of(cache, split, part)) for part in split.parts()},
    }


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, int | float | str | None) else str(value)


if __name__ == "__main__":
    sys.exit(main())
