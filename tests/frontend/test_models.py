"""The list of models, where the server has more than one."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.frontend.conftest import opened
from tests.frontend.steps import choose, estimate
from tests.gateway.models import write_models
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.support.clips import synthetic_clip


def test_models_can_be_chosen_and_the_chosen_one_answers(browser: Browser, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(synthetic_clip())
    repository = write_models(tmp_path / "models", "first", "second")
    settings = settings_for_tests(mock=False, predictor="onnxruntime", model_repository=repository, model="first")
    with running_gateway(settings) as client, opened(browser, str(client.base_url)) as page:
        wait_ready(client)
        choose(page, clip)
        picker = page.get_by_label("Model", exact=True)
        expect(picker.locator("option")).to_have_text(["first, version 1 (standard)", "second, version 1"])
        standard = estimate(page)
        choose(page, clip)
        picker.select_option("second, version 1")
        chosen = estimate(page)
        expect(page.locator("#details")).to_contain_text("second, version 1")
        choose(page, clip)
        expect(picker).to_have_value("second/1")
    assert (standard["model"], chosen["model"]) == ("first", "second")
    assert standard["probs"] != chosen["probs"]


def test_what_a_model_was_measured_to_be_is_said_where_it_is_chosen_and_with_its_result(
    browser: Browser, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(synthetic_clip())
    voice = tmp_path / "voice.wav"
    voice.write_bytes(synthetic_clip(container="wav", video_codec=None))
    metrics = {"validation": {"clips": 240, "both": {"accuracy": 0.7583}, "audio only": {"accuracy": 0.612}}}
    repository = write_models(tmp_path / "models", "first", "second", metrics=metrics)
    settings = settings_for_tests(mock=False, predictor="onnxruntime", model_repository=repository, model="first")
    with running_gateway(settings) as client, opened(browser, str(client.base_url)) as page:
        wait_ready(client)
        choose(page, clip)
        options = page.get_by_label("Model", exact=True).locator("option")
        expect(options.first).to_have_text("first, version 1 (standard), right on 75.8 % in validation")
        estimate(page)
        page.get_by_text("Timings and model").click()
        expect(page.locator("#details")).to_contain_text("Right in validation75.8 % of 240 clips, by face and voice")
        choose(page, voice)
        estimate(page)
        expect(page.locator("#details")).to_contain_text("Right in validation61.2 % of 240 clips, by the voice alone")


def test_single_model_needs_no_choice(page: Page, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(synthetic_clip())
    with page.expect_response(re.compile("/api/models$")):
        choose(page, clip)
    expect(page.get_by_label("Model", exact=True)).to_be_hidden()
