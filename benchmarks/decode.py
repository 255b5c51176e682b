"""The stages of one prediction, and decoding against alternatives, all in this process on one thread.

Alternatives read the same bytes and give eight frames and a log-mel spectrogram, or less: only `read_clip` finds the
face, and decord stops at the waveform. decord runs in an environment of its own (`make peers`).
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from avemotion.client.sampling import sample_clip
from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import FFT_SIZE, FRAME_COUNT, FRAME_SIZE, HOP_LENGTH, MEL_BINS, SAMPLE_RATE
from avemotion.preprocessing.execution import parallelism, timed
from avemotion.preprocessing.sampled import read_sampled
from benchmarks.measuring import interleaved
from benchmarks.models import BATCH, committed_model, infer, make_models, session
from benchmarks.results import ROOT, Section, section, short, table
from benchmarks.workloads import FILES, RECORDING, SAMPLED, SAMPLING, clip

HEAD: Final = (
    *("clip", "demux", "codec alone", "`read_clip`", "of that: face, crop", "log-mel"),
    *("on two cores, wall", "OpenCV + librosa", "decord"),
)
_DECORD_PYTHON: Final = ROOT / ".venv-peer-decord" / "bin" / "python"
_DECORD: Final = """
import json, sys, time
import decord
path, rounds = sys.argv[1], int(sys.argv[2])
times = []
for _ in range(rounds + 1):
    begin = time.process_time()
    reader = decord.VideoReader(path, width=112, height=112, num_threads=1)
    count = len(reader)
    reader.get_batch([int((part + 0.5) * count / 8) for part in range(8)]).asnumpy()
    decord.AudioReader(path, sample_rate=16000, mono=True)[:].asnumpy()
    times.append(time.process_time() - begin)
print(json.dumps(times[1:]))
"""


def measure(rounds: int) -> Section:
    """The stages of a prediction, and alternatives for decoding.

    Args:
        rounds: Number of measurements of each.
    """
    cv2.setNumThreads(1)
    recording = clip(RECORDING)
    rows: list[Any] = [(name, *_measure_clip(clip(name), rounds)) for name in FILES]
    sampled = sample_clip(recording, SAMPLING)
    cost = interleaved({"sampled": partial(read_sampled, sampled.frames, sampled.audio)}, rounds)
    rows.append((SAMPLED, None, None, cost["sampled"]["cpu"], *[None] * 5))
    one = read_clip(recording).tensors()
    batch = {key: np.repeat(array, BATCH, axis=0) for key, array in one.items()}
    models = []
    for name, path in (("INT8", committed_model()), ("FP32", make_models().fp32)):
        model = session(path)
        costs = interleaved({"one": partial(infer, model, one), "batch": partial(infer, model, batch)}, rounds)
        models.append((name, costs["one"]["wall"], costs["batch"]["wall"] / BATCH))
    (_, int8, int8_batch), (_, fp32, fp32_batch) = models
    return section(
        "Stages of one prediction",
        "CPU milliseconds on one thread. *Codec alone* decodes both tracks whole and discards the frames; `read_clip` "
        "decodes only what its window needs. OpenCV with librosa and decord do not look for the face. The model takes "
        f"{short(int8)} ms in INT8 and {short(fp32)} ms in FP32; per clip in batches of {BATCH}, {short(int8_batch)} "
        f"and {short(fp32_batch)} ms.",
        table(HEAD, rows),
        table(("model", "one clip, ms", "each clip of a batch, ms"), models, on_page=False),
    )


def _measure_clip(data: bytes, rounds: int) -> list[float | None]:
    with tempfile.TemporaryDirectory() as folder:
        path, sound = Path(folder) / "clip", Path(folder) / "sound.wav"
        path.write_bytes(data)
        _extract_sound(path, sound)
        tasks: dict[str, Callable[[], object]] = {
            "demux": partial(demux, data),
            "codec": partial(decode_all, data),
            "read_clip": partial(_read_on, 1, data),
            "two cores": partial(_read_on, 2, data),
            "OpenCV": partial(opencv_librosa, path, sound),
        }
        costs = interleaved(tasks, rounds)
        parts: dict[str, list[float]] = {"crop": [], "mel": []}
        for _ in range(rounds):
            with timed() as stages:
                read_clip(data)
            for name, values in parts.items():
                values.append(1000 * stages[name])
        return [
            *(costs[name]["cpu"] for name in ("demux", "codec", "read_clip")),
            *(statistics.median(values) for values in parts.values()),
            costs["two cores"]["wall"],
            costs["OpenCV"]["cpu"],
            _decord(path, rounds),
        ]


def _read_on(cores: int, data: bytes) -> object:
    with parallelism(cores):
        return read_clip(data)


def demux(data: bytes) -> int:
    """Read all packets; returns their number."""
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.demux())


def decode_all(data: bytes) -> int:
    """Decode both tracks whole on one thread and discard the frames; returns their number."""
    with av.open(io.BytesIO(data)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        return sum(len(packet.decode()) for packet in container.demux(streams))


def _decord(path: Path, rounds: int) -> float | None:
    """CPU milliseconds of decord; None if it is not installed or cannot read the clip."""
    if not _DECORD_PYTHON.is_file():
        return None
    command = [str(_DECORD_PYTHON), "-c", _DECORD, str(path), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else 1000 * statistics.median(json.loads(done.stdout))


def opencv_librosa(path: Path, sound: Path) -> tuple[Any, Any]:
    """The usual way: all frames by OpenCV, of which eight are resized; the sound by librosa.

    Args:
        path: The clip.
        sound: Its sound as a WAV file, extracted beforehand, because librosa reads neither AAC nor Opus.
    """
    import librosa  # noqa: PLC0415 (a second of import that only this alternative needs)

    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    chosen = [frames[int((part + 0.5) * len(frames) / FRAME_COUNT)] for part in range(FRAME_COUNT)]
    resized = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (FRAME_SIZE, FRAME_SIZE)) for frame in chosen]
    waveform, rate = librosa.load(sound, sr=SAMPLE_RATE, mono=True, duration=3.0)
    mel = librosa.feature.melspectrogram(y=waveform, sr=rate, n_fft=FFT_SIZE, hop_length=HOP_LENGTH, n_mels=MEL_BINS)
    return np.stack(resized), librosa.power_to_db(mel, ref=np.max)


def _extract_sound(path: Path, wav: Path) -> None:
    with av.open(str(path)) as source, av.open(str(wav), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48_000)
        for frame in source.decode(audio=0):
            frame.pts = None
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
