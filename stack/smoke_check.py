"""Says where the product is, once a prediction has really worked.

A port that listens proves little; this sends a clip through upload, decoding and model, as a person would.
"""

from __future__ import annotations

import http.client
import io
import json
import time
import wave
from typing import Final

import numpy as np

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES
from gateway.settings import Settings

_DEADLINE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.2
_BOUNDARY: Final = "emotion-first-prediction"


def check_first_prediction(settings: Settings) -> None:
    """Predict until it works, and print the address; a sentence where it does not work in time."""
    address = f"http://{settings.host}:{settings.port}"
    body = _multipart(_noise_clip())
    problem = "it does not answer"
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection(settings.host, settings.port, timeout=10)
            connection.request("POST", "/predict", body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})
            response = connection.getresponse()
            answer = json.load(response)
            if response.status == http.client.OK:
                print(
                    f"\nA prediction works ({answer['model']}). Open {address} — Ctrl-C stops everything.\n", flush=True
                )
                return
            problem = answer["error"]["message"]
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            problem = str(error)
        time.sleep(_PAUSE_SECONDS)
    print(f"No prediction worked within {_DEADLINE_SECONDS:g} s at {address}: {problem}", flush=True)


def _noise_clip() -> bytes:
    """Three seconds of noise as a wav file."""
    samples = np.random.default_rng(0).integers(-3000, 3000, WINDOW_SAMPLES, np.int16)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def _multipart(clip: bytes) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="noise.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    return head.encode() + clip + f"\r\n--{_BOUNDARY}--\r\n".encode()
