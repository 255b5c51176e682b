"""A part of `make test-containers` that is small enough for every run of the tests: gateway and nginx, no model.

Both images are built in a private engine, compose brings them up until they are healthy, and a recording gets its
made-up numbers by way of nginx. Skipped where no engine can be started; nothing is built in somebody's own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from avemotion.preprocessing.contract import LABELS
from tests.containers.bases import DOCKERFILES, bases_of, provide
from tests.containers.engine import running_engine
from tests.containers.host_pip import settings_for_builds
from tests.containers.images import build
from tests.containers.project import Project, recording, running_project

PARTS = ("gateway", "recorder")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with running_engine() as engine:
        if not engine.is_private:
            pytest.skip("Only an engine of these tests' own is used here, as root on Linux; `make test-containers`.")
        with settings_for_builds(tmp_path_factory.mktemp("served")) as pip_settings:
            provide(engine, bases_of(DOCKERFILES[part] for part in PARTS), pip_settings)
            for part in PARTS:
                build(engine, part)
        with running_project(engine, "emotion-small", *PARTS, EMO_MOCK="1") as project:
            yield project


def test_images_that_were_just_built_predict_by_way_of_nginx(project: Project) -> None:
    response = project.predict(recording())
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["labels"], answer["model"]) == (list(LABELS), "mock")
    for part in PARTS:
        assert project.compose("exec", part, "id", "-u").strip() not in {"", "0"}
        assert "ead-only file system" in project.compose("exec", part, "touch", "/opt/new", check=False)
