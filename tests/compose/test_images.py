"""Dockerfiles without surprises, build contexts without data, and a recorder image whose nginx does what is said."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.middleware import SECURITY_HEADERS
from gateway.settings import Settings
from tests.support.tools import tool
from tests.support.triton import free_ports

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))
TEMPLATE = ROOT / "frontend" / "nginx.conf"
_STARTING_SECONDS = 30.0


def test_hadolint_finds_nothing() -> None:
    assert len(DOCKERFILES) == 5
    done = subprocess.run([tool("hadolint"), *DOCKERFILES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_has_a_pinned_base_a_title_and_no_root(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    assert all(re.fullmatch(r"[\w/]+:\d+\.\d+[\w.-]*", base) for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert f'org.opencontainers.image.title="emotion-{_image_name(dockerfile)}"' in text
    assert int(re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)[-1]) > 0


def _image_name(dockerfile: Path) -> str:
    names = {"triton_server": "triton", "model_repository": "models", "frontend": "recorder"}
    return names.get(dockerfile.parent.name, dockerfile.parent.name)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_is_copied_is_there_and_in_the_build_context(dockerfile: Path) -> None:
    allowed = re.findall(r"^!(\S+?)/?$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile.read_text(), re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if source.split("/")[0] not in allowed] == []


def test_no_torch_in_what_the_gateway_installs() -> None:
    assert "training" not in (ROOT / "gateway" / "Dockerfile").read_text()


@pytest.mark.parametrize("variables", [{}, {"USE_GPU": "1"}, {"EMO_MOCK": "1"}], ids=str)
def test_start_sh_starts_what_is_asked_for(variables: dict[str, str], tmp_path: Path) -> None:
    done, calls = _start(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    (call,) = calls
    assert ("docker-compose.gpu.yml" in call) == ("USE_GPU" in variables)
    assert call.endswith("--no-deps gateway recorder") == ("EMO_MOCK" in variables)


def test_start_sh_exports_a_checkpoint_first(tmp_path: Path) -> None:
    checkpoint = tmp_path / "my best.pt"
    checkpoint.touch()
    done, calls = _start(tmp_path, CHECKPOINT_PATH=str(checkpoint))
    assert done.returncode == 0, done.stderr
    assert [call.split()[-1] for call in calls] == ["export", "--wait"]


def test_start_sh_names_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    done, calls = _start(tmp_path, CHECKPOINT_PATH="nowhere/best.pt")
    assert done.returncode == 1
    assert "nowhere/best.pt" in done.stderr
    assert calls == []


def _start(folder: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run start.sh with a `docker` that only writes down how it was called; returns its calls, too."""
    programs, log = folder / "programs", folder / "calls"
    programs.mkdir()
    for name, text in (("docker", f'echo "$*" >> "{log}"'), ("xdg-open", "true")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"} | variables
    done = subprocess.run([ROOT / "start.sh"], env=environment, capture_output=True, text=True, check=False)
    return done, log.read_text().splitlines() if log.exists() else []


class Served:
    """nginx with the image's own configuration, in front of a port where tests listen."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> http.client.HTTPResponse:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as response:
                response.read()
                return response


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    nginx = tool("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    port, gateway_port = free_ports(2)
    text = TEMPLATE.read_text()
    for old, new in {
        "${NGINX_LOCAL_RESOLVERS}": "127.0.0.1",
        "${GATEWAY_HOST}": "127.0.0.1",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "$gateway:8000": f"$gateway:{gateway_port}",
        "/tmp/": f"{folder}/",  # noqa: S108 (where the image writes)
        "/dev/stdout": "off",
        "/usr/share/nginx/html": f'"{ROOT / "frontend"}"',  # last: it may itself hold what is replaced above
    }.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "nginx.conf"
    file.write_text(text)
    user = " user root;" if os.geteuid() == 0 else ""
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen([nginx, "-c", file, "-g", f"daemon off;{user}"], stderr=errors)
    served = Served(port)
    deadline = time.monotonic() + _STARTING_SECONDS
    while True:
        try:
            served.get("/recorder-health")
            break
        except OSError:
            assert process.poll() is None, (folder / "errors").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield served
    process.terminate()
    process.wait(timeout=10)


def test_nginx_serves_the_page_with_the_headers_of_the_gateway(recorder: Served) -> None:
    response = recorder.get("/")
    assert response.status == 200
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_nginx_serves_the_scripts_of_the_page(recorder: Served) -> None:
    assert recorder.get("/assets/page.js").status == 200
    assert recorder.get("/assets/nothing.js").status == 404


@pytest.mark.parametrize("path", ["/predict", "/health", "/health/ready"])
def test_nginx_passes_the_api_on(recorder: Served, path: str) -> None:
    # Nothing listens there in this test, which nginx says.
    assert recorder.get(path).status == 502


@pytest.mark.parametrize("path", ["/metrics", "/Dockerfile.txt", "/predictions"])
def test_nginx_keeps_to_itself_what_is_not_the_pages_nor_the_apis(recorder: Served, path: str) -> None:
    assert recorder.get(path).status == 404


def test_nginx_takes_the_largest_clip_and_waits_for_the_slowest() -> None:
    text, fields = TEMPLATE.read_text(), Settings.model_fields
    (largest,) = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(largest) * 2**20 > fields["upload_limit"].default
    for timeout in re.findall(r"proxy_(?:send|read)_timeout (\d+)s;", text):
        assert int(timeout) > fields["upload_timeout"].default + fields["request_deadline"].default
