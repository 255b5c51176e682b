"""A real API server takes the manifests, where one can be started: it knows rules that no schema holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.k8s.api_server import ApiServer, running_api_server
from tests.k8s.rendering import OVERLAYS, named, rendered

_OLDEST = 30
"""Minor version of the oldest Kubernetes that docs/DEPLOYMENT.md promises."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_api_server(tmp_path_factory.mktemp("api-server")) as api:
        version = json.loads(api.kubectl("get", "--raw", "/version").stdout)
        if int(version["minor"].rstrip("+")) < _OLDEST:
            pytest.skip(f"this API server is {version['gitVersion']}; the manifests need 1.{_OLDEST}")
        namespace = named(rendered("cpu"), "Namespace", "emotion")
        made = api.kubectl("create", "--save-config", "--filename", "-", manifests=yaml.safe_dump(namespace))
        assert made.returncode == 0, made.stderr
        yield api


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_api_server_takes_every_manifest_without_a_warning(api: ApiServer, overlay: str) -> None:
    # Operators bring their own kinds with them.
    core = [each for each in rendered(overlay) if not each["apiVersion"].startswith("monitoring.coreos.com/")]
    done = api.kubectl("apply", "--dry-run=server", "--filename", "-", manifests=yaml.safe_dump_all(core))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
