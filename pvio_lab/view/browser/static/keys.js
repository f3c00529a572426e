// Keys, steps and speeds of the frame browser, and small helpers.

const STEPS = [
  ["first", "|◂", "First frame (Home)", (v) => 0],
  ["keyframe-back", "◂ key", "Previous keyframe (J)", (v) => v.keyframeBefore(v.wanted)],
  ["second-back", "−1 s", "One second back", (v) => v.numberAt(v.times[v.wanted] - 1)],
  ["ten-back", "−10", "Ten frames back (Shift+Left)", (v) => v.wanted - 10],
  ["back", "◂", "One frame back (Left)", (v) => v.wanted - 1],
  ["play", "▶", "Play or pause (Space)", null],
  ["on", "▸", "One frame on (Right)", (v) => v.wanted + 1],
  ["ten-on", "+10", "Ten frames on (Shift+Right)", (v) => v.wanted + 10],
  ["second-on", "+1 s", "One second on", (v) => v.numberAt(v.times[v.wanted] + 1)],
  ["keyframe-on", "key ▸", "Next keyframe (K)", (v) => v.keyframeAfter(v.wanted)],
  ["last", "▸|", "Last frame (End)", (v) => v.times.length - 1],
];
const KEYS = {
  ArrowLeft: "back", ArrowRight: "on", "Shift+ArrowLeft": "ten-back", "Shift+ArrowRight": "ten-on",
  Home: "first", End: "last", " ": "play", j: "keyframe-back", k: "keyframe-on",
};
const RATES = [0.25, 0.5, 1, 2, 4];
const NEAR = ["localhost", "127.0.0.1", "[::1]"];
const BUSY_MS = 400;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function bytes(value, Kind) {
  if (!value || !value.byteLength) return new Kind(0);
  const copy = value.buffer ? value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength) : value;
  return new Kind(copy);
}

function clock(seconds) {
  const sign = seconds < 0 ? "−" : "", all = Math.abs(seconds);
  const minutes = Math.floor(all / 60);
  return `${sign}${minutes}:${(all - 60 * minutes).toFixed(3).padStart(6, "0")}`;
}

function secondsOf(text) {
  const parts = text.trim().replace("−", "-").split(":").map(Number);
  return parts.some(Number.isNaN) || !text.trim() ? null : parts.reduce((sum, part) => 60 * sum + part, 0);
}

/** Say how long ago it was; the clock of another machine may be ahead. */
function ago(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return seconds < 2 ? "just now" : seconds < 60 ? `${seconds} s ago` : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`;
}

/** Return a picture that can be drawn. A page that is not trusted (plain http from elsewhere) lacks the quick way. */
async function decoded(buffer, type) {
  if (!("ImageDecoder" in window)) return createImageBitmap(new Blob([buffer], { type }));
  const decoder = new ImageDecoder({ data: buffer, type });
  const { image } = await decoder.decode();
  decoder.close();
  return image;
}
