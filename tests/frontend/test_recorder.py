"""Recording for real: Chromium's MediaRecorder, a talking face before the camera, the gateway's decoder."""

from __future__ import annotations

import json
import re

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, expect

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import FRAME_COUNT, LABELS, SAMPLE_RATE, WINDOW_SECONDS
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.video import sample_times
from tests.frontend.conftest import RealStack, opened
from tests.frontend.steps import (
    OPEN,
    bars,
    estimate,
    expect_result,
    expect_state,
    never_answer,
    press,
    record,
    turn_camera_on,
    wait_for,
)

_NAMES = f"({'|'.join(LABELS)})"
BRANCHES = re.compile(
    rf"^(The face alone says {_NAMES}\. The voice alone says {_NAMES}|Face and voice alone both say {_NAMES})\.$"
)


MOST_APART = 20.0
"""Percentage points between the probabilities of both ways to send one recording. The sound network itself moves by up
to 12 when the same sound is shifted by a hundredth of a second, and a codec lies between the two."""

MOST_SHIFTED = 0.08
"""Seconds between the sound of both ways."""


def live_tracks(page: Page) -> int:
    return int(page.evaluate("document.getElementById('preview').srcObject?.getTracks().length ?? 0"))


def test_recording_is_answered_by_the_real_model_alike_in_both_ways(browser: Browser, real: RealStack) -> None:
    with opened(browser, real.address) as page:
        page.evaluate(KEEP_FORMS)
        turn_camera_on(page)
        record(page)
        expect(page.get_by_role("list", name="The pictures").get_by_role("img")).to_have_count(FRAME_COUNT)
        sampled = estimate(page)
        numbers = [float(text.removesuffix("\u00a0%")) for text in bars(page).locator(".number").all_inner_texts()]
        assert sum(numbers) == pytest.approx(100, abs=0.5)
        expect(page.locator("#attention-pictures img")).to_have_count(FRAME_COUNT)
        page.get_by_text("Timings and model").click()
        expect(page.locator("#details")).to_contain_text("Pictures and sound")
        expect(page.locator("#details")).to_contain_text("emotion_int8")
        expect(page.locator("#branches-summary")).to_have_text(BRANCHES)

        press(page, "Back to the clip")
        page.get_by_label("The whole recording").check()
        video = estimate(page)
        expect(page.locator("#attention-pictures img")).to_have_count(FRAME_COUNT)
        expect(page.locator("#details")).to_contain_text("The whole clip")
        pictures_and_sound = sent_fields(page, "api/predict/sampled")
        [(_, recording)] = sent_fields(page, "api/predict")
    for answer in (sampled, video):
        assert answer["modalities"] == {"video": True, "audio": True}
    assert sampled["face"] is not None
    assert video["face"] == pytest.approx(sampled["face"], abs=0.05)
    for name in ("probs", "video_probs", "audio_probs"):
        assert sampled[name] == pytest.approx(video[name], abs=MOST_APART), name

    assert sorted(name for name, _ in pictures_and_sound) == ["audio", *["frames"] * FRAME_COUNT, "times"]
    assert json.loads(dict(pictures_and_sound)["times"]) == sample_times(0, WINDOW_SECONDS)
    frames = [content for name, content in pictures_and_sound if name == "frames"]
    heard = read_sampled(frames, dict(pictures_and_sound)["audio"]).waveform
    assert abs(shift(heard, read_clip(recording).waveform)) < MOST_SHIFTED * SAMPLE_RATE


KEEP_FORMS = """() => {
  window.forms = {};
  const {open, send} = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, path, ...rest) {
    this.path = path;
    return open.call(this, method, path, ...rest);
  };
  XMLHttpRequest.prototype.send = function (body) {
    window.forms[this.path] = body;
    return send.call(this, body);
  };
}"""

FIELDS = """async (path) => Promise.all(Array.from(window.forms[path], async ([name, value]) => {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : new Uint8Array(await value.arrayBuffer());
  return [name, Array.from(bytes)];
}))"""


def sent_fields(page: Page, path: str) -> list[tuple[str, bytes]]:
    """Names and contents of the fields of a form that the page has sent."""
    return [(name, bytes(content)) for name, content in page.evaluate(FIELDS, path)]


def shift(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> int:
    """By how many samples one sound comes later than another, by their cross-correlation."""
    size = 2 * len(one)
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    best = int(np.argmax(np.fft.irfft(product)))
    return best if best < len(one) else best - size


def test_browser_that_cannot_draw_pictures_sends_the_recording(page: Page) -> None:
    page.evaluate("delete HTMLVideoElement.prototype.requestVideoFrameCallback")
    turn_camera_on(page)
    expect(page.locator("#will-send")).to_contain_text("the whole recording is sent")
    record(page)
    expect(page.get_by_label("Eight pictures and the sound")).to_be_disabled()
    expect(page.get_by_label("The whole recording")).to_be_checked()
    with page.expect_request(re.compile(r"/api/predict$")):
        press(page, "Estimate")
    expect_result(page)


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
