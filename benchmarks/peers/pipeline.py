"""Clip to tensors in the usual way: a temporary file, OpenCV for the frames, FFmpeg and librosa for the sound.

So that its answers agree with this project's and only speed is compared, it takes frames by time instead of OpenCV's
frame counts, which are wrong for browser recordings, and finds the face in reduced frames.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import librosa
import numpy as np
import soundfile

from avemotion.preprocessing import contract

_CASCADE = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")


def read_clip(data: bytes) -> dict[str, np.ndarray]:
    """The model's inputs, with a batch dimension of 1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        path.write_bytes(data)
        frames = _read_frames(path)
        waveform = _read_sound(path, Path(folder) / "sound.wav")
    return {
        "frames": frames[None],
        "log_mel": _log_mel(waveform)[None],
        "present": np.array([[True, bool(np.abs(waveform).max() > 0)]]),
    }


def answer(probabilities: np.ndarray, model: str) -> dict[str, Any]:
    """The JSON of an answer, from probabilities [8]."""
    percentages = [round(100 * float(value), 4) for value in probabilities]
    top = int(np.argmax(percentages))
    return {
        "labels": list(contract.LABELS),
        "probs": percentages,
        "top1": {"label": contract.LABELS[top], "prob": percentages[top]},
        "model": model,
    }


def _read_frames(path: Path) -> np.ndarray:
    """Eight frames around the middle, cut around the face, uint8 [8, 112, 112, 3]."""
    capture = cv2.VideoCapture(str(path))
    frames, times = [], []
    while (read := capture.read())[0]:
        frames.append(read[1])
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    length = min(contract.WINDOW_SECONDS, times[-1] - times[0])
    start = (times[0] + times[-1] - length) / 2
    wanted = [start + (part + 0.5) * length / contract.FRAME_COUNT for part in range(contract.FRAME_COUNT)]
    chosen = [frames[max(0, int(np.searchsorted(times, time, "right")) - 1)] for time in wanted]
    left, top, size = _face_square(chosen)
    side = (contract.FRAME_SIZE, contract.FRAME_SIZE)
    crops = [frame[top : top + size, left : left + size] for frame in chosen]
    resized = [cv2.resize(crop, side, interpolation=cv2.INTER_AREA) for crop in crops]
    return np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2RGB) for crop in resized])


def _face_square(frames: list[np.ndarray]) -> tuple[int, int, int]:
    """Left, top and size of a square around the face, or the centre square."""
    height, width = frames[0].shape[:2]
    scale = 320 / max(height, width)
    boxes = []
    for frame in frames[1::3]:
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = _CASCADE.detectMultiScale(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), 1.2, 3, minSize=(24, 24))
        if len(found):
            boxes.append(max(found, key=lambda box: box[2] * box[3]) / scale)
    if not boxes:
        size = min(height, width)
        return (width - size) // 2, (height - size) // 2, size
    x, y, w, h = np.median(boxes, axis=0)
    size = min(height, width, round(1.1 * max(w, h)))
    left, top = round(x + w / 2 - size / 2), round(y + h / 2 - size / 2)
    return min(max(0, left), width - size), min(max(0, top), height - size), size


def _read_sound(path: Path, wav: Path) -> np.ndarray:
    """Three seconds around the middle at 16 kHz, float32 [48000]."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", "-i", str(path), "-vn", "-ac", "1"]
    subprocess.run([*command, str(wav)], check=True)
    waveform, _ = librosa.load(wav, sr=contract.SAMPLE_RATE, mono=True)
    start = max(0, (len(waveform) - contract.WINDOW_SAMPLES) // 2)
    return librosa.util.fix_length(waveform[start:], size=contract.WINDOW_SAMPLES)


def _log_mel(waveform: np.ndarray) -> np.ndarray:
    """Log-mel spectrogram in [-1, 1], float32 [64, 188]."""
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=contract.SAMPLE_RATE,
        n_fft=contract.FFT_SIZE,
        hop_length=contract.HOP_LENGTH,
        n_mels=contract.MEL_BINS,
        pad_mode="constant",
    )
    decibels = librosa.power_to_db(power, ref=np.max, top_db=contract.DECIBEL_FLOOR)
    return (decibels / (contract.DECIBEL_FLOOR / 2) + 1).astype(np.float32)


def _warm_up() -> None:
    """Let librosa import and compile now, which takes seconds, instead of during the first request."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 2 * contract.WINDOW_SAMPLES), 48_000)
        _log_mel(_read_sound(path, path.with_name("copy.wav")))


_warm_up()
