"""The steps of an export: ONNX, parity, quantisation, accuracy gate, timing, and only then the repository."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from export.choices import CALIBRATIONS, SCOPES, Limits, Recipe
from export.errors import ExportError
from export.gate import compare, enforce
from export.layers import find_losses
from export.onnx_model import export_onnx
from export.parity import BATCH_SIZES, check_parity
from export.quantization import Batch, quantize
from export.report import Alternative, Report
from export.repository import MODEL_FILE, install
from export.timing import measure
from training.checkpoint import Checkpoint, load_checkpoint
from training.data.batches import calibration_batches, heldout_batches
from training.data.cache import open_cache
from training.revision import checked_out_commit

FP32, INT8 = "emotion_fp32", "emotion_int8"
"""Names of the models in the repository."""

REPORT = "export_report"
"""Name of the report's files beside the INT8 model, without suffix."""

_CLIPS_FOR_LOSSES = 4


@dataclass(frozen=True)
class Settings:
    """Settings of an export.

    Attributes:
        checkpoint: The checkpoint.
        repository: The model repository.
        cache: Cache of decoded clips.
        calibration_clips: Number of clips that calibrate INT8.
        recipe: How the model is quantised.
        limits: Limits of parity and of the accuracy gate.
        runs: Timed runs of each model.
        compare: Whether to try the other recipes as well.
    """

    checkpoint: Path
    repository: Path = Path("model_repository")
    cache: Path = Path("data/cache")
    calibration_clips: int = 256
    recipe: Recipe = field(default_factory=Recipe)
    limits: Limits = field(default_factory=Limits)
    runs: int = 15
    compare: bool = False


def export_checkpoint(settings: Settings, say: Callable[[str], None] = print) -> list[Path]:
    """Export a checkpoint; the repository is written only after all checks have passed.

    Args:
        settings: The settings.
        say: Called with each result, as a sentence.

    Returns:
        Folders of the new versions of the FP32 and the INT8 model.

    Raises:
        EmotionError: The export failed, and the repository is unchanged.
    """
    checkpoint = load_checkpoint(settings.checkpoint)
    open_cache(settings.cache)  # A missing cache must be noticed before the export takes minutes.
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _export(checkpoint, settings, Path(folder), say)
    except OSError as error:
        raise ExportError(f"Temporary files of the export cannot be written: {error}.") from error


def _export(checkpoint: Checkpoint, settings: Settings, folder: Path, say: Callable[[str], None]) -> list[Path]:
    fp32, int8, reference = folder / "fp32.onnx", folder / "int8.onnx", folder / "reference.onnx"
    limits, git_commit = settings.limits, checked_out_commit()
    export_onnx(checkpoint, fp32, git_commit=git_commit)
    clips = list(calibration_batches(settings.cache, settings.calibration_clips, seed=0))
    network = checkpoint.serving_network()
    parity = check_parity(network, fp32, tolerance=limits.tolerance, batch_sizes=BATCH_SIZES, clips=clips[:1])
    batches = ", ".join(map(str, BATCH_SIZES))
    say(
        f"ONNX FP32 differs from torch by at most {parity:.1e}, at batch sizes {batches}, "
        "with a missing modality, and on clips of the cache."
    )
    count = sum(len(next(iter(batch.values()))) for batch in clips)
    convolutions = quantize(fp32, int8, clips, settings.recipe, reference=reference)
    say(f"INT8: {convolutions} convolutions, {settings.recipe}, calibrated on {count} clips.")
    comparison = compare(fp32, int8, heldout_batches(settings.cache))
    say(f"{comparison}.")
    # The comparison of recipes comes before the gate: it shows what to do if the gate rejects this recipe.
    alternatives = _alternatives(fp32, folder, clips, settings, say) if settings.compare else []
    enforce(comparison, min_agreement=limits.min_agreement, max_accuracy_loss=limits.max_accuracy_loss)
    timings = measure(fp32, int8, runs=settings.runs)
    first = {name: tensor[:_CLIPS_FOR_LOSSES] for name, tensor in clips[0].items()}
    report = Report(
        checkpoint=settings.checkpoint.name,
        git_commit=git_commit,
        parity=parity,
        limits=limits,
        recipe=settings.recipe,
        convolutions=convolutions,
        calibration_clips=count,
        comparison=comparison,
        megabytes={"FP32": _megabytes(fp32), "INT8": _megabytes(int8)},
        timings=timings,
        losses=find_losses(reference, int8, first),
        alternatives=alternatives,
    )
    one = timings.models[1]
    say(
        f"One thread: {one['fp32'].cpu_ms:.1f} ms per clip FP32, {one['int8'].cpu_ms:.1f} ms INT8, "
        f"{timings.speed_up(1):.2f} times as fast, {one['int8'].peak_share:.0%} of this processor's INT8 peak."
    )
    written = {f"{REPORT}.json": report.as_json(), f"{REPORT}.md": report.as_markdown()}
    for name, text in written.items():
        (folder / name).write_text(text)
    installed = install(
        settings.repository,
        {FP32: {MODEL_FILE: fp32}, INT8: {MODEL_FILE: int8, **{name: folder / name for name in written}}},
        checkpoint.crop,
    )
    for version in installed:
        say(f"{version}: {_megabytes(version / MODEL_FILE):.1f} MB")
    say(f"Report: {installed[1] / REPORT}.md")
    return installed


def _alternatives(
    fp32: Path, folder: Path, clips: list[Batch], settings: Settings, say: Callable[[str], None]
) -> list[Alternative]:
    """Results of each other scope and each other calibration, one change at a time."""
    chosen = settings.recipe
    recipes = [dataclasses.replace(chosen, scope=scope) for scope in SCOPES if scope != chosen.scope]
    recipes += [dataclasses.replace(chosen, calibration=name) for name in CALIBRATIONS if name != chosen.calibration]
    found = []
    for recipe in recipes:
        path = folder / "alternative.onnx"
        quantize(fp32, path, clips, recipe)
        found.append(Alternative(recipe, compare(fp32, path, heldout_batches(settings.cache)), _megabytes(path)))
        say(f"Alternative: {recipe}: {found[-1].comparison}.")
    return found


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6
