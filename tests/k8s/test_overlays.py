"""What `kubectl apply -k` would send fits together, beyond what the linters of `make lint` know.

kubernetes-validate checks the schemas there, Checkov the security of pods and their requests and limits.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from gateway.app import create_app
from gateway.settings import Settings
from tests.k8s.references import dangling
from tests.k8s.rendering import K8S, OVERLAYS, Manifest, named, of_kind, pod_specs, render, rendered
from tests.k8s.settings import gateway_settings, quantity

REPOSITORY = K8S.parent / "model_repository"
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@each_overlay
def test_every_reference_resolves(overlay: str) -> None:
    assert dangling(rendered(overlay)) == []


@each_overlay
def test_nothing_is_reachable_unless_a_policy_allows_it(overlay: str) -> None:
    manifests = rendered(overlay)
    denied = [each["spec"] for each in of_kind(manifests, "NetworkPolicy") if not each["spec"]["podSelector"]]
    assert denied == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]
    assert {service["spec"].get("type", "ClusterIP") for service in of_kind(manifests, "Service")} == {"ClusterIP"}


@each_overlay
def test_the_namespace_enforces_restricted_pods(overlay: str) -> None:
    (namespace,) = of_kind(rendered(overlay), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_overlay
def test_only_the_gateway_reaches_triton_for_inferences(overlay: str) -> None:
    callers = [
        (peer, {port["port"] for port in rule["ports"]})
        for policy in of_kind(rendered(overlay), "NetworkPolicy")
        if policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") == "inference"
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
    ]
    inference = [peer for peer, ports in callers if ports != {8002}]
    assert inference == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}]


def test_a_changed_setting_changes_the_name_of_the_configuration() -> None:
    maps = {
        overlay: [each["metadata"]["name"] for each in of_kind(rendered(overlay), "ConfigMap")] for overlay in OVERLAYS
    }
    names = {name for found in maps.values() for name in found if name.startswith("gateway-settings-")}
    assert len(names) == len(OVERLAYS)


def test_the_overlays_differ_in_what_they_are_for() -> None:
    by_overlay = {overlay: rendered(overlay) for overlay in OVERLAYS}
    models = {overlay: gateway_settings(manifests).model for overlay, manifests in by_overlay.items()}
    gpus = {
        overlay: pod_specs(manifests)["triton"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu")
        for overlay, manifests in by_overlay.items()
    }
    assert models == {"cpu": "emotion_int8", "gpu": "emotion_fp32", "local": "emotion_int8"}
    assert gpus == {"cpu": None, "gpu": "1", "local": None}
    assert [overlay for overlay in OVERLAYS if not of_kind(by_overlay[overlay], "Ingress")] == ["local"]
    assert all(
        "/" not in container["image"]
        for pod in pod_specs(by_overlay["local"]).values()
        for container in pod["containers"]
    )


def test_the_ingress_takes_the_largest_clip_and_waits_for_the_slowest() -> None:
    manifests = rendered("cpu")
    annotations = named(manifests, "Ingress", "emotion")["metadata"]["annotations"]
    settings = gateway_settings(manifests)
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    assert int(annotations[prefix + "body-size"].removesuffix("m")) * 2**20 > max(
        settings.upload_limit, settings.batch_upload_limit
    )
    for kind in ("read", "send"):
        assert int(annotations[f"{prefix}{kind}-timeout"]) > settings.upload_timeout + settings.request_deadline
        assert int(annotations[f"{prefix}{kind}-timeout"]) > settings.timeline_deadline


@each_overlay
def test_the_init_container_makes_configurations_that_match_the_machine(overlay: str, tmp_path: Path) -> None:
    manifests = rendered(overlay)
    pod = pod_specs(manifests)["triton"]
    (models,) = pod["initContainers"]
    for config in of_kind(manifests, "ConfigMap"):
        if config["metadata"]["name"].startswith("triton-"):
            (tmp_path / "gpu").mkdir()
            (tmp_path / "gpu" / "config.pbtxt").write_text(config["data"]["config.pbtxt"])
    (tmp_path / "served").mkdir()
    script = models["args"][0].replace("/model_repository/", f"{tmp_path}/served/").replace("/gpu/", f"{tmp_path}/gpu/")
    script = script.replace("/models/.", f"'{REPOSITORY}/.'")
    variables = {variable["name"]: variable["value"] for variable in models.get("env", [])} | {"PATH": "/usr/bin:/bin"}
    subprocess.run([*models["command"], script], env=variables, check=True)
    model = gateway_settings(manifests).model
    config = text_format.Parse((tmp_path / "served" / model / "config.pbtxt").read_text(), ModelConfig())
    kind = ModelInstanceGroup.KIND_GPU if overlay == "gpu" else ModelInstanceGroup.KIND_CPU
    assert [group.kind for group in config.instance_group] == [kind]
    assert bool(config.optimization.execution_accelerators.gpu_execution_accelerator) == (overlay == "gpu")
    if overlay != "gpu":
        threads = config.parameters["intra_op_thread_count"].string_value
        assert int(threads) == quantity(pod["containers"][0]["resources"]["limits"]["cpu"])


def test_the_adapter_provides_the_metrics_that_scaling_asks_for() -> None:
    values = yaml.safe_load((K8S / "components" / "monitoring" / "prometheus-adapter-values.yaml").read_text())
    provided = {rule["name"].get("as", rule["name"]["matches"].strip("^$")) for rule in values["rules"]["custom"]}
    asked = {
        metric["pods"]["metric"]["name"]
        for scaler in of_kind(rendered("gpu"), "HorizontalPodAutoscaler")
        for metric in scaler["spec"]["metrics"]
        if metric["type"] == "Pods"
    }
    assert provided == asked


def test_the_ingress_sends_the_whole_api_to_the_gateway_and_no_metrics() -> None:
    (rule,) = named(rendered("cpu"), "Ingress", "emotion")["spec"]["rules"]
    prefixes = {path["path"] for path in rule["http"]["paths"] if path["backend"]["service"]["name"] == "gateway"}
    operations = {f"/api{path}" for path in create_app(Settings(mock=True)).openapi()["paths"]} - {"/api/metrics"}
    assert {each for each in operations if not any(each.startswith(prefix) for prefix in prefixes)} == set()
    assert not any("/api/metrics".startswith(prefix) for prefix in prefixes)


def with_components(folder: Path, *components: str) -> list[Manifest]:
    """The manifests of the overlay `cpu` with components."""
    places = [os.path.relpath(K8S / "components" / name, folder) for name in components]
    kustomization = {"resources": [os.path.relpath(K8S / "overlays" / "cpu", folder)], "components": places}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization | {"namespace": "emotion"}))
    return render(folder)


def test_keda_scales_what_the_autoscalers_would_have(tmp_path: Path) -> None:
    manifests = with_components(tmp_path, "monitoring", "keda")
    assert of_kind(manifests, "HorizontalPodAutoscaler") == []
    replaced = {
        (each["spec"]["scaleTargetRef"]["name"], each["spec"]["minReplicas"], each["spec"]["maxReplicas"])
        for each in of_kind(rendered("cpu"), "HorizontalPodAutoscaler")
    }
    scaled = {
        (each["spec"]["scaleTargetRef"]["name"], each["spec"]["minReplicaCount"], each["spec"]["maxReplicaCount"])
        for each in of_kind(manifests, "ScaledObject")
    }
    assert scaled == replaced


def test_only_gateways_reach_the_redis_that_their_settings_name(tmp_path: Path) -> None:
    manifests = with_components(tmp_path, "redis")
    assert dangling(manifests) == []
    redis = urlsplit(gateway_settings(manifests).rate_limit_storage)
    service = named(manifests, "Service", str(redis.hostname))
    assert [port["port"] for port in service["spec"]["ports"]] == [redis.port]
    rule = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    assert named(manifests, "NetworkPolicy", "redis")["spec"]["ingress"] == [
        {"from": [rule], "ports": [{"protocol": "TCP", "port": redis.port}]}
    ]
    (way,) = named(manifests, "NetworkPolicy", "gateway-redis")["spec"]["egress"]
    assert way["to"] == [{"podSelector": {"matchLabels": service["spec"]["selector"]}}]
    assert way["ports"] == [{"protocol": "TCP", "port": redis.port}]
