"""Every setting of the gateway, in one class, with one stated priority.

Arguments (keywords, or `--options` of `python -m gateway`) come before environment variables named `EMO_…`, and
those before the defaults below. Nothing else in the code base reads the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from avemotion.preprocessing.limits import MediaLimits
from gateway.setting_types import Address, CommaSeparated, RateLimit, RateLimitStorage

PROJECT_FOLDER = Path(__file__).resolve().parent.parent

PredictorName = Literal["triton", "onnxruntime", "mock"]

_MEBIBYTE = 2**20


class Settings(BaseSettings):
    """Settings of one gateway process; each field is also `EMO_<NAME>` and `--<name>`."""

    model_config = SettingsConfigDict(
        env_prefix="EMO_",
        frozen=True,
        extra="forbid",
        cli_prog_name="python -m gateway",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        protected_namespaces=(),
    )

    host: str = Field(default="127.0.0.1", description="Address that the gateway listens on.")
    port: int = Field(
        default=8000,
        ge=0,
        le=65_535,
        description="Port that the gateway listens on; 0 takes any free one.",
    )

    mock: bool = Field(
        default=False,
        description="Answer with made-up numbers, without any model; overrides `predictor`.",
    )
    predictor: PredictorName = Field(
        default="triton",
        description="Who computes: `triton` over gRPC, `onnxruntime` in this process, or `mock` made-up numbers.",
    )
    model: str = Field(default="emotion_int8", description="Name of the model that answers where none is asked for.")
    model_repository: Path = Field(
        default=PROJECT_FOLDER / "model_repository",
        description="Folder `<model>/<version>/model.onnx`, read by the `onnxruntime` predictor.",
    )

    triton_host: str = Field(
        default="127.0.0.1", description="Host of Triton; a name with several addresses is used round robin."
    )
    triton_grpc_port: int = Field(default=8001, ge=1, le=65_535, description="Port of Triton's gRPC service.")
    triton_metrics_port: int = Field(default=8002, ge=1, le=65_535, description="Port of Triton's metrics.")
    triton_http_port: int = Field(default=8003, ge=1, le=65_535, description="Port of Triton's HTTP service.")
    triton_environment: Path = Field(
        default=PROJECT_FOLDER / ".venv-triton",
        description="Virtual environment of Triton's wheel; `python -m stack` starts Triton from it.",
    )
    recorder_port: int = Field(
        default=8080,
        ge=1,
        le=65_535,
        description="Port of the recorder page where it is served apart; its origin is allowed.",
    )
    llm_url: Address = Field(
        default=None,
        description=(
            "Base address of an OpenAI-compatible server, e.g. `http://127.0.0.1:8004/v1`, that puts probabilities "
            "into words for `?explain=true`; without it there are no explanations."
        ),
    )
    llm_model: str | None = Field(
        default=None, description="Its model; without it the first that the server lists is asked."
    )
    llm_api_key: SecretStr | None = Field(default=None, description="Its API key, where it wants one.")
    llm_timeout: float = Field(
        default=3.0, gt=0, description="Longest wait for an explanation, in seconds; later there is none."
    )
    llm_port: int = Field(default=8004, ge=1, le=65_535, description="Port of the companion language model.")

    upload_limit: int = Field(default=50 * _MEBIBYTE, ge=1, description="Largest clip that is accepted, in bytes.")
    upload_memory: int = Field(
        default=256 * _MEBIBYTE,
        ge=1,
        description=(
            "Bytes of all uploads that are received or worked on at once; more are refused with 429 and Retry-After."
        ),
    )
    head_timeout: float = Field(
        default=10.0, gt=0, description="Longest time for the head of a request to arrive, in seconds."
    )
    batch_limit: int = Field(default=32, ge=1, le=1000, description="Most clips in one batch.")
    batch_upload_limit: int = Field(
        default=100 * _MEBIBYTE, ge=1, description="Most bytes of all clips of a batch together."
    )
    sampled_upload_limit: int = Field(
        default=4 * _MEBIBYTE, ge=1, description="Most bytes of sampled frames and sound together."
    )
    upload_timeout: float = Field(default=60.0, gt=0, description="Longest time for an upload to arrive, in seconds.")
    request_deadline: float = Field(
        default=10.0,
        gt=0,
        description=(
            "Longest time from the end of the upload to the answer, in seconds; a client may ask for less by "
            "X-Deadline-Seconds."
        ),
    )
    timeline_seconds: float = Field(
        default=60.0, gt=0, le=600, description="Longest clip that a timeline is made of, in seconds."
    )
    timeline_deadline: float = Field(
        default=60.0, gt=0, description="Longest time from the end of the upload to the end of a timeline, in seconds."
    )
    timelines_at_once: int = Field(
        default=max(1, (os.cpu_count() or 1) // 2),
        ge=1,
        description="Timelines that are decoded at once, fewer than decode workers; further ones wait.",
    )
    inference_timeout: float = Field(default=5.0, gt=0, description="Longest time for the model to answer, in seconds.")

    decode_workers: int = Field(
        default=os.cpu_count() or 1,
        ge=1,
        le=256,
        description="Processes that decode clips; the default is one for each core.",
    )
    decode_cores: int = Field(
        default=min(4, os.cpu_count() or 1),
        ge=1,
        le=64,
        description="Cores that decode one clip while no other is there; several share them, at least one each.",
    )
    decode_queue: int = Field(
        default=16,
        ge=0,
        description="Clips that may wait for a free worker; more are refused with 429 and Retry-After.",
    )
    decode_timeout: float = Field(default=8.0, gt=0, description="Longest time to decode one clip, in seconds.")
    decode_cpu_seconds: int = Field(default=20, ge=1, description="Most CPU time to decode one clip, in seconds.")
    decode_memory: int = Field(
        default=1024 * _MEBIBYTE,
        ge=16 * _MEBIBYTE,
        description="Address space that decoding may take beyond what an idle worker has, in bytes.",
    )
    decode_open_files: int = Field(default=64, ge=16, description="Open files that a worker may have.")
    decode_duration: float = Field(default=600.0, gt=0, description="Longest clip that is decoded, in seconds.")
    decode_pixels: int = Field(
        default=4096 * 2304, ge=1, description="Most pixels of a frame, width times height; the default is 4K."
    )
    decode_frames: int = Field(default=6_000, ge=1, description="Most video frames that are decoded for one clip.")
    decode_audio_samples: int = Field(
        default=40_000_000, ge=1, description="Most audio samples, over all channels, that are decoded for one clip."
    )
    decode_tracks: int = Field(default=16, ge=1, description="Most tracks that a clip may have.")
    decode_recycle_after: int = Field(
        default=500,
        ge=1,
        description="Clips after which a worker is replaced by a fresh one.",
    )
    decode_start_timeout: float = Field(
        default=60.0,
        gt=0,
        description="Longest time for the workers to start, in seconds.",
    )

    probe_interval: float = Field(
        default=2.0,
        gt=0,
        description="Time between two inferences that are only made to see whether the model answers.",
    )
    ready_window: float = Field(
        default=6.0,
        gt=0,
        description="The gateway is ready while the last answer of the model is younger than this, seconds.",
    )
    drain_delay: float = Field(
        default=0.0,
        ge=0,
        description="Time after SIGTERM during which the gateway still listens, unready, so that balancers notice.",
    )
    drain_timeout: float = Field(
        default=15.0, ge=0, description="Longest time for requests in flight to finish after SIGTERM, in seconds."
    )

    api_keys: CommaSeparated = Field(
        default_factory=list,
        description=(
            "Valid API keys, between commas, each `<name>:<SHA-256>` as `python -m gateway.auth.keys <name>` "
            "prints it; without any, no key is asked for."
        ),
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Start without keys although other machines can reach the address.",
    )
    rate_limit_per_key: RateLimit = Field(
        default=None, description="Most predictions for one API key, e.g. `600/minute`; no limit by default."
    )
    rate_limit_per_address: RateLimit = Field(
        default=None,
        description="Most requests for predictions from one address, e.g. `60/minute`; no limit by default.",
    )
    rate_limit_storage: RateLimitStorage = Field(
        default="memory",
        description=(
            "Where rate limits are counted: `memory` of this process, or `redis://[:password@]host:port/0` for several "
            "gateways together; while Redis is away each counts by itself."
        ),
    )
    trusted_proxies: CommaSeparated = Field(
        default=["127.0.0.1"],
        description="Addresses, between commas, of proxies whose X-Forwarded-For is believed; `*` for any.",
    )
    cors_origins: CommaSeparated = Field(
        default_factory=list,
        description=(
            "Origins, between commas, whose pages may call the API; the default is the local recorder's. `*` allows "
            "all, in mock mode or on loopback only."
        ),
    )
    otlp_endpoint: Address = Field(
        default=None,
        description=(
            "Where OpenTelemetry spans are sent by OTLP over gRPC, e.g. `http://127.0.0.1:4317`; without it nothing is "
            "traced."
        ),
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of requests that are traced, where their caller has not decided it."
    )
    frontend_folder: Path = Field(
        default=PROJECT_FOLDER / "frontend",
        description="Folder of the page that is served at `/`; left out where absent.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )

    @property
    def predictor_name(self) -> PredictorName:
        """The predictor that is used, after `mock`."""
        return "mock" if self.mock else self.predictor

    def media_limits(self, expires: float | None = None) -> MediaLimits:
        """How much of a clip is decoded at most.

        Args:
            expires: When the result is of no more use, on the clock of `time.monotonic`.
        """
        return MediaLimits(
            duration=self.decode_duration,
            pixels=self.decode_pixels,
            frames=self.decode_frames,
            audio_samples=self.decode_audio_samples,
            tracks=self.decode_tracks,
            expires=expires,
        )

    @property
    def triton_address(self) -> str:
        """Target of Triton for gRPC; `dns:///` lets the client spread calls over all addresses of the name."""
        return f"dns:///{self.triton_host}:{self.triton_grpc_port}"

    @property
    def allowed_origins(self) -> list[str]:
        """Origins whose pages may call the API."""
        return self.cors_origins or [
            f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (self.recorder_port, self.port)
        ]


class CommandLineSettings(Settings):
    """The same, with the arguments of the process before everything else."""

    model_config = SettingsConfigDict(cli_parse_args=True)
