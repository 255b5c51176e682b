"""Every answer of a run, with the step that it belongs to: what Locust's own statistics do not keep apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

REFUSED = " [429]"
"""Ends the name under which a refusal for overload is reported: neither an answer nor an error."""

ALL = "all"


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        time: When it came, in seconds since the epoch.
        name: Endpoint.
        milliseconds: From the send, or the intended send, to the end of the answer.
        refused: Whether it was a 429.
        failed: Whether it was an error, or a wrong answer.
    """

    time: float
    name: str
    milliseconds: float
    refused: bool
    failed: bool


def summarise(answers: Iterable[Answer], seconds: float) -> dict[str, dict[str, Any]]:
    """Figures by endpoint, and of all together: counts, ratios, throughput and latencies of good answers.

    Args:
        answers: The answers.
        seconds: The time in which they came.
    """
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.name].append(answer)
        groups[ALL].append(answer)
    return {name: _figures(group, seconds) for name, group in sorted(groups.items())}


def _figures(group: list[Answer], seconds: float) -> dict[str, Any]:
    good = sorted(answer.milliseconds for answer in group if not (answer.refused or answer.failed))
    refused, failed = sum(answer.refused for answer in group), sum(answer.failed for answer in group)
    return {
        "requests": len(group),
        "refused": refused,
        "failed": failed,
        "error_ratio": failed / len(group),
        "refused_ratio": refused / len(group),
        "throughput": len(good) / seconds if seconds > 0 else 0.0,
        "p50": _rank(good, 0.50),
        "p95": _rank(good, 0.95),
        "p99": _rank(good, 0.99),
        "mean": sum(good) / len(good) if good else None,
    }


def _rank(ordered: list[float], share: float) -> float | None:
    """The smallest value that at least this share of the values do not exceed; None without values."""
    if not ordered:
        return None
    rank = -(-share * len(ordered) // 1)
    return ordered[max(0, int(rank) - 1)]
