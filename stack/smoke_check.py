"""Sends one clip through upload, decoding and model, as a user would, and prints where to open the page.

A port that accepts connections proves little; a prediction proves that every part works.
"""

from __future__ import annotations

import io
import time
import wave
from typing import Final

import httpx
import numpy as np

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES

_DEADLINE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.2
_ANSWERS: Final = {"nobody_found", "unauthorized"}
"""Errors that show that everything works."""


def check_first_prediction(address: str) -> None:
    """Wait until the gateway is ready and answers a prediction; prints the outcome.

    The clip is noise, to which `nobody_found` is the right answer, which only a model can give. If the gateway requires
    API keys, of which it knows only hashes, its refusal of the clip counts as an answer, too.

    Args:
        address: URL of the gateway.
    """
    files = {"file": ("noise.wav", _noise_clip(), "audio/wav")}
    problem = "no response"
    deadline = time.monotonic() + _DEADLINE_SECONDS
    # The gateway is on this machine, so a proxy of the environment must not be asked.
    with httpx.Client(base_url=address, timeout=10, trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                ready = client.get("/health/ready")
                answer = client.post("/predict", files=files) if ready.is_success else ready
                code = "" if answer.is_success else answer.json()["error"]["code"]
                if answer.is_success or code in _ANSWERS:
                    model = ready.json()["model"]
                    print(f"\nReady ({model}). Open {address} in a browser; Ctrl-C stops the server.\n", flush=True)
                    return
                problem = answer.json()["error"]["message"]
            except (httpx.HTTPError, ValueError) as error:
                problem = str(error)
            time.sleep(_PAUSE_SECONDS)
    print(f"Not ready after {_DEADLINE_SECONDS:g} s: {address} answers no prediction ({problem})", flush=True)


def _noise_clip() -> bytes:
    """Three seconds of noise as a wav file."""
    samples = np.random.default_rng(0).integers(-3000, 3000, WINDOW_SAMPLES, np.int16)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
