// The lists of cameras and microphones. Browsers tell their names only once a camera is open.

import { byId, element } from "./elements.js";
import { listDevices } from "./media.js";

/**
 * @returns {import("./media.js").Choice} What the person has chosen.
 */
export const chosenDevices = () => ({ camera: byId("camera").value, microphone: byId("microphone").value });

/**
 * List the devices, with those of the open camera selected.
 *
 * @param {MediaStream} stream - The open camera.
 */
export async function showDevices(stream) {
  const { cameras, microphones } = await listDevices();
  fill(byId("camera"), cameras, stream.getVideoTracks()[0], "No camera");
  fill(byId("microphone"), microphones, stream.getAudioTracks()[0], "No microphone");
}

function fill(select, devices, track, none) {
  select.replaceChildren(
    ...devices.map((device, index) =>
      element("option", { value: device.deviceId }, device.label || `Number ${index + 1}`),
    ),
  );
  select.disabled = devices.length === 0;
  if (devices.length === 0) {
    select.append(element("option", { value: "" }, none));
  } else {
    select.value = track?.getSettings().deviceId ?? devices[0].deviceId;
  }
}

/**
 * Tell when the person chooses another device, or the devices themselves change.
 *
 * @param {(picker: HTMLSelectElement) => void} onChoice - Another device was chosen.
 * @param {() => void} onDevices - A device came or went.
 */
export function watchPickers(onChoice, onDevices) {
  for (const picker of [byId("camera"), byId("microphone")]) {
    picker.addEventListener("change", () => onChoice(picker));
  }
  navigator.mediaDevices?.addEventListener("devicechange", onDevices);
}
