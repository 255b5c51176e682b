"""Peers of this project's server, each started as its documentation says."""

from __future__ import annotations

import os

from benchmarks.models import Models
from loadtest.servers import ROOT, Contender

PEERS = ("plain", "litserve", "bentoml")


def peer(name: str, models: Models) -> Contender:
    """A peer, in its own environment.

    Args:
        name: One of `PEERS`.
        models: What it serves: the checkpoint in the plain design, the INT8 file in the others.

    Raises:
        FileNotFoundError: Its environment is not installed; the message says how.
    """
    folder = ROOT / f".venv-peer-{name}" / "bin"
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no {folder.parent.name}: `make peers` installs it.")
    python = str(folder / "python")
    commands = {
        "plain": (python, "-m", "uvicorn", "benchmarks.peers.plain:app", "--port", "{port}", "--log-level", "warning"),
        "litserve": (python, "-m", "benchmarks.peers.litserve_server"),
        "bentoml": (
            str(folder / "bentoml"),
            "serve",
            "benchmarks.peers.bentoml_service:Emotion",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
        ),
    }
    variables = {
        "EMO_PEER_MODEL": str((models.checkpoint if name == "plain" else models.int8).resolve()),
        "EMO_PEER_PORT": "{port}",
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
    }
    return Contender(name, commands[name], variables)
