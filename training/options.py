"""Command line of the training, and access to the data that it names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from training.data.cache import Cache, holds_faces, open_cache
from training.data.decode import decode_ravdess
from training.data.splits import FOLDS, SPLIT_MODES
from training.module import Optimization, Scheduler
from training.network.audio import AUDIO_BRANCHES
from training.network.fusion import FUSIONS, HEADS, TOKENS

CACHE_FOLDER = "cache"
"""Folder of the cache below the data folder, unless the data folder is a cache itself."""


def parser() -> argparse.ArgumentParser:
    """All options of `python -m training.train`."""
    result = argparse.ArgumentParser(
        prog="python -m training.train", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    data = result.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        default=Path("data"),
        help="folder with RAVDESS (Actor_XX/…), or a cache of training.prepare",
    )
    data.add_argument("--split_mode", choices=SPLIT_MODES, default="subject", help="stratified mixes actors")
    data.add_argument("--fold", type=int, default=0, help=f"test fold of kfold, 0 to {FOLDS - 1}")
    data.add_argument(
        "--train_on_test", action="store_true", help="also train on the test part, for a network to be served"
    )
    data.add_argument("--workers", type=int, default=0, help="processes that read samples")
    network = result.add_argument_group("network")
    network.add_argument("--fusion", choices=FUSIONS, default="xattn", help="how the branches are joined")
    network.add_argument("--xattn_head", choices=HEADS, default="concat", help="head of xattn")
    network.add_argument(
        "--xattn_tokens",
        choices=TOKENS,
        default="branch",
        help="audio tokens of xattn: the branch's map, or mel columns",
    )
    network.add_argument("--audio_branch", choices=AUDIO_BRANCHES, default="deep", help="size of the audio branch")
    network.add_argument("--dropout", type=float, default=0.3, help="dropout probability in the fusion's head")
    network.add_argument(
        "--video_weights", help="initial weights of the video branch: imagenet, or a file of torchvision's ResNet18"
    )
    network.add_argument(
        "--init_from",
        type=Path,
        nargs="*",
        default=[],
        help="branches, a checkpoint or an exported model (.onnx) to start from; later files override earlier ones",
    )
    network.add_argument("--freeze_branches", action="store_true", help="train only the fusion, on cached features")
    network.add_argument("--views", type=int, default=2, help="with frozen branches: augmented copies of each clip")
    loop = result.add_argument_group("loop")
    loop.add_argument("--epochs", type=int, default=100)
    loop.add_argument("--batch_size", type=int, default=8)
    loop.add_argument(
        "--learning_rate",
        type=float,
        help="peak learning rate (default: 3e-4; with frozen branches 1e-3, for late fusion 1e-2)",
    )
    loop.add_argument(
        "--branch_lr_scale", type=float, default=1.0, help="learning rate of the branches, relative to the peak"
    )
    loop.add_argument("--weight_decay", type=float, default=Optimization.weight_decay)
    loop.add_argument("--scheduler", choices=get_args(Scheduler), default="cosine")
    loop.add_argument("--label_smoothing", type=float, default=Optimization.label_smoothing)
    loop.add_argument("--mixup", type=float, default=Optimization.mixup)
    loop.add_argument(
        "--early_stopping_patience",
        type=int,
        default=10,
        help="epochs without improvement before training stops; 0 trains all epochs and keeps the last one",
    )
    loop.add_argument("--seed", type=int, default=0)
    loop.add_argument("--devices", default="auto", help="number of devices; several train by DDP")
    loop.add_argument("--precision", default="32-true", help="Lightning's precision, e.g. bf16-mixed")
    files = result.add_argument_group("files")
    files.add_argument("--output", type=Path, default=Path("checkpoints/best.pt"))
    files.add_argument("--run", type=Path, default=Path("runs/train"), help="folder for logs and resumable states")
    files.add_argument("--resume", action="store_true", help="resume an interrupted run")
    files.add_argument("--wandb", action="store_true", help="log to Weights & Biases; offline without an account")
    return result


def highest_rate(options: argparse.Namespace) -> float:
    """The peak learning rate: the requested one, or the default for what is trained.

    The late fusion has only sixteen weights and eight biases, which need a higher rate than those of a layer.
    """
    if options.learning_rate is not None:
        return float(options.learning_rate)
    if not options.freeze_branches:
        return Optimization.learning_rate
    return 1e-2 if options.fusion == "late" else 1e-3


def prepared(data: Path) -> Cache:
    """Open the cache that a data folder is or holds; RAVDESS files in it are decoded first unless the cache has them.

    Raises:
        CacheError: The folder holds neither RAVDESS nor a cache.
        FileNotFoundError: The folder does not exist.
    """
    if not data.is_dir():
        raise FileNotFoundError(f"{data} does not exist; set --data to the folder with Actor_01 to Actor_24.")
    cache = data / CACHE_FOLDER
    if any(data.glob("Actor_*")) and not holds_faces(cache):
        for sentence in decode_ravdess(data, cache):
            print(f"skipped {sentence}")
    return open_cache(cache if cache.is_dir() else data)
