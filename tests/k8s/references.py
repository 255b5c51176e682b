"""What manifests point at by name must be there: schemas do not notice when it is not, and an API server takes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.k8s.rendering import Manifest, containers, of_kind

SECRETS_MADE_BY_HAND = {"gateway-api-keys", "emotion-tls"}
"""docs/DEPLOYMENT.md says how: they are not in the repository."""


def dangling(manifests: list[Manifest]) -> list[str]:
    """One sentence for each reference that leads nowhere."""
    return [
        *_selectors(manifests),
        *_ports(manifests),
        *_read_ports(manifests),
        *_configuration(manifests),
        *_volumes(manifests),
        *_targets(manifests),
        *_policies(manifests),
    ]


def _pod_labels(manifests: list[Manifest]) -> list[dict[str, str]]:
    return [manifest["spec"]["template"]["metadata"]["labels"] for manifest in of_kind(manifests, "Deployment")]


def _selects(selector: dict[str, str], labels: list[dict[str, str]]) -> bool:
    return any(selector.items() <= candidate.items() for candidate in labels)


def _selectors(manifests: list[Manifest]) -> Iterator[str]:
    labels = _pod_labels(manifests)
    for manifest in manifests:
        spec = manifest.get("spec", {})
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        if manifest["kind"] == "Service":
            selector = spec["selector"]
        elif manifest["kind"] in {"Deployment", "PodDisruptionBudget", "PodMonitor"}:
            selector = spec["selector"]["matchLabels"]
        else:
            continue
        if not _selects(selector, labels):
            yield f"{name} selects no pod"
        if manifest["kind"] == "Deployment":
            own = [spec["template"]["metadata"]["labels"]]
            spreads = [
                spread["labelSelector"]["matchLabels"]
                for spread in spec["template"]["spec"].get("topologySpreadConstraints", [])
            ]
            if not all(_selects(each, own) for each in [selector, *spreads]):
                yield f"{name} does not select its own pods"


def _container_ports(manifests: list[Manifest], selector: dict[str, str]) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for manifest in of_kind(manifests, "Deployment")
        if _selects(selector, [manifest["spec"]["template"]["metadata"]["labels"]])
        for container in manifest["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }


def _ports(manifests: list[Manifest]) -> Iterator[str]:
    services: dict[str, set[str]] = {}
    for service in of_kind(manifests, "Service"):
        ports = _container_ports(manifests, service["spec"]["selector"])
        services[service["metadata"]["name"]] = {port["name"] for port in service["spec"]["ports"]}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"Service {service['metadata']['name']} targets no container port {port['targetPort']}"
            elif service["spec"].get("clusterIP") == "None" and ports[port["targetPort"]] != port["port"]:
                yield f"headless Service {service['metadata']['name']} cannot translate port {port['port']}"
    for ingress in of_kind(manifests, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                if backend["port"]["name"] not in services.get(backend["name"], set()):
                    yield f"Ingress path {path['path']} leads to no service port"


def _read_ports(manifests: list[Manifest]) -> Iterator[str]:
    """Ports that monitors and probes name."""
    for monitor in of_kind(manifests, "PodMonitor"):
        ports = _container_ports(manifests, monitor["spec"]["selector"]["matchLabels"])
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] not in ports:
                yield f"PodMonitor {monitor['metadata']['name']} reads no container port"
    for deployment in of_kind(manifests, "Deployment"):
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            names = {port["name"] for port in container["ports"]}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(kind, {}).get("httpGet")
                if asked and asked["port"] not in names:
                    yield f"{kind} of {container['name']} asks a port that the container lacks"


def _configuration(manifests: list[Manifest]) -> Iterator[str]:
    maps = {manifest["metadata"]["name"] for manifest in of_kind(manifests, "ConfigMap")}
    secrets = {manifest["metadata"]["name"] for manifest in of_kind(manifests, "Secret")} | SECRETS_MADE_BY_HAND
    for name, key in _named_references(manifests):
        if name not in (maps if key.startswith("configMap") else secrets):
            yield f"{key} names {name}, which is not there"


def _named_references(value: Any) -> Iterator[tuple[str, str]]:
    """Every `configMapRef`, `secretKeyRef` and so on, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"configMapRef", "configMapKeyRef", "secretRef", "secretKeyRef", "configMap"}:
                yield inner["name"], key
            elif key == "secretName":
                yield inner, key
            else:
                yield from _named_references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named_references(inner)


def _volumes(manifests: list[Manifest]) -> Iterator[str]:
    claims = {manifest["metadata"]["name"] for manifest in of_kind(manifests, "PersistentVolumeClaim")}
    for deployment in of_kind(manifests, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        mounted = {mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])}
        for name in mounted ^ volumes.keys():
            yield f"{deployment['metadata']['name']} mounts or declares volume {name} without the other"
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield f"volume {volume['name']} claims {claim}, which is not there"


def _targets(manifests: list[Manifest]) -> Iterator[str]:
    present = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) not in present:
            yield f"HorizontalPodAutoscaler {scaler['metadata']['name']} scales nothing"
    for manifest in manifests:
        if manifest["kind"] != "Namespace" and manifest["metadata"].get("namespace") != "emotion":
            yield f"{manifest['kind']} {manifest['metadata']['name']} is outside the namespace"


def _policies(manifests: list[Manifest]) -> Iterator[str]:
    labels = _pod_labels(manifests)
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec, name = policy["spec"], policy["metadata"]["name"]
        subject = spec["podSelector"].get("matchLabels", {})
        if not _selects(subject, labels):
            yield f"NetworkPolicy {name} selects no pod"
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, []):
                for peer in rule[peers]:
                    selector = peer.get("podSelector", {}).get("matchLabels")
                    if selector is not None and not _selects(selector, labels):
                        yield f"NetworkPolicy {name} names pods that are not there"
                    server = subject if direction == "ingress" else selector
                    ports = set(_container_ports(manifests, server).values()) if server else None
                    if ports is not None and not {port["port"] for port in rule["ports"]} <= ports:
                        yield f"NetworkPolicy {name} opens a port that nobody listens on"
