"""Servers side by side: this gateway with its models and predictors, and against alternatives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.models import Models, make_models
from benchmarks.results import Section, section, table
from benchmarks.turns import Rounds, Turns, by_turns, medians, paired, server_turns, suspended_servers
from benchmarks.workloads import ORIGINAL, RECORDING, SAMPLED, payload
from loadtest.servers import ROOT, Contender, ours

PEERS: Final = ("plain", "litserve", "bentoml")
OURS: Final = "this project"
OURS_SAMPLED: Final = "this project, sampled"


def peer(name: str, models: Models) -> Contender:
    """An alternative from `benchmarks/peers`, in its own environment.

    Args:
        name: One of `PEERS`.
        models: What it serves: the checkpoint in the plain design, the INT8 file in the others.

    Raises:
        FileNotFoundError: Its environment is not installed; the message says how to install it.
    """
    folder = ROOT / f".venv-peer-{name}" / "bin"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.parent.name} is not installed; run `make peers`.")
    modules = {
        "plain": ("uvicorn", "benchmarks.peers.plain:app", "--port", "{port}", "--log-level", "warning"),
        "litserve": ("benchmarks.peers.litserve_server",),
        "bentoml": ("bentoml", "serve", "benchmarks.peers.bentoml_service:Emotion", "--port", "{port}"),
    }
    variables = {
        "EMO_PEER_MODEL": str((models.checkpoint if name == "plain" else models.int8).resolve()),
        "EMO_PEER_PORT": "{port}",
        "PYTHONPATH": str(ROOT),
        "BENTOML_HOST": "127.0.0.1",
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
    }
    return Contender(name, (str(folder / "python"), "-m", *modules[name]), variables)


def measure_variants(rounds: int, seconds: float, requests: int) -> Section:
    """This gateway with INT8 and FP32, in Triton and in its own process.

    Args:
        rounds: Number of measurements of each.
        seconds: Length of a saturated measurement.
        requests: Number of requests of a measurement with one client.
    """
    contenders = [
        ours(f"{model[-4:].upper()}, {predictor}", model_repository=str(folder), model=model, predictor=predictor)
        for model, folder in make_models().repositories.items()
        for predictor in ("triton", "onnxruntime")
    ]
    payloads = {name: payload(name) for name in (RECORDING, SAMPLED)}
    with suspended_servers(contenders) as servers:
        turns: Turns = {}
        for one in servers:
            turns |= server_turns(one.name, one, payloads, seconds, requests)
        found = by_turns(turns, rounds)
    return section(
        "INT8 and FP32, in Triton and in the gateway's process",
        "FP32 is exported from the weights of the committed INT8 model.",
        _short_table("model, predictor", found, (RECORDING, SAMPLED)),
        _long_table(found),
    )


def measure_peers(rounds: int, seconds: float, requests: int) -> Section:
    """This gateway against alternatives, with the same clips, and with a client that samples the recording itself.

    Args:
        rounds: Number of measurements of each.
        seconds: Length of a saturated measurement.
        requests: Number of requests of a measurement with one client.
    """
    models = make_models()
    contenders = [ours(OURS, model_repository=str(models.repositories["emotion_int8"]))]
    contenders += [peer(name, models) for name in PEERS]
    payloads = {name: payload(name) for name in (RECORDING, ORIGINAL)}
    with suspended_servers(contenders) as servers:
        turns = server_turns(OURS_SAMPLED, servers[0], {RECORDING: payload(SAMPLED)}, seconds, requests)
        for one in servers:
            turns |= server_turns(one.name, one, payloads, seconds, requests)
        found = by_turns(turns, rounds)
    pairs = {RECORDING: (OURS, RECORDING), ORIGINAL: (OURS, ORIGINAL), "sampled": (OURS_SAMPLED, RECORDING)}
    head = [f"{name}: {what}" for name in pairs for what in ("throughput", "speed of one client")]
    ratios: list[list[Any]] = []
    for name in PEERS:
        ratios.append([f"× {name}"])
        for mine, clip in pairs.values():
            our, their = found[mine][clip], found[name][clip]
            ratios[-1] += [paired(our, their, "per_second")[0], paired(their, our, "alone_p50_ms")[0]]
    return section(
        "Comparison with alternatives",
        "*plain* is FastAPI, a temporary file, OpenCV, FFmpeg, librosa and PyTorch in one process; *litserve* and "
        "*bentoml* serve the INT8 model with the same clip pipeline and a worker for each core "
        "([peers](../benchmarks/peers)). *sampled* is the recording from a client that samples it itself.",
        _short_table("server", found, (RECORDING, ORIGINAL)),
        table(("this project", *head), ratios),
        _long_table(found),
    )


def _short_table(title: str, found: Rounds, clips: Sequence[str]) -> dict[str, Any]:
    """The most telling figures, a row for each contender."""
    keys = {"alone_p50_ms": "one client p50 ms", "per_second": "saturated per s", "server_cpu_ms": "CPU ms"}
    rows = [[medians(by[clip])[key] if clip in by else None for clip in clips for key in keys] for by in found.values()]
    head = [f"{clip}: {meaning}" for clip in clips for meaning in keys.values()]
    return table((title, *head), [(name, *row) for name, row in zip(found, rows, strict=True)])


def _long_table(found: Rounds) -> dict[str, Any]:
    """All figures, a row for each contender and clip."""
    rows = {(name, clip): medians(rows) for name, by in found.items() for clip, rows in by.items()}
    head = list(next(iter(rows.values())))
    return table(("server", "clip", *head), [(*key, *map(row.get, head)) for key, row in rows.items()], on_page=False)
