// The frame browser: what is seen of it. Frames, marks and files are the kernel's; here is only the view.

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

/** One picture with its caption; all panes of a browser are zoomed alike. */
class Pane {
  constructor(view, number, name) {
    this.view = view;
    this.number = number;
    this.canvas = element("canvas", { class: "pvio-picture", role: "img", "aria-label": name });
    this.caption = element("div", { class: "pvio-caption" });
    this.root = element("div", { class: "pvio-pane" }, this.canvas, this.caption);
    this.bitmap = null;
    this.canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.onGrab(event));
    this.canvas.addEventListener("pointermove", (event) => this.onMove(event));
    this.canvas.addEventListener("pointerleave", () => view.showPixel(""));
    this.canvas.addEventListener("dblclick", () => view.fit());
  }

  show(bitmap, facts) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.facts = facts;
    this.draw();
  }

  /** CSS pixels for one pixel of the video, and where its corner is. */
  layout() {
    const { width, height } = this.facts, box = this.canvas.getBoundingClientRect();
    const fit = Math.min(box.width / width, box.height / height);
    const scale = this.view.zoom === null ? fit : this.view.zoom;
    const { x, y } = this.view.zoom === null ? { x: 0.5, y: 0.5 } : this.view.centre;
    return { scale, left: box.width / 2 - x * width * scale, top: box.height / 2 - y * height * scale, box };
  }

  draw() {
    if (!this.bitmap) return;
    const dots = window.devicePixelRatio || 1, { scale, left, top, box } = this.layout();
    const [width, height] = [Math.round(box.width * dots), Math.round(box.height * dots)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(dots * scale, 0, 0, dots * scale, dots * left, dots * top);
    context.imageSmoothingEnabled = scale * dots < 2;
    context.drawImage(this.bitmap, 0, 0, this.facts.width, this.facts.height);
  }

  place(event) {
    const { scale, left, top, box } = this.layout();
    return [(event.clientX - box.left - left) / scale, (event.clientY - box.top - top) / scale, scale];
  }

  onWheel(event) {
    if (!this.bitmap) return;
    event.preventDefault();
    const [x, y, scale] = this.place(event), { box } = this.layout(), { width, height } = this.facts;
    const zoom = Math.min(64, Math.max(0.05, scale * Math.exp(-event.deltaY / 300)));
    const [fromX, fromY] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    this.view.setZoom(zoom, { x: (x - fromX / zoom) / width, y: (y - fromY / zoom) / height });
  }

  onGrab(event) {
    if (!this.bitmap || event.button !== 0) return;
    const { scale } = this.layout();
    const centre = this.view.zoom === null ? { x: 0.5, y: 0.5 } : this.view.centre;
    this.grab = { x: event.clientX, y: event.clientY, scale, centre };
    this.canvas.setPointerCapture(event.pointerId);
    const end = () => { this.grab = null; };
    this.canvas.addEventListener("pointerup", end, { once: true });
    this.canvas.addEventListener("pointercancel", end, { once: true });
  }

  onMove(event) {
    if (!this.bitmap) return;
    const { width, height } = this.facts, grab = this.grab;
    if (grab && (event.buttons & 1)) {
      const [dx, dy] = [(event.clientX - grab.x) / grab.scale, (event.clientY - grab.y) / grab.scale];
      if (Math.abs(dx) + Math.abs(dy) > 0) {
        this.view.setZoom(grab.scale, { x: grab.centre.x - dx / width, y: grab.centre.y - dy / height });
      }
      return;
    }
    const [x, y] = this.place(event).map(Math.floor);
    if (x < 0 || y < 0 || x >= width || y >= height) this.view.showPixel("");
    else this.view.askPixel(this.number, x, y);
  }
}

class View {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.wanted = model.get("index");
    this.zoom = null;
    this.centre = { x: 0.5, y: 0.5 };
    this.arrivals = [];
    this.asked = 0;
    this.order = Promise.resolve();
    this.off = [];
    this.build();
    this.listen("change:_times", () => this.readTimes());
    this.listen("change:index", () => this.onIndex());
    this.listen("change:playing", () => this.onPlaying());
    this.listen("change:_marks", () => this.showMarks());
    this.listen("change:error", () => this.showState());
    for (const name of ["rate", "loop", "difference", "lock"]) this.listen(`change:${name}`, () => this.showSettings());
    this.listen("msg:custom", (message, buffers) => this.onMessage(message, buffers));
    this.resizing = new ResizeObserver(() => this.onResize());
    this.resizing.observe(this.root);
    this.readTimes();
    this.onPlaying();
    this.showSettings();
    this.showState();
    this.say({ do: "hello" });
  }

  listen(name, heard) {
    this.model.on(name, heard);
    this.off.push(() => this.model.off(name, heard));
  }

  close() {
    this.off.forEach((off) => off());
    this.resizing.disconnect();
    clearInterval(this.watch);
  }

  // --- what it is made of ---

  build() {
    const names = this.model.get("names");
    this.panes = names.map((name, number) => new Pane(this, number, name));
    this.stage = element("div", { class: "pvio-stage" }, ...this.panes.map((pane) => pane.root));
    this.slider = element("input", { type: "range", class: "pvio-slider", min: 0, step: 1, "aria-label": "Frame" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.ruler = element("canvas", { class: "pvio-ruler", "aria-hidden": "true" });
    this.strip = element("div", { class: "pvio-strip", role: "group", "aria-label": "Filmstrip" });
    this.buttons = {};
    const steps = STEPS.map(([name, text, title]) => this.button(name, text, title));
    for (const [name, , , target] of STEPS) if (target) this.buttons[name].onclick = () => this.go(target(this));
    this.buttons.play.onclick = () => this.togglePlay();
    this.number = element("input", { type: "number", class: "pvio-number", min: 0, step: 1, "aria-label": "Frame number" });
    this.number.addEventListener("change", () => this.go(Number(this.number.value)));
    this.time = element("input", { type: "text", class: "pvio-time", "aria-label": "Time, minutes:seconds" });
    this.time.addEventListener("change", () => {
      const seconds = secondsOf(this.time.value);
      if (seconds !== null) this.go(this.numberAt(seconds));
      this.showPlace();
    });
    this.rate = element("select", { class: "pvio-select", "aria-label": "Speed", title: "Speed" },
      ...RATES.map((rate) => element("option", { value: rate }, `${rate}×`)));
    this.rate.onchange = () => this.set("rate", Number(this.rate.value));
    this.lock = element("select", { class: "pvio-select", "aria-label": "Videos go together", title: "Videos go together" },
      element("option", { value: "time" }, "by time"), element("option", { value: "frame" }, "by frame number"));
    this.lock.onchange = () => this.set("lock", this.lock.value);
    const toggles = [
      this.toggle("loop", "Loop", "After the last frame, go on with the first"),
      this.toggle("difference", "Difference", "Show what changed since the frame before"),
      this.button("fit", "Fit", "Fit the picture in (double click)"),
      this.button("full", "100%", "One dot for each pixel"),
      this.button("copy", "Copy №", "Copy the frame number"),
      this.button("png", "Save PNG", "Save this frame as PNG"),
    ];
    this.buttons.fit.onclick = () => this.fit();
    this.buttons.full.onclick = () => this.setZoom(1, { x: 0.5, y: 0.5 });
    this.buttons.copy.onclick = () => this.copy();
    this.buttons.png.onclick = () => this.say({ do: "save_frame" });
    this.count = element("span", { class: "pvio-quiet" });
    this.facts = element("span", { class: "pvio-facts" });
    this.pixel = element("span", { class: "pvio-quiet pvio-pixel" });
    this.state = element("div", { class: "pvio-state", role: "status", "aria-live": "polite" });
    this.marks = element("div", { class: "pvio-marks" });
    const keep = this.buildKeep();
    const place = element("div", { class: "pvio-row pvio-place" },
      element("label", {}, "Frame ", this.number), this.count, element("label", {}, "Time ", this.time), this.facts, this.pixel);
    const moves = element("div", { class: "pvio-row", role: "toolbar", "aria-label": "Move" }, ...steps, this.rate,
      ...(names.length > 1 ? [this.lock] : []));
    this.root.classList.add("pvio-browser");
    this.root.setAttribute("tabindex", "0");
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", `Frames of ${names.join(", ")}`);
    this.root.append(this.stage, element("div", { class: "pvio-line" }, this.slider, this.ruler), this.strip, place,
      moves, element("div", { class: "pvio-row", role: "toolbar", "aria-label": "Look and keep" }, ...toggles),
      ...keep, this.marks, this.state);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.watch = setInterval(() => this.showState(), 200);
  }

  button(name, text, title) {
    const made = element("button", { type: "button", class: "pvio-button", title, "aria-label": title, "data-do": name }, text);
    this.buttons[name] = made;
    return made;
  }

  /** Marks, and what can be written from here. */
  buildKeep() {
    this.label = element("input", { type: "text", class: "pvio-label", value: "mark", "aria-label": "Label of new marks", title: "Label of new marks" });
    const marks = element("div", { class: "pvio-row", role: "toolbar", "aria-label": "Marks" },
      element("label", {}, "Label ", this.label),
      this.button("mark", "Mark frame", "Mark this frame (M)"),
      this.button("range", "Range from here", "A range begins or ends at this frame"),
      this.button("undo", "Undo", "Take the last change of the marks back"),
      this.button("redo", "Redo", "Do it again"),
      this.button("save-marks", "Save marks", "Write the marks to a file beside the notebook"),
      this.button("load-marks", "Load marks", "Read the marks from that file"));
    this.buttons.mark.onclick = () => this.mark();
    this.buttons.range.onclick = () => this.markRange();
    for (const name of ["undo", "redo"]) this.buttons[name].onclick = () => this.say({ do: name });
    this.buttons["save-marks"].onclick = () => this.say({ do: "save_marks" });
    this.buttons["load-marks"].onclick = () => this.say({ do: "load_marks" });
    const stem = this.model.get("names")[0].replace(/\.[^.]*$/, "");
    this.from = element("input", { type: "number", class: "pvio-number", min: 0, "aria-label": "First frame to export", value: 0 });
    this.to = element("input", { type: "number", class: "pvio-number", min: 0, "aria-label": "Last frame to export", value: 0 });
    this.file = element("input", { type: "text", class: "pvio-file", "aria-label": "File to write: .mp4, .gif, or a new folder", title: ".mp4, .gif, or the name of a new folder for PNG files", value: `${stem}_part.mp4` });
    this.progress = element("progress", { class: "pvio-progress", max: 1, value: 0, "aria-label": "Export", hidden: "" });
    const row = element("div", { class: "pvio-row" },
      element("label", {}, "Frames ", this.from), element("label", {}, "to ", this.to), element("label", {}, "into ", this.file),
      this.button("export", "Export", "Write these frames to a video, an animation or a folder of pictures"),
      this.button("cancel", "Cancel", "Stop writing; nothing is left behind"), this.progress);
    this.buttons.cancel.hidden = true;
    this.buttons.export.onclick = () =>
      this.say({ do: "export", start: Number(this.from.value), stop: Number(this.to.value) + 1, path: this.file.value });
    this.buttons.cancel.onclick = () => this.say({ do: "cancel" });
    return [marks, element("details", {}, element("summary", {}, "Export frames"), row)];
  }

  toggle(name, text, title) {
    const made = this.button(name, text, title);
    made.onclick = () => this.set(name, !this.model.get(name));
    return made;
  }

  // --- where one is ---

  readTimes() {
    this.times = bytes(this.model.get("_times"), Float64Array);
    this.keyframes = bytes(this.model.get("_keyframes"), Int32Array);
    this.slider.max = this.number.max = this.times.length - 1;
    this.count.textContent = `of ${this.times.length - 1}`;
    this.showPlace();
    this.drawRuler();
  }

  numberAt(seconds) {
    let low = 0, high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= seconds + 1e-6) low = middle; else high = middle - 1;
    }
    return low;
  }

  keyframeBefore(number) {
    return this.keyframes.findLast((keyframe) => keyframe < number) ?? 0;
  }

  keyframeAfter(number) {
    return this.keyframes.find((keyframe) => keyframe > number) ?? this.times.length - 1;
  }

  go(number) {
    const last = this.times.length - 1;
    if (Number.isNaN(number)) return this.showPlace();
    this.wanted = Math.min(last, Math.max(0, Math.round(number)));
    this.showPlace();
    if (this.model.get("playing")) this.say({ do: "pause" });
    if (this.model.get("index") === this.wanted && this.shown === this.wanted) return;
    this.asked = this.asked || performance.now();
    this.set("index", this.wanted);
  }

  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  say(message) {
    this.model.send(message);
  }

  onIndex() {
    if (this.model.get("playing")) return;
    this.wanted = this.model.get("index");
    this.showPlace();
  }

  onPlaying() {
    const playing = this.model.get("playing");
    this.buttons.play.textContent = playing ? "❚❚" : "▶";
    this.buttons.play.setAttribute("aria-pressed", playing);
    this.arrivals = [];
    if (!playing) this.onIndex();
  }

  togglePlay() {
    this.say(this.model.get("playing") ? { do: "pause" } : { do: "play" });
  }

  onKey(event) {
    const isText = event.target.matches("input[type=text], input[type=number], select, textarea");
    if (isText || event.ctrlKey || event.metaKey || event.altKey) return event.stopPropagation();
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const name = KEYS[(event.shiftKey && event.key.startsWith("Arrow") ? "Shift+" : "") + key];
    const isPressing = event.target.matches("button") && (event.key === " " || event.key === "Enter");
    event.stopPropagation();
    if (isPressing) return;
    if (name) this.buttons[name].click();
    else if (key === "m") this.mark();
    else return;
    event.preventDefault();
  }

  // --- what arrives ---

  onMessage(message, buffers) {
    if (message.is === "picture") this.order = this.order.then(() => this.onPicture(message, buffers));
    else if (message.is === "pixel") this.onPixel(message);
    else if (message.is === "strip") this.onStrip(message, buffers);
    else if (message.is === "export") this.onExport(message);
    else if (message.is === "note") this.note = message.text;
  }

  async onPicture(message, buffers) {
    const type = message.exact ? "image/png" : "image/jpeg";
    const bitmaps = await Promise.all(buffers.map((buffer) => createImageBitmap(new Blob([buffer], { type }))));
    bitmaps.forEach((bitmap, number) => this.panes[number].show(bitmap, message.panes[number]));
    if (this.shown !== message.index) this.note = "";
    this.shown = message.index;
    this.root.dataset.shown = message.index;
    this.root.dataset.exact = message.exact;
    if (this.shown === this.wanted) this.asked = 0;
    this.say({ do: "seen", index: message.index });
    if (this.model.get("playing")) {
      this.wanted = message.index;
      const now = performance.now();
      this.arrivals = [...this.arrivals.filter((time) => now - time < 1000), now];
    }
    message.panes.forEach((facts, number) => {
      const text = `${this.model.get("names")[number]} · frame ${facts.number} · ${clock(facts.seconds)}`;
      this.panes[number].caption.textContent = this.panes.length > 1 ? text : "";
      this.panes[number].canvas.setAttribute("aria-label", text);
    });
    this.picture = message;
    this.showPlace();
    this.showState();
  }

  showPlace() {
    this.slider.value = this.wanted;
    this.slider.setAttribute("aria-valuetext", `frame ${this.wanted}, ${clock(this.times[this.wanted] ?? 0)}`);
    if (document.activeElement !== this.number) this.number.value = this.wanted;
    if (document.activeElement !== this.time) this.time.value = clock(this.times[this.wanted] ?? 0);
    if (this.picture) {
      const { keyframe, decoded } = this.picture.panes[0];
      this.facts.replaceChildren(
        ...(keyframe ? [element("span", { class: "pvio-badge" }, "keyframe")] : []),
        element("span", { class: "pvio-quiet" }, this.picture.playing ? this.shownRate()
          : decoded === 1 ? "1 frame decoded for it" : decoded ? `${decoded} frames decoded for it` : "remembered, nothing decoded"));
    }
    this.drawRuler();
  }

  shownRate() {
    return this.arrivals.length > 1 ? `${this.arrivals.length} pictures in the last second` : "";
  }

  showState() {
    const late = this.asked && performance.now() - this.asked > BUSY_MS;
    const error = this.model.get("error");
    const text = error || (late ? `waiting for frame ${this.wanted}: the kernel is busy` : this.note || "");
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle("pvio-wrong", Boolean(error));
  }

  showSettings() {
    this.rate.value = this.model.get("rate");
    this.lock.value = this.model.get("lock");
    for (const name of ["loop", "difference"]) this.buttons[name].setAttribute("aria-pressed", this.model.get(name));
  }

  // --- look ---

  fit() {
    this.zoom = null;
    this.panes.forEach((pane) => pane.draw());
  }

  setZoom(zoom, centre) {
    this.zoom = zoom;
    this.centre = { x: Math.min(1, Math.max(0, centre.x)), y: Math.min(1, Math.max(0, centre.y)) };
    this.panes.forEach((pane) => pane.draw());
  }

  askPixel(pane, x, y) {
    this.under = { pane, x, y };
    if (this.isAsking) return;
    this.isAsking = true;
    this.say({ do: "pixel", pane, x, y });
  }

  onPixel(message) {
    this.isAsking = false;
    if (!this.under) return;
    const { pane, x, y } = this.under;
    this.showPixel(`x ${message.x}, y ${message.y}: ${message.rgb.join(" ")}`);
    this.under = { pane, x, y };
    if (message.pane !== pane || message.x !== x || message.y !== y) this.askPixel(pane, x, y);
  }

  showPixel(text) {
    this.under = null;
    this.pixel.textContent = text;
  }

  onResize() {
    const sizes = this.model.get("sizes"), gap = 8;
    const width = (this.stage.clientWidth - gap * (this.panes.length - 1)) / this.panes.length;
    const height = Math.max(...sizes.map(([w, h]) => Math.min(width * h / w, 480)));
    for (const pane of this.panes) pane.canvas.style.height = `${Math.max(120, Math.round(height))}px`;
    this.panes.forEach((pane) => pane.draw());
    this.drawRuler();
  }

  drawRuler() {
    const dots = window.devicePixelRatio || 1, box = this.ruler.getBoundingClientRect();
    if (!box.width || !this.times?.length) return;
    this.ruler.width = Math.round(box.width * dots);
    this.ruler.height = Math.round(box.height * dots);
    const context = this.ruler.getContext("2d"), style = getComputedStyle(this.root);
    context.scale(dots, dots);
    const last = Math.max(1, this.times.length - 1), inset = 8;
    const at = (number) => inset + number / last * (box.width - 2 * inset);
    const colors = this.model.get("_marks").colors ?? {};
    for (const { start, end, label } of this.model.get("_marks").ranges ?? []) {
      context.fillStyle = colors[label] ?? "#e69f00";
      context.fillRect(at(start), 9, Math.max(2, at(end - 1) - at(start)), 4);
    }
    context.fillStyle = style.getPropertyValue("--pvio-tick");
    let before = -10;
    for (const keyframe of this.keyframes) {
      if (at(keyframe) - before < 2) continue;
      before = at(keyframe);
      context.fillRect(before, 0, 1, 7);
    }
    for (const { index, labels } of this.model.get("_marks").frames ?? []) {
      context.fillStyle = colors[labels[0]] ?? "#e69f00";
      context.fillRect(at(index) - 1, 7, 3, 8);
    }
    context.fillStyle = style.getPropertyValue("--pvio-accent");
    context.fillRect(at(this.wanted) - 1, 0, 2, 15);
  }

  onStrip(message, buffers) {
    this.strip.replaceChildren(...message.numbers.map((number, place) => {
      const url = URL.createObjectURL(new Blob([buffers[place]], { type: "image/jpeg" }));
      const picture = element("img", { src: url, alt: "" });
      picture.onload = () => URL.revokeObjectURL(url);
      const made = element("button", { type: "button", class: "pvio-thumb", title: `Frame ${number}`, "aria-label": `Go to frame ${number}` }, picture);
      made.onclick = () => this.go(number);
      return made;
    }));
  }

  // --- keep ---

  mark() {
    this.say({ do: "mark", index: this.wanted, label: this.label.value });
  }

  markRange() {
    const isEnd = this.rangeFrom !== undefined;
    if (isEnd) {
      const [start, end] = [Math.min(this.rangeFrom, this.wanted), Math.max(this.rangeFrom, this.wanted)];
      this.say({ do: "mark_range", start, stop: end + 1, label: this.label.value });
      [this.from.value, this.to.value] = [start, end];
    }
    this.rangeFrom = isEnd ? undefined : this.wanted;
    this.buttons.range.textContent = isEnd ? "Range from here" : `Range ${this.rangeFrom} to here`;
    this.buttons.range.setAttribute("aria-pressed", !isEnd);
  }

  onExport({ done, total, isOver }) {
    this.progress.hidden = this.buttons.cancel.hidden = Boolean(isOver);
    this.buttons.export.disabled = !isOver;
    this.progress.max = total;
    this.progress.value = done;
  }

  copy() {
    navigator.clipboard?.writeText(String(this.wanted)).then(
      () => { this.note = `copied: ${this.wanted}`; },
      () => { this.note = `the page may not copy here; the number is ${this.wanted}`; });
  }

  showMarks() {
    const { frames = [], ranges = [], colors = {} } = this.model.get("_marks");
    const marks = [
      ...frames.flatMap(({ index, labels }) => labels.map((label) => ({ start: index, stop: null, label }))),
      ...ranges.map(({ start, end, label }) => ({ start, stop: end, label })),
    ].sort((a, b) => a.start - b.start);
    this.marks.replaceChildren(...marks.map((mark) => this.chip(mark, colors[mark.label] ?? "#e69f00")));
    this.drawRuler();
  }

  chip({ start, stop, label }, color) {
    const where = stop === null ? `${start}` : `${start} to ${stop - 1}`;
    const jump = element("button", { type: "button", class: "pvio-button", title: `Go to frame ${start}` }, `${where} ${label}`);
    jump.onclick = () => this.go(start);
    const rename = element("button", { type: "button", class: "pvio-button", title: `Rename ${label}, everywhere`, "aria-label": `Rename ${label}` }, "✎");
    const drop = element("button", { type: "button", class: "pvio-button", title: "Remove this mark", "aria-label": `Remove the mark ${label} of ${where}` }, "×");
    drop.onclick = () => this.say({ do: "unmark", start, stop, label });
    const chip = element("span", { class: "pvio-chip" }, jump, rename, drop);
    rename.onclick = () => {
      const field = element("input", { type: "text", class: "pvio-label", value: label, "aria-label": `New name of ${label}` });
      const done = () => (field.value && field.value !== label ? this.say({ do: "rename", old: label, new: field.value }) : this.showMarks());
      field.addEventListener("keydown", (event) => { if (event.key === "Enter") field.blur(); });
      field.addEventListener("blur", done);
      chip.replaceChildren(field);
      field.focus();
    };
    chip.style.borderColor = color;
    return chip;
  }
}

export default {
  render({ model, el }) {
    const root = element("div");
    el.append(root);
    const view = new View(model, root);
    view.showMarks();
    view.onResize();
    return () => view.close();
  },
};
