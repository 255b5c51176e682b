"""An answer covers only what was found, and states what is missing, doubtful, or perhaps someone else's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avemotion.api.answers import ModelOutputs, Observation, clip_prediction, timeline_row
from avemotion.api.predictions import CLEAR_EVIDENCE, is_uncertain
from avemotion.preprocessing.contract import EVIDENCE, FRAME_COUNT, LABELS, LOWEST_EVIDENCE, OUTPUTS
from avemotion.preprocessing.errors import NobodyFoundError

FACE = {"left": 0.2, "top": 0.1, "width": 0.3, "height": 0.4}
QUALITY = {"face_height": 0.4, "brightness": 0.5, "audio_level": -30.0, "clipping": 0.0, "padding": 0.0}
SILENT = Observation((True, False), {"audio": "The audio track is silent."}, FACE, 1, QUALITY)
UNSEEN = "No face was found."
UNHEARD = "No voice was heard."


def observed(faces: int = 1) -> Observation:
    return Observation((True, True), {}, FACE, faces, QUALITY)


def outputs(face: float = 0.99, voice: float = 0.97, **changes: Any) -> ModelOutputs:
    random = np.random.default_rng(1)
    arrays: dict[str, Any] = {spec.name: random.random((1, *spec.shape), np.float32) for spec in OUTPUTS}
    for name in ("probabilities", "video_probabilities", "audio_probabilities"):
        arrays[name] /= arrays[name].sum()
    arrays["frame_attention"] = np.full((1, FRAME_COUNT), 1 / FRAME_COUNT, np.float32)
    arrays[EVIDENCE.name] = np.array([[face, voice]], np.float32)
    return ModelOutputs.checked(arrays | changes, "model", "1")


def certain(face: float, voice: float) -> ModelOutputs:
    probabilities = np.full((1, len(LABELS)), 0.01, np.float32)
    probabilities[0, 3] = 0.93
    return outputs(face, voice, probabilities=probabilities)


def test_what_was_found_is_told_with_its_evidence() -> None:
    answer = clip_prediction(outputs(), 0, observed())
    assert answer.modalities.model_dump() == {"video": True, "audio": True}
    assert answer.evidence.model_dump() == {"face": 0.99, "voice": 0.97}
    assert (answer.missing, answer.note, answer.faces) == ({}, None, 1)
    assert answer.face is not None
    assert answer.face.model_dump() == FACE
    assert answer.video_probs is not None
    assert answer.audio_probs is not None


def test_a_crop_that_shows_no_face_leaves_no_opinion_no_box_and_no_measures_of_one() -> None:
    answer = clip_prediction(outputs(face=LOWEST_EVIDENCE - 0.01), 0, observed(faces=2))
    assert answer.modalities.model_dump() == {"video": False, "audio": True}
    assert answer.missing == {"video": UNSEEN}
    assert (answer.face, answer.faces, answer.video_probs, answer.frame_attention) == (None, 0, None, None)
    assert (answer.quality.face_height, answer.quality.brightness, answer.quality.audio_level) == (None, None, -30.0)
    assert answer.note is None
    assert answer.evidence.face == pytest.approx(0.49)


def test_sound_without_a_voice_leaves_no_opinion_of_one() -> None:
    answer = clip_prediction(outputs(voice=0.1), 0, observed())
    assert answer.modalities.model_dump() == {"video": True, "audio": False}
    assert (answer.missing, answer.audio_probs) == ({"audio": UNHEARD}, None)
    assert answer.quality.audio_level == -30.0


def test_what_the_model_was_not_given_has_no_evidence_and_keeps_its_reason() -> None:
    answer = clip_prediction(outputs(voice=0.0), 0, SILENT)
    assert answer.missing == {"audio": "The audio track is silent."}
    assert answer.evidence.model_dump() == {"face": 0.99, "voice": None}


def test_with_nobody_there_is_no_answer_but_the_reasons() -> None:
    with pytest.raises(NobodyFoundError, match=f"Nobody was seen or heard. {UNSEEN} {UNHEARD}"):
        clip_prediction(outputs(0.2, 0.3), 0, observed())
    with pytest.raises(NobodyFoundError, match="The audio track is silent"):
        clip_prediction(outputs(0.2, 0.0), 0, SILENT)


@pytest.mark.parametrize(
    ("faces", "voice", "note"),
    [
        (1, 0.9, None),
        (2, 0.9, "2 people were seen: the voice may belong to someone else."),
        (3, 0.1, "3 people were seen: the answer is about the most prominent one."),
    ],
)
def test_several_people_are_told(faces: int, voice: float, note: str | None) -> None:
    answer = clip_prediction(outputs(voice=voice), 0, observed(faces))
    assert (answer.faces, answer.note) == (faces, note)


@pytest.mark.parametrize(("face", "voice", "uncertain"), [(0.9, 0.9, False), (0.9, 0.7, True), (0.7, 0.9, True)])
def test_little_evidence_makes_an_answer_uncertain(face: float, voice: float, *, uncertain: bool) -> None:
    assert clip_prediction(certain(face, voice), 0, observed()).uncertain == uncertain


def test_evidence_of_what_was_not_used_makes_no_answer_uncertain() -> None:
    assert not clip_prediction(certain(0.9, 0.3), 0, observed()).uncertain


def test_probabilities_alone_make_an_answer_uncertain() -> None:
    assert not is_uncertain([0.6, 0.3, 0.1], [CLEAR_EVIDENCE])
    assert is_uncertain([0.49, 0.3, 0.21], [1.0])
    assert is_uncertain([0.52, 0.48], [1.0])


def test_a_row_without_anybody_has_no_scores_and_no_face() -> None:
    row = timeline_row(outputs(0.2, 0.3), 0, observed(), start=1.0, end=4.0)
    assert (row.probs, row.top1, row.uncertain, row.face, row.faces) == (None, None, True, None, 0)
    assert row.modalities.model_dump() == {"video": False, "audio": False}
    assert row.quality.audio_level == -30.0


def test_a_row_has_the_face_the_people_and_the_quality_of_its_window() -> None:
    row = timeline_row(outputs(), 0, observed(faces=2), start=1.0, end=4.0)
    assert row.face is not None
    assert row.face.model_dump() == FACE
    assert (row.faces, row.quality.face_height) == (2, 0.4)
    assert row.probs is not None


@pytest.mark.parametrize("evidence", [-0.1, 1.1, np.nan])
def test_evidence_that_is_no_probability_is_no_output(evidence: float) -> None:
    with pytest.raises(ValueError, match="'evidence'"):
        outputs(face=evidence)
