"""Where other machines reach the gateway, it starts with keys and named origins only."""

from __future__ import annotations

import pytest

from gateway.app import create_app
from gateway.auth.keys import hash_key
from gateway.errors import InsecureSettingsError
from tests.gateway.running import running_gateway, settings_for_tests

EVERYWHERE = "0.0.0.0"  # noqa: S104 (never listened on)
ENTRIES = [f"one:{hash_key('one')}"]


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.1", "gateway.example"])
def test_other_machines_may_not_call_without_keys(host: str) -> None:
    with pytest.raises(InsecureSettingsError, match=r"EMO_API_KEYS.*python -m gateway\.auth\.keys"):
        create_app(settings_for_tests(host=host))
    create_app(settings_for_tests(host=host, api_keys=ENTRIES))
    create_app(settings_for_tests(host=host, allow_anonymous=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    create_app(settings_for_tests(host=host))


@pytest.mark.parametrize("host", [EVERYWHERE, "gateway.example"])
def test_pages_from_anywhere_may_not_call_a_gateway_that_others_reach(host: str) -> None:
    with pytest.raises(InsecureSettingsError, match="EMO_CORS_ORIGINS"):
        create_app(settings_for_tests(host=host, mock=False, api_keys=ENTRIES, cors_origins=["https://a.example", "*"]))
    create_app(settings_for_tests(host=host, mock=False, api_keys=ENTRIES, cors_origins=["https://a.example"]))
    create_app(settings_for_tests(host=host, mock=True, api_keys=ENTRIES, cors_origins=["*"]))


def test_pages_from_anywhere_may_call_on_loopback_where_that_is_set() -> None:
    with running_gateway(settings_for_tests(cors_origins=["*"])) as gateway:
        answer = gateway.get("/health", headers={"Origin": "https://anywhere.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
