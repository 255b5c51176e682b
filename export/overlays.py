"""Triton configurations for GPUs, written into the folders of the deployments that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from avemotion.preprocessing.contract import CropMode
from export.repository import measured, write_configuration
from export.triton_config import Serving, gpu, render_config

ROOT: Final = Path(__file__).parents[1]

MODELS: Final[dict[str, Serving]] = {"emotion_fp32": gpu("FP16"), "emotion_int8": gpu("INT8")}
"""How each model is served on a GPU: TensorRT runs the FP32 file in FP16, and an INT8 file of `--activations s8`."""

GPU_FOLDER: Final = Path("k8s/overlays/gpu/models")
"""Folder of their configurations, `MODEL/config.pbtxt`, for Kubernetes and Compose."""

SHIPPED_CROP: Final[CropMode] = "face"
"""Crop mode of the models in the repository."""


def overlay_configurations() -> dict[Path, str]:
    """Contents of the overlays' files by path, relative to the project's folder."""
    return {
        GPU_FOLDER / name / "config.pbtxt": render_config(name, SHIPPED_CROP, serving)
        for name, serving in MODELS.items()
    }


def write_configurations(repository: Path, root: Path = ROOT) -> list[Path]:
    """Write all of Triton's configuration: that of the repository and that of the overlays.

    Args:
        repository: The model repository.
        root: The project's folder.

    Returns:
        Paths of the files written.
    """
    written = []
    for name in MODELS:
        write_configuration(repository / name, name, SHIPPED_CROP, measured(repository / name))
        written.append(repository / name / "config.pbtxt")
    for path, text in overlay_configurations().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        written.append(root / path)
    return written
