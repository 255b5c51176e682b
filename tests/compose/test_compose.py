"""The compose files, as Docker Compose itself reads them: nobody from outside gets in, and starting has an order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.environment import variable_of
from gateway.settings import Settings
from tests.support.tools import tool

ROOT = Path(__file__).parents[2]
GPU = ("docker-compose.yml", "docker-compose.gpu.yml")
PUBLIC = ("docker-compose.yml", "docker-compose.public.yml")
KEY = "me:" + "0" * 64
each_set = pytest.mark.parametrize("files", [GPU[:1], GPU, PUBLIC], ids=lambda files: files[-1])


def compose(files: tuple[str, ...], folder: Path = ROOT, /, **variables: str) -> subprocess.CompletedProcess[str]:
    """`docker-compose config` with every profile; it needs no engine."""
    arguments = [part for file in files for part in ("--file", str(ROOT / file))]
    return subprocess.run(
        [tool("docker-compose"), *arguments, "--project-directory", folder, "--profile", "*", "config"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def services_of(files: tuple[str, ...], folder: Path = ROOT, /, **variables: str) -> dict[str, Any]:
    done = compose(files, folder, **({"EMO_API_KEYS": KEY} | variables))
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return services


def settings_of(files: tuple[str, ...], **variables: str) -> Settings:
    environment = services_of(files, **variables)["gateway"]["environment"]
    given = {name.removeprefix("EMO_").lower(): value for name, value in environment.items() if value is not None}
    assert given.keys() <= Settings.model_fields.keys()
    return Settings(**given)


@each_set
def test_compose_reads_the_files_without_a_warning(files: tuple[str, ...]) -> None:
    done = compose(files, EMO_API_KEYS=KEY)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("files", [GPU[:1], GPU], ids=lambda files: files[-1])
def test_everything_is_published_on_loopback_only(files: tuple[str, ...]) -> None:
    ports = [port for service in services_of(files).values() for port in service.get("ports", [])]
    assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}


def test_the_gateway_listens_on_the_port_that_is_published() -> None:
    gateway = services_of(GPU[:1], EMO_PORT="9000")["gateway"]
    [port] = gateway["ports"]
    assert (port["published"], str(port["target"])) == ("9000", gateway["environment"]["EMO_PORT"])


def test_pages_of_the_recorder_may_call_the_gateway_on_whatever_port_it_is() -> None:
    defaults = Settings.model_fields["cors_origins"].default
    assert settings_of(GPU[:1]).cors_origins == defaults
    moved = settings_of(GPU[:1], EMO_RECORDER_PORT="9080")
    assert moved.cors_origins == [origin.replace("8080", "9080") for origin in defaults]


def test_callers_from_outside_need_a_key() -> None:
    refused = compose(PUBLIC)
    assert refused.returncode != 0
    assert "gateway.auth.keys" in refused.stderr
    services = services_of(PUBLIC)
    assert "ports" not in services["gateway"]
    assert services["gateway"]["environment"]["EMO_ALLOW_ANONYMOUS"] == "0"


@each_set
def test_a_service_waits_for_what_it_needs_to_be_healthy(files: tuple[str, ...]) -> None:
    services = services_of(files)
    waits = {
        name: {needed: wait["condition"] for needed, wait in service["depends_on"].items()}
        for name, service in services.items()
        if "depends_on" in service and name != "triton"
    }
    assert waits == {
        "gateway": {"triton": "service_healthy"},
        "recorder": {"gateway": "service_healthy"},
        "grafana": {"prometheus": "service_healthy"},
    }


@each_set
def test_who_is_waited_for_has_a_health_check(files: tuple[str, ...]) -> None:
    services = services_of(files)
    for service in services.values():
        for needed, wait in service.get("depends_on", {}).items():
            build = services[needed].get("build")
            in_image = build is not None and "HEALTHCHECK" in (ROOT / build["dockerfile"]).read_text()
            assert wait["condition"] != "service_healthy" or in_image or "healthcheck" in services[needed]


@each_set
def test_the_gateway_understands_its_settings(files: tuple[str, ...]) -> None:
    assert settings_of(files).model == ("emotion_fp32" if files == GPU else "emotion_int8")


def test_every_setting_of_the_shell_reaches_the_gateway() -> None:
    fixed = {"EMO_HOST", "EMO_PORT", "EMO_TRITON_HOST", "EMO_TRITON_GRPC_PORT"}
    # What the image is made for: it holds the models' folder, no page and no ONNX Runtime.
    fixed |= {"EMO_MODEL_REPOSITORY", "EMO_FRONTEND_FOLDER", "EMO_PREDICTOR"}
    values = {name: f"value of {name}" for name in map(variable_of, Settings.model_fields) if name not in fixed}
    environment = services_of(GPU[:1], **values)["gateway"]["environment"]
    assert {name: environment.get(name) for name in values} == values


def test_every_variable_of_the_env_file_reaches_the_gateway_which_rejects_misspelt_ones(tmp_path: Path) -> None:
    misspelt = variable_of("prot")
    (tmp_path / ".env").write_text(f"{misspelt}=1\nEMO_PORT=9000\n")
    environment = services_of(GPU[:1], tmp_path)["gateway"]["environment"]
    assert (environment[misspelt], environment["EMO_PORT"]) == ("1", "8000")


@pytest.mark.parametrize("files", [GPU[:1], GPU], ids=lambda files: files[-1])
def test_the_gateway_asks_for_the_model_that_triton_serves(files: tuple[str, ...]) -> None:
    done = compose(files, EMO_MODEL="emotion_of_mine")
    services = yaml.safe_load(done.stdout)["services"]
    assert services["gateway"]["environment"]["EMO_MODEL"] == "emotion_of_mine"
    assert "emotion_of_mine" in {part.rpartition("=")[2] for part in services["triton"]["command"]}


@each_set
def test_long_running_services_of_ours_are_locked_down(files: tuple[str, ...]) -> None:
    services = services_of(files)
    for name in ("triton", "gateway", "recorder", "prometheus", "grafana"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["restart"] == "unless-stopped"


@each_set
def test_every_image_has_a_fixed_version(files: tuple[str, ...]) -> None:
    images = {service["image"] for service in services_of(files).values()}
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:(?!latest$)[\w.-]+", image)] == []


def test_triton_cannot_reach_the_internet() -> None:
    done = compose(GPU[:1])
    document = yaml.safe_load(done.stdout)
    assert list(document["services"]["triton"]["networks"]) == ["inside"]
    assert document["networks"]["inside"]["internal"] is True


@each_set
def test_mounted_files_and_build_files_are_in_the_repository(files: tuple[str, ...]) -> None:
    made_by_hand = {ROOT / "checkpoints" / "best.pt", ROOT / "data" / "cache"}
    for service in services_of(files).values():
        mounted = {Path(each["source"]) for each in service.get("volumes", []) if each["type"] == "bind"}
        built = {ROOT / service["build"]["dockerfile"]} if "build" in service else set()
        assert [path for path in (mounted | built) - made_by_hand if not path.exists()] == []


def test_gpus_are_asked_for_where_they_are_needed() -> None:
    def with_gpu(files: tuple[str, ...]) -> set[str]:
        return {name for name, service in services_of(files).items() if "deploy" in service}

    assert with_gpu(GPU[:1]) == {"llm"}
    assert with_gpu(GPU) == {"llm", "triton"}
