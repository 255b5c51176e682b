"""`make bench-decode`: what decoding costs beside the codec, against what people write.

Every contender reads the same bytes into the same kind of result. Rounds are interleaved, and CPU time counts all
threads of the process: wall-clock time would reward burning a second core.

- `bare`: PyAV decodes both tracks whole on one thread and throws the frames away: the floor.
- `read_clip`: the product, clip → tensors.
- `opencv_librosa`: OpenCV reads all frames, eight are resized; librosa loads and transforms the sound. It needs files.
- `decord`: the same with decord's readers, in the environment that `--decord` names; it has no face crop either.
- `stages`: the parts of `read_clip`, each alone.
- `tried`: ways to decode that are not used, or whose gain is stated, each against `bare`.
- `cores`: `read_clip` on one core and on two, wall-clock and CPU time.
- `worker`: how long a lost decode worker takes to be replaced, and its first clip against its tenth, wall-clock time.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from avemotion.preprocessing.audio import read_sound
from avemotion.preprocessing.clip import decode_window, read_clip
from avemotion.preprocessing.contract import FRAME_COUNT, FRAME_SIZE, HOP_LENGTH, MEL_BINS, SAMPLE_RATE
from avemotion.preprocessing.execution import parallelism
from avemotion.preprocessing.face import crop_square, find_face
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.log_mel import log_mel
from avemotion.preprocessing.media import open_media
from avemotion.preprocessing.video import read_frames, sample_times
from benchmarks import measuring
from gateway.decode.messages import DecodeTask
from gateway.decode.process import DecodeProcess, worker_context
from gateway.decode.worker import WorkerLimits

CLIPS: Final = (
    "01-01-01-01-01-01-01.mp4",
    "chrome_a01_disgust_vp8.webm",
    "chrome_a01_disgust_vp9.webm",
    "chrome_a01_disgust_avc1.mp4",
)
"""The 720p original and one recording of each kind that Chrome makes."""

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


def bare(data: bytes) -> None:
    """Decode both tracks whole, on one thread."""
    with av.open(io.BytesIO(data)) as container:
        for stream in container.streams:
            stream.codec_context.thread_count = 1
        for _ in container.decode():
            pass


def opencv_librosa(path: Path) -> tuple[Any, Any]:
    """What people write: all frames by OpenCV, the sound by librosa."""
    import librosa  # noqa: PLC0415 (a second of import that only this contender needs)

    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame)
    chosen = [frames[int((part + 0.5) * len(frames) / FRAME_COUNT)] for part in range(FRAME_COUNT)]
    pictures = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (FRAME_SIZE, FRAME_SIZE)) for frame in chosen]
    sound, _ = librosa.load(_sound_file(path), sr=SAMPLE_RATE, mono=True, duration=3.0)
    mel = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, n_fft=1024, hop_length=HOP_LENGTH, n_mels=MEL_BINS)
    return np.stack(pictures), librosa.power_to_db(mel, ref=np.max)


def _sound_file(path: Path) -> Path:
    """The sound as a WAV file beside the clip, which librosa needs for lack of AAC and Opus; made beforehand."""
    wav = path.with_suffix(".wav")
    if not wav.exists():
        with av.open(str(path)) as source, av.open(str(wav), "w") as out:
            stream = out.add_stream("pcm_s16le", rate=48_000)
            for frame in source.decode(audio=0):
                frame.pts = None
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return wav


def stages(data: bytes) -> dict[str, Callable[[], object]]:
    """The parts of `read_clip` on one clip, each to be called alone; those of a track include opening the file."""
    decoded, _ = decode_window(data)
    times = sample_times(decoded.start, decoded.length)
    frames, sound = decoded.frames, decoded.sound
    assert sound is not None  # noqa: S101 (the clips that are measured have sound)
    region = crop_square(find_face(frames), frames[0].width, frames[0].height)

    def video() -> None:
        with open_media(data, MediaLimits()) as media:
            assert media.video is not None  # noqa: S101 (as above)
            list(read_frames(media.video, times, DecodeBudget()))

    def audio() -> None:
        with open_media(data, MediaLimits()) as media:
            assert media.audio is not None  # noqa: S101 (as above)
            read_sound(media.audio, decoded.start, decoded.length, DecodeBudget())

    def demux() -> None:
        with open_media(data, MediaLimits()):
            pass

    return {
        "demux": demux,
        "demux_and_video": video,
        "demux_and_audio": audio,
        "face": lambda: find_face(frames),
        "crop_and_resize": lambda: [frame.resized(region) for frame in frames],
        "log_mel": lambda: log_mel(sound.waveform),
    }


def tried(data: bytes) -> dict[str, Callable[[], object]]:
    """Other ways to decode the video track whole."""

    def decode(
        threads: int = 1,
        skip_frame: str = "DEFAULT",
        codec_options: dict[str, str] | None = None,
        format_options: dict[str, str] | None = None,
    ) -> None:
        with av.open(io.BytesIO(data), options=format_options or {}) as container:
            context = container.streams.video[0].codec_context
            context.thread_count, context.thread_type, context.skip_frame = threads, "FRAME", skip_frame
            context.options = codec_options or {}
            for _ in container.decode(video=0):
                pass

    frames = decode_window(data)[0].frames

    def face_with_threads() -> None:
        cv2.setNumThreads(2)
        find_face(frames)
        cv2.setNumThreads(1)

    return {
        "video_bare": decode,
        "two_frame_threads": lambda: decode(threads=2),
        "without_unreferenced_frames": lambda: decode(skip_frame="NONREF"),
        "without_loop_filter": lambda: decode(codec_options={"skip_loop_filter": "all"}),
        "short_probing": lambda: decode(format_options={"analyzeduration": "1"}),
        "face_with_two_threads": face_with_threads,
        "whole_frames_to_rgb": lambda: [frame.rgb() for frame in frames],
    }


async def worker(data: bytes, rounds: int) -> dict[str, float]:
    """Median wall-clock milliseconds of a worker's replacement, and of its first and tenth clip."""
    process = DecodeProcess(worker_context(), WorkerLimits(2**30, 60, 64, cores=1))
    await process.start(60)
    starts, firsts, tenths = [], [], []
    for _ in range(rounds):
        process.kill()
        begin = time.perf_counter()
        await process.start(60)
        starts.append(time.perf_counter() - begin)
        task = DecodeTask("clip", [data], "face")
        clips = [(await process.run(task)).seconds for _ in range(10)]
        firsts.append(clips[0])
        tenths.append(clips[9])
    await process.stop()
    names = {"replacement": starts, "first_clip": firsts, "tenth_clip": tenths}
    return {name: round(1000 * statistics.median(values), 1) for name, values in names.items()}


def interleaved(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each contender, in milliseconds, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            begin = time.process_time()
            run()
            if number:
                times[name].append(time.process_time() - begin)
    return {name: round(1000 * statistics.median(values), 2) for name, values in times.items()}


def on_cores(data: bytes, rounds: int) -> dict[str, dict[str, float]]:
    """Median wall-clock and CPU milliseconds of `read_clip`, by the number of cores that it may use."""

    def read(cores: int) -> None:
        with parallelism(cores):
            read_clip(data)

    costs = measuring.interleaved({str(cores): partial(read, cores) for cores in (1, 2)}, rounds)
    return {
        cores: {"wall": round(1000 * cost.wall, 1), "cpu": round(1000 * cost.cpu, 1)} for cores, cost in costs.items()
    }


def measure(path: Path, rounds: int, decord: Path | None, folder: Path) -> dict[str, Any]:
    """Measure all contenders on one clip."""
    data = path.read_bytes()
    copy = folder / path.name
    copy.write_bytes(data)
    contenders: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(data),
        "read_clip": lambda: read_clip(data),
        "opencv_librosa": lambda: opencv_librosa(copy),
    }
    milliseconds = interleaved(contenders, rounds)
    if decord is not None:
        command = [str(decord), "-c", _DECORD, str(copy), str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            milliseconds["decord"] = round(1000 * statistics.median(json.loads(done.stdout)), 2)
        else:
            print(f"decord cannot read {path.name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return {
        "clip": path.name,
        "milliseconds": milliseconds,
        "ratio_to_bare": {name: round(value / milliseconds["bare"], 3) for name, value in milliseconds.items()},
        "stages": interleaved(stages(data), rounds),
        "tried": interleaved(tried(data), rounds),
        "cores": on_cores(data, rounds),
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decode", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder with the clips, e.g. $EMO_DATA/clips")
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count")
    parser.add_argument("--decord", type=Path, help="Python of an environment that holds decord")
    parser.add_argument("--json", type=Path, help="file that the results are written to")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(arguments.folder / name, arguments.rounds, arguments.decord, Path(folder)) for name in CLIPS]
    report = {
        "command": " ".join(sys.argv[1:]),
        "rounds": arguments.rounds,
        "machine": f"{platform.machine()}, {_processor()}",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("av", "opencv-python-headless", "numpy", "librosa")},
        "unit": "CPU milliseconds of all threads, median",
        "clips": rows,
        "worker_milliseconds": asyncio.run(worker((arguments.folder / CLIPS[1]).read_bytes(), arguments.rounds)),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    for row in rows:
        print(f"\n{row['clip']} (CPU ms, median of {arguments.rounds})")
        for name, value in row["milliseconds"].items():
            print(f"  {name:18} {value:8.1f}   {row['ratio_to_bare'][name]:.2f} × bare")
        for part in ("stages", "tried"):
            print(f"  {part}")
            for name, value in row[part].items():
                print(f"    {name:28} {value:7.2f}")
        print(f"  cores (wall-clock and CPU ms): {row['cores']}")
    print("\nworker (wall-clock ms)", report["worker_milliseconds"])


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} × {names[0].split(':')[1].strip()}" if names else platform.processor()


if __name__ == "__main__":
    main()
