"""What the servers say of themselves: times of stages between two looks at their metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Counters = dict[tuple[str, str], float]

_TIMEOUT = 5.0
_TRITON = {
    "queue": "nv_inference_queue_duration_us_total",
    "compute input": "nv_inference_compute_input_duration_us_total",
    "compute": "nv_inference_compute_infer_duration_us_total",
    "compute output": "nv_inference_compute_output_duration_us_total",
}


def scrape(address: str) -> Counters | None:
    """All counters of a server by name and labels; None where it tells none."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as response:  # noqa: S310 (an address of the operator's)
            text = response.read().decode()
    except (OSError, ValueError):
        return None
    return counters_of(text)


def counters_of(text: str) -> Counters:
    """Counters of a server's metrics; names of all plain ones end in `_total`, which the parser adds to Triton's."""
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def gateway_stages(before: Counters | None, after: Counters | None) -> dict[str, float] | None:
    """Mean time of each stage of the gateway between two looks, in milliseconds."""
    if before is None or after is None:
        return None
    found = {}
    for (name, labels), total in after.items():
        if name != "emotion_stage_seconds_sum":
            continue
        key = ("emotion_stage_seconds_count", labels)
        count = after.get(key, 0.0) - before.get(key, 0.0)
        if count > 0:
            stage = labels.removeprefix("stage=")
            found[stage] = 1000 * (total - before.get((name, labels), 0.0)) / count
    return found


def triton_stages(before: Counters | None, after: Counters | None) -> dict[str, float] | None:
    """Mean time of each stage of Triton between two looks, in milliseconds, and the mean batch."""
    if before is None or after is None:
        return None

    def grown(name: str) -> float:
        return _sum(after, name) - _sum(before, name)

    requests = grown("nv_inference_request_success_total")
    if requests <= 0:
        return {}
    found = {stage: grown(name) / 1000 / requests for stage, name in _TRITON.items()}
    found["batch"] = grown("nv_inference_count_total") / max(1.0, grown("nv_inference_exec_count_total"))
    return found


def _sum(counters: Mapping[tuple[str, str], float], name: str) -> float:
    return sum(value for (found, _), value in counters.items() if found == name)


def rounded(stages: Mapping[str, float] | None) -> dict[str, Any] | None:
    """Stages for people."""
    return None if stages is None else {stage: round(value, 2) for stage, value in stages.items()}
