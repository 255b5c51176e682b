"""Command line: `python -m export checkpoints/best.pt`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from export.gate import MAX_ACCURACY_LOSS, MIN_AGREEMENT, compare, enforce
from export.onnx_model import export_onnx
from export.parity import BATCH_SIZES, TOLERANCE, check_parity
from export.quantization import quantize
from export.repository import install
from preprocessing.errors import EmotionError
from training.checkpoint import load_checkpoint
from training.data import calibration_batches, heldout_batches
from training.data.cache import open_cache


def main(arguments: list[str] | None = None) -> int:
    """Export a checkpoint as FP32 and INT8 into a model repository; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Export a checkpoint as emotion_fp32 and emotion_int8 into a Triton model repository.",
    )
    parser.add_argument("checkpoint", type=Path, help="file of `python -m training.train`, e.g. checkpoints/best.pt")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: %(default)s")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("data/cache"),
        help="prepared clips: of training actors to calibrate INT8, of others to check it; default: %(default)s",
    )
    parser.add_argument("--calibration-clips", type=int, default=256, help="how many calibrate; default: %(default)s")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="largest difference between torch and ONNX FP32; default: %(default)s",
    )
    parser.add_argument(
        "--min-agreement",
        type=float,
        default=MIN_AGREEMENT,
        help="least share of held-out clips on which INT8 and FP32 choose the same label; default: %(default)s",
    )
    parser.add_argument(
        "--max-accuracy-loss",
        type=float,
        default=MAX_ACCURACY_LOSS,
        help="most accuracy that INT8 may lose on them; default: %(default)s",
    )
    options = parser.parse_args(arguments)
    try:
        run(options)
    except EmotionError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace) -> None:
    """Export, check, and only then touch the repository."""
    checkpoint = load_checkpoint(options.checkpoint)
    open_cache(options.cache)  # Nothing is computed for data that are not there.
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        export_onnx(checkpoint, fp32, git_commit=_git_commit())
        worst = check_parity(checkpoint.serving_network(), fp32, tolerance=options.tolerance)
        batches = ", ".join(map(str, BATCH_SIZES))
        print(f"ONNX FP32 differs from torch by at most {worst:.1e}, at batches {batches} and each modality missing.")
        count = quantize(fp32, int8, calibration_batches(options.cache, options.calibration_clips, seed=0))
        print(f"INT8: {count} convolutions, calibrated on {options.calibration_clips} clips at most.")
        comparison = compare(fp32, int8, heldout_batches(options.cache))
        print(f"{comparison}.")
        enforce(comparison, min_agreement=options.min_agreement, max_accuracy_loss=options.max_accuracy_loss)
        for name, file in (("emotion_fp32", fp32), ("emotion_int8", int8)):
            version = install(options.repository, name, file, checkpoint.crop)
            print(f"{version}: {file.stat().st_size / 1e6:.1f} MB")


def _git_commit() -> str:
    """The commit that is checked out, or `unknown` outside a checkout."""
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return result.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
