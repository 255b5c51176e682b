"""One engine, images and a running compose project for all tests of this folder: each takes minutes to make."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.containers.bases import DOCKERFILES, bases_of, provide
from tests.containers.engine import SERVED_GIBIBYTES, Engine, running_engine
from tests.containers.host_pip import settings_for_builds
from tests.containers.images import BUILDING_SECONDS, build, name_of
from tests.containers.project import Project, running_project

SERVED = ("models", "recorder", "gateway", "triton")

_TRAINING_GIBIBYTES = 5
"""Room for the image of training."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for all images, so the limit of every test is that of building them."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(BUILDING_SECONDS))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with running_engine(SERVED_GIBIBYTES + _TRAINING_GIBIBYTES) as engine:
        yield engine


@pytest.fixture(scope="session")
def bases(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Base images are there, and pip works in builds, while this lasts; says where each image came from."""
    with settings_for_builds(tmp_path_factory.mktemp("served")) as pip_settings:
        yield provide(engine, bases_of(DOCKERFILES.values()), pip_settings)


@pytest.fixture(scope="session")
def images(engine: Engine, bases: dict[str, str]) -> dict[str, str]:
    """The images of what is served, built from this working tree: names by their part."""
    print(f"base images: {bases}")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda part: build(engine, part), SERVED))
    return {part: name_of(part) for part in SERVED}


@pytest.fixture(scope="session")
def project(engine: Engine, images: dict[str, str]) -> Iterator[Project]:
    assert images
    with running_project(engine, "emotion-test") as project:
        yield project
