"""The command line of `python -m export`: a checkpoint, or one of the commands for what was exported."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.choices import ACTIVATIONS, CALIBRATIONS, SCOPES, Limits, Recipe

_COMMANDS = """commands for what was exported:
  list                    models and versions of the repository, and which are served
  promote MODEL VERSION   serve this version; newer ones are put aside
  rollback MODEL          serve the version before the one that is served
  prune MODEL             delete old versions
  inspect MODEL.onnx      contract, origin, sizes, inputs, outputs and operators of a file
  configure               write every config.pbtxt anew, those of the overlays too
  sweep                   measure how dynamic batching is best set, against the real Triton
`python -m export COMMAND --help` explains each."""


def export_parser() -> argparse.ArgumentParser:
    """Arguments of `python -m export CHECKPOINT`."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Export a checkpoint as emotion_fp32 and emotion_int8 into a Triton model repository.",
        epilog=_COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="file of `python -m training.train`, e.g. checkpoints/best.pt")
    _add_repository(parser)
    add(
        "--cache",
        type=Path,
        default=Path("data/cache"),
        help="prepared clips: of training actors to calibrate INT8, of others to check it; default: %(default)s",
    )
    add("--calibration-clips", type=_positive, default=256, help="how many calibrate; default: %(default)s")
    recipe, limits = Recipe(), Limits()
    add("--int8-scope", choices=SCOPES, default=recipe.scope, help="quantised convolutions; default: %(default)s")
    add("--calibration", choices=CALIBRATIONS, default=recipe.calibration, help="default: %(default)s")
    add(
        "--activations",
        choices=ACTIVATIONS,
        default=recipe.activations,
        help="u8 for CPUs; s8, symmetric, for TensorRT, slow on CPUs; default: %(default)s",
    )
    add("--compare", action="store_true", help="quantise in the other ways too, and report how close they come")
    add(
        "--tolerance",
        type=float,
        default=limits.tolerance,
        help="largest difference between torch and ONNX FP32; default: %(default)s",
    )
    add(
        "--min-agreement",
        type=float,
        default=limits.min_agreement,
        help="least share of held-out clips on which INT8 and FP32 choose the same label; default: %(default)s",
    )
    add(
        "--max-accuracy-loss",
        type=float,
        default=limits.max_accuracy_loss,
        help="most accuracy that INT8 may lose on them; default: %(default)s",
    )
    add("--runs", type=_positive, default=15, help="how often each model is timed; default: %(default)s")
    return parser


def recipe_of(options: argparse.Namespace) -> Recipe:
    """How INT8 is to be made."""
    return Recipe(options.int8_scope, options.calibration, options.activations)


def limits_of(options: argparse.Namespace) -> Limits:
    """What the gate is to demand."""
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
        add("--keep", type=_positive, default=3, help="versions to keep, the served one included; default: %(default)s")
    if name == "sweep":
        add("--model", default="emotion_int8", help="default: %(default)s")
        add("--output", type=Path, default=Path("runs/sweep"), help="folder of the tables; default: %(default)s")
        add("--seconds", type=float, default=4.0, help="of load for each setting; default: %(default)s")
        add("--clients", type=_positive, nargs="+", default=[1, 4, 16], help="that ask at once; default: 1 4 16")
    _add_repository(parser)
    return parser


def _add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: %(default)s")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more; it is {number}")
    return number
