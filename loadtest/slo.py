"""Service level objectives: what a run must reach, in a file, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

UPPER = ("p50", "p95", "p99", "error_ratio", "refused_ratio")
LOWER = ("throughput",)


class SloFileError(ValueError):
    """The file asks for something that is not measured."""


def read_objectives(path: Path) -> dict[str, dict[str, float]]:
    """Objectives by endpoint.

    Raises:
        SloFileError: One sentence that says what is wrong with the file.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SloFileError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SloFileError(f"{path} holds no endpoints.")
    objectives: dict[str, dict[str, float]] = {}
    for name, limits in found.items():
        objectives[str(name)] = {}
        for key, value in (limits or {}).items():
            if key not in UPPER + LOWER:
                raise SloFileError(f"{path}: '{key}' of '{name}' is none of {', '.join(UPPER + LOWER)}.")
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise SloFileError(f"{path}: '{key}' of '{name}' is {value!r}, and should be a number from 0.")
            objectives[str(name)][key] = float(value)
    return objectives


def violations(objectives: Mapping[str, Mapping[str, float]], figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a run did not reach, a sentence each; an endpoint that was not asked has nothing to reach.

    Args:
        objectives: As `read_objectives` gives them.
        figures: As `loadtest.recorder.summarise` gives them.
    """
    if "all" not in figures:
        return ["no request was answered"]
    found = []
    for name, limits in objectives.items():
        measured = figures.get(name)
        if measured is None:
            continue
        for key, limit in limits.items():
            value = measured[key]
            if value is None:
                found.append(f"{name}: {key} is unknown, as there was no good answer; the limit is {limit:g}")
            elif (key in UPPER and value > limit) or (key in LOWER and value < limit):
                side = "most" if key in UPPER else "least"
                found.append(f"{name}: {key} is {value:.4g}, the {side} allowed is {limit:g}")
    return found
