// The timeline: keyframes, marks, and small pictures.

const LINE = {
  drawRuler() {
    const dots = window.devicePixelRatio || 1, box = this.ruler.getBoundingClientRect();
    if (!box.width || !this.times?.length) return;
    this.ruler.width = Math.round(box.width * dots);
    this.ruler.height = Math.round(box.height * dots);
    const context = this.ruler.getContext("2d"), style = getComputedStyle(this.root);
    context.scale(dots, dots);
    this.lineWidth = box.width;
    const at = (number) => this.onLine(number);
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
  },

  /** Return the distance of a frame from the left of the ruler; the slider's knob leaves room at both ends. */
  onLine(number) {
    const inset = 8;
    return inset + number / Math.max(1, this.times.length - 1) * (this.lineWidth - 2 * inset);
  },

  showCursor() {
    if (this.lineWidth) this.cursor.style.transform = `translateX(${this.onLine(this.wanted)}px)`;
  },

  onStrip(message, buffers) {
    this.strip.replaceChildren(...message.numbers.map((number, place) => {
      const url = URL.createObjectURL(new Blob([buffers[place]], { type: "image/jpeg" }));
      const picture = element("img", { src: url, alt: "" });
      picture.onload = () => URL.revokeObjectURL(url);
      const made = element("button", { type: "button", class: "pvio-thumb", title: `Frame ${number}`, "aria-label": `Go to frame ${number}` }, picture);
      made.onclick = () => this.go(number);
      return made;
    }));
  },
};
