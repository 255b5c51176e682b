"""The file for NVIDIA's perf_analyzer holds the tensors that clips are decoded to."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import INPUTS
from loadtest.perf_analyzer_data import encode, main
from tests.support.clips import synthetic_clip


def test_every_tensor_comes_back_as_it_was() -> None:
    clips = [read_clip(synthetic_clip()).tensors(), read_clip(synthetic_clip(audio_codec=None)).tensors()]
    written = json.loads(json.dumps(encode(clips)))
    assert len(written["data"]) == 2
    for entry, tensors in zip(written["data"], clips, strict=True):
        for spec in INPUTS:
            raw = base64.b64decode(entry[spec.name]["content"]["b64"])
            found = np.frombuffer(raw, spec.dtype).reshape(entry[spec.name]["shape"])
            np.testing.assert_array_equal(found, tensors[spec.name][0])


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "chrome_a.webm").write_bytes(synthetic_clip())
    main([str(tmp_path / "clips.json"), "--clips", str(folder)])
    assert len(json.loads((tmp_path / "clips.json").read_text())["data"]) == 1
