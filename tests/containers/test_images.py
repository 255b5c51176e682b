"""The images are small, run without root, say whether they are healthy, and hold nothing that they have no use for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.containers.engine import Engine

_MEGABYTE = 10**6
LARGEST = {"gateway": 600 * _MEGABYTE, "triton": 900 * _MEGABYTE, "models": 80 * _MEGABYTE, "recorder": 300 * _MEGABYTE}
each_image = pytest.mark.parametrize("part", LARGEST)


def known(engine: Engine, name: str) -> dict[str, Any]:
    (image,) = json.loads(engine.docker("image", "inspect", name))
    return dict(image)


@each_image
def test_an_image_is_small(
    engine: Engine, images: dict[str, str], part: str, record_property: Callable[[str, object], None]
) -> None:
    size = known(engine, images[part])["Size"]
    record_property("size_bytes", size)
    print(f"emotion-{part}: {size / _MEGABYTE:.0f} MB")
    assert size < LARGEST[part]


@each_image
def test_an_image_says_what_it_is_and_runs_without_root(engine: Engine, images: dict[str, str], part: str) -> None:
    config = known(engine, images[part])["Config"]
    assert config["Labels"]["org.opencontainers.image.title"] == f"emotion-{part}"
    assert config["Labels"]["org.opencontainers.image.version"]
    assert int(config["User"].partition(":")[0]) > 0
    assert ("Healthcheck" in config) == (part != "models")


@pytest.mark.parametrize("module", ["torch", "onnxruntime", "onnx", "training", "pip"])
def test_the_gateways_environment_lacks_what_only_others_need(
    engine: Engine, images: dict[str, str], module: str
) -> None:
    program = f"import importlib.util; print(importlib.util.find_spec('{module}'))"
    said = engine.docker("run", "--rm", "--network", "none", "--entrypoint", "python", images["gateway"], "-c", program)
    assert said.strip() == "None"


def test_the_models_image_holds_what_the_served_model_needs(engine: Engine, images: dict[str, str]) -> None:
    listed = engine.docker(
        "run", "--rm", "--network", "none", images["models"], "ls", "/models/emotion_int8", "/models/emotion_int8/1"
    )
    assert {"config.pbtxt", "labels.txt", "model.onnx"} <= set(listed.split())
