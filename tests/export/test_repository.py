"""Models are installed atomically as new versions, all of them or none."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from avemotion.preprocessing.model_metadata import metrics_of
from export.errors import ExportError, RepositoryError
from export.repository import install, promote, prune, roll_back, served, versions
from tests.support.standin_model import write_standin

ROOT = Path(__file__).parents[2]


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "some.onnx"
    path.write_bytes(os.urandom(100_000))
    return path


@pytest.fixture
def model(tmp_path: Path, onnx_file: Path) -> Path:
    """A model with versions 1, 2 and 3."""
    for _ in range(3):
        install(tmp_path / "models", {"model": {"model.onnx": onnx_file}}, "face")
    return tmp_path / "models" / "model"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_installation_is_the_next_version_whatever_became_of_the_others(tmp_path: Path, onnx_file: Path) -> None:
    repository = tmp_path / "a repository"
    files = {"model": {"model.onnx": onnx_file}}
    assert install(repository, files, "face") == [repository / "model" / "1"]
    (repository / "model" / "retired-9").mkdir()
    assert install(repository, files, "face") == [repository / "model" / "10"]
    assert [version.number for version in versions(repository / "model")] == [1, 9, 10]
    assert (repository / "model" / "10" / "model.onnx").read_bytes() == onnx_file.read_bytes()
    assert names(repository) == ["model"]


def test_a_configuration_that_did_not_change_is_not_touched(model: Path, onnx_file: Path) -> None:
    before = {path: path.stat().st_ino for path in (model / "config.pbtxt", model / "labels.txt")}
    install(model.parent, {"model": {"model.onnx": onnx_file}}, "face")
    assert {path: path.stat().st_ino for path in before} == before
    install(model.parent, {"model": {"model.onnx": onnx_file}}, "none")
    assert (model / "config.pbtxt").stat().st_ino != before[model / "config.pbtxt"]


def test_the_configuration_carries_what_each_version_was_measured_to_be(tmp_path: Path) -> None:
    file, repository = tmp_path / "some.onnx", tmp_path / "models"
    write_standin(file)
    for accuracy in (0.5, 0.75):
        model = onnx.load(file)
        found = {"validation": {"accuracy": accuracy, "confusion": [[1, 2], [3, 4]]}}
        onnx.helper.set_model_props(model, {"metrics": json.dumps(found)})
        onnx.save(model, file)
        install(repository, {"model": {"model.onnx": file}}, "face")
    before = (repository / "model" / "config.pbtxt").read_bytes()
    parameters = text_format.Parse(before, model_config_pb2.ModelConfig()).parameters
    metadata = {name: value.string_value for name, value in parameters.items()}
    assert [metrics_of(metadata, version) for version in ("1", "2", "3")] == [
        {"validation": {"accuracy": 0.5}},
        {"validation": {"accuracy": 0.75}},
        None,
    ]
    # Going back changes no configuration, which Triton would load the model for again.
    roll_back(repository / "model")
    assert (repository / "model" / "config.pbtxt").read_bytes() == before


def test_where_the_second_model_cannot_be_installed_the_first_is_not_either(model: Path, onnx_file: Path) -> None:
    (model.parent / "other").mkdir()
    (model.parent / "other" / "config.pbtxt").mkdir()
    before = content(model.parent)
    files = {"model.onnx": onnx_file}
    with pytest.raises(ExportError, match=r"repository .* cannot be written"):
        install(model.parent, {"new": files, "model": files, "other": files}, "face")
    assert content(model.parent) == before
    assert names(model.parent) == ["model", "other"]


def test_a_full_disk_leaves_the_repository_as_it_was(model: Path, onnx_file: Path) -> None:
    before = content(model.parent)
    # No file may become larger than half a model in a process of its own: the copy ends as on a full disk.
    program = f"""
import resource, signal
from pathlib import Path
from export.errors import ExportError
from export.repository import install
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, {resource.RLIM_INFINITY}))
try:
    install(Path({str(model.parent)!r}), {{"model": {{"model.onnx": Path({str(onnx_file)!r})}}}}, "face")
except ExportError as error:
    print(error.message)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "cannot be written: [Errno 27] File too large" in result.stdout
    assert content(model.parent) == before


def test_without_permission_to_write_there_is_one_sentence(model: Path, onnx_file: Path) -> None:
    # Root may write anywhere: another user tries, in a process of its own.
    writer = _as_nobody if os.geteuid() == 0 else _in_process
    before = content(model.parent)
    model.parent.chmod(0o555)
    try:
        message = writer(model.parent, onnx_file)
    finally:
        model.parent.chmod(0o755)
    assert "cannot be written" in message
    assert "Permission denied" in message
    assert content(model.parent) == before


def _as_nobody(repository: Path, file: Path) -> str:
    """The message of an installation by user 65534, who may read everything below the test's folder."""
    for folder in [repository, *repository.parents]:
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    program = f"""
import os, sys
from pathlib import Path
from export.errors import ExportError
from export.repository import install
os.setgid(65534); os.setuid(65534)
try:
    install(Path({str(repository)!r}), {{"model": {{"model.onnx": Path({str(file)!r})}}}}, "face")
except ExportError as error:
    print(error.message)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout


def _in_process(repository: Path, file: Path) -> str:
    with pytest.raises(ExportError) as caught:
        install(repository, {"model": {"model.onnx": file}}, "face")
    return caught.value.message


def test_an_older_version_is_promoted_by_putting_newer_ones_aside_and_back(model: Path) -> None:
    promote(model, 1)
    assert served(model) == versions(model)[0]
    assert {"1", "retired-2", "retired-3"} <= set(names(model))
    promote(model, 2)
    assert {"1", "2", "retired-3"} <= set(names(model))
    promote(model, 3)
    assert {"1", "2", "3"} <= set(names(model))


def test_a_roll_back_serves_the_version_before_and_a_new_export_is_still_newer(model: Path, onnx_file: Path) -> None:
    assert roll_back(model) == 2
    assert roll_back(model) == 1
    with pytest.raises(RepositoryError, match="cannot be rolled back: version 1 is its oldest"):
        roll_back(model)
    assert install(model.parent, {"model": {"model.onnx": onnx_file}}, "face") == [model / "4"]
    assert roll_back(model) == 3


def test_a_version_that_is_not_there_is_named_with_those_that_are(model: Path) -> None:
    with pytest.raises(RepositoryError, match=r"no version 7 with a model\.onnx; it has 1, 2, 3"):
        promote(model, 7)


@pytest.mark.parametrize(
    ("prepare", "keep", "deleted", "left"),
    [
        (versions, 2, [1], {"2", "3"}),
        (versions, 1, [1, 2], {"3"}),
        (versions, 9, [], {"1", "2", "3"}),
        (lambda model: promote(model, 1), 1, [2, 3], {"1"}),
        (lambda model: promote(model, 1), 2, [2], {"1", "retired-3"}),
    ],
)
def test_pruning_keeps_the_served_version_and_the_newest_others(
    model: Path, prepare: Callable[[Path], None], keep: int, deleted: list[int], left: set[str]
) -> None:
    prepare(model)
    assert prune(model, keep) == deleted
    assert {version.folder.name for version in versions(model)} == left
    assert names(model.parent) == ["model"]
