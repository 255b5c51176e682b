"""Where figures are kept between measuring and reporting, so that a report needs no second measurement."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from avemotion.preprocessing.errors import EmotionError
from benchmarks.machine import describe
from loadtest.servers import ROOT

FOLDER = ROOT / "runs" / "benchmarks"


class NotMeasurableError(EmotionError):
    """A piece needs what this machine has not; what was measured before stays."""

    code: ClassVar[str] = "not_measurable"


def save(piece: str, figures: dict[str, Any], command: str) -> None:
    """Keep the figures of one piece, with the machine and the command that gave them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    body = {"machine": describe(), "command": command, "figures": figures}
    (FOLDER / f"{piece}.json").write_text(json.dumps(body, indent=1) + "\n")


def load(piece: str) -> dict[str, Any] | None:
    """What `save` kept; None where the piece was not measured."""
    path = FOLDER / f"{piece}.json"
    return json.loads(path.read_text()) if path.is_file() else None
