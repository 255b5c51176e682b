"""The client that speaks gRPC to Triton: the same answers as the gateway's, and clear refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avemotion import EmotionClient, RefusedError, TritonClient, UnreachableError
from avemotion.preprocessing.errors import ContractMismatchError, UnsupportedMediaError
from tests.gateway.models import MODEL, other_contract, write_model
from tests.gateway.running import running_gateway, settings_for_tests
from tests.support.clips import synthetic_clip
from tests.support.triton import free_ports, serving


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(write_model(tmp_path_factory.mktemp("models"))) as server:
        yield server.grpc_address


@pytest.mark.parametrize("tracks", [{}, {"audio_codec": None}, {"video_codec": None}], ids=str)
def test_the_answer_is_the_gateways(triton: str, tracks: dict[str, None]) -> None:
    clip = synthetic_clip(**tracks)
    host, port = triton.split(":")
    settings = settings_for_tests(mock=False, model=MODEL, triton_host=host, triton_grpc_port=int(port))
    with TritonClient(triton, model=MODEL) as direct, running_gateway(settings) as http:
        mine = direct.predict(clip)
        with EmotionClient(str(http.base_url)) as gateway:
            theirs = gateway.predict(clip)
    assert mine.probs == pytest.approx(theirs.probs, abs=1e-3)
    for name, tolerance in {"video_probs": 1e-3, "audio_probs": 1e-3, "frame_attention": 1e-5}.items():
        wanted = getattr(theirs, name)
        assert getattr(mine, name) == (None if wanted is None else pytest.approx(wanted, abs=tolerance))
    assert (mine.top1.label, mine.model, mine.model_version) == (theirs.top1.label, MODEL, "1")
    same = {"labels", "uncertain", "quality", "face", "modalities", "missing"}
    assert mine.model_dump(include=same) == theirs.model_dump(include=same)


def test_many_clips_in_one_batch_get_the_answers_that_they_get_alone(triton: str) -> None:
    clips = [synthetic_clip(), synthetic_clip(audio_codec=None), synthetic_clip(video_codec=None)]
    with TritonClient(triton, model=MODEL) as direct:
        together = direct.predict_many(clips)
        alone = [direct.predict(clip) for clip in clips]
    for one, other in zip(together, alone, strict=True):
        assert one.probs == pytest.approx(other.probs, abs=1e-3)
    assert together[1].missing == {"audio": "The file has no audio track."}
    assert together[2].video_probs is None


def test_a_clip_that_cannot_be_read_is_refused_before_triton_is_asked(triton: str) -> None:
    with TritonClient(triton, model=MODEL) as direct, pytest.raises(UnsupportedMediaError):
        direct.predict(b"no media at all")


def test_a_model_that_triton_lacks_is_a_refusal(triton: str, clip: bytes) -> None:
    with TritonClient(triton, model="nobody") as direct, pytest.raises(RefusedError, match="nobody"):
        direct.predict(clip)


def test_no_triton_is_said_in_one_sentence(clip: bytes) -> None:
    [port] = free_ports(1)
    with TritonClient(f"127.0.0.1:{port}") as direct, pytest.raises(UnreachableError, match=f":{port} cannot be"):
        direct.predict(clip)


def test_a_model_for_other_tensors_is_refused(tmp_path: Path, clip: bytes) -> None:
    repository = write_model(tmp_path, parameters=other_contract())
    with (
        serving(repository) as server,
        TritonClient(server.grpc_address, model=MODEL) as direct,
        pytest.raises(ContractMismatchError, match="sample_rate"),
    ):
        direct.predict(clip)
