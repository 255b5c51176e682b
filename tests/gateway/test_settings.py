"""Where a setting comes from."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings import CommandLineSettings, Settings


def test_argument_comes_before_environment_and_environment_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gateway", "--port", "9001"])
    assert Settings().port == 8000
    monkeypatch.setenv("EMO_PORT", "9002")
    monkeypatch.setenv("EMO_TRITON_GRPC_PORT", "9003")
    assert Settings().port == 9002
    assert Settings(port=9004).port == 9004
    assert CommandLineSettings().port == 9001
    assert CommandLineSettings().triton_address == "dns:///127.0.0.1:9003"


def test_mock_comes_before_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().predictor_name == "triton"
    monkeypatch.setenv("EMO_PREDICTOR", "onnxruntime")
    assert Settings().predictor_name == "onnxruntime"
    monkeypatch.setenv("EMO_MOCK", "1")
    assert Settings().predictor_name == "mock"


def test_origins_are_words_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://localhost:8080" in Settings().allowed_origins
    monkeypatch.setenv("EMO_CORS_ORIGINS", "https://a.example, https://b.example")
    assert Settings().allowed_origins == ["https://a.example", "https://b.example"]


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name


@pytest.mark.parametrize("wrong", [{"port": 70_000}, {"decode_workers": 0}, {"predictor": "magic"}, {"prot": 1}])
def test_wrong_value_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]
