"""The wheel in the environment of a user, who has a `client.py` and an `export.py` too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

import avemotion

ROOT = Path(__file__).parents[2]
OWN_MODULES = ("api", "client", "export", "preprocessing", "training")
EXTRAS = {"av", "cv2", "fastapi", "matplotlib", "numpy", "onnxruntime", "plotext", "torch", "tritonclient"}


def run(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(argument) for argument in arguments], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the repository, where setuptools may leave its own folders."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in ROOT.iterdir():
        if path.suffix in {".md", ".toml"} or path.name == "LICENSE":
            shutil.copy(path, source)
        elif (path / "__init__.py").is_file():
            shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    assert (source / "gateway" / "app.py").is_file()
    # The hook that pip calls, without the processes that pip starts around it.
    run(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_wheel({str(built)!r})", cwd=source)
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with modules of their own, and an environment with the wheel and its dependencies alone."""
    folder = tmp_path_factory.mktemp("project")
    for name in OWN_MODULES:
        (folder / f"{name}.py").write_text(f"MINE = {name!r}\n")
    venv.create(folder / ".venv", symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", python(folder), "install", "--quiet", "--no-compile")
    run(*pip, "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder


def python(project: Path) -> Path:
    return project / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def evaluate(project: Path, code: str, result: str) -> Any:
    """The value of an expression after some code, in the user's environment and folder."""
    (project / "script.py").write_text(f"{code}\nimport json\nprint(json.dumps({result}))\n")
    return json.loads(run(python(project), "script.py", cwd=project))


def test_the_wheel_holds_one_typed_package(wheel: Path) -> None:
    names = [name.split("/") for name in ZipFile(wheel).namelist()]
    assert {parts[0] for parts in names if not parts[0].endswith(".dist-info")} == {"avemotion"}
    assert ["avemotion", "py.typed"] in names


def test_modules_of_the_user_are_imported_as_before(project: Path) -> None:
    values = ", ".join(f"{name}.MINE" for name in OWN_MODULES)
    assert evaluate(project, f"import avemotion, {', '.join(OWN_MODULES)}", f"[{values}]") == list(OWN_MODULES)


def test_the_clients_are_imported_without_the_packages_of_extras_and_without_httpx(project: Path) -> None:
    loaded = evaluate(
        project,
        "import sys\nfrom avemotion import AsyncEmotionClient, EmotionClient, PredictResponse",
        "sorted({name.partition('.')[0] for name in sys.modules})",
    )
    assert "pydantic" in loaded
    assert (EXTRAS | {"httpx"}).isdisjoint(loaded)


def test_a_missing_extra_is_named_with_the_command_that_installs_it(project: Path) -> None:
    needing = {
        "from avemotion import TritonClient": "triton",
        "from avemotion import EmotionClient\nEmotionClient().predict_sampled(b'')": "media",
        "from avemotion.client.drawing import draw_in_terminal as draw\ndraw(None)": "plot",
        "from avemotion.client.drawing import draw_png as draw\ndraw(None, None)": "plot",
    }
    caught = (
        f"found = []\nfor code in {list(needing)}:\n    try:\n        exec(code)\n"
        "    except Exception as error:\n        found.append((type(error).__name__, str(error)))"
    )
    for (kind, message), extra in zip(evaluate(project, caught, "found"), needing.values(), strict=True):
        assert kind == "MissingExtraError"
        assert message.endswith(f"is not installed: pip install 'avemotion[{extra}]'")


def test_the_command_is_installed(project: Path) -> None:
    emotion = python(project).parent / "emotion"
    assert "Estimate which emotion clips express" in run(emotion, "--help", cwd=project)


def test_a_type_checker_knows_the_types(project: Path) -> None:
    (project / "typed.py").write_text(
        "from avemotion import EmotionClient\n"
        "with EmotionClient() as emotion:\n"
        "    reveal_type(emotion.predict('clip.webm').top1.prob)\n"
    )
    # The types of dependencies matter to nothing here, and checking Pydantic takes most of the time.
    (project / "mypy.ini").write_text(
        "[mypy]\nstrict = true\n[mypy-pydantic.*,pydantic_core.*,httpx.*]\nfollow_imports = skip\n"
    )
    mypy = (sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", project / ".mypy_cache")
    said = run(*mypy, "--python-executable", python(project), "typed.py", cwd=project)
    assert 'Revealed type is "float"' in said.replace("builtins.", "")
    assert "Success" in said


def test_every_exported_name_can_be_imported() -> None:
    assert set(avemotion.__all__) == avemotion._MODULES.keys()
    assert {name: getattr(avemotion, name).__module__ for name in avemotion.__all__} == avemotion._MODULES
