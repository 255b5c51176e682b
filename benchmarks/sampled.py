"""`python -m benchmarks.sampled DATA`: what a sampled clip saves against the whole recording, in CPU time and bytes.

CPU time is this process's, with one thread each for OpenCV and ONNX Runtime: decoding or reading samples, face, crop,
log-mel and the shipped INT8 model. HTTP comes on top of both alike. Rounds are interleaved; numbers are medians.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
import wave
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from avemotion.preprocessing.audio import read_sound
from avemotion.preprocessing.clip import Clip, read_clip
from avemotion.preprocessing.contract import PROBABILITIES, SAMPLE_RATE, WINDOW_SECONDS
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.media import open_media
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.video import read_frames, sample_times
from gateway.http.sampled import JPEG_QUALITY, LONGEST_SIDE

MODEL = Path(__file__).parents[1] / "model_repository" / "emotion_int8" / "1" / "model.onnx"


def main() -> None:
    """Measure each recording, and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with clips/chrome_*")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL, threads, providers=["CPUExecutionProvider"])
    print("| recording | kB | CPU ms to tensors | in all | sampled kB | CPU ms to tensors | in all | points apart |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sorted((options.data / "clips").glob("chrome_*")):
        data = path.read_bytes()
        frames, audio = sample(data)
        readers: list[Callable[[], Clip]] = [lambda d=data: read_clip(d), lambda f=frames, a=audio: read_sampled(f, a)]  # type: ignore[misc]
        cells, answers = [], []
        times: list[list[tuple[float, float]]] = [[], []]
        for _ in range(options.rounds):
            for index, read in enumerate(readers):
                begin = time.process_time()
                clip = read()
                ready = time.process_time()
                [answer] = session.run([PROBABILITIES.name], clip.tensors())
                times[index].append((ready - begin, time.process_time() - begin))
                answers.append(answer[0])
        for size, measured in zip((len(data), sum(map(len, frames)) + len(audio)), times, strict=True):
            tensors, whole = (1000 * statistics.median(column) for column in zip(*measured, strict=True))
            cells += [f"{size / 1000:.0f}", f"{tensors:.0f}", f"{whole:.0f}"]
        apart = 100 * float(np.abs(answers[0] - answers[1]).max())
        print(f"| {path.name} | {' | '.join(cells)} | {apart:.1f} |")


def sample(data: bytes) -> tuple[list[bytes], bytes]:
    """The three seconds that `/predict` would read, sampled as `/contract` suggests: JPEG files, and a WAV file."""
    start = read_clip(data).start
    budget = DecodeBudget(MediaLimits())
    frames = []
    with open_media(data, budget.limits) as media:
        assert media.video is not None and media.audio is not None  # noqa: S101, PT018 (recordings have both)
        for frame in read_frames(media.video, sample_times(start, WINDOW_SECONDS), budget):
            rgb = np.ascontiguousarray(frame.rgb())
            scale = min(1.0, LONGEST_SIDE / max(rgb.shape[:2]))
            size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
            reduced = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            quality = [cv2.IMWRITE_JPEG_QUALITY, round(100 * JPEG_QUALITY)]
            _, encoded = cv2.imencode(".jpg", cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR), quality)
            frames.append(encoded.tobytes())
        sound = read_sound(media.audio, start, WINDOW_SECONDS, budget)
    assert sound is not None  # noqa: S101
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.clip(sound.waveform, -1, 1) * 32767).round().astype("<i2").tobytes())
    return frames, buffer.getvalue()


if __name__ == "__main__":
    main()
