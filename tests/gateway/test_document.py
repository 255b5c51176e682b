"""The examples of docs/API.md work as they stand, and its answers have the fields that answers have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest

from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SECONDS
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.support.browser_samples import wav
from tests.support.clips import drawing, noise, synthetic_clip
from tests.support.tools import tool

DOCUMENT = (Path(__file__).parents[2] / "docs" / "API.md").read_text()
SERVER = "http://127.0.0.1:8000"
EXAMPLES = [
    (language, code)
    for language, code in re.findall(r"^```(sh|python|js)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    if SERVER in code
]
SNIPPETS = [json.loads(code) for code in re.findall(r"^```json\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests()) as client:
        wait_ready(client)
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "clip.webm").write_bytes(synthetic_clip(frame_times=range(0, 4000, 40), waveform=noise(4.0, 48_000)))
    (folder / "sound.wav").write_bytes(wav(noise(WINDOW_SECONDS, SAMPLE_RATE)))
    for number in range(FRAME_COUNT):
        assert cv2.imwrite(str(folder / f"{number}.jpg"), drawing(number, 160, 120))
    return folder


def command(language: str, code: str) -> list[str]:
    match language:
        case "sh":
            tool("curl")
            return ["bash", "-euc", code.replace("curl ", "curl --silent --show-error --fail ")]
        case "python":
            return [sys.executable, "-c", code]
        case _:
            return [tool("node"), "--input-type=module", "--eval", code]


@pytest.mark.parametrize(
    ("language", "code"),
    EXAMPLES,
    ids=[f"{language} {re.search(SERVER + r'(/[a-z/]+)', code)[1]}" for language, code in EXAMPLES],  # type: ignore[index]
)
def test_example_works(gateway: httpx.Client, folder: Path, language: str, code: str) -> None:
    code = code.replace(SERVER, str(gateway.base_url).rstrip("/"))
    done = subprocess.run(
        command(language, code),
        cwd=folder,
        env=os.environ | {"EMO_API_KEY": "none is asked for"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert '"error":{' not in done.stdout.replace(" ", "")


def test_there_are_examples_of_all_three_languages_for_each_way_to_predict() -> None:
    paths = {(language, path) for language, code in EXAMPLES for path in re.findall(SERVER + r"(/[a-z/]+)", code)}
    for path in ("/predict", "/predict/sampled", "/predict/timeline"):
        assert {("sh", path), ("python", path), ("js", path)} <= paths
    assert {("sh", "/predict/batch"), ("python", "/predict/batch"), ("sh", "/models"), ("sh", "/contract")} <= paths


def keys(value: Any) -> Any:
    """Names of the fields at every depth, of the first entry of each list."""
    if isinstance(value, dict):
        return {name: keys(field) for name, field in value.items() if name not in {"missing", "face"}}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys(value[0])]
    return None


def test_answers_in_the_document_have_the_fields_of_answers(gateway: httpx.Client, folder: Path) -> None:
    clip = (folder / "clip.webm").read_bytes()
    whole = gateway.post("/predict", files={"file": clip}).json()
    batch = gateway.post("/predict/batch", files={"files": clip}).json()
    timeline = gateway.post("/predict/timeline", files={"file": clip}).json()
    wrong = gateway.post("/predict", files={"file": b""}).json()
    shown_whole, shown_batch, shown_timeline, shown_wrong = SNIPPETS
    assert keys(shown_whole) == keys(whole)
    assert {*shown_batch, *shown_batch["results"][0], *shown_batch["timings_ms"]} == {
        *batch,
        *batch["results"][0],
        *batch["timings_ms"],
    }
    assert keys(shown_timeline) == keys(timeline)
    assert keys(shown_wrong) == keys(wrong)
