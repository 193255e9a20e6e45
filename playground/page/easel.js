// The image that is drawn on: its pixels, the mask over them, and the tools.

import { base64Of, bytesOf, imageData } from "./pixels.js";

// A display pixel is so many canvas pixels, so that the mask's hatching can be finer than the image.
const SCALE = 6;
const MOST_UNDOS = 60;

export class Easel {
  // `changed` is called after each stroke, with the tool that made it.
  constructor(canvas, size, changed) {
    this.canvas = canvas;
    this.size = size;
    this.changed = changed;
    this.tool = "paint";
    this.colour = [217, 72, 43];
    this.brush = 5;
    this.cursor = null;
    this.undos = [];
    this.layer = document.createElement("canvas");
    this.layer.width = this.layer.height = size;
    canvas.width = canvas.height = size * SCALE;
    this.rgb = new Uint8Array(3 * size * size).fill(255);
    this.original = this.rgb.slice();
    this.mask = new Uint8Array(size * size);
    this.name = "image.png";
    this.isPainted = false;
    this.listen();
  }

  // Another image: `name` is what a command line calls its file. A mask may come with it.
  load(picture, name, mask = null) {
    this.remember();
    this.rgb = bytesOf(picture.rgb);
    this.original = this.rgb.slice();
    this.mask = mask ? maskOf(mask) : new Uint8Array(this.size ** 2);
    [this.name, this.isPainted] = [name, false];
    this.show();
    this.changed();
  }

  // A mask from a file: what is drawn is what is bright in it, or what is dark.
  loadMask(picture, isDarkDrawn) {
    this.remember();
    this.mask = maskOf(picture).map((bright) => (isDarkDrawn ? 1 - bright : bright));
    this.show();
    this.changed("mask");
  }

  // The mask of a wish: a byte for each pixel.
  loadMaskBytes(base64) {
    this.mask = bytesOf(base64);
    this.show();
  }

  blank() {
    const white = base64Of(new Uint8Array(3 * this.size ** 2).fill(255));
    this.load({ rgb: white }, "image.png");
    this.isPainted = true;
  }

  clearMask() {
    this.remember();
    this.mask.fill(0);
    this.show();
    this.changed();
  }

  // The image as the server takes it.
  image() {
    return { name: this.isPainted ? "image.png" : this.name, rgb: base64Of(this.rgb) };
  }

  picture() {
    return { height: this.size, width: this.size, rgb: base64Of(this.rgb) };
  }

  hasMask() {
    return this.mask.some((drawn) => drawn);
  }

  // Where something is drawn in one grey, and elsewhere in another.
  maskPicture(drawn, elsewhere) {
    const rgb = new Uint8Array(3 * this.size ** 2);
    this.mask.forEach((is, pixel) => rgb.fill(is ? drawn : elsewhere, 3 * pixel, 3 * pixel + 3));
    return { height: this.size, width: this.size, rgb: base64Of(rgb) };
  }

  remember() {
    const { rgb, original, mask, name, isPainted } = this;
    this.undos.push({ rgb: rgb.slice(), original, mask: mask.slice(), name, isPainted });
    if (this.undos.length > MOST_UNDOS) this.undos.shift();
  }

  undo() {
    Object.assign(this, this.undos.pop());
    this.show();
    this.changed();
  }

  // One touch of the brush, with its centre at pixel (x, y).
  dab(x, y) {
    const radius = this.brush / 2;
    const reach = Math.ceil(radius);
    for (let row = Math.max(0, y - reach); row <= Math.min(this.size - 1, y + reach); row++) {
      for (let column = Math.max(0, x - reach); column <= Math.min(this.size - 1, x + reach); column++) {
        if (Math.hypot(row - y, column - x) <= radius - 0.25) this.touch(row * this.size + column);
      }
    }
  }

  touch(pixel) {
    if (this.tool === "mask") {
      this.mask[pixel] = 1;
    } else if (this.tool === "paint") {
      this.rgb.set(this.colour, 3 * pixel);
      this.isPainted = true;
    } else {
      this.mask[pixel] = 0;
      this.rgb.set(this.original.subarray(3 * pixel, 3 * pixel + 3), 3 * pixel);
    }
  }

  // Dabs without gaps between two pixels.
  stroke([fromX, fromY], [x, y]) {
    const dabs = Math.max(Math.abs(x - fromX), Math.abs(y - fromY), 1);
    for (let dab = 1; dab <= dabs; dab++) {
      const along = dab / dabs;
      this.dab(Math.round(fromX + along * (x - fromX)), Math.round(fromY + along * (y - fromY)));
    }
    this.show();
  }

  show() {
    const context = this.canvas.getContext("2d");
    this.layer.getContext("2d").putImageData(imageData(this.picture()), 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.layer, 0, 0, this.canvas.width, this.canvas.height);
    context.fillStyle = this.hatching ??= hatching(context);
    for (let pixel = 0; pixel < this.mask.length; pixel++) {
      if (!this.mask[pixel]) continue;
      context.fillRect((pixel % this.size) * SCALE, Math.floor(pixel / this.size) * SCALE, SCALE, SCALE);
    }
    if (this.cursor) {
      const [x, y] = this.cursor;
      context.lineWidth = 2;
      for (const [style, radius] of [["#000", 0], ["#fff", 2]]) {
        context.strokeStyle = style;
        context.beginPath();
        context.arc((x + 0.5) * SCALE, (y + 0.5) * SCALE, (this.brush / 2) * SCALE + radius, 0, 7);
        context.stroke();
      }
    }
  }

  listen() {
    let last = null;
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const along = (at, start, length) => Math.floor(((at - start) / length) * this.size);
      return [along(event.clientX, box.left, box.width), along(event.clientY, box.top, box.height)];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.cursor = null;
      this.remember();
      last = place(event);
      this.stroke(last, last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const next = place(event);
      this.stroke(last, next);
      last = next;
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, () => {
        if (last) this.changed(this.tool);
        last = null;
      });
    }
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.show();
    });
  }

  // Without a mouse: the arrows move the brush, the space bar draws; with the two together, a line.
  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    const middle = Math.floor(this.size / 2);
    if (way) {
      const [x, y] = this.cursor ?? [middle, middle];
      const inside = (at) => Math.min(this.size - 1, Math.max(0, at));
      const far = event.shiftKey ? 6 : 2;
      this.cursor = [inside(x + far * way[0]), inside(y + far * way[1])];
      this.show();
    } else if (event.key === " ") {
      this.cursor ??= [middle, middle];
      if (!event.repeat) this.remember();
      this.stroke(this.cursor, this.cursor);
      this.changed(this.tool);
    } else if (event.key === "u" || event.key === "U") {
      this.undo();
    } else {
      return;
    }
    event.preventDefault();
  }
}

// Slanted lines that show on any colour.
function hatching(context) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const on = tile.getContext("2d");
  for (let y = 0; y < 8; y++) {
    for (let x = 0; x < 8; x++) {
      on.fillStyle = (x + y) % 8 < 4 ? "rgb(20 20 20 / 85%)" : "rgb(235 235 235 / 85%)";
      on.fillRect(x, y, 1, 1);
    }
  }
  return context.createPattern(tile, "repeat");
}

function maskOf(picture) {
  const rgb = bytesOf(picture.rgb);
  return Uint8Array.from({ length: rgb.length / 3 }, (_, pixel) => (rgb[3 * pixel] > 127 ? 1 : 0));
}
