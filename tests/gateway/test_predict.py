"""The answer of `POST /predict`, on a gateway that makes up its numbers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from avemotion.preprocessing.contract import FRAME_COUNT, LABELS
from tests.gateway.running import running_gateway, settings_for_tests
from tests.support.clips import noise, synthetic_clip
from tests.support.data import data_path


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests()) as client:
        yield client


def predict(gateway: httpx.Client, clip: bytes, name: str = "clip.webm") -> httpx.Response:
    return gateway.post("/predict", files={"file": (name, clip)})


def test_answer_has_labels_percentages_and_top_one(gateway: httpx.Client, clip: bytes) -> None:
    answer = predict(gateway, clip).raise_for_status().json()
    assert answer["labels"] == list(LABELS)
    assert sum(answer["probs"]) == pytest.approx(100, abs=1e-3)
    top = max(range(len(LABELS)), key=answer["probs"].__getitem__)
    assert answer["top1"] == {"label": LABELS[top], "prob": answer["probs"][top]}


def test_answer_explains_itself(gateway: httpx.Client, clip: bytes) -> None:
    answer = predict(gateway, clip).raise_for_status().json()
    assert (answer["model"], answer["model_version"]) == ("mock", "1")
    assert answer["modalities"] == {"video": True, "audio": True}
    assert answer["missing"] == {}
    assert answer["face"].keys() == {"left", "top", "width", "height"}
    assert (answer["faces"], answer["note"]) == (1, None)
    assert sum(answer["video_probs"]) == pytest.approx(100, abs=1e-3)
    assert sum(answer["audio_probs"]) == pytest.approx(100, abs=1e-3)
    assert len(answer["frame_attention"]) == FRAME_COUNT
    assert sum(answer["frame_attention"]) == pytest.approx(1, abs=1e-4)
    timings = answer["timings_ms"]
    assert all(value >= 0 for value in timings.values())
    parts = timings["upload"] + timings["queue"] + timings["decode"] + timings["inference"]
    assert parts <= timings["total"] + 0.1


def test_options_that_are_asked_for_as_they_are_anyhow_change_nothing(gateway: httpx.Client, clip: bytes) -> None:
    plain = predict(gateway, clip).raise_for_status().json()
    files = {"file": ("clip", clip)}
    for asked in (
        gateway.post("/predict?explain=false", files=files),
        gateway.post("/predict", files=files, headers={"X-Deadline-Seconds": "20"}),
    ):
        answer = asked.raise_for_status().json()
        assert answer.keys() == plain.keys()
        for name in answer.keys() - {"timings_ms", "request_id"}:
            assert answer[name] == plain[name]


def test_same_clip_gets_same_numbers_and_another_clip_others(gateway: httpx.Client, clip: bytes) -> None:
    first, second = (predict(gateway, clip).json()["probs"] for _ in range(2))
    assert first == second
    assert predict(gateway, synthetic_clip(waveform=noise(3.0, 48_000, seed=5))).json()["probs"] != first


def test_clip_without_sound_says_so(gateway: httpx.Client) -> None:
    answer = predict(gateway, synthetic_clip(audio_codec=None)).raise_for_status().json()
    assert answer["modalities"] == {"video": True, "audio": False}
    assert list(answer["missing"]) == ["audio"]
    assert answer["audio_probs"] is None
    assert answer["video_probs"] is not None


def test_sound_without_video_says_so(gateway: httpx.Client) -> None:
    clip = synthetic_clip(video_codec=None, container="flac", audio_codec="flac")
    answer = predict(gateway, clip).raise_for_status().json()
    assert answer["modalities"] == {"video": False, "audio": True}
    assert list(answer["missing"]) == ["video"]
    assert (answer["face"], answer["video_probs"], answer["frame_attention"]) == (None, None, None)
    assert answer["audio_probs"] is not None


def test_content_decides_and_not_the_name(gateway: httpx.Client, clip: bytes) -> None:
    response = gateway.post("/predict", files={"file": ("notes.txt", clip, "text/plain")})
    assert response.status_code == 200


@pytest.mark.parametrize("codec", ["vp8.webm", "vp9.webm", "avc1.mp4"])
@pytest.mark.parametrize("emotion", ["neutral", "disgust"])
def test_recording_of_a_browser_has_a_face(gateway: httpx.Client, emotion: str, codec: str) -> None:
    clip = data_path(f"clips/chrome_a01_{emotion}_{codec}").read_bytes()
    answer = predict(gateway, clip).raise_for_status().json()
    assert answer["modalities"] == {"video": True, "audio": True}
    face = answer["face"]
    assert 0.1 < face["width"] < 0.9
    assert 0 <= face["left"] <= 1 - face["width"]


def test_a_recording_without_sound_is_answered_by_the_face(gateway: httpx.Client) -> None:
    answer = predict(gateway, data_path("clips/woman2.mp4").read_bytes()).raise_for_status().json()
    assert answer["missing"] == {"audio": "The file has no audio track."}


@pytest.mark.parametrize(
    ("name", "why"),
    [("no_duration.webm", "The audio track is silent."), ("var_fps_video.mp4", "The file has no audio track.")],
)
def test_a_recording_without_anybody_is_refused_with_the_reasons(gateway: httpx.Client, name: str, why: str) -> None:
    answer = predict(gateway, data_path(f"clips/{name}").read_bytes())
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "nobody_found"
    assert error["message"] == f"Nobody was seen or heard. No face was found. {why}"
