// Saving: marks, and frames that are written to files.

const KEEP = {
  /** Build the rows for marks and for exports. */
  buildKeep() {
    this.label = element("input", { type: "text", class: "pvio-label", value: "mark", "aria-label": "Label of new marks", title: "Label of new marks" });
    const marks = element("div", { class: "pvio-row", role: "toolbar", "aria-label": "Marks" },
      element("label", {}, "Label ", this.label),
      this.button("mark", "Mark frame", "Mark this frame (M)"),
      this.button("range", "Range from here", "A range begins or ends at this frame"),
      this.button("undo", "Undo", "Take the last change of the marks back"),
      this.button("redo", "Redo", "Do it again"),
      this.button("save-marks", "Save marks", "Save the marks now; they are saved by themselves a second after each change"),
      this.button("load-marks", "Load marks", "Read the file of marks again"));
    this.saved = element("div", { class: "pvio-row pvio-saved", role: "group", "aria-label": "Saving of marks" });
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
    return [marks, this.saved, element("details", {}, element("summary", {}, "Export frames"), row)];
  },

  /** Show the state of the file of marks, and buttons where somebody has to decide. */
  showSaved() {
    const { text = "", at = null, wrong = false, choices = [] } = this.model.get("_saved");
    this.savedText = element("span", { class: wrong ? "pvio-wrong" : "pvio-quiet" });
    this.saved.replaceChildren(this.savedText, ...choices.map(([name, words]) => {
      const made = element("button", { type: "button", class: "pvio-button", "data-answer": name }, words[0].toUpperCase() + words.slice(1));
      made.onclick = () => {
        this.say({ do: "answer", choice: name });
        this.root.focus();
      };
      return made;
    }));
    this.saved.setAttribute("aria-live", wrong ? "polite" : "off"); // nobody wants to hear the seconds pass
    this.savedAt = at === null ? null : 1000 * at;
    this.savedWords = text;
    this.showAge();
  },

  showAge() {
    const words = this.savedAt === null ? this.savedWords : `marks saved ${ago(Date.now() - this.savedAt)} ${this.savedWords}`;
    if (this.savedText.textContent !== words) this.savedText.textContent = words;
  },

  mark() {
    this.say({ do: "mark", index: this.wanted, label: this.label.value });
  },

  markRange() {
    const isEnd = this.rangeFrom !== undefined;
    if (isEnd) {
      const [start, end] = [Math.min(this.rangeFrom, this.wanted), Math.max(this.rangeFrom, this.wanted)];
      this.say({ do: "mark_range", start, end: end + 1, label: this.label.value });
      [this.from.value, this.to.value] = [start, end];
    }
    this.rangeFrom = isEnd ? undefined : this.wanted;
    this.buttons.range.textContent = isEnd ? "Range from here" : `Range ${this.rangeFrom} to here`;
    this.buttons.range.setAttribute("aria-pressed", !isEnd);
  },

  onExport({ done, total, isOver }) {
    this.progress.hidden = this.buttons.cancel.hidden = Boolean(isOver);
    this.buttons.export.disabled = !isOver;
    this.progress.max = total;
    this.progress.value = done;
  },

  showMarks() {
    const { frames = [], ranges = [], colors = {} } = this.model.get("_marks");
    const marks = [
      ...frames.flatMap(({ index, labels }) => labels.map((label) => ({ start: index, stop: null, label }))),
      ...ranges.map(({ start, end, label }) => ({ start, stop: end, label })),
    ].sort((a, b) => a.start - b.start);
    this.marks.replaceChildren(...marks.map((mark) => this.chip(mark, colors[mark.label] ?? "#e69f00")));
    this.drawRuler();
  },

  chip({ start, stop, label }, color) {
    const where = stop === null ? `${start}` : `${start} to ${stop - 1}`;
    const jump = element("button", { type: "button", class: "pvio-button", title: `Go to frame ${start}` }, `${where} ${label}`);
    jump.onclick = () => this.go(start);
    const rename = element("button", { type: "button", class: "pvio-button", title: `Rename ${label}, everywhere`, "aria-label": `Rename ${label}` }, "✎");
    const drop = element("button", { type: "button", class: "pvio-button", title: "Remove this mark", "aria-label": `Remove the mark ${label} of ${where}` }, "×");
    drop.onclick = () => this.say(stop === null ? { do: "unmark", index: start, label }
      : { do: "unmark_range", start, end: stop, label });
    const paint = element("input", { type: "color", class: "pvio-paint", value: color, title: `Colour of ${label}`, "aria-label": `Colour of ${label}` });
    paint.onchange = () => this.say({ do: "recolour", label, colour: paint.value });
    const chip = element("span", { class: "pvio-chip" }, paint, jump, rename, drop);
    rename.onclick = () => {
      const field = element("input", { type: "text", class: "pvio-label", value: label, "aria-label": `New name of ${label}` });
      const done = () => (field.value && field.value !== label ? this.say({ do: "rename", old: label, new: field.value }) : this.showMarks());
      field.addEventListener("keydown", (event) => { if (event.key === "Enter") field.blur(); });
      field.addEventListener("blur", done);
      chip.replaceChildren(field);
      field.focus();
    };
    return chip;
  },
};
