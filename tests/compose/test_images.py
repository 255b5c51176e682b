"""Dockerfiles without surprises, build contexts without data, and a recorder image whose nginx does what is said."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.http.middleware import SECURITY_HEADERS
from gateway.settings import Settings
from tests.support.nginx import TEMPLATE, serving_recorder
from tests.support.triton import free_ports

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))


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


@pytest.mark.parametrize("variables", [{}, {"USE_GPU": "1"}, {"EMO_MOCK": "1"}], ids=str)
def test_start_sh_starts_what_is_asked_for(variables: dict[str, str], tmp_path: Path) -> None:
    done, calls = _start(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    started, asked = calls
    assert all(("docker-compose.gpu.yml" in call) == ("USE_GPU" in variables) for call in calls)
    assert started.endswith("--no-deps gateway recorder") == ("EMO_MOCK" in variables)
    assert asked.endswith("port recorder 8080")
    assert "Open http://127.0.0.1:9080 in a browser" in done.stdout


def test_start_sh_exports_a_checkpoint_first(tmp_path: Path) -> None:
    checkpoint = tmp_path / "my best.pt"
    checkpoint.touch()
    done, calls = _start(tmp_path, CHECKPOINT_PATH=str(checkpoint))
    assert done.returncode == 0, done.stderr
    assert [call.split()[-1] for call in calls[:2]] == ["export", "--wait"]


def test_start_sh_names_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    done, calls = _start(tmp_path, CHECKPOINT_PATH="nowhere/best.pt")
    assert done.returncode == 1
    assert "nowhere/best.pt" in done.stderr
    assert calls == []


def _start(folder: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run start.sh with a `docker` that logs how it is called and names one port; returns its calls, too."""
    programs, log = folder / "programs", folder / "calls"
    programs.mkdir()
    for name, text in (("docker", f'echo "$*" >> "{log}"; echo 127.0.0.1:9080'), ("xdg-open", "true")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"} | variables
    done = subprocess.run([ROOT / "start.sh"], env=environment, capture_output=True, text=True, check=False)
    return done, log.read_text().splitlines() if log.exists() else []


@pytest.fixture(scope="module")
def recorder() -> Iterator[httpx.Client]:
    # Nothing listens where the gateway should be, which nginx says.
    with serving_recorder(gateway_port=free_ports(1)[0]) as client:
        yield client


def test_nginx_serves_the_page_with_the_headers_of_the_gateway(recorder: httpx.Client) -> None:
    response = recorder.get("/")
    assert response.status_code == 200
    assert {name: response.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_nginx_lets_browsers_keep_files_and_ask_about_them(recorder: httpx.Client) -> None:
    for path in ("/", "/assets/page.js"):
        response = recorder.get(path)
        assert response.headers["Cache-Control"] == "no-cache"
        again = recorder.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304


def test_nginx_serves_the_scripts_of_the_page(recorder: httpx.Client) -> None:
    assert recorder.get("/assets/page.js").status_code == 200
    assert recorder.get("/assets/nothing.js").status_code == 404


@pytest.mark.parametrize("path", ["/api", "/assets", "/assets/"])
def test_nginx_redirects_nothing(recorder: httpx.Client, path: str) -> None:
    response = recorder.get(path)
    assert response.status_code == 404
    assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["/api/predict", "/api/health", "/api/health/ready", "/api/openapi.json"])
def test_nginx_passes_the_api_on(recorder: httpx.Client, path: str) -> None:
    assert recorder.get(path).status_code == 502


@pytest.mark.parametrize("path", ["/metrics", "/api/metrics", "/api//%6detrics", "/predict", "/health"])
def test_nginx_keeps_to_itself_what_is_not_the_pages_nor_the_apis(recorder: httpx.Client, path: str) -> None:
    assert recorder.get(path).status_code == 404


def test_nginx_takes_the_largest_clip_and_waits_for_the_slowest() -> None:
    text, fields = TEMPLATE.read_text(), Settings.model_fields
    (largest,) = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(largest) * 2**20 > max(fields["upload_limit"].default, fields["batch_upload_limit"].default)
    for timeout in re.findall(r"proxy_(?:send|read)_timeout (\d+)s;", text):
        assert int(timeout) > fields["upload_timeout"].default + fields["request_deadline"].default
        assert int(timeout) > fields["timeline_deadline"].default
