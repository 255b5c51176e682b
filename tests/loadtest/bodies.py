"""Response bodies with random probabilities, of which any field can be changed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from avemotion.preprocessing.contract import LABELS


def scores(seed: int = 0) -> dict[str, Any]:
    probs = (100 * np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)))).round(4).tolist()
    top = int(np.argmax(probs))
    return {
        "probs": probs,
        "top1": {"label": LABELS[top], "prob": probs[top]},
        "uncertain": False,
        "modalities": {"video": True, "audio": False},
        "evidence": {"face": 1.0, "voice": None},
        "face": None,
        "faces": 1,
        "quality": dict.fromkeys(("face_height", "brightness", "audio_level", "clipping")) | {"padding": 0.0},
    }


def prediction(seed: int = 0, **changes: Any) -> dict[str, Any]:
    rest: dict[str, Any] = {"model": "m", "model_version": "1", "missing": {}, "note": None}
    absent = dict.fromkeys(("video_probs", "audio_probs", "frame_attention"))
    return {"labels": list(LABELS), **scores(seed), **rest, **absent, **changes}


def response(seed: int = 0, **changes: Any) -> str:
    timings = dict.fromkeys(("upload", "queue", "decode", "inference", "total"), 1.0)
    rest = {"explanation": None, "timings_ms": timings, "request_id": "r"}
    return json.dumps({**prediction(seed, **changes), **rest})


def batch(*results: dict[str, Any]) -> str:
    timings = dict.fromkeys(("upload", "decode", "inference", "total"), 1.0)
    return json.dumps({"results": results, "timings_ms": timings, "request_id": "r"})


def timeline(*rows: dict[str, Any]) -> str:
    head = {"labels": LABELS, "duration": 4.0, "step": 0.5, "window_seconds": 3.0, "model": "m", "model_version": "1"}
    timings = dict.fromkeys(("upload", "queue", "decode", "inference", "total"), 1.0)
    return json.dumps({**head, "request_id": "r", "rows": rows, "timings_ms": timings})


def row(seed: int) -> dict[str, Any]:
    return scores(seed) | {"start": 0.5 * seed, "end": 0.5 * seed + 3}
