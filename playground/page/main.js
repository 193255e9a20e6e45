// The page: puts the parts together, starts runs, and says how they are going.

import { Easel } from "./easel.js";
import { Form } from "./form.js";
import { markImage, offerImages, takeFiles } from "./pictures.js";
import { save, savePicture } from "./pixels.js";
import { Run } from "./run.js";
import { Show } from "./show.js";

const field = (id) => document.getElementById(id);

// A step of a student's that does not end cannot be stopped from here.
const LONG_WAIT = 8000;
const KEPT = "playground-run";

const offers = await (await fetch("api/offers")).json();
field("prior").textContent = offers.prior;
const easel = new Easel(field("easel"), offers.image_shape[1], drawn);
const form = new Form(offers, easel);
offerImages(field("shipped"), offers.images, easel);
takeFiles(easel, () => form.task === "reconstruct");
const show = new Show();
let run = null;
let wish = null;
let waiting = null;

bindTools();
field("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!field("run").disabled) start();
});
field("cancel").addEventListener("click", cancel);
bindSaving();
resume();

// A stroke was made with this tool, or another image came.
function drawn(tool) {
  markImage(field("shipped"), easel.isPainted ? "" : easel.name);
  if (tool === "mask") form.chooseDrawnHole();
}

async function start() {
  message("refusal", "");
  wish = form.wish();
  field("run").disabled = true;
  try {
    run = await Run.start(wish, heard);
    keep();
    begin();
  } catch (error) {
    message("refusal", error.message);
    field("run").disabled = false;
  }
}

function begin() {
  field("run").disabled = true;
  field("cancel").disabled = false;
  message("failure", "");
  status("Sent.");
  field("progress").removeAttribute("value");
  // On a narrow window the results are below.
  if (field("status").getBoundingClientRect().bottom > innerHeight) field("results").scrollIntoView();
}

async function cancel() {
  field("cancel").disabled = true;
  status("Stopping after this step...");
  waiting = setTimeout(() => {
    status("The step that is being taken has not come back yet. If it never does, end the playground with Ctrl-C in its terminal.");
  }, LONG_WAIT);
  try {
    await run.cancel();
  } catch (error) {
    end(error.message);
  }
}

// What the run tells.
function heard(kind, news) {
  switch (kind) {
    case "queued":
      return status(news.ahead === 1 ? "Waiting for another run to end." : `Waiting: ${news.ahead} runs come before this one.`);
    case "started":
      show.begin(news, wish.task);
      field("progress").max = Math.max(1, news.evaluations);
      field("progress").value = 0;
      return status("Started.");
    case "step":
      field("progress").value = news.done;
      // Too often to be read aloud.
      if (!field("cancel").disabled) status(`Step ${news.done} of ${field("progress").max}, ${timeLeft(news.left)}.`, "off");
      return show.step(news);
    case "sample":
      return show.sample(news);
    case "done":
      if (news.agreement) show.agree(news.agreement);
      field("progress").value = field("progress").max;
      return end(`Done in ${news.seconds < 10 ? news.seconds.toFixed(1) : Math.round(news.seconds)} s.`);
    case "stopped":
      return end(news.sentence);
    case "failed":
      message("failure", news.sentence);
      return end("This run ended with an error.");
    case "gone":
      return end("This run is not there any more: the playground was started anew. Press Run again.");
    case "silent":
      return status("The playground does not answer: is it still running in its terminal? This page tries again.");
  }
}

function end(words) {
  clearTimeout(waiting);
  field("run").disabled = false;
  field("cancel").disabled = true;
  if (!field("progress").hasAttribute("value")) field("progress").value = 0;
  status(words);
}

function status(words, live = "polite") {
  field("status").setAttribute("aria-live", live);
  if (field("status").textContent !== words) field("status").textContent = words;
}

function message(id, words) {
  field(id).textContent = words;
  field(id).hidden = !words;
}

function timeLeft(seconds) {
  if (seconds < 1) return "a moment left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  return `about ${Math.round(seconds / 60)} minutes left`;
}

// A page that is loaded again finds its run.
function keep() {
  sessionStorage.setItem(KEPT, JSON.stringify({ id: run.id, wish }));
}

function resume() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (!kept) return;
  wish = kept.wish;
  if (wish.image) {
    const [, height, width] = offers.image_shape;
    if (wish.image.rgb.length === Math.ceil(height * width) * 4) {
      easel.load({ rgb: wish.image.rgb }, wish.image.name);
      if (wish.mask) easel.loadMaskBytes(wish.mask);
    }
  }
  form.restore(wish);
  begin();
  run = new Run(kept.id, heard);
}

function bindTools() {
  for (const radio of document.getElementsByName("tool")) {
    radio.addEventListener("change", () => (easel.tool = radio.value));
  }
  field("colour").addEventListener("input", ({ target }) => {
    easel.colour = [1, 3, 5].map((at) => parseInt(target.value.slice(at, at + 2), 16));
  });
  field("brush").addEventListener("input", ({ target }) => (easel.brush = Number(target.value)));
  field("undo").addEventListener("click", () => easel.undo());
  field("clear").addEventListener("click", () => easel.clearMask());
  field("blank").addEventListener("click", () => easel.blank());
}

function bindSaving() {
  field("save-image").addEventListener("click", () => wish?.image && savePicture(pictureOf(wish.image.rgb), "image.png"));
  field("save-mask").addEventListener("click", () => {
    // Task 4 reads bright as what may change, an operator reads dark as what is missing.
    const [drawn, elsewhere] = wish.task === "edit" ? [255, 0] : [0, 255];
    savePicture(easel.maskPicture(drawn, elsewhere), "mask.png");
  });
  field("save-run").addEventListener("click", () => {
    save(new Blob([JSON.stringify(wish)], { type: "application/json" }), "run.json");
  });
  field("copy").addEventListener("click", async ({ target }) => {
    await navigator.clipboard.writeText(field("command").textContent);
    target.textContent = "Copied";
    setTimeout(() => (target.textContent = "Copy the command"), 1500);
  });
}

function pictureOf(rgb) {
  const [, height, width] = offers.image_shape;
  return { height, width, rgb };
}
