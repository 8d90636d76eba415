// The mask: a canvas over the photo, painted by pointer or by keys. White is where the style goes.
const MAX_PAST = 20;

export class Mask {
  constructor(canvas, controls) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.controls = controls;
    this.cursor = [0.5, 0.5];
    this.isErasing = false;
    this.isEmpty = true;
    this.last = null;
    this.past = []; // pictures to go back to
    this.onchange = () => {};
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.remember();
      this.stroke(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.stroke(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    controls.draw.addEventListener("click", () => this.setErasing(false));
    controls.erase.addEventListener("click", () => this.setErasing(true));
    controls.undo.addEventListener("click", () => this.undo());
    controls.clear.addEventListener("click", () => { this.remember(); this.clear(); });
    controls.invert.addEventListener("click", () => { this.remember(); this.invert(); });
    controls.keep.addEventListener("click", () => this.download());
  }
  get isUsed() { return !this.isEmpty; }
  // Start anew for a photo, or go on with what `save` returned.
  reset(width, height, saved = null) {
    const scale = Math.min(1, 1024 / Math.max(width, height));
    this.canvas.width = Math.max(16, Math.round(width * scale));
    this.canvas.height = Math.max(16, Math.round(height * scale));
    this.past = [];
    this.clear();
    if (saved) this.restore(saved);
    this.setErasing(false);
  }
  save() {
    const { width, height } = this.canvas;
    return this.isEmpty ? null : this.context.getImageData(0, 0, width, height);
  }
  restore(saved) {
    this.clear();
    if (saved) this.context.putImageData(saved, 0, 0);
    this.isEmpty = !saved;
    this.changed();
  }
  remember() {
    this.past.push(this.save());
    if (this.past.length > MAX_PAST) this.past.shift();
  }
  undo() {
    if (this.past.length) this.restore(this.past.pop());
    this.controls.undo.disabled = !this.past.length;
    if (!this.past.length && document.activeElement === document.body) this.canvas.focus({ preventScroll: true });
  }
  changed() {
    this.controls.undo.disabled = !this.past.length;
    this.controls.keep.disabled = this.isEmpty;
    this.onchange();
  }
  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = true;
    this.changed();
  }
  invert() {
    const { context, canvas } = this;
    context.globalCompositeOperation = "xor";
    context.fillStyle = "#ff4d6d";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "source-over";
    this.isEmpty = false;
    this.changed();
  }
  setErasing(value) {
    this.isErasing = value;
    this.controls.erase.setAttribute("aria-pressed", value);
    this.controls.draw.setAttribute("aria-pressed", !value);
  }
  get width() {
    return (this.controls.size.value / 100) * Math.max(this.canvas.width, this.canvas.height);
  }
  stroke(event) {
    const box = this.canvas.getBoundingClientRect();
    this.line((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }
  line(x, y) {
    const { context, canvas } = this;
    const point = [x * canvas.width, y * canvas.height];
    context.globalCompositeOperation = this.isErasing ? "destination-out" : "source-over";
    context.strokeStyle = "#ff4d6d";
    context.lineCap = "round";
    context.lineWidth = this.width;
    context.beginPath();
    context.moveTo(...(this.last || point));
    context.lineTo(point[0] + 0.01, point[1]);
    context.stroke();
    context.globalCompositeOperation = "source-over";
    this.last = point;
    this.cursor = [x, y];
    if (!this.isErasing) this.isEmpty = false;
    this.changed();
  }
  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) {
      const [dx, dy] = steps[event.key];
      const clamp = (value) => Math.min(1, Math.max(0, value));
      this.cursor = [clamp(this.cursor[0] + dx * 0.03), clamp(this.cursor[1] + dy * 0.03)];
      this.showCursor();
    } else if (event.key === " ") {
      this.last = null;
      this.remember();
      this.line(...this.cursor);
    } else if (event.key === "e" || event.key === "E") this.setErasing(!this.isErasing);
    else if (event.key === "u" || (event.key === "z" && (event.ctrlKey || event.metaKey))) this.undo();
    else if (event.key === "[") this.controls.size.stepDown(2);
    else if (event.key === "]") this.controls.size.stepUp(2);
    else return;
    event.preventDefault();
  }
  showCursor() {
    const line = this.controls.cursor;
    line.style.left = `${this.cursor[0] * 100}%`;
    line.style.top = `${this.cursor[1] * 100}%`;
    line.hidden = false;
  }
  // Under the name that a painting's record gives it.
  async download() {
    const painted = await this.blob();
    if (!painted) return;
    const href = URL.createObjectURL(painted);
    Object.assign(document.createElement("a"), { href, download: "mask.png" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }
  // A greyscale PNG, or null when nothing is painted.
  async blob() {
    if (this.isEmpty) return null;
    const { canvas } = this;
    const pixels = this.context.getImageData(0, 0, canvas.width, canvas.height);
    let isPainted = false;
    for (let i = 0; i < pixels.data.length; i += 4) {
      const alpha = pixels.data[i + 3];
      isPainted ||= alpha > 0;
      pixels.data.fill(alpha, i, i + 3);
      pixels.data[i + 3] = 255;
    }
    if (!isPainted) return null;
    const copy = document.createElement("canvas");
    copy.width = canvas.width;
    copy.height = canvas.height;
    copy.getContext("2d").putImageData(pixels, 0, 0);
    return new Promise((done) => copy.toBlob(done, "image/png"));
  }
}
