"""Who is there is told by the model that is in the repository, on every way to it: noise and walls get no label."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from avemotion import EmotionClient
from avemotion.client.direct import TritonClient
from avemotion.client.errors import RefusedError
from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import LABELS, SAMPLE_RATE
from avemotion.preprocessing.errors import NobodyFoundError
from tests.stack.running import Stack, predict
from tests.support.clips import drawing, synthetic_clip, without_face
from tests.support.data import data_path

SECONDS = 3.0
TIMES = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
UNSEEN, UNHEARD = {"video": "No face was found."}, {"audio": "No voice was heard."}


def hiss(decibels: float) -> npt.NDArray[np.float32]:
    return np.random.default_rng(7).normal(0, 10 ** (decibels / 20), len(TIMES)).astype(np.float32)


SOUNDS: dict[str, npt.NDArray[np.float32]] = {
    "an idle microphone": hiss(-75),
    "hiss": hiss(-60),
    "loud hiss": hiss(-20),
    "a tone": (0.1 * np.sin(2 * np.pi * 440 * TIMES)).astype(np.float32),
    "hum": hiss(-70) + sum(np.sin(2 * np.pi * 50 * n * TIMES, dtype=np.float32) for n in range(1, 9)) / 50,
}


def wav(sound: npt.NDArray[np.float32]) -> bytes:
    return synthetic_clip(container="wav", video_codec=None, sample_rate=SAMPLE_RATE, waveform=sound)


def voice() -> npt.NDArray[np.float32]:
    """A voice of RAVDESS of an actor whom the model was not trained on."""
    waveform: npt.NDArray[np.float32] = read_clip(
        data_path("ravdess_speech/Actor_02/03-01-03-01-01-01-02.flac")
    ).waveform
    return waveform


def answered(running: Stack, clip: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = predict(running.address, clip).raise_for_status().json()
    return answer


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_without_a_voice_gets_no_label(running: Stack, name: str) -> None:
    answer = predict(running.address, wav(SOUNDS[name]))
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "nobody_found"
    assert error["message"] == "Nobody was seen or heard. The file has no video track. No voice was heard."


def test_a_sound_without_a_voice_does_not_outvote_a_face(running: Stack) -> None:
    answer = answered(running, synthetic_clip(waveform=SOUNDS["hiss"], sample_rate=SAMPLE_RATE))
    assert answer["modalities"] == {"video": True, "audio": False}
    assert answer["missing"] == UNHEARD
    assert answer["audio_probs"] is None
    assert answer["probs"] == pytest.approx(answer["video_probs"], abs=0.01)


def test_a_wall_does_not_outvote_a_voice(running: Stack) -> None:
    answer = answered(running, synthetic_clip(picture=without_face, waveform=voice(), sample_rate=SAMPLE_RATE))
    assert answer["modalities"] == {"video": False, "audio": True}
    assert answer["missing"] == UNSEEN
    assert (answer["video_probs"], answer["face"], answer["faces"]) == (None, None, 0)
    assert answer["probs"] == pytest.approx(answer["audio_probs"], abs=0.01)


def test_two_people_are_counted_and_the_voice_is_said_to_be_perhaps_anothers(running: Stack) -> None:
    def two(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
        return np.concatenate([drawing(index, width // 2, height)] * 2, axis=1)

    clip = synthetic_clip(picture=two, width=640, height=240, waveform=voice(), sample_rate=SAMPLE_RATE)
    answer = answered(running, clip)
    assert answer["modalities"] == {"video": True, "audio": True}
    assert answer["faces"] == 2
    assert answer["note"] == "2 people were seen: the voice may belong to someone else."


def test_nobody_is_an_error_of_an_item_and_a_row_without_scores(running: Stack) -> None:
    wall = synthetic_clip(picture=without_face, waveform=SOUNDS["hiss"], sample_rate=SAMPLE_RATE)
    with httpx.Client(base_url=running.address, timeout=60) as client:
        files = [("files", ("wall", wall)), ("files", ("face", synthetic_clip()))]
        first, second = client.post("/predict/batch", files=files).raise_for_status().json()["results"]
        [row] = client.post("/predict/timeline", files={"file": ("wall", wall)}).raise_for_status().json()["rows"]
    assert first["error"]["code"] == "nobody_found"
    assert second["prediction"]["modalities"] == {"video": True, "audio": False}
    assert (row["probs"], row["top1"], row["face"]) == (None, None, None)
    assert row["quality"]["audio_level"] == pytest.approx(-60, abs=1)


def test_samples_of_a_wall_get_no_label(running: Stack) -> None:
    wall = synthetic_clip(picture=without_face, waveform=SOUNDS["hiss"], sample_rate=SAMPLE_RATE)
    with EmotionClient(running.address) as client, pytest.raises(RefusedError, match="No voice was heard") as refused:
        client.predict_sampled(wall)
    assert refused.value.code == "nobody_found"


def test_a_client_that_asks_triton_is_protected_by_the_graph(running: Stack) -> None:
    clip = wav(SOUNDS["loud hiss"])
    with TritonClient(running.triton_address) as client:
        with pytest.raises(NobodyFoundError, match="No voice was heard"):
            client.predict(clip)
        outputs = client.infer(read_clip(clip).tensors())
    np.testing.assert_allclose(outputs.probabilities, 1 / len(LABELS), rtol=1e-6)
    assert outputs.evidence[0, 0] == 0
    assert outputs.evidence[0, 1] < 0.5
