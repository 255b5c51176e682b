"""`POST /predict/sampled`: what a page samples gets the answer of the whole recording, and bad samples a clear no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SECONDS
from avemotion.preprocessing.video import sample_times
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.gateway.test_bad_input import assert_refused
from tests.support.browser_samples import Samples, sample_recording, wav
from tests.support.clips import drawing, noise
from tests.support.data import data_path

PERCENTAGE_POINTS = 5.0
"""How far a probability may be from the recording's; docs/API.md states it."""

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(sampled_upload_limit=LIMIT)) as client:
        yield client


@pytest.fixture(scope="module")
def shipped() -> Iterator[httpx.Client]:
    """A gateway with the model that is in the repository."""
    with running_gateway(settings_for_tests(mock=False, predictor="onnxruntime")) as client:
        wait_ready(client)
        yield client


def picture(number: int, width: int = 160, height: int = 120) -> bytes:
    """A JPEG file."""
    done, encoded = cv2.imencode(".jpg", drawing(number, width, height))
    assert done
    return encoded.tobytes()


FRAMES = [picture(number) for number in range(FRAME_COUNT)]
AUDIO = wav(noise(WINDOW_SECONDS, SAMPLE_RATE))
TIMES = json.dumps(sample_times(0, WINDOW_SECONDS))


def send(
    gateway: httpx.Client, frames: list[bytes] | None = None, audio: bytes | None = AUDIO, times: str | None = None
) -> httpx.Response:
    files: list[Any] = [("frames", ("f.jpg", frame)) for frame in (FRAMES if frames is None else frames)]
    if audio is not None:
        files.append(("audio", ("a.wav", audio)))
    if times is not None:
        files.append(("times", (None, times)))
    return gateway.post("/predict/sampled", files=files or {"none": b""})


@pytest.mark.parametrize("codec", ["vp8.webm", "vp9.webm", "avc1.mp4"])
@pytest.mark.parametrize("emotion", ["neutral", "disgust"])
def test_samples_of_a_recording_get_the_answer_of_the_recording(
    shipped: httpx.Client, emotion: str, codec: str
) -> None:
    path = data_path(f"clips/chrome_a01_{emotion}_{codec}")
    whole = shipped.post("/predict", files={"file": path.read_bytes()}).raise_for_status().json()
    samples = sampled_as_the_contract_says(shipped, path)
    answer = shipped.post("/predict/sampled", files=samples.form()).raise_for_status().json()
    np.testing.assert_allclose(answer["probs"], whole["probs"], rtol=0, atol=PERCENTAGE_POINTS)
    np.testing.assert_allclose(answer["video_probs"], whole["video_probs"], rtol=0, atol=PERCENTAGE_POINTS)
    np.testing.assert_allclose(answer["audio_probs"], whole["audio_probs"], rtol=0, atol=PERCENTAGE_POINTS)
    assert answer["top1"]["label"] == whole["top1"]["label"]
    assert set(answer) == set(whole)
    assert answer["face"]["width"] == pytest.approx(whole["face"]["width"], abs=0.05)
    assert samples.size < path.stat().st_size / 2


def sampled_as_the_contract_says(gateway: httpx.Client, path: Path) -> Samples:
    sampled = gateway.get("/contract").json()["sampled"]
    return sample_recording(
        path,
        start=read_clip(path).start,
        longest_side=sampled["frame_longest_side"],
        quality=sampled["jpeg_quality"],
    )


def test_frames_of_another_moment_get_another_answer(shipped: httpx.Client) -> None:
    """The agreement above is no accident: frames in another order, or of nothing, do not agree."""
    path = data_path("clips/chrome_a01_disgust_vp8.webm")
    whole = shipped.post("/predict", files={"file": path.read_bytes()}).json()
    samples = sampled_as_the_contract_says(shipped, path)
    blind = Samples(FRAMES, samples.audio)
    answer = shipped.post("/predict/sampled", files=blind.form()).raise_for_status().json()
    assert np.abs(np.array(answer["video_probs"]) - whole["video_probs"]).max() > PERCENTAGE_POINTS


def test_frames_alone_and_sound_alone_are_answered_and_say_what_is_missing(gateway: httpx.Client) -> None:
    video = send(gateway, audio=None).raise_for_status().json()
    assert video["modalities"] == {"video": True, "audio": False}
    assert list(video["missing"]) == ["audio"]
    audio = send(gateway, frames=[]).raise_for_status().json()
    assert audio["modalities"] == {"video": False, "audio": True}
    assert (list(audio["missing"]), audio["face"]) == (["video"], None)


def test_short_sound_is_padded_and_quality_says_so(gateway: httpx.Client) -> None:
    answer = send(gateway, audio=wav(noise(1.5, SAMPLE_RATE))).raise_for_status().json()
    assert answer["quality"]["padding"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("shift", [0.0, 0.1, -0.1])
@pytest.mark.parametrize("length", [WINDOW_SECONDS, 1.2])
def test_times_close_to_the_midpoints_are_accepted(gateway: httpx.Client, length: float, shift: float) -> None:
    times = [time + shift * length / WINDOW_SECONDS for time in sample_times(0, length)]
    assert send(gateway, times=json.dumps(times)).status_code == 200


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ("", ["not valid JSON"]),
        ("[0.1,", ["not valid JSON"]),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), ["not valid JSON"]),
        ("[" * 50_000, ["times"]),
        ("{}", ["not an array"]),
        ('["0.2"]', ["not an array"]),
        ("[true]", ["not an array"]),
        (json.dumps(sample_times(0, WINDOW_SECONDS)[:7]), ["7 times", "8"]),
        (json.dumps([0.2, 0.6, 1.9, 2.0, 2.2, 2.3, 2.5, 2.6]), ["Time 3 is 1.9 s", "0.8667"]),
        (json.dumps(sample_times(0, WINDOW_SECONDS)[::-1]), ["Time 1 is 2.8125 s"]),
        (json.dumps([time + 0.5 for time in sample_times(0, WINDOW_SECONDS)]), ["Time 1 is 0.6875 s"]),
        (json.dumps([-time for time in sample_times(0, WINDOW_SECONDS)]), ["Time 8 is -2.8125 s"]),
        (json.dumps([0] * 8), ["Time 8 is 0 s"]),
        ("[NaN, 1, 1, 1, 1, 1, 1, 1]", ["Time 1 is nan s"]),
        ("[1e999, 1, 1, 1, 1, 1, 1, 1]", ["Time 1 is inf s"]),
        (f"[{'9' * 400}, 1, 1, 1, 1, 1, 1, 1]", ["Time 1 is inf s"]),
    ],
    ids=[
        "nothing",
        "cut off",
        "no UTF-8",
        "nested",
        "an object",
        "text",
        "a flag",
        "seven",
        "uneven",
        "backwards",
        "too late",
        "negative",
        "no time at all",
        "not a number",
        "infinite",
        "a huge number",
    ],
)
def test_times_that_are_not_those_of_the_contract_are_refused(
    gateway: httpx.Client, times: str, words: list[str]
) -> None:
    assert_refused(send(gateway, times=times), 422, "bad_sampled_times", *words)


def test_times_without_frames_are_refused(gateway: httpx.Client) -> None:
    assert_refused(send(gateway, frames=[], times=TIMES), 422, "bad_sampled_frames", "no frames", "8")


def test_times_twice_are_refused(gateway: httpx.Client) -> None:
    files = [("frames", ("f", frame)) for frame in FRAMES] + [("times", (None, TIMES))] * 2
    assert_refused(gateway.post("/predict/sampled", files=files), 400, "bad_form", "2 fields 'times'")


@pytest.mark.parametrize("count", [1, 7, 9, 16])
def test_other_number_of_frames_is_refused_with_both_numbers(gateway: httpx.Client, count: int) -> None:
    frames = (FRAMES * 2)[:count]
    assert_refused(send(gateway, frames=frames), 422, "bad_sampled_frames", str(count), "8")


def test_many_frames_are_refused_with_the_limit(gateway: httpx.Client) -> None:
    assert_refused(send(gateway, frames=FRAMES * 6), 400, "bad_form", "parts, the limit")


BAD_FRAMES = {
    "empty": (b"", ["Frame 3"]),
    "text": (b"no picture" * 20, ["Frame 3", "JPEG"]),
    "a PNG": (cv2.imencode(".png", drawing(1, 160, 120))[1].tobytes(), ["Frame 3", "JPEG"]),
    "cut off": (FRAMES[2][: len(FRAMES[2]) // 2], ["Frame 3"]),
    "another size": (picture(3, 80, 60), ["Frame 3", "80 × 60", "160 × 120"]),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frame_is_refused_by_its_number(gateway: httpx.Client, name: str) -> None:
    data, words = BAD_FRAMES[name]
    assert_refused(send(gateway, frames=[*FRAMES[:2], data, *FRAMES[3:]]), 422, "bad_sampled_frames", *words)


def test_frame_with_too_many_pixels_is_refused() -> None:
    _, huge = cv2.imencode(".jpg", np.zeros((5000, 5000), np.uint8))
    frames = [huge.tobytes(), *FRAMES[1:]]
    with running_gateway(settings_for_tests()) as roomy:
        assert_refused(send(roomy, frames=frames), 422, "too_many_pixels", "25,000,000", "9,437,184")


BAD_AUDIO = {
    "empty": (b"", "WAV"),
    "text": (b"no sound" * 20, "WAV"),
    "only a header": (wav(noise(0.0, SAMPLE_RATE)), "0.00 s"),
    "another rate": (wav(noise(1.0, 48_000), 48_000), "48000 Hz"),
    "too long": (wav(noise(4.0, SAMPLE_RATE)), "4.00 s"),
    "cut off in the header": (AUDIO[:30], "WAV"),
}


@pytest.mark.parametrize("name", BAD_AUDIO)
def test_bad_sound_is_refused(gateway: httpx.Client, name: str) -> None:
    data, word = BAD_AUDIO[name]
    assert_refused(send(gateway, audio=data), 422, "bad_sampled_audio", word, "16000 Hz")


def test_sound_twice_is_refused(gateway: httpx.Client) -> None:
    response = gateway.post("/predict/sampled", files=[("audio", ("a", AUDIO)), ("audio", ("b", AUDIO))])
    assert_refused(response, 400, "bad_form", "2 fields 'audio'")


def test_too_many_bytes_are_refused_with_the_limit(gateway: httpx.Client) -> None:
    frames = [frame + bytes(LIMIT // 7) for frame in FRAMES]
    assert_refused(send(gateway, frames=frames), 413, "upload_too_large", str(LIMIT))


@pytest.mark.parametrize("files", [{"file": b"x"}, {"frames": (None, "text")}], ids=["other field", "text"])
def test_form_without_frames_and_sound_is_refused(gateway: httpx.Client, files: dict[str, Any]) -> None:
    assert_refused(gateway.post("/predict/sampled", files=files), 422, "missing_file", "'frames'", "'audio'")


def test_body_that_is_no_form_is_refused(gateway: httpx.Client) -> None:
    assert_refused(gateway.post("/predict/sampled", json={}), 415, "unsupported_content_type", "'frames'")


def test_model_is_chosen_here_too(gateway: httpx.Client) -> None:
    assert_refused(gateway.post("/predict/sampled?model=absent"), 404, "model_not_found", "'mock'")
    assert gateway.post("/predict/sampled?model=mock", files=Samples(FRAMES, AUDIO).form()).status_code == 200
