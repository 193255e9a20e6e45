// Curves against the steps, one for each sample, with a line where the slider stands.

const FONT = "12px system-ui, sans-serif";
const MARGIN = { left: 46, right: 8, top: 8, bottom: 22 };

export class Curves {
  // `scale` is "log" or "linear".
  constructor(canvas, title, scale) {
    [this.canvas, this.title, this.scale] = [canvas, title, scale];
    this.clear();
    new ResizeObserver(() => this.show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  clear() {
    Object.assign(this, { curves: [], length: 1, level: null, marked: null });
  }

  add(sample, index, length, value) {
    if (value === null || !Number.isFinite(value)) return;
    (this.curves[sample] ??= []).push([index, value]);
    this.length = Math.max(this.length, length);
  }

  get isEmpty() {
    return !this.curves.some((curve) => curve);
  }

  show() {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || this.isEmpty) return;
    const fine = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * fine, height * fine];
    const context = canvas.getContext("2d");
    context.scale(fine, fine);
    context.font = FONT;
    // A colour of the style sheet, light or dark as it is now.
    const colour = (name) => {
      canvas.style.color = `var(--${name})`;
      return getComputedStyle(canvas).color;
    };
    this.frame(context, width, height, colour);
    this.curves.forEach((curve, sample) => this.line(context, curve, colour(`curve-${sample % 4}`)));
    this.mark(context, height, colour("quiet"));
    this.say();
  }

  // Values that are shown, from bottom to top.
  range() {
    const values = this.curves.flatMap((curve) => (curve ?? []).map(([, value]) => value));
    if (this.level) values.push(this.level);
    const low = values.reduce((a, b) => Math.min(a, b));
    const high = values.reduce((a, b) => Math.max(a, b));
    return this.scale === "log" ? [Math.max(low, high * 1e-6) * 0.85, high * 1.15] : [low - 1, high + 1];
  }

  frame(context, width, height, colour) {
    const [low, high] = this.range();
    const along = this.scale === "log" ? Math.log : (value) => value;
    const [wide, tall] = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
    this.x = (index) => MARGIN.left + (this.length < 2 ? 0 : (index / (this.length - 1)) * wide);
    this.y = (value) => MARGIN.top + (1 - (along(value) - along(low)) / (along(high) - along(low))) * tall;
    context.strokeStyle = colour("line");
    context.fillStyle = colour("quiet");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of ticks(low, high, this.scale)) {
      context.beginPath();
      context.moveTo(MARGIN.left, this.y(tick));
      context.lineTo(width - MARGIN.right, this.y(tick));
      context.stroke();
      context.fillText(String(tick), MARGIN.left - 6, this.y(tick));
    }
    context.textBaseline = "bottom";
    context.fillText(`step ${this.length}`, width - MARGIN.right, height - 2);
    context.textAlign = "left";
    context.fillText("step 1", MARGIN.left, height - 2);
    if (this.level) {
      context.strokeStyle = colour("ink");
      context.setLineDash([5, 4]);
      context.beginPath();
      context.moveTo(MARGIN.left, this.y(this.level));
      context.lineTo(width - MARGIN.right, this.y(this.level));
      context.stroke();
      context.setLineDash([]);
    }
  }

  line(context, curve, colour) {
    context.strokeStyle = colour;
    context.lineWidth = 1.75;
    context.beginPath();
    context.moveTo(this.x(curve[0][0]), this.y(curve[0][1]));
    // A line of one point would not show.
    if (curve.length === 1) context.arc(this.x(curve[0][0]), this.y(curve[0][1]), 2, 0, 7);
    for (const [index, value] of curve.slice(1)) context.lineTo(this.x(index), this.y(value));
    context.stroke();
  }

  mark(context, height, colour) {
    if (this.marked === null) return;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(this.x(this.marked), MARGIN.top);
    context.lineTo(this.x(this.marked), height - MARGIN.bottom);
    context.stroke();
  }

  // The same in words, for who cannot see it.
  say() {
    const words = this.curves.map((curve, sample) => {
      const [first, last] = [curve[0][1], curve[curve.length - 1][1]];
      return `sample ${sample + 1} from ${first.toPrecision(3)} to ${last.toPrecision(3)}`;
    });
    this.canvas.setAttribute("aria-label", `${this.title}: ${words.join(", ")}.`);
  }
}

// Round numbers between two, not too many.
function ticks(low, high, scale) {
  if (scale === "log") {
    const powers = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const digit of [1, 2, 5]) powers.push(Number((digit * 10 ** power).toPrecision(1)));
    }
    const inside = powers.filter((tick) => tick >= low && tick <= high);
    return inside.length > 6 ? inside.filter((tick) => String(tick).includes("1")) : inside;
  }
  const step = [1, 2, 5, 10, 20, 50, 100].find((step) => (high - low) / step <= 6) ?? 200;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, place) => first + place * step);
}
