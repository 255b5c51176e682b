"""Train the network and write `checkpoints/best.pt`: the best epoch's weights, calibration and metrics."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from avemotion.preprocessing.errors import EmotionError
from training.checkpoint import Checkpoint, save_checkpoint
from training.data.cache import Cache
from training.data.pairing import TEST, TRAINING, VALIDATION
from training.data.samples import ClipSamples
from training.data.splits import Split, split_clips
from training.evaluation import evaluate, fit_temperatures, predict
from training.features import FeatureSamples, cached_features, encode, select, with_audio_features
from training.module import WATCHED, EmotionModule, Optimization
from training.network import EmotionNetwork, NetworkConfig
from training.options import highest_rate, parser, prepared
from training.order import EpochOrder
from training.revision import checked_out_commit
from training.start import load_video_weights, share_neutral_with_calm, start_from

Samples = ClipSamples | FeatureSamples

_EXAMPLES = 32
"""Clips that set the statistics of the batch normalisations of an exported model."""

STATES = "states"
"""Folder of resumable states below the folder of the run."""


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.train --fusion xattn …`; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        metrics = train(options)
    except (EmotionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rank_zero_only(_print_summary)(metrics, options.output)
    return 0


def _print_summary(metrics: dict[str, Any], output: Path) -> None:
    for part, found in metrics.items():
        both = found["both"]
        print(
            f"{part}: {found['clips']} clips, accuracy {both['accuracy']:.3f}, "
            f"unweighted recall {both['unweighted_recall']:.3f}, calibration error {both['calibration_error']:.3f}"
        )
    print(f"wrote {output}")


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Train with the given options, write the checkpoint, and return its metrics."""
    cache = prepared(options.data)
    split = split_clips(
        cache, options.split_mode, fold=options.fold, seed=options.seed, train_on_test=options.train_on_test
    )
    network, parts = train_network(options, cache, split)
    temperatures = fit_temperatures(predict(network, parts["validation"]))
    metrics = {part: evaluate(network, temperatures, samples) for part, samples in parts.items()}
    checkpoint = Checkpoint(
        config=network.config,
        weights=network.state_dict(),
        crop=cache.crop,
        temperatures=temperatures,
        metrics=metrics,
        training=description(options, cache, split),
    )
    rank_zero_only(save_checkpoint)(options.output, checkpoint)
    return metrics


def train_network(
    options: argparse.Namespace, cache: Cache, split: Split, *, states: bool = True
) -> tuple[EmotionNetwork, dict[str, FeatureSamples]]:
    """Train on the training part of a split.

    Args:
        options: Options of the command line.
        cache: Cache of decoded clips.
        split: The split; without a validation part, the last epoch's weights are kept.
        states: Whether to log, show progress, and save states from which the run can be resumed.

    Returns:
        The network, and features of the validation and the test part, unless they are empty, for evaluation.
    """
    lightning.seed_everything(options.seed, workers=True, verbose=False)
    network = EmotionNetwork(
        NetworkConfig(options.fusion, options.xattn_head, options.dropout, options.audio_branch, options.xattn_tokens)
    )
    initialise(network, options, cache, split)
    training: Samples
    validation: Samples
    if options.freeze_branches:
        training, parts = frozen_samples(network, cache, split, options)
        fit(network, training, parts.get("validation"), options, states=states)
        return network, parts
    training = ClipSamples(cache, split.training, TRAINING, seed=options.seed, copies=True, recordings=True)
    validation = ClipSamples(cache, split.validation, VALIDATION)
    fit(network, training, validation if len(split.validation) else None, options, states=states)
    measured = {"validation": (split.validation, VALIDATION), "test": (split.test, TEST)}
    return network, {
        name: FeatureSamples(encode(network, ClipSamples(cache, index, part), workers=options.workers))
        for name, (index, part) in measured.items()
        if len(index)
    }


def initialise(network: EmotionNetwork, options: argparse.Namespace, cache: Cache, split: Split) -> None:
    """Load the initial weights that the options name."""
    if options.video_weights:
        load_video_weights(network, options.video_weights)
    tested = set() if options.split_mode == "stratified" else actors_of(cache, split, "validation", "test")
    example = None
    if any(file.suffix == ".onnx" for file in options.init_from):
        example = next(iter(DataLoader(ClipSamples(cache, split.training, TRAINING), _EXAMPLES)))
    loaded = start_from(network, options.init_from, tested, example)
    # A video branch trained on FER2013 alone has no calm faces.
    if cache.faces is not None and "video_classifier.weight" in loaded and not any("fusion" in name for name in loaded):
        share_neutral_with_calm(network)


def frozen_samples(
    network: EmotionNetwork, cache: Cache, split: Split, options: argparse.Namespace
) -> tuple[FeatureSamples, dict[str, FeatureSamples]]:
    """Augmented features of the training part, and unchanged features of the validation and the test part.

    If voices are paired with faces, a fusion of frozen branches learns on faces that the video branch was not trained
    on, and is measured on others: a branch is right too often on its training faces, and would be trusted too much.
    """
    bfloat16, workers = options.precision.startswith("bf16"), options.workers
    changed = cached_features(
        network,
        cache,
        # All clips, because other splits need the others.
        np.arange(len(cache.records)),
        VALIDATION,
        changed=True,
        views=options.views,
        seed=options.seed,
        workers=workers,
        bfloat16=bfloat16,
    )
    # Faces are paired by label, so that any face of a label can go with any voice of it.
    chosen = with_audio_features(network, select(changed, split.training, options.views))
    training = FeatureSamples(chosen, swap_faces=cache.faces is not None, seed=options.seed)
    parts = {}
    for name in ("validation", "test"):
        index = split.parts()[name]
        if len(index):
            tensors = cached_features(network, cache, index, TEST, workers=workers, bfloat16=bfloat16)
            parts[name] = FeatureSamples(with_audio_features(network, tensors))
    return training, parts


def fit(
    network: EmotionNetwork,
    training: Samples,
    validation: Samples | None,
    options: argparse.Namespace,
    *,
    states: bool = True,
) -> None:
    """Train until the validation recall stops rising, and load the best epoch's weights into the network.

    Without a validation part, or with a patience of 0, all epochs are trained and the last one's weights are kept.
    """
    settings = Optimization(
        learning_rate=highest_rate(options),
        branch_lr_scale=0.0 if options.freeze_branches else options.branch_lr_scale,
        weight_decay=options.weight_decay,
        scheduler=options.scheduler,
        label_smoothing=options.label_smoothing,
        mixup=options.mixup,
    )
    module = EmotionModule(network, settings, seed=options.seed)
    folder = options.run / STATES
    best = ModelCheckpoint(folder, "best", monitor=WATCHED, mode="max", enable_version_counter=False)
    callbacks: list[Callback] = []
    choosing = validation is not None and options.early_stopping_patience > 0
    if choosing:
        callbacks += [best, EarlyStopping(WATCHED, mode="max", patience=options.early_stopping_patience)]
    if states:
        # Without a monitored metric, it saves the newest epoch; `save_last` saves only epochs that are the best so far.
        # It runs after `best`, so that its state includes the best epoch.
        newest = ModelCheckpoint(folder, "last", enable_version_counter=False)
        callbacks += [newest, LearningRateMonitor("epoch"), TQDMProgressBar(refresh_rate=20)]
    devices = options.devices if options.devices == "auto" else int(options.devices)
    several = (torch.cuda.device_count() if devices == "auto" else devices) > 1
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        accelerator="auto",
        devices=devices,
        # If a whole batch lacks video, the video branch has no gradient.
        strategy="ddp_find_unused_parameters_true" if several else "auto",
        precision=options.precision,
        gradient_clip_val=1.0,
        deterministic="warn",
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=loggers(options) if states else False,
        callbacks=callbacks,
        default_root_dir=options.run,
        enable_model_summary=False,
        enable_progress_bar=states,
        enable_checkpointing=bool(states or choosing),
        # `EpochOrder` distributes samples over devices, and each device predicts the whole validation part.
        use_distributed_sampler=False,
    )
    last = folder / "last.ckpt"
    trainer.fit(
        module,
        DataLoader(
            training,
            options.batch_size,
            sampler=EpochOrder(len(training), options.seed),
            # A last batch of one sample would break batch normalisation.
            drop_last=len(training) > options.batch_size,
            num_workers=options.workers,
            # The loader's own draws must not affect the random numbers of the augmentation.
            generator=torch.Generator(),
        ),
        DataLoader(validation, options.batch_size, num_workers=options.workers) if validation is not None else None,
        ckpt_path=last if options.resume and last.is_file() else None,
        # The state was written by this run and holds more than weights: optimizer, schedule, callbacks.
        weights_only=False,
    )
    if choosing:
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=False)["state_dict"]
        network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})


def loggers(options: argparse.Namespace) -> list[Logger]:
    """A CSV logger, and one for Weights & Biases if requested."""
    found: list[Logger] = [CSVLogger(options.run, name="metrics")]
    if options.wandb:
        offline = not (os.environ.get("WANDB_API_KEY") or (Path.home() / ".netrc").is_file())
        logger = WandbLogger(project="audio-visual-emotion", save_dir=options.run, offline=offline)
        logger.log_hyperparams({name: str(value) for name, value in vars(options).items()})
        found.append(logger)
    return found


def actors_of(cache: Cache, split: Split, *parts: str) -> set[int]:
    """Actors of some parts of a split."""
    return {int(actor) for part in parts for actor in cache.actors[split.parts()[part]]}


def description(options: argparse.Namespace, cache: Cache, split: Split) -> dict[str, Any]:
    """Description of the run for the checkpoint."""
    return {
        "options": {name: _plain(value) for name, value in vars(options).items()},
        "git_commit": checked_out_commit(),
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
