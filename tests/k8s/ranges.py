"""Values that fit Kubernetes' schemas and are yet refused by its API server, or contradict each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from gateway.settings import Settings
from tests.k8s.rendering import Manifest, containers, named, of_kind, pod_specs

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
# https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports: at most 15, one letter at least.
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[KMGT]i|)")
_FACTORS = {"": Decimal(1), "m": Decimal("0.001")} | {f"{c}i": Decimal(1024) ** n for n, c in enumerate("KMGT", 1)}


def quantity(text: str) -> Decimal:
    """A quantity of Kubernetes as a number."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a quantity")
    return Decimal(match[1]) * _FACTORS[match[2]]


def gateway_settings(manifests: list[Manifest]) -> Settings:
    """The gateway's settings as its pods get them; raises where one is unknown or wrong."""
    (config,) = [each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"].startswith("gateway-")]
    data = {key.removeprefix("EMO_").lower(): value for key, value in config["data"].items()}
    assert data.keys() <= Settings.model_fields.keys(), data.keys() - Settings.model_fields.keys()
    return Settings(**data)


def faults(manifests: list[Manifest]) -> list[str]:
    """One sentence for each value that an API server would refuse or that contradicts another."""
    return [
        *_names(manifests),
        *_scaling(manifests),
        *_disruption(manifests),
        *_resources(manifests),
        *_graceful_end(manifests),
        *_gateway(manifests),
    ]


def _names(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        if not _NAME.fullmatch(name):
            yield f"{manifest['kind']} has the name {name}"
        for key, value in manifest["metadata"].get("labels", {}).items():
            if not _LABEL.fullmatch(value):
                yield f"label {key} of {name} has the value {value}"
    for pod in pod_specs(manifests).values():
        for container in pod["containers"]:
            names = [port["name"] for port in container["ports"]]
            if len(set(names)) != len(names) or not all(map(_PORT_NAME.fullmatch, names)):
                yield f"ports of {container['name']} are named {names}"
            if not all(1 <= port["containerPort"] <= 65_535 for port in container["ports"]):
                yield f"{container['name']} has a port out of range"


def _scaling(manifests: list[Manifest]) -> Iterator[str]:
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        spec, name = scaler["spec"], scaler["metadata"]["name"]
        if not 1 <= spec["minReplicas"] <= spec["maxReplicas"]:
            yield f"{name} scales from {spec['minReplicas']} to {spec['maxReplicas']}"
        if not spec["metrics"]:
            yield f"{name} scales by nothing"
        for metric in spec["metrics"]:
            target = metric[metric["type"].lower()]["target"]
            value = target["averageUtilization"] if target["type"] == "Utilization" else target["averageValue"]
            if quantity(str(value)) <= 0:
                yield f"{name} aims at {value}"
        deployment = named(manifests, "Deployment", spec["scaleTargetRef"]["name"])
        if "replicas" in deployment["spec"]:
            yield f"Deployment {name} sets replicas, which are the autoscaler's: each apply would undo its work"


def _disruption(manifests: list[Manifest]) -> Iterator[str]:
    for budget in of_kind(manifests, "PodDisruptionBudget"):
        if len({"minAvailable", "maxUnavailable"} & budget["spec"].keys()) != 1:
            yield f"PodDisruptionBudget {budget['metadata']['name']} needs one of minAvailable and maxUnavailable"
        elif budget["spec"].get("maxUnavailable") == 0:
            yield f"PodDisruptionBudget {budget['metadata']['name']} lets no node be drained"


def _resources(manifests: list[Manifest]) -> Iterator[str]:
    for pod in pod_specs(manifests).values():
        for container in containers(pod):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            if not {"cpu", "memory"} <= requests.keys() & limits.keys():
                yield f"{container['name']} lacks a request or limit"
            elif any(quantity(requests[each]) > quantity(limits[each]) for each in requests):
                yield f"{container['name']} requests more than its limit"


def _graceful_end(manifests: list[Manifest]) -> Iterator[str]:
    settings = gateway_settings(manifests)
    after_signal = {"gateway": settings.drain_delay + settings.drain_timeout, "triton": 10 + 6, "recorder": 0}
    for name, pod in pod_specs(manifests).items():
        # Whatever is not ours holds nobody's request.
        if name not in after_signal:
            continue
        (container,) = pod["containers"]
        needed = container["lifecycle"]["preStop"]["sleep"]["seconds"] + after_signal[name]
        if pod["terminationGracePeriodSeconds"] <= needed:
            yield f"{name} is killed after {pod['terminationGracePeriodSeconds']} s and needs {needed:g} s to end"
    if settings.drain_timeout <= max(settings.request_deadline, settings.timeline_deadline):
        yield "the gateway ends before its requests' deadline"


def _gateway(manifests: list[Manifest]) -> Iterator[str]:
    settings, pod = gateway_settings(manifests), pod_specs(manifests)["gateway"]
    (container,) = pod["containers"]
    limits: dict[str, Any] = container["resources"]["limits"]
    if settings.decode_workers != quantity(limits["cpu"]):
        yield f"{settings.decode_workers} decode workers share {limits['cpu']} CPUs"
    if settings.decode_cores > quantity(limits["cpu"]):
        yield f"a clip is decoded on {settings.decode_cores} cores, of {limits['cpu']} CPUs"
    if settings.timelines_at_once >= settings.decode_workers:
        yield f"{settings.timelines_at_once} timelines leave no decode worker to others"
    needed = settings.decode_workers * settings.decode_memory + settings.upload_memory
    if needed >= quantity(limits.get("memory", "0")):
        yield f"{settings.decode_workers} decode workers may take more than the memory limit {limits.get('memory')}"
    services = {service["metadata"]["name"]: service for service in of_kind(manifests, "Service")}
    triton = services.get(settings.triton_host)
    if triton is None or triton["spec"].get("clusterIP") != "None":
        yield f"the gateway calls {settings.triton_host}, which is no headless Service"
    elif settings.triton_grpc_port not in {port["port"] for port in triton["spec"]["ports"]}:
        yield f"the gateway calls port {settings.triton_grpc_port}, which the Service lacks"
    if settings.port not in {port["containerPort"] for port in container["ports"]}:
        yield f"the gateway listens on {settings.port}, which its container does not declare"
    has_keys = any(variable["name"] == "EMO_API_KEYS" for variable in container.get("env", []))
    if has_keys == settings.allow_anonymous:
        yield "the gateway needs either keys or the permission to do without"
    arguments = pod_specs(manifests)["triton"]["containers"][0]["args"]
    if settings.model not in {argument.rpartition("=")[2] for argument in arguments}:
        yield f"Triton is not told to serve {settings.model}"
