"""Errors of an export."""

from __future__ import annotations

from avemotion.preprocessing.errors import EmotionError


class ExportError(EmotionError):
    """An export failed; the model repository is unchanged."""

    code = "export_failed"


class ParityError(ExportError):
    """An exported model and the network compute different outputs."""

    code = "parity_failed"


class GateError(ExportError):
    """The quantised model is not close enough to the FP32 model."""

    code = "gate_failed"


class RepositoryError(EmotionError):
    """The model repository lacks the requested model or version, or cannot be written."""

    code = "bad_repository"
