// What a run shows: pictures as they come, the slider along the way, curves, and what the samples agree on.

import { Curves } from "./curves.js";
import { draw, savePicture } from "./pixels.js";

const field = (id) => document.getElementById(id);

const ON_AGREEMENT = {
  reconstruct: "Each sample is one answer that the measurement and the prior allow. Their mean has the smaller squared " +
    "error; the spread shows where they differ, and the measurement does not decide.",
  edit: "Where the spread is black the noise of t0 left the guide as it was; where it is bright the prior decides.",
  generate: "The samples have nothing in common but the prior: their mean is what its images share.",
};

export class Show {
  constructor() {
    this.residual = new Curves(field("residual"), "Residual", "log");
    this.psnr = new Curves(field("psnr"), "PSNR", "linear");
    this.slider = field("slider");
    this.slider.addEventListener("input", () => {
      this.isFollowing = Number(this.slider.value) === Number(this.slider.max);
      this.showMoment();
    });
    this.pending = false;
  }

  // Another run begins: the last one's pictures go.
  begin({ samples, image, measurement, noise_norm, settings, command, symmetry }, task) {
    field("shown").hidden = false;
    field("agreement").hidden = true;
    this.residual.clear();
    this.psnr.clear();
    this.residual.level = noise_norm;
    this.isFollowing = true;
    field("agreement-note").textContent = ON_AGREEMENT[task];
    const words = task === "edit" ? ["guide", ""] : ["truth", "measurement"];
    const inputs = [image, measurement].map((picture, place) => picture && figure(words[place], picture));
    field("inputs").replaceChildren(...inputs.filter(Boolean));
    this.samples = Array.from({ length: samples }, (_, sample) => new SampleCard(sample));
    field("samples-shown").replaceChildren(...this.samples.map((card) => card.element));
    field("residual-figure").hidden = true;
    field("psnr-figure").hidden = true;
    field("psnr-title").textContent = task === "edit" ? "Nearness of x\u0302\u2080 to the guide: PSNR, in dB" : "PSNR of x\u0302\u2080, in dB";
    field("psnr-note").textContent = task === "edit"
      ? "How near the expected image is to what you drew: an edit pays for likeliness with it. The later t0, the lower."
      : "How near the expected image is to the truth, which a real measurement does not come with: 6 dB more is half the error.";
    field("settings").textContent = settings ? `Set to: ${settings}.` : "";
    field("command").textContent = command;
    field("command-note").textContent = filesFor(command);
    field("save-image").hidden = !command.includes("image.png");
    field("save-mask").hidden = !command.includes("mask.png");
    field("symmetry").hidden = !symmetry;
    field("symmetry").textContent = symmetry ? `This operator ${symmetry}.` : "";
    field("slider-row").hidden = true;
    this.showSoon();
  }

  step({ sample, index, num_steps, t, residual, psnr, frame }) {
    if (frame) this.samples[sample].frames.push({ index, t, ...frame });
    this.residual.add(sample, index, num_steps, residual);
    this.psnr.add(sample, index, num_steps, psnr);
    this.showSoon();
  }

  sample({ sample, image, nearness }) {
    this.samples[sample].finish(image, nearness);
    this.showSoon();
  }

  agree({ mean, spread, white, nearness }) {
    const pictures = [
      figure(`mean ${inWords(nearness)}`, mean, "mean.png"),
      figure(`spread: black 0, white ${white} and more`, spread, "spread.png"),
    ];
    field("agreement-shown").replaceChildren(...pictures);
    field("agreement").hidden = false;
  }

  // Not more often than the screen is drawn.
  showSoon() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.showAll();
    });
  }

  showAll() {
    const most = Math.max(...this.samples.map((card) => card.frames.length));
    field("slider-row").hidden = most < 2;
    this.slider.max = Math.max(0, most - 1);
    if (this.isFollowing) this.slider.value = this.slider.max;
    field("residual-figure").hidden = this.residual.isEmpty;
    field("psnr-figure").hidden = this.psnr.isEmpty;
    field("curves").hidden = this.residual.isEmpty && this.psnr.isEmpty;
    this.showMoment();
  }

  // The pictures and the marks where the slider stands.
  showMoment() {
    const place = Number(this.slider.value);
    let moment = null;
    for (const card of this.samples) {
      // While the last sample is drawn the others are where they ended.
      const frame = card.frames[Math.min(place, card.frames.length - 1)];
      if (!frame) continue;
      card.show(frame);
      if (!moment || frame.index > moment.index) moment = frame;
    }
    const words = moment ? (moment.t === 0 ? "the result" : `step ${moment.index + 1}, t = ${moment.t}`) : "";
    field("moment").textContent = words;
    this.slider.setAttribute("aria-valuetext", words);
    for (const curves of [this.residual, this.psnr]) {
      curves.marked = moment ? Math.min(moment.index, curves.length - 1) : null;
      curves.show();
    }
  }
}

// One sample: x_t beside x0_hat, and in the end the result.
class SampleCard {
  constructor(sample) {
    this.sample = sample;
    this.frames = [];
    this.element = document.createElement("figure");
    this.element.className = "pair";
    const pair = document.createElement("div");
    this.canvases = ["x_t", "x0_hat"].map((name) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${name} of sample ${sample + 1}`);
      return canvas;
    });
    pair.append(...this.canvases);
    this.caption = document.createElement("figcaption");
    this.caption.innerHTML = `<b>sample ${sample + 1}</b><span>x<sub>t</sub> and x&#770;<sub>0</sub></span>`;
    this.element.append(pair, this.caption);
  }

  show({ x_t, x0_hat }) {
    draw(this.canvases[0], x_t);
    draw(this.canvases[1], x0_hat);
  }

  finish(image, nearness) {
    const last = this.frames[this.frames.length - 1];
    const index = last ? last.index + 1 : 0;
    this.frames.push({ index, t: 0, x_t: image, x0_hat: image });
    if (nearness) this.caption.querySelector("span").textContent = inWords(nearness);
    this.caption.append(saveButton(image, `sample-${this.sample}.png`));
  }
}

function figure(words, picture, name = "") {
  const element = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  draw(canvas, picture);
  const caption = document.createElement("figcaption");
  caption.append(words);
  if (name) caption.append(saveButton(picture, name));
  element.append(canvas, caption);
  return element;
}

function saveButton(picture, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Save";
  button.setAttribute("aria-label", `Save ${name}`);
  button.addEventListener("click", () => savePicture(picture, name));
  return button;
}

// `31.2 dB, SSIM 0.93, LPIPS 0.021`, as far as they are known.
function inWords(nearness) {
  if (!nearness) return "";
  const { psnr, ssim, lpips } = nearness;
  const words = [psnr === null ? "equal" : `${psnr.toFixed(1)} dB`];
  if (ssim !== null) words.push(`SSIM ${ssim.toFixed(3)}`);
  if (lpips !== null) words.push(`LPIPS ${lpips.toFixed(3)}`);
  return words.join(", ");
}

// Which files the command reads that are not there yet.
function filesFor(command) {
  const files = { "image.png": "the image", "mask.png": "the mask", "run.json": "the run" };
  const wanted = Object.keys(files).filter((file) => command.includes(file));
  if (!wanted.length) return "It gives the same pictures, pixel for pixel.";
  const words = wanted.map((file) => `${files[file]} as ${file}`).join(" and ");
  return `Save ${words} first, into the folder the command runs in: then it gives the same pictures, pixel for pixel.`;
}
