"""Why an export is refused."""

from __future__ import annotations

from avemotion.preprocessing.errors import EmotionError


class ExportError(EmotionError):
    """An export was stopped, and the model repository left as it was."""

    code = "export_failed"


class ParityError(ExportError):
    """An exported model does not compute what the network computes."""

    code = "parity_failed"


class GateError(ExportError):
    """The quantised model is not close enough to the full one."""

    code = "gate_failed"


class RepositoryError(EmotionError):
    """The model repository does not hold what was asked for, or cannot be written."""

    code = "bad_repository"
