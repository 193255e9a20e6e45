// Where the image on the easel comes from: those that are shipped, a file, or a drop.

import { draw } from "./pixels.js";
import { ask } from "./run.js";

// Fills the list of shipped images; the first is put onto the easel.
export function offerImages(list, images, easel) {
  for (const { name, picture, mask } of images) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = name;
    button.setAttribute("aria-label", name.split("/").pop().replace(".png", ""));
    const canvas = document.createElement("canvas");
    draw(canvas, picture);
    button.append(canvas);
    button.addEventListener("click", () => {
      easel.load(picture, name, mask);
      note("");
    });
    list.append(button);
  }
  if (images.length) easel.load(images[0].picture, images[0].name, images[0].mask);
  else easel.blank();
}

// Marks the one that is on the easel.
export function markImage(list, name) {
  for (const button of list.children) button.setAttribute("aria-pressed", String(button.title === name));
}

// Files that are chosen, dropped or pasted.
// `isDarkDrawn` says how the mask of a file is meant.
export function takeFiles(easel, isDarkDrawn) {
  const chosen = (id, take) => {
    const input = document.getElementById(id);
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files[0]);
      input.value = "";
    });
  };
  const takeImage = (file) => read(file, "api/images", (picture) => easel.load(picture, file.name));
  chosen("image-file", takeImage);
  // Bright is what may change of a guide, and what is not missing of a measurement.
  chosen("mask-file", (file) => read(file, "api/masks", (picture) => easel.loadMask(picture, isDarkDrawn())));

  const target = easel.canvas.parentElement;
  for (const kind of ["dragover", "dragleave", "drop"]) {
    target.addEventListener(kind, (event) => {
      event.preventDefault();
      target.classList.toggle("over", kind === "dragover");
      const file = kind === "drop" ? event.dataTransfer.files[0] : null;
      if (file) takeImage(file);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
    if (file) takeImage(file);
  });
}

// The server reads the file, as the programs would, and says what it did to make it fit.
async function read(file, address, take) {
  note(`${file.name}: reading...`);
  try {
    const { picture, adapted } = await ask(address, file);
    take(picture);
    note(`${file.name}: ${adapted || "taken as it is"}`);
  } catch (error) {
    note(`${file.name}: ${error.message}`, "bad");
  }
}

function note(text, kind = "") {
  const place = document.getElementById("image-note");
  place.textContent = text;
  place.className = kind ? `message ${kind}` : "note";
}
