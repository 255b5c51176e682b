"""Arguments of `python -m export`: a checkpoint, or a command on the model repository."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.choices import ACTIVATIONS, CALIBRATIONS, SCOPES, Limits, Recipe

_COMMANDS = """commands on the model repository:
  list                    list models and versions, and which of them Triton serves
  promote MODEL VERSION   serve a version; newer versions are retired
  rollback MODEL          serve the version before the one that is served now
  prune MODEL             delete old versions
  inspect MODEL.onnx      print contract, origin, size, inputs, outputs and operators of a file
  configure               write all config.pbtxt files, those of the GPU overlay included
  sweep                   benchmark settings of dynamic batching on a real Triton server
See `python -m export COMMAND --help`."""


def export_parser() -> argparse.ArgumentParser:
    """Arguments of `python -m export CHECKPOINT`."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Export a checkpoint as emotion_fp32 and emotion_int8 into a Triton model repository.",
        epilog=_COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="checkpoint of `python -m training.train`, e.g. checkpoints/best.pt")
    _add_repository(parser)
    add(
        "--cache",
        type=Path,
        default=Path("data/cache"),
        help="cache of decoded clips: training actors calibrate INT8, the others check it; default: %(default)s",
    )
    add("--calibration-clips", type=_positive, default=256, help="number of calibration clips; default: %(default)s")
    recipe, limits = Recipe(), Limits()
    add("--int8-scope", choices=SCOPES, default=recipe.scope, help="convolutions to quantise; default: %(default)s")
    add(
        "--calibration",
        choices=CALIBRATIONS,
        default=recipe.calibration,
        help="how the ranges of activations are chosen; default: %(default)s",
    )
    add(
        "--activations",
        choices=ACTIVATIONS,
        default=recipe.activations,
        help="u8 for CPUs; s8, symmetric, for TensorRT (slow on CPUs); default: %(default)s",
    )
    add(
        "--compare",
        action="store_true",
        help="also try the other scopes and calibrations, and report how close to FP32 they are",
    )
    add(
        "--tolerance",
        type=float,
        default=limits.tolerance,
        help="limit of the difference between torch and ONNX FP32; default: %(default)s",
    )
    add(
        "--min-agreement",
        type=float,
        default=limits.min_agreement,
        help="minimum share of held-out clips with the same label from INT8 and FP32; default: %(default)s",
    )
    add(
        "--max-accuracy-loss",
        type=float,
        default=limits.max_accuracy_loss,
        help="limit of the accuracy that INT8 loses on held-out clips; default: %(default)s",
    )
    add("--runs", type=_positive, default=15, help="timed runs of each model; default: %(default)s")
    return parser


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The INT8 recipe that the options choose."""
    return Recipe(options.int8_scope, options.calibration, options.activations)


def limits_of(options: argparse.Namespace) -> Limits:
    """The limits that the options set."""
    return Limits(options.tolerance, options.min_agreement, options.max_accuracy_loss)


def command_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Arguments of one of the commands."""
    parser = argparse.ArgumentParser(prog=f"python -m export {name}", description=description)
    add: Callable[..., Any] = parser.add_argument
    if name == "inspect":
        add("model", type=Path, metavar="MODEL.onnx")
        return parser
    if name in {"promote", "rollback", "prune"}:
        add("model", help="name of the model, e.g. emotion_int8")
    if name == "promote":
        add("version", type=_positive)
    if name == "prune":
        add(
            "--keep",
            type=_positive,
            default=3,
            help="number of versions to keep, including the served one; default: %(default)s",
        )
    if name == "sweep":
        add("--model", default="emotion_int8", help="default: %(default)s")
        add("--output", type=Path, default=Path("runs/sweep"), help="folder for the results; default: %(default)s")
        add("--seconds", type=float, default=4.0, help="duration of the load for each setting; default: %(default)s")
        add(
            "--clients",
            type=_positive,
            nargs="+",
            default=[1, 4, 16],
            help="numbers of concurrent clients; default: 1 4 16",
        )
    _add_repository(parser)
    return parser


def _add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: %(default)s")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more; it is {number}")
    return number
