"""Settings, ports, resources and deadlines agree between the manifests and what the gateway reads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.k8s.rendering import OVERLAYS, Manifest, named, of_kind, pod_specs, rendered
from tests.k8s.settings import gateway_settings, quantity

_TRITON_DRAIN_SECONDS = 10 + 6
"""Triton's exit timeout, and the time in which its launcher kills what remains."""


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def container_of(manifests: list[Manifest], deployment: str) -> dict[str, Any]:
    container: dict[str, Any]
    (container,) = pod_specs(manifests)[deployment]["containers"]
    return container


def test_pods_live_long_enough_to_drain(manifests: list[Manifest]) -> None:
    settings = gateway_settings(manifests)
    assert settings.drain_timeout > max(settings.request_deadline, settings.timeline_deadline)
    drains = {"gateway": settings.drain_delay + settings.drain_timeout, "triton": _TRITON_DRAIN_SECONDS, "recorder": 0}
    for name, drain in drains.items():
        before = container_of(manifests, name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod_specs(manifests)[name]["terminationGracePeriodSeconds"] > before + drain, name


def test_decode_workers_fit_the_limits_of_the_gateways_container(manifests: list[Manifest]) -> None:
    settings, limits = gateway_settings(manifests), container_of(manifests, "gateway")["resources"]["limits"]
    assert settings.decode_workers == quantity(limits["cpu"])
    assert settings.decode_cores <= quantity(limits["cpu"])
    assert settings.timelines_at_once < settings.decode_workers
    most = settings.decode_workers * settings.decode_memory + settings.upload_memory
    assert most < quantity(limits["memory"])


def test_the_gateway_calls_the_service_and_the_model_that_triton_serves(manifests: list[Manifest]) -> None:
    settings = gateway_settings(manifests)
    service = named(manifests, "Service", settings.triton_host)
    assert service["spec"]["clusterIP"] == "None", "gRPC needs a headless Service to reach every replica"
    assert settings.triton_grpc_port in {port["port"] for port in service["spec"]["ports"]}
    served = {argument.rpartition("=")[2] for argument in container_of(manifests, "triton")["args"]}
    assert settings.model in served


def test_the_gateway_listens_where_its_container_says_and_has_keys_or_no_need_of_them(
    manifests: list[Manifest],
) -> None:
    settings, container = gateway_settings(manifests), container_of(manifests, "gateway")
    assert settings.port in {port["containerPort"] for port in container["ports"]}
    has_keys = any(variable["name"] == "EMO_API_KEYS" for variable in container.get("env", []))
    assert has_keys != settings.allow_anonymous


def test_autoscalers_alone_decide_how_many_replicas_run(manifests: list[Manifest]) -> None:
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        deployment = named(manifests, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        # With a number here every `kubectl apply` would undo the autoscaler's work.
        assert "replicas" not in deployment["spec"]
