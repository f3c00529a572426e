// The view of the frame browser. Frames, marks and files belong to the kernel.

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
    this.listen("change:_saved", () => this.showSaved());
    this.listen("change:error", () => this.showState());
    for (const name of ["rate", "loop", "difference", "lock"]) this.listen(`change:${name}`, () => this.showSettings());
    this.listen("comm_live_update", () => this.onEnd());
    this.listen("msg:custom", (message, buffers) => this.onMessage(message, buffers));
    this.resizing = new ResizeObserver(() => this.onResize());
    this.resizing.observe(this.root);
    this.readTimes();
    this.onPlaying();
    this.showSettings();
    this.showState();
    this.say({ do: "hello", is_near: NEAR.includes(location.hostname) });
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

  // --- its parts ---

  build() {
    const names = this.model.get("names");
    this.panes = names.map((name, number) => new Pane(this, number, name));
    this.stage = element("div", { class: "pvio-stage" }, ...this.panes.map((pane) => pane.root));
    this.slider = element("input", { type: "range", class: "pvio-slider", min: 0, step: 1, "aria-label": "Frame" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.ruler = element("canvas", { class: "pvio-ruler", "aria-hidden": "true" });
    this.cursor = element("div", { class: "pvio-cursor" });
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
    this.buttons.png.onclick = () => this.say({ do: "save_frame", index: this.wanted });
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
    this.root.classList.add("pvio-browser", "pvio-live");
    this.root.setAttribute("tabindex", "0");
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", `Frames of ${names.join(", ")}`);
    this.root.append(this.stage, element("div", { class: "pvio-line" }, this.slider, element("div", { class: "pvio-rail" }, this.ruler, this.cursor)), this.strip, place,
      moves, element("div", { class: "pvio-row", role: "toolbar", "aria-label": "Look and keep" }, ...toggles),
      ...keep, this.marks, this.state);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.watch = setInterval(() => { this.showState(); this.showAge(); }, 200);
  }

  button(name, text, title) {
    const made = element("button", { type: "button", class: "pvio-button", title, "aria-label": title, "data-do": name }, text);
    this.buttons[name] = made;
    return made;
  }

  toggle(name, text, title) {
    const made = this.button(name, text, title);
    made.onclick = () => this.set(name, !this.model.get(name));
    return made;
  }

  /** Say so: a kernel that has restarted does not know this browser any more. */
  onEnd() {
    this.isGone = true;
    this.showState();
  }

  // --- the position ---

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

  // --- messages from the kernel ---

  onMessage(message, buffers) {
    if (message.is === "picture") this.order = this.order.then(() => this.onPicture(message, buffers));
    else if (message.is === "pixel") this.onPixel(message);
    else if (message.is === "strip") this.onStrip(message, buffers);
    else if (message.is === "export") this.onExport(message);
    else if (message.is === "note") this.note = message.text;
  }

  async onPicture(message, buffers) {
    const type = message.exact ? "image/png" : "image/jpeg";
    const bitmaps = await Promise.all(buffers.map((buffer) => decoded(buffer, type)));
    bitmaps.forEach((bitmap, number) => this.panes[number].show(bitmap, message.panes[number]));
    if (this.shown !== message.index) this.note = "";
    this.shown = message.index;
    this.root.dataset.shown = message.index;
    this.root.dataset.exact = message.exact;
    if (this.shown === this.wanted) this.asked = 0;
    if (message.playing) this.say({ do: "seen" });
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
    this.showCursor();
  }

  shownRate() {
    return this.arrivals.length > 1 ? `${this.arrivals.length} pictures in the last second` : "";
  }

  showState() {
    const late = this.asked && performance.now() - this.asked > BUSY_MS;
    const error = this.model.get("error");
    const text = this.isGone ? "The kernel that browsed this video has ended: run the cell again."
      : error || (late ? `waiting for frame ${this.wanted}: the kernel is busy` : this.note || "");
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle("pvio-wrong", Boolean(error));
  }

  showSettings() {
    this.rate.value = this.model.get("rate");
    this.lock.value = this.model.get("lock");
    for (const name of ["loop", "difference"]) this.buttons[name].setAttribute("aria-pressed", this.model.get(name));
  }

  // --- zoom, pixels and size ---

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
    this.panes.forEach((pane) => pane.fill());
    this.drawRuler();
    this.showCursor();
  }

  // --- copying ---

  copy() {
    navigator.clipboard?.writeText(String(this.wanted)).then(
      () => { this.note = `copied: ${this.wanted}`; },
      () => { this.note = `the page may not copy here; the number is ${this.wanted}`; });
  }
}

Object.assign(View.prototype, LINE, KEEP);

export default {
  render({ model, el }) {
    const root = element("div");
    el.append(root);
    const view = new View(model, root);
    view.showMarks();
    view.showSaved();
    view.onResize();
    return () => view.close();
  },
};
