"""Recording for real: Chromium's MediaRecorder, a talking face before the camera, the gateway's decoder."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from preprocessing.contract import LABELS
from tests.frontend.conftest import opened
from tests.frontend.steps import (
    OPEN,
    bars,
    expect_result,
    expect_state,
    never_answer,
    press,
    record,
    turn_camera_on,
    wait_for,
)
from tests.stack.running import stack
from tests.support.triton import skip_without_triton

BRANCHES = re.compile(rf"^The face alone says ({'|'.join(LABELS)})\. The voice alone says ({'|'.join(LABELS)})\.$")


def live_tracks(page: Page) -> int:
    return int(page.evaluate("document.getElementById('preview').srcObject?.getTracks().length ?? 0"))


def test_recording_is_answered_by_the_real_model(browser: Browser) -> None:
    skip_without_triton()
    with stack() as running:
        running.wait_for("A prediction works (emotion_int8)")
        with opened(browser, running.address) as page:
            turn_camera_on(page)
            record(page)
            press(page, "Estimate")
            expect_result(page)
            numbers = [float(text.removesuffix("\u00a0%")) for text in bars(page).locator(".number").all_inner_texts()]
            assert sum(numbers) == pytest.approx(100, abs=0.5)
            page.get_by_text("Timings and model").click()
            expect(page.locator("#details")).to_contain_text("emotion_int8")
            expect(page.locator("#branches-summary")).to_have_text(BRANCHES)


def test_recording_can_be_retaken_and_both_takes_are_remembered(page: Page) -> None:
    turn_camera_on(page)
    record(page)
    assert live_tracks(page) == 0
    press(page, "Record again")
    expect_state(page, "ready")
    assert live_tracks(page) == 2
    record(page)
    press(page, "Estimate")
    expect_result(page)
    expect(page.locator("#notes")).to_contain_text("made up")
    expect(page.locator("#result-clip")).to_have_text("Recording 2")


def test_countdown_recording_and_upload_can_be_cancelled(page: Page) -> None:
    turn_camera_on(page)
    press(page, "Record")
    expect_state(page, "countdown")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    press(page, "Cancel")
    expect_state(page, "ready")
    press(page, "Record")
    expect_state(page, "recording")
    page.keyboard.press("Escape")
    expect_state(page, "ready")
    record(page)
    never_answer(page)
    press(page, "Estimate")
    expect_state(page, "uploading")
    with page.expect_event("requestfailed"):
        press(page, "Cancel")
    expect_state(page, "review")


def test_camera_is_off_after_closing_it(page: Page) -> None:
    turn_camera_on(page)
    tracks = page.evaluate_handle("document.getElementById('preview').srcObject.getTracks()")
    press(page, "Turn the camera off")
    expect_state(page, "idle")
    assert tracks.evaluate("tracks => tracks.map((track) => track.readyState)") == ["ended", "ended"]


def test_camera_that_is_allowed_after_all_is_not_left_on(page: Page) -> None:
    page.evaluate(
        """() => {
          const media = navigator.mediaDevices;
          const open = media.getUserMedia.bind(media);
          media.getUserMedia = (wish) => new Promise((resolve) => {
            window.allow = async () => resolve(window.opened = await open(wish));
          });
        }"""
    )
    press(page, OPEN)
    expect_state(page, "permission")
    wait_for(page, "window.allow !== undefined")
    press(page, "Cancel")
    expect_state(page, "idle")
    page.evaluate("allow()")
    wait_for(page, "window.opened?.getTracks().every((track) => track.readyState === 'ended')")
    expect_state(page, "idle")


def test_another_microphone_can_be_chosen_and_is_heard(page: Page) -> None:
    turn_camera_on(page)
    wait_for(page, "document.getElementById('level').value > 0.1")
    picker = page.get_by_label("Microphone", exact=True)
    expect(picker.locator("option").nth(2)).to_be_attached()
    chosen = picker.locator("option").nth(2).get_attribute("value")
    assert chosen != picker.input_value()
    picker.select_option(chosen)
    settings = "document.getElementById('preview').srcObject?.getAudioTracks()[0].getSettings()"
    wait_for(page, f"{settings}?.deviceId === '{chosen}'")
    expect_state(page, "ready")
    expect(picker).to_have_value(chosen or "")
    expect(picker).to_be_focused()


def test_microphone_alone_is_enough(page: Page) -> None:
    page.evaluate(
        """() => {
          const media = navigator.mediaDevices;
          const list = media.enumerateDevices.bind(media);
          media.enumerateDevices = async () => (await list()).filter((device) => device.kind !== "videoinput");
        }"""
    )
    turn_camera_on(page)
    expect(page.locator("#one-device")).to_contain_text("No camera was found")
    expect(page.locator("#preview")).to_be_hidden()
    record(page)
    press(page, "Estimate")
    expect_result(page)
    expect(page.locator("#branches-summary")).to_contain_text("There was no face to go by.")
