"""What the companion language model says is checked; its failure or slowness costs no prediction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import SecretStr, ValidationError

from avemotion.preprocessing.contract import LABELS
from gateway.deadlines import Deadline
from gateway.predict.explanation import LONGEST_EXPLANATION, Explainer, UnusableExplanationError, checked
from gateway.settings import Settings
from gateway.telemetry import Metrics
from tests.gateway.fake_llm import FakeLlm, fake_llm
from tests.gateway.running import running_gateway, settings_for_tests
from tests.gateway.test_metrics import samples, value
from tests.support.triton import free_ports

PROBABILITIES = dict(zip(LABELS, [11.2, 9.4, 8.1, 14.9, 20.53, 13.27, 12.5, 10.1], strict=True))
GOOD = "Angry is the most probable label with 20.5 %, sad follows with 14.9 %, so that the result is not clear."


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with fake_llm() as server:
        server.text = GOOD
        yield server


def explain(url: str | None, *, timeout: float = 20.0, seconds: float = 20.0, key: str | None = None) -> str | None:
    """What an explainer makes of the probabilities."""

    async def run() -> str | None:
        explainer = Explainer(
            Settings(llm_url=url, llm_timeout=timeout, llm_api_key=None if key is None else SecretStr(key)), Metrics()
        )
        try:
            return await explainer.explain(PROBABILITIES, uncertain=True, deadline=Deadline.after(seconds))
        finally:
            await explainer.stop()

    return asyncio.run(run())


def test_good_explanation_is_passed_on(llm: FakeLlm) -> None:
    assert explain(llm.url) == GOOD


def test_companion_sees_the_numbers_and_nothing_else(llm: FakeLlm) -> None:
    explain(llm.url, key="sesame")
    [request] = llm.requests
    assert request["model"] == "tiny"
    system, user = request["messages"]
    assert "nothing about what a person feels" in system["content"]
    expected = [f"{label}: {value:.1f} %" for label, value in sorted(PROBABILITIES.items(), key=lambda row: -row[1])]
    assert user["content"].splitlines() == [*expected, "The classifier marks this result as uncertain."]
    assert llm.keys == ["Bearer sesame"]


def test_slow_companion_is_given_up_by_its_own_timeout_and_by_the_deadline(llm: FakeLlm) -> None:
    llm.silent = True
    assert explain(llm.url, timeout=0.2, seconds=3600) is None
    assert explain(llm.url, timeout=3600, seconds=0.2) is None


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (500, b"{}"),
        (404, b"not here"),
        (200, b"no JSON"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"choices": []}'),
        (200, b'{"choices": [{"message": {"content": null}}]}'),
        (200, b'{"choices": [{"message": "text"}]}'),
        (200, bytes(5_000_000)),
    ],
    ids=["500", "404", "no JSON", "a list", "nothing", "no choice", "no text", "another shape", "huge"],
)
def test_broken_companion_gives_none(llm: FakeLlm, status: int, raw: bytes) -> None:
    llm.status, llm.raw = status, raw
    assert explain(llm.url) is None


def test_absent_companion_gives_none() -> None:
    assert explain(f"http://127.0.0.1:{free_ports(1)[0]}/v1") is None
    assert explain(None) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("angry " * 200, str(LONGEST_EXPLANATION)),
        ("Sad is the most probable label, angry follows.", "most probable"),
        ("The clip is hard to read.", "most probable"),
        ("Angry has 87 %.", "number"),
        ("Angry has 20.4 %.", "number"),
        ("Angry is most probable. The speaker clearly feels rage.", "feels"),
        ("Angry is most probable: you are feeling upset.", "feels"),
        ("Angry is most probable; she really wants to leave.", "feels"),
    ],
)
def test_explanation_that_claims_more_is_left_out(text: str, word: str) -> None:
    with pytest.raises(UnusableExplanationError, match=word) as caught:
        checked(text, PROBABILITIES)
    assert "clip is hard" not in str(caught.value)


@pytest.mark.parametrize("text", [GOOD, "angry: 21 %.", "Angry (20.53 %), then sad (15 %) and fearful (13,3 %)."])
def test_explanation_that_repeats_what_it_was_given_is_passed_on(text: str) -> None:
    assert checked(f"  {text}\n", PROBABILITIES) == text


def test_numbers_of_any_probabilities_are_recognised() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        values = (100 * rng.dirichlet(np.ones(len(LABELS)))).round(4).tolist()
        probabilities = dict(zip(LABELS, values, strict=True))
        top = max(probabilities, key=probabilities.__getitem__)
        text = f"{top} leads: " + ", ".join(f"{label} {value:.1f}" for label, value in probabilities.items())
        assert checked(text, probabilities) == text


@pytest.mark.parametrize("url", ["localhost:8004", "ftp://x", "http://"])
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="URL"):
        Settings(llm_url=url)


def test_empty_address_means_no_companion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMO_LLM_URL", "")
    assert Settings().llm_url is None


def test_answer_of_the_gateway_is_the_same_with_and_without_an_explanation(llm: FakeLlm, clip: bytes) -> None:
    with running_gateway(settings_for_tests(llm_url=llm.url, llm_timeout=5.0)) as gateway:

        def ask(query: str) -> dict[str, object]:
            answer = gateway.post(f"/predict{query}", files={"file": ("holiday.webm", clip)}).raise_for_status().json()
            return {key: found for key, found in answer.items() if key not in {"timings_ms", "request_id"}}

        plain = ask("")
        assert plain["explanation"] is None
        assert llm.requests == []
        top = plain["top1"]
        assert isinstance(top, dict)
        llm.text = f"{top['label']} is the most probable."
        assert ask("?explain=true") == plain | {"explanation": llm.text}
        assert "holiday" not in str(llm.requests)
        llm.status = 500
        assert ask("?explain=true") == plain
        found = samples(gateway)
    assert value(found, "emotion_explanations_total", outcome="given") == 1
    assert value(found, "emotion_explanations_total", outcome="failed") == 1


def test_slow_companion_delays_an_answer_by_its_timeout_at_most(llm: FakeLlm, clip: bytes) -> None:
    llm.silent = True
    with running_gateway(settings_for_tests(llm_url=llm.url, llm_timeout=0.2)) as gateway:
        answer = gateway.post("/predict?explain=true", files={"file": ("clip", clip)}).raise_for_status().json()
        assert answer["explanation"] is None
