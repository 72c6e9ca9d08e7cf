/* A class for each pixel: the mask over the image, and each class's share. */

import { at, drawBars, number, percent, some } from "/parts.js";

const MOST_SHOWN = 2048; // pixels a side; what is downloaded is whole

export function title() {
  return "What is where?";
}

export function about(model) {
  return `A class for each pixel: ${some(model.class_names)}`;
}

export async function show(prediction, given) {
  const every = Object.entries(prediction.shares);
  const first = every[0][0];
  const [name, share] = every.slice(1).sort((one, other) => other[1] - one[1])[0] || every[0];
  at("label").textContent = share > 0 ? `${percent(share)} ${name}` : `Nothing but ${first}`;
  at("sure").textContent = `of ${number(prediction.width)} × ${number(prediction.height)} pixels`;
  drawBars(every, `Share of the pixels and colour of each class; ${first} is left clear`, given.model.colours);
  at("more").hidden = true;
  at("mask").setAttribute("aria-label", `Mask: ${every.map(([each, part]) => `${each} ${percent(part)}`).join(", ")}`);
  await drawMask(prediction.mask);
  at("mask").hidden = at("mask-tools").hidden = false;
  at("image-caption").textContent = "Your image and its mask";
  const stem = (given.image.name || "image").replace(/\.[^.]*$/, "");
  at("download").href = prediction.mask;
  at("download").download = `${stem}-mask.png`;
  document.body.classList.add("masks");
}

async function drawMask(url) {
  const mask = new Image();
  mask.src = url;
  await mask.decode();
  const scale = Math.min(1, MOST_SHOWN / Math.max(mask.naturalWidth, mask.naturalHeight));
  const canvas = at("mask"), context = canvas.getContext("2d", { willReadFrequently: true });
  canvas.width = Math.max(1, Math.round(scale * mask.naturalWidth));
  canvas.height = Math.max(1, Math.round(scale * mask.naturalHeight));
  context.imageSmoothingEnabled = false; // between two classes there is no third one
  context.drawImage(mask, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let place = 0; place < pixels.data.length; place += 4) {
    if (!(pixels.data[place] | pixels.data[place + 1] | pixels.data[place + 2])) pixels.data[place + 3] = 0;
  }
  context.putImageData(pixels, 0, 0);
  canvas.classList.toggle("small", mask.naturalWidth < 100);
}

function setOpacity() {
  at("mask").style.opacity = at("opacity").value / 100;
  at("opacity-said").textContent = `${at("opacity").value} %`;
}

at("opacity").addEventListener("input", setOpacity);
setOpacity();
