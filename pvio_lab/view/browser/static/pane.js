// A picture, which can be zoomed and moved.

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

  /** Take the size that it has on the page; asking for it at each picture would cost more than drawing does. */
  fill() {
    this.box = this.canvas.getBoundingClientRect();
    this.draw();
  }

  /** Return the CSS pixels for one pixel of the video, and the place of its corner. */
  layout() {
    const { width, height } = this.facts, box = this.box;
    const fit = Math.min(box.width / width, box.height / height);
    const scale = this.view.zoom === null ? fit : this.view.zoom;
    const { x, y } = this.view.zoom === null ? { x: 0.5, y: 0.5 } : this.view.centre;
    return { scale, left: box.width / 2 - x * width * scale, top: box.height / 2 - y * height * scale, box };
  }

  draw() {
    if (!this.bitmap || !this.box) return;
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
    const { scale, left, top } = this.layout();
    return [(event.offsetX - left) / scale, (event.offsetY - top) / scale, scale];
  }

  onWheel(event) {
    if (!this.bitmap) return;
    event.preventDefault();
    const [x, y, scale] = this.place(event), { box } = this.layout(), { width, height } = this.facts;
    const zoom = Math.min(64, Math.max(0.05, scale * Math.exp(-event.deltaY / 300)));
    const [fromX, fromY] = [event.offsetX - box.width / 2, event.offsetY - box.height / 2];
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
