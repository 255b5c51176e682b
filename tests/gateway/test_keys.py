"""API keys: asked for where they are set, and set where other machines can call."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from gateway.auth.keys import KeyRing, hash_key, make_key
from gateway.errors import InsecureSettingsError
from tests.gateway.running import running_gateway, settings_for_tests

KEYS = {"recorder": make_key(), "batch-job": make_key()}
ENTRIES = [f"{name}:{hash_key(key)}" for name, key in KEYS.items()]


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(api_keys=ENTRIES)) as client:
        yield client


def predict(gateway: httpx.Client, clip: bytes, path: str = "/predict", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post(path, files={"file": ("clip", clip)}, headers=named)


# With a query, and without one: requests without go past FastAPI's validation.
PATHS = ["/predict", "/predict?explain=false"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", KEYS)
def test_each_key_is_valid_in_either_header(gateway: httpx.Client, clip: bytes, name: str, path: str) -> None:
    assert predict(gateway, clip, path, X_API_Key=KEYS[name]).status_code == 200
    assert predict(gateway, clip, path, Authorization=f"Bearer {KEYS[name]}").status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_API_Key": ""},
        {"X_API_Key": "emo_wrong"},
        {"X_API_Key": ENTRIES[0]},
        {"X_API_Key": hash_key(KEYS["recorder"])},
        {"Authorization": f"Basic {KEYS['recorder']}"},
        {"Authorization": "Bearer"},
    ],
    ids=["no key", "an empty key", "a wrong key", "an entry", "a hash", "another scheme", "no token"],
)
def test_anything_else_is_401(gateway: httpx.Client, clip: bytes, headers: dict[str, str], path: str) -> None:
    response = predict(gateway, clip, path, **headers)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_caller_without_a_key_is_refused_before_its_body_is_read(gateway: httpx.Client) -> None:
    response = gateway.post("/predict", content=b"not a form")
    assert response.status_code == 401


def test_health_needs_no_key(gateway: httpx.Client) -> None:
    assert gateway.get("/health").status_code == 200


def test_name_of_the_caller_is_logged_and_its_key_is_not(
    gateway: httpx.Client, clip: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    predict(gateway, clip, X_API_Key=KEYS["batch-job"])
    predict(gateway, clip, X_API_Key="emo_wrong")
    assert "batch-job" in {getattr(record, "caller", None) for record in caplog.records}
    written = " ".join(str(vars(record)) for record in caplog.records)
    assert KEYS["batch-job"] not in written
    assert "emo_wrong" not in written


@pytest.mark.parametrize("entry", ["emo_plain", "name:emo_plain", f"two words:{'0' * 64}", f"name:{'G' * 64}"])
def test_entry_that_is_no_hash_is_refused_and_not_repeated(entry: str) -> None:
    with pytest.raises(InsecureSettingsError, match=r"Entry 2 .* is not <name>:<SHA-256") as refusal:
        KeyRing([ENTRIES[0], entry])
    assert entry not in str(refusal.value)


def test_command_makes_a_key_that_is_valid() -> None:
    command = [sys.executable, "-m", "gateway.auth.keys", "phone"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    key, entry = (line.split()[-1] for line in output.splitlines())
    assert KeyRing([entry]).name_of(key) == "phone"
