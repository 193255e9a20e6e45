// The form: what there is to choose, what belongs to which task, and the wish that is made of it.

import { base64Of } from "./pixels.js";

const field = (id) => document.getElementById(id);

// Methods that tasks ask students to write come first, under a heading of their own.
const OF_TASKS = ["ancestral", "sdedit", "score-ald", "dps"];
const MASK_WORDS = {
  edit: ["Mask", "No mask", "Mask marks what may change; without a mark everything may."],
  reconstruct: ["Hole", "No hole", "Hole marks what is missing, for the operator \u201cwhat I mark as a hole\u201d."],
  generate: ["Hole", "No hole", ""],
};

export class Form {
  constructor(offers, easel) {
    [this.offers, this.easel] = [offers, easel];
    this.chosen = { generate: "ancestral", reconstruct: "dps" };
    this.fillOperators();
    for (const radio of document.getElementsByName("task")) {
      radio.addEventListener("change", () => this.showTask());
    }
    field("operator").addEventListener("change", () => this.showOperator());
    field("method").addEventListener("change", () => this.showMethod());
    this.showTask();
    this.showOperator();
  }

  get task() {
    return document.querySelector("input[name=task]:checked").value;
  }

  fillOperators() {
    const { operators, drawn_hole } = this.offers;
    const options = operators.map(({ name, spec, meaning }) => new Option(`${name}: ${meaning}`, spec));
    field("operator").append(...options, new Option("what I mark as a hole", drawn_hole));
  }

  // Who marks a hole wants it to be missing.
  chooseDrawnHole() {
    if (this.task !== "reconstruct") return;
    field("operator").value = this.offers.drawn_hole;
    this.showOperator();
  }

  showOperator() {
    const spec = field("operator").value;
    const isDrawn = spec === this.offers.drawn_hole;
    field("spec").value = isDrawn ? "" : spec;
    field("spec").disabled = isDrawn;
    const known = this.offers.operators.find((operator) => operator.spec === spec);
    field("operator-note").textContent = isDrawn
      ? "Mark the hole on the image with the tool Hole."
      : `${known.name}${known.syntax}: ${known.meaning}.`;
  }

  // Shows what belongs to the task, and hides the rest.
  showTask() {
    const { task } = this;
    for (const part of document.querySelectorAll("[data-for]")) {
      part.hidden = !part.dataset.for.split(" ").includes(task);
    }
    [field("mask-tool").textContent, field("clear").textContent, field("mask-help").textContent] = MASK_WORDS[task];
    field("method").replaceChildren(...groups(this.methods()));
    field("method").value = this.chosen[task] ?? "";
    this.showMethod();
  }

  methods() {
    if (this.task === "edit") return [];
    return this.task === "generate" ? this.offers.samplers : this.offers.posterior;
  }

  // Its settings and where it comes from.
  showMethod() {
    const method = this.methods().find(({ name }) => name === field("method").value);
    if (this.task !== "edit") this.chosen[this.task] = field("method").value;
    const knobs = method ? method.knobs : this.offers.edits;
    field("knobs").replaceChildren(...knobs.map((knob) => this.knob(knob)));
    field("method-note").textContent = method
      ? method.reference
      : "SDEdit (task 4): noises the image to the time t0, and lets the prior find the way back. " +
        "Meng et al. 2022. Steps are those of the whole way; from t0 it is that share of them.";
  }

  knob({ name, meaning, low, high, kind }) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const help = document.createElement("small");
    Object.assign(input, { name: `knob-${name}`, inputMode: "decimal", autocomplete: "off" });
    input.placeholder = this.task === "edit" ? { t0: Math.ceil(this.offers.last_time / 2), repeats: 1 }[name] : "tuned";
    const last = name === "t0" ? this.offers.last_time : high;
    help.textContent = `${meaning} ${low} to ${last}${kind === "whole" ? ", whole" : ""}.`;
    label.append(name, input, help);
    return label;
  }

  // What the server is asked for. Numbers go as they were typed: it says what is wrong with them.
  wish() {
    const { task, easel } = this;
    const typed = (id) => field(id).value;
    const settings = {};
    for (const input of field("knobs").querySelectorAll("input")) settings[input.name.slice(5)] = input.value;
    const wish = { task, settings };
    for (const id of ["steps", "samples", "seed", "variance"]) wish[id] = typed(id);
    if (task !== "edit") wish.method = typed("method");
    if (task !== "generate") wish.image = easel.image();
    if (task === "reconstruct") {
      wish.operator = typed("spec") || typed("operator");
      wish.noise = typed("noise");
    }
    const isMaskUsed = task === "edit" || wish.operator === this.offers.drawn_hole;
    if (isMaskUsed && easel.hasMask()) wish.mask = base64Of(easel.mask);
    return wish;
  }

  // Puts a wish back into the form, as it was before the page was loaded again.
  restore(wish) {
    const radio = document.querySelector(`input[name=task][value=${wish.task}]`);
    if (radio) radio.checked = true;
    if (wish.method) this.chosen[wish.task] = wish.method;
    this.showTask();
    const operators = [...field("operator").options].map(({ value }) => value);
    const name = (spec) => spec.split(":")[0];
    const operator = operators.find((spec) => wish.operator && name(spec) === name(wish.operator));
    if (operator) {
      field("operator").value = operator;
      this.showOperator();
      if (operator !== this.offers.drawn_hole) field("spec").value = wish.operator;
    }
    for (const id of ["steps", "samples", "seed", "variance", "noise"]) {
      if (wish[id] !== undefined) field(id).value = wish[id];
    }
    for (const [name, value] of Object.entries(wish.settings)) {
      const input = document.querySelector(`input[name="knob-${name}"]`);
      if (input) input.value = value;
    }
  }
}

// Options under two headings.
function groups(methods) {
  const group = (label, members) => {
    const element = document.createElement("optgroup");
    element.label = label;
    element.append(...members.map(({ name, title }) => new Option(title, name)));
    return element;
  };
  const isTask = ({ name }) => OF_TASKS.includes(name);
  return [
    group("what you write in tasks/", methods.filter(isTask)),
    group("methods/", methods.filter((method) => !isTask(method))),
  ];
}
