"""The sections of docs/PERFORMANCE.md about servers: what the gateway adds, its variants, its peers, and the aims."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmarks import workloads
from benchmarks.overhead import LIMIT, REFERENCE, SHARE
from benchmarks.tables import table

_HEAD = (
    "server",
    "clip",
    "alone p50 ms",
    "alone CPU ms",
    "saturated per s",
    "p50 ms",
    "p95 ms",
    "CPU ms each",
    "driver ms",
)


def _serving_rows(figures: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            server,
            clip,
            kinds["alone"]["p50_ms"],
            kinds["alone"]["server_cpu_ms"],
            kinds["saturated"]["per_second"],
            kinds["saturated"]["p50_ms"],
            kinds["saturated"]["p95_ms"],
            kinds["saturated"]["server_cpu_ms"],
            kinds["saturated"]["client_cpu_ms"],
        )
        for server, by in figures["figures"].items()
        for clip, kinds in by.items()
    ]


def _refusals(figures: dict[str, Any]) -> str:
    refused = sum(
        row["refused"]
        for by in figures["figures"].values()
        for kinds in by.values()
        for rows in kinds["rounds"].values()
        for row in rows
    )
    idle = ", ".join(f"{name} {100 * share:.1f} %" for name, share in figures["idle_cpu"].items())
    return (
        f"{figures['clients']} clients when saturated; {refused:g} requests were refused or failed in all. "
        f"CPU of one core that each server took while nobody asked: {idle}."
    )


def variants(figures: dict[str, Any]) -> str:
    """This server's variants."""
    body = table(_HEAD, _serving_rows(figures))
    return (
        "## This server: INT8 and FP32, Triton and in-process\n\n"
        f"{body}\n\n{_refusals(figures)} FP32 is the export of the weights that the committed model "
        "holds (`benchmarks/models.py`)."
    )


def overhead(figures: dict[str, Any]) -> str:
    """What the gateway adds to decoding and inference."""
    stages = ("overhead", "upload", "queue", "decode", "inference", "waited")
    rows = [
        (clip, by["overhead"]["p50"], by["overhead"]["p95"], *(by[stage]["p50"] for stage in stages[1:]))
        for clip, by in figures["clips"].items()
    ]
    found, bare = figures["clips"][workloads.RECORDING]["overhead"]["p50"], figures["bare_decode"]
    met = "reached" if found <= LIMIT else "**missed**"
    return "\n\n".join(
        [
            "## What the gateway adds",
            "One request at a time, medians in milliseconds. *Overhead* is what the client waited, from the first byte "
            "sent to the last received, less decoding and inference: the way over loopback, the form, the queue and "
            "moving bytes to a worker and back, the answer. The client is a bare socket.",
            table(("clip", "overhead", "its p95", *stages[1:]), rows),
            f"{figures['requests']} requests of each clip. The aim is {LIMIT:g} ms for the recording: {found:.2f} ms, "
            f"{met}. It was set on a machine that decodes the recording bare in {REFERENCE:g} ms; this one took "
            f"{bare:.0f} ms in the same run. Were all that the gateway does as much faster, it would add "
            f"{found * REFERENCE / bare:.2f} ms there.",
            *_saturated(figures["saturated"]),
        ]
    )


def _saturated(figures: dict[str, Any]) -> list[str]:
    """How much of what the cores can do without a server the saturated one does."""
    mine = figures["figures"]["this project"][workloads.RECORDING]
    rows: list[tuple[Any, ...]] = [
        ("this project", mine["saturated"]["per_second"], mine["saturated"]["server_cpu_ms"], None)
    ]
    shares = {}
    for name, by in figures["floors"].items():
        row = by[workloads.RECORDING]
        shares[name] = _throughput(mine, row)
        rows.append((name, row["per_second"], row["cpu_ms"], shares[name]))
    share = shares["stages"]
    return [
        "And where eight clients never stop asking with the recording, beside what the same cores do without a server: "
        "*stages* is what this server does to decode (what the window needs, crop, log-mel) and to infer, in batches "
        "of eight; *floor* is the codec alone, which decodes everything and throws it away, and the model.",
        table(("", "per s", "CPU ms", "this project's share"), rows),
        f"Medians of {len(mine['rounds']['saturated'])} rounds. The aim is {SHARE:g} of what decoding and inference "
        f"allow: {share:.3f}, {'reached' if share >= SHARE else '**missed**'}.",
    ]


def peers(figures: dict[str, Any]) -> str:
    """This server against others, and against the floor that none can get under."""
    by, floor = figures["figures"], figures["floors"].get("floor", {})
    mine = by["this project"]
    floors = [
        ("floor", clip, None, None, row["per_second"], None, None, row["cpu_ms"], None) for clip, row in floor.items()
    ]
    return "\n\n".join(
        [
            "## Against what people would write or pick",
            "*plain* is FastAPI, a temporary file, OpenCV, FFmpeg, librosa and PyTorch in one process; *litserve* and "
            "*bentoml* serve the same ONNX file with the same clip pipeline, a worker for each core "
            "([peers](../benchmarks/peers)). *floor* is no server: on every core at once, FFmpeg decodes both tracks "
            "whole and throws everything away, and the INT8 model runs in batches of eight on one thread.",
            table(_HEAD, [*_serving_rows(figures), *floors]),
            _refusals(figures),
            "Medians of the ratios of each round:",
            table(("clip", "", "throughput", "latency alone"), _comparisons(by, floor)),
            _aims(by, mine),
        ]
    )


def _comparisons(by: dict[str, Any], floor: dict[str, Any]) -> list[tuple[Any, ...]]:
    mine = by["this project"]
    rows: list[tuple[Any, ...]] = []
    for clip in (workloads.RECORDING, workloads.ORIGINAL):
        for peer in by:
            if peer != "this project":
                rows.append((clip, f"this project × {peer}", *_ratios(mine[clip], by[peer][clip])))
        if "plain" in by and clip in floor:
            rows.append((clip, "floor × plain", _throughput(floor[clip], by["plain"][clip]), None))
        if clip in floor:
            rows.append((clip, "this project × floor", _throughput(mine[clip], floor[clip]), None))
    if workloads.SAMPLED in mine:
        for peer in by:
            if peer != "this project":
                ratios = _ratios(mine[workloads.SAMPLED], by[peer][workloads.RECORDING])
                rows.append(("sampled, against the recording", f"this project × {peer}", *ratios))
    return rows


def _ratios(mine: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, float]:
    """How many times faster: throughput saturated, and latency alone."""
    latencies = zip(theirs["rounds"]["alone"], mine["rounds"]["alone"], strict=True)
    return _throughput(mine, theirs), statistics.median(slow["p50_ms"] / fast["p50_ms"] for slow, fast in latencies)


def _throughput(mine: dict[str, Any], theirs: dict[str, Any]) -> float:
    """How many times as much; `nan` where theirs answered nothing in time."""
    rounds = zip(mine["rounds"]["saturated"], theirs["rounds"]["saturated"], strict=True)
    return statistics.median([float(more["per_second"] / (less["per_second"] or math.nan)) for more, less in rounds])


def _aims(by: dict[str, Any], mine: dict[str, Any]) -> str:
    """What was aimed at, and whether it was reached."""
    rows: list[tuple[Any, ...]] = []

    def judge(aim: str, value: float, least: float) -> None:
        rows.append((aim, value, "reached" if value >= least else "**missed**"))

    if "plain" in by:
        for clip in (workloads.RECORDING, workloads.ORIGINAL):
            throughput, latency = _ratios(mine[clip], by["plain"][clip])
            judge(f"{clip}: throughput ≥ 3 × plain", throughput, 3)
            judge(f"{clip}: latency ≥ 3 × plain", latency, 3)
        if workloads.SAMPLED in mine:
            throughput, latency = _ratios(mine[workloads.SAMPLED], by["plain"][workloads.RECORDING])
            judge("sampled: throughput ≥ 9 × plain", throughput, 9)
            judge("sampled: latency ≥ 8 × plain", latency, 8)
    for name, theirs in by.items():
        if name != "this project":
            ahead = min(_ratios(mine[clip], theirs[clip])[0] for clip in theirs)
            judge(f"throughput ahead of {name} on every clip", ahead, 1)
    return table(("aim", "measured", ""), rows)
