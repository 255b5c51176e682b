"""Data folders are found, prepared or rejected as documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.caches import synthetic_cache
from tests.support.clips import noise, synthetic_clip
from training.data.cache import CacheError
from training.options import prepared


def put_voice(folder: Path, name: str) -> None:
    sound = synthetic_clip(container="wav", video_codec=None, sample_rate=16_000, waveform=noise(3.0, 16_000))
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(sound)


def test_ravdess_in_the_data_folder_is_prepared_before_training(tmp_path: Path) -> None:
    put_voice(tmp_path, "Actor_07/03-01-06-01-01-01-07.wav")
    cache = prepared(tmp_path)
    assert cache.folder == tmp_path / "cache"
    assert [(record.actor, record.label) for record in cache.records] == [(7, 5)]


def test_files_that_were_added_since_are_prepared_too(tmp_path: Path) -> None:
    put_voice(tmp_path, "Actor_07/03-01-06-01-01-01-07.wav")
    prepared(tmp_path)
    put_voice(tmp_path, "Actor_08/03-01-02-01-01-01-08.wav")
    assert sorted(prepared(tmp_path).actors.tolist()) == [7, 8]


def test_voices_that_were_paired_with_faces_are_not_replaced_by_clips_beside_them(tmp_path: Path) -> None:
    synthetic_cache(tmp_path / "cache", actors=[1, 2])
    put_voice(tmp_path, "Actor_07/03-01-06-01-01-01-07.wav")
    assert set(prepared(tmp_path).actors.tolist()) == {1, 2}


@pytest.mark.parametrize("below", ["cache", "."])
def test_prepared_data_is_found_as_the_data_folder_or_below_it(tmp_path: Path, below: str) -> None:
    synthetic_cache(tmp_path / below, actors=[3])
    assert set(prepared(tmp_path).actors.tolist()) == {3}


def test_a_folder_without_data_is_refused_with_the_command_that_prepares_it(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"is not a cache of decoded clips; run `python -m training\.prepare`"):
        prepared(tmp_path)
