"""Every setting of the gateway, in one class.

Keyword arguments and command-line options override environment variables, and those override the defaults.
`gateway.environment` reads options and environment; nothing else in the gateway looks at either.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import limits
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from avemotion.preprocessing.limits import MediaLimits

PROJECT_FOLDER = Path(__file__).resolve().parent.parent

PredictorName = Literal["triton", "onnxruntime", "mock"]

_MEBIBYTE = 2**20
_CORES = os.cpu_count() or 1


def _check_url(value: str | None) -> str | None:
    if value is not None and not re.match(r"https?://[^/]", value):
        raise ValueError("use a URL that starts with http:// or https://")
    return value


def _check_rate_limit(value: str | None) -> str | None:
    if value is not None:
        try:
            limits.parse(value)
        except ValueError as error:
            raise ValueError("use a number and a period, such as 600/minute") from error
    return value


def _check_rate_limit_storage(value: str) -> str:
    if value != "memory" and not re.match(r"rediss?://[^/]", value):
        raise ValueError("use `memory` or a URL that starts with redis:// or rediss://")
    return value


def _split_commas(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Url = Annotated[str | None, AfterValidator(_check_url)]
RateLimit = Annotated[str | None, AfterValidator(_check_rate_limit)]
CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]


class Settings(BaseSettings):
    """Settings of the gateway.

    Options override environment variables, and those override the defaults. The variable of `--decode-workers` is
    `EMO_DECODE_WORKERS`, and so on; an empty variable counts as unset.
    """

    # Fields with `repr=False` may hold secrets; error messages do not show their values.
    model_config = SettingsConfigDict(
        env_prefix="EMO_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        cli_prog_name="python -m gateway",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        protected_namespaces=(),
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="Port to listen on; 0 picks a free port.")

    mock: bool = Field(default=False, description="Return made-up numbers without a model; overrides `predictor`.")
    predictor: PredictorName = Field(
        default="triton",
        description="Run the model in Triton over gRPC, in this process with ONNX Runtime, or not at all (`mock`).",
    )
    model: str = Field(default="emotion_int8", description="Default model, for requests without `?model=`.")
    model_repository: Path = Field(
        default=PROJECT_FOLDER / "model_repository",
        description="Folder of `<model>/<version>/model.onnx`; the gateway itself reads it with `onnxruntime` only.",
    )

    triton_host: str = Field(
        default="127.0.0.1",
        description="Host of Triton. If the name has several addresses, calls go to them in turn.",
    )
    triton_grpc_port: Port = Field(default=8001, description="Port of Triton's gRPC service.")

    llm_url: Url = Field(
        default=None,
        description=(
            "Base URL of an OpenAI-compatible server that explains answers for `?explain=true`, e.g. "
            "`http://127.0.0.1:8004/v1`. Unset: no explanations."
        ),
    )
    llm_model: str | None = Field(default=None, description="Model to ask there. Unset: the first that it lists.")
    llm_api_key: SecretStr | None = Field(default=None, repr=False, description="API key of that server.")
    llm_timeout: Seconds = Field(
        default=3.0, description="Timeout of an explanation, in seconds; the answer then comes without it."
    )

    upload_limit: Count = Field(default=50 * _MEBIBYTE, description="Maximum size of a clip, in bytes.")
    upload_memory: Count = Field(
        default=256 * _MEBIBYTE,
        description="Maximum size of all uploads in memory together, in bytes; beyond it, uploads get 429.",
    )
    head_timeout: Seconds = Field(default=10.0, description="Timeout of receiving request headers, in seconds.")
    batch_limit: int = Field(default=32, ge=1, le=1000, description="Maximum number of clips in a batch.")
    batch_upload_limit: Count = Field(
        default=100 * _MEBIBYTE, description="Maximum size of all clips of a batch together, in bytes."
    )
    sampled_upload_limit: Count = Field(
        default=4 * _MEBIBYTE, description="Maximum size of sampled frames and sound together, in bytes."
    )
    upload_timeout: Seconds = Field(default=60.0, description="Timeout of receiving an upload, in seconds.")
    request_deadline: Seconds = Field(
        default=10.0,
        description=(
            "Maximum time from the end of the upload to the response, in seconds; the header X-Deadline-Seconds "
            "shortens it."
        ),
    )
    timeline_seconds: float = Field(
        default=60.0, gt=0, le=600, description="Maximum length of a clip for a timeline, in seconds."
    )
    timeline_deadline: Seconds = Field(
        default=60.0, description="Maximum time from the end of the upload to the end of a timeline, in seconds."
    )
    timelines_at_once: Count = Field(
        default=max(1, _CORES // 2),
        description="Timelines decoded at the same time; the rest wait. Keep it below `decode_workers`.",
    )
    inference_timeout: Seconds = Field(default=5.0, description="Timeout of one inference, in seconds.")

    decode_workers: int = Field(
        default=_CORES, ge=1, le=256, description="Processes that decode clips; by default one per core."
    )
    decode_cores: int = Field(
        default=min(4, _CORES),
        ge=1,
        le=64,
        description="Cores that one clip may use while no other clip is decoded; several clips share them.",
    )
    decode_queue: int = Field(
        default=16, ge=0, description="Clips that may wait for a free worker; beyond it, requests get 429."
    )
    decode_timeout: Seconds = Field(default=8.0, description="Timeout of decoding a clip, in seconds.")
    decode_cpu_seconds: Count = Field(default=20, description="Maximum CPU time to decode a clip, in seconds.")
    decode_memory: int = Field(
        default=1024 * _MEBIBYTE,
        ge=16 * _MEBIBYTE,
        description="Maximum address space that a worker may add while it decodes a clip, in bytes.",
    )
    decode_open_files: int = Field(default=64, ge=16, description="Maximum number of open files of a worker.")
    decode_duration: Seconds = Field(default=600.0, description="Maximum length of a clip, in seconds.")
    decode_pixels: Count = Field(default=4096 * 2304, description="Maximum number of pixels of a frame; default 4K.")
    decode_frames: Count = Field(default=6_000, description="Maximum number of video frames to decode for a clip.")
    decode_audio_samples: Count = Field(
        default=40_000_000, description="Maximum number of audio samples of a clip, over all channels."
    )
    decode_tracks: Count = Field(default=16, description="Maximum number of tracks of a clip.")
    decode_recycle_after: Count = Field(default=500, description="Clips after which a worker is replaced.")
    decode_start_timeout: Seconds = Field(default=60.0, description="Timeout of starting the workers, in seconds.")

    probe_interval: Seconds = Field(default=2.0, description="Seconds between readiness probes of the model.")
    ready_window: Seconds = Field(
        default=6.0, description="Seconds for which the gateway stays ready after the model's last answer."
    )
    drain_delay: float = Field(
        default=0.0,
        ge=0,
        description="Seconds between SIGTERM, when readiness ends, and the end of listening, for load balancers.",
    )
    drain_timeout: float = Field(
        default=15.0, ge=0, description="Timeout of finishing open requests after SIGTERM, in seconds."
    )

    api_keys: CommaSeparated = Field(
        default=[],
        repr=False,
        description=(
            "Comma-separated API keys as `<name>:<SHA-256>`; `python -m gateway.auth.keys <name>` makes one. "
            "Unset: no key is required."
        ),
    )
    allow_anonymous: bool = Field(
        default=False, description="Allow requests without a key if other machines can reach the gateway."
    )
    rate_limit_per_key: RateLimit = Field(
        default=None, description="Maximum number of predictions per API key, e.g. `600/minute`. Unset: no limit."
    )
    rate_limit_per_address: RateLimit = Field(
        default=None, description="Maximum number of predictions per client address, e.g. `60/minute`. Unset: no limit."
    )
    rate_limit_storage: Annotated[str, AfterValidator(_check_rate_limit_storage)] = Field(
        default="memory",
        repr=False,
        description=(
            "Where to count rate limits: `memory` of this process, or `redis://[:password@]host:port/0` for several "
            "gateways together. If Redis is unreachable, each gateway counts its own."
        ),
    )
    trusted_proxies: CommaSeparated = Field(
        default=["127.0.0.1"],
        description="Comma-separated addresses of proxies whose X-Forwarded-For is trusted; `*` trusts all.",
    )
    cors_origins: CommaSeparated = Field(
        default=["http://localhost:8080", "http://127.0.0.1:8080"],
        description=(
            "Comma-separated origins of other pages that may call the API, by default the local recorder's; `*` "
            "allows all, in mock mode or on loopback only."
        ),
    )
    otlp_endpoint: Url = Field(
        default=None,
        description="OTLP gRPC endpoint for OpenTelemetry spans, e.g. `http://127.0.0.1:4317`. Unset: no tracing.",
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of requests to trace if the caller has not decided."
    )
    frontend_folder: Path = Field(
        default=PROJECT_FOLDER / "frontend", description="Folder of the page to serve at `/`; skipped if missing."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Minimum severity of log lines."
    )

    @property
    def predictor_name(self) -> PredictorName:
        """The predictor to use, after `mock`."""
        return "mock" if self.mock else self.predictor

    def media_limits(self) -> MediaLimits:
        """Limits of decoding one clip."""
        return MediaLimits(
            duration=self.decode_duration,
            pixels=self.decode_pixels,
            frames=self.decode_frames,
            audio_samples=self.decode_audio_samples,
            tracks=self.decode_tracks,
        )

    @property
    def triton_address(self) -> str:
        """Target of gRPC calls; `dns:///` makes the client balance calls over all addresses of the name."""
        return f"dns:///{self.triton_host}:{self.triton_grpc_port}"
