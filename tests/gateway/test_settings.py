"""Which source a setting comes from, and what is rejected at start."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.environment import OTHER_VARIABLES, load_settings, variable_of
from gateway.settings import Settings
from stack.settings import StackSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gateway"])


def test_options_override_the_environment_and_the_environment_overrides_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings(Settings).port == 8000
    monkeypatch.setenv("EMO_PORT", "9002")
    monkeypatch.setenv("EMO_TRITON_GRPC_PORT", "9003")
    assert load_settings(Settings).port == 9002
    assert Settings(port=9004).port == 9004
    monkeypatch.setattr("sys.argv", ["gateway", "--port", "9001"])
    assert load_settings(Settings).port == 9001
    assert load_settings(Settings).triton_address == "dns:///127.0.0.1:9003"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.setenv(variable_of(field), "")
    assert Settings() == Settings.model_construct()


def test_mock_overrides_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().predictor_name == "triton"
    monkeypatch.setenv("EMO_PREDICTOR", "onnxruntime")
    assert Settings().predictor_name == "onnxruntime"
    monkeypatch.setenv("EMO_MOCK", "1")
    assert Settings().predictor_name == "mock"


def test_origins_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://localhost:8080" in Settings().cors_origins
    monkeypatch.setenv("EMO_CORS_ORIGINS", "https://a.example, https://b.example")
    assert Settings().cors_origins == ["https://a.example", "https://b.example"]
    monkeypatch.setattr("sys.argv", ["gateway", "--cors-origins", "https://c.example,https://d.example"])
    assert load_settings(Settings).cors_origins == ["https://c.example", "https://d.example"]


def test_every_setting_is_described_and_names_commands_that_exist() -> None:
    for name, field in StackSettings.model_fields.items():
        description = field.description or ""
        assert description.endswith("."), name
        for module in re.findall(r"python -m ([\w.]+\w)", description):
            assert importlib.util.find_spec(module) is not None, name


@pytest.mark.parametrize("wrong", [{"port": 70_000}, {"decode_workers": 0}, {"predictor": "magic"}, {"prot": 1}])
def test_an_invalid_value_is_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_invalid_values_are_all_named_with_option_variable_and_limit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gateway", "--port", "70000"])
    monkeypatch.setenv("EMO_RATE_LIMIT_PER_KEY", "often")
    assert _refusal(Settings).splitlines() == [
        "Invalid value '70000' for --port (EMO_PORT): input should be less than or equal to 65535.",
        "Invalid value 'often' for --rate-limit-per-key (EMO_RATE_LIMIT_PER_KEY): "
        "use a number and a period, such as 600/minute.",
    ]
    assert capsys.readouterr() == ("", "")


def test_a_secret_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMO_RATE_LIMIT_STORAGE", "rediss//:password@redis.example")
    message = _refusal(Settings)
    assert "EMO_RATE_LIMIT_STORAGE" in message
    assert "password" not in message


@pytest.mark.parametrize("kind", [Settings, StackSettings])
@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        ("TRITON_GPRC_PORT", "TRITON_GRPC_PORT"),
        ("RATE_LIMIT_PERKEY", "RATE_LIMIT_PER_KEY"),
        ("ALOW_ANONYMOUS", "ALLOW_ANONYMOUS"),
        ("API_KEYES", "API_KEYS"),
        ("PROT", "PORT"),
        ("TRITON_HTTPS_PORT", "TRITON_HTTP_PORT"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest_right_name(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], misspelt: str, right: str
) -> None:
    monkeypatch.setenv(f"EMO_{misspelt}", "1")
    assert _refusal(kind) == f"Unknown environment variable EMO_{misspelt}: did you mean EMO_{right}?"


def test_an_unknown_variable_like_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable_of("xyzzy"), "1")
    message = f"Unknown environment variable {variable_of('xyzzy')}: remove it, or see --help for the known ones."
    assert _refusal(Settings) == message


def test_variables_of_other_programs_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OTHER_VARIABLES:
        monkeypatch.setenv(name, "4711")
    load_settings(Settings)
    load_settings(StackSettings)


def test_every_variable_that_this_project_names_is_known() -> None:
    command = ["git", "grep", "-hIoE", r"\bEMO_[A-Z_]*[A-Z]\b", ":!gateway/environment.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git repository")
    known = {variable_of(field) for field in Settings.model_fields} | OTHER_VARIABLES
    named = set(listed.stdout.split())
    assert named <= known, named - known
    assert named >= OTHER_VARIABLES
    assert {variable_of(field) for field in StackSettings.model_fields} <= known


def _refusal(kind: type[Settings]) -> str:
    with pytest.raises(SystemExit) as refusal:
        load_settings(kind)
    assert isinstance(refusal.value.code, str)
    return refusal.value.code
