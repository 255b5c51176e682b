"""The gateway's settings as its pods read them, and the quantities of resources beside them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from gateway.settings import Settings
from tests.k8s.rendering import Manifest, of_kind

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(m|[KMGT]i|)")
_FACTORS: Final = {"": Decimal(1), "m": Decimal("0.001")} | {
    f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", 1)
}


def quantity(text: str) -> Decimal:
    """Return a Kubernetes quantity, such as `500m` or `2Gi`, as a number.

    Raises:
        ValueError: The text is not a quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a quantity")
    return Decimal(match[1]) * _FACTORS[match[2]]


def gateway_settings(manifests: list[Manifest]) -> Settings:
    """Return the settings in the gateway's ConfigMap; raises if one is unknown or out of range."""
    (config,) = [each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"].startswith("gateway-")]
    data = {key.removeprefix("EMO_").lower(): value for key, value in config["data"].items()}
    assert data.keys() <= Settings.model_fields.keys(), data.keys() - Settings.model_fields.keys()
    return Settings(**data)
