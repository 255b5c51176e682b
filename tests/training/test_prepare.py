"""Data is decoded once, broken files are skipped, and a second run continues."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import LABELS
from tests.support.caches import picture
from tests.support.clips import noise, synthetic_clip
from training.data import decode as decoding
from training.data.cache import CacheError, ClipRecord, open_cache, read_records
from training.data.fer2013 import LABEL_OF_CLASS
from training.prepare import main

FULL, SILENT, VOICE = (
    "Actor_01/01-01-03-01-01-01-01.mkv",
    "Actor_02/02-01-05-01-01-01-02.mkv",
    "Actor_02/03-02-04-01-01-01-02.wav",
)
BROKEN = "Actor_01/03-01-01-01-01-01-01.wav"


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    folder = tmp_path / "RAVDESS as downloaded"
    contents = {
        FULL: synthetic_clip(),
        SILENT: synthetic_clip(audio_codec=None),
        VOICE: synthetic_clip(
            container="wav", video_codec=None, sample_rate=16_000, waveform=noise(3.0, 16_000, seed=1)
        ),
        BROKEN: b"RIFF, but nothing of a sound follows",
        "Actor_01/notes.txt": b"not a clip",
        "Actor_01/holiday.wav": b"not a name of RAVDESS",
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_full_silent_and_voice_files_are_cached_as_read_clip_gives_them_and_a_broken_one_is_reported(
    ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ravdess", str(ravdess), str(tmp_path / "cache"), "--workers", "2"]) == 0
    cache = open_cache(tmp_path / "cache")
    assert f"skipped {BROKEN}:" in capsys.readouterr().err
    found = {record.file: (record, row) for record, row in zip(cache.records, cache.rows, strict=True)}
    assert found.keys() == {FULL, SILENT, VOICE}
    for name, (record, row) in found.items():
        clip = read_clip(ravdess / name)
        assert (record.video, record.audio) == tuple(clip.present)
        assert np.array_equal(cache.frames[row], clip.frames)
        assert np.array_equal(cache.waveforms[row], clip.waveform)
    assert [LABELS[found[name][0].label] for name in (FULL, SILENT, VOICE)] == ["happy", "angry", "sad"]
    assert [found[name][0].actor for name in (FULL, SILENT, VOICE)] == [1, 2, 2]


def test_a_second_run_decodes_only_what_is_new_or_changed(
    ravdess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    decoding.decode_ravdess(ravdess, cache, workers=1)
    before = {record.file: record for record in read_records(cache)}
    asked: list[str] = []
    decode_all = decoding._decode_all

    def watched(folder: Path, records: list[ClipRecord], workers: int | None) -> object:
        asked.extend(record.file for record in records)
        return decode_all(folder, records, workers)

    monkeypatch.setattr(decoding, "_decode_all", watched)
    decoding.decode_ravdess(ravdess, cache, workers=1)
    assert asked == []

    added = "Actor_03/03-01-08-01-01-01-03.wav"
    (ravdess / added).parent.mkdir()
    for name, seed in ((added, 2), (BROKEN, 3)):
        sound = synthetic_clip(
            container="wav", video_codec=None, sample_rate=16_000, waveform=noise(3.0, 16_000, seed=seed)
        )
        (ravdess / name).write_bytes(sound)
    (ravdess / SILENT).unlink()
    assert decoding.decode_ravdess(ravdess, cache, workers=1) == []
    assert sorted(asked) == sorted([BROKEN, added])
    after = open_cache(cache)
    assert {record.file for record in after.records} == {FULL, VOICE, BROKEN, added}
    for record, row in zip(after.records, after.rows, strict=True):
        assert np.array_equal(after.waveforms[row], read_clip(ravdess / record.file).waveform)
        if record.file in (FULL, VOICE):
            assert record == before[record.file]


def test_a_run_that_was_interrupted_between_two_clips_continues(ravdess: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    decoding.decode_ravdess(ravdess, cache, workers=1)
    index = cache / "clips.jsonl"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:2]) + lines[2][:20])
    decoding.decode_ravdess(ravdess, cache, workers=1)
    assert {record.file for record in open_cache(cache).records} == {FULL, SILENT, VOICE}


def crash(_path: Path, record: ClipRecord) -> decoding.Decoded:
    if record.file == VOICE:
        os._exit(11)
    return record, None, None


def test_a_file_that_crashes_the_decoder_is_reported_and_the_others_are_decoded(
    ravdess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "decode", crash)
    assert decoding.decode_ravdess(ravdess, tmp_path / "cache", workers=1) == [f"{VOICE}: The decoder crashed."]
    assert len(read_records(tmp_path / "cache")) == 4


def test_a_folder_without_ravdess_names_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ravdess", str(tmp_path), str(tmp_path / "cache")]) == 1
    assert "has no RAVDESS file" in capsys.readouterr().err


def test_data_that_was_not_prepared_is_refused_with_the_command_that_prepares_it(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"python -m training\.prepare"):
        open_cache(tmp_path)


def test_voices_are_prepared_with_faces_beside_them(ravdess: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    archive = tmp_path / "fer2013.zip"
    with zipfile.ZipFile(archive, "w") as files:
        for part, each in (("Training", 10), ("PublicTest", 3)):
            for name, label in LABEL_OF_CLASS.items():
                for number in range(each):
                    _, coded = cv2.imencode(".png", picture(LABELS.index(label), random))
                    files.writestr(f"{part}/{name}/{number}.jpg", coded.tobytes())
    assert main(["paired", "--faces", str(archive), "--voices", str(ravdess), str(tmp_path / "cache")]) == 0
    faces = open_cache(tmp_path / "cache").faces
    assert faces is not None
    assert [(faces.parts == part).sum() for part in range(3)] == [67, 3, 21]
