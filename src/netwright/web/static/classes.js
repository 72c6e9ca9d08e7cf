/* A label and the probability of each class; of an image also where it is seen. */

import { at, drawBars, percent, some } from "/parts.js";

const FEW = 5; // classes shown at first

export function title(model) {
  if (model.takes === "images") return "What is on the image?";
  return model.target ? `Predict ${model.target}` : "Which class is it?";
}

export function about(model) {
  return `${model.class_names.length} classes: ${some(model.class_names)}`;
}

export async function show(prediction, given) {
  const target = given.model.takes === "rows" && given.model.target;
  at("label").textContent = target ? `${target}: ${prediction.label}` : prediction.label;
  at("sure").textContent = `${percent(prediction.probability)} sure` +
    (given.calibrated ? " (calibrated on validation data)" : " (the network's own number, not calibrated)");
  const every = Object.entries(prediction.probabilities).sort((one, other) => other[1] - one[1]);
  const draw = pairs => drawBars(pairs, "Probability of each class");
  draw(every.slice(0, FEW));
  at("more").hidden = every.length <= FEW;
  at("more").onclick = () => {
    draw(every);
    at("more").hidden = true;
  };
  if (given.image) explain(given);
}

/* Where it looks comes after the answer: it takes a second pass, and some networks have no places to show. */
async function explain(given) {
  try {
    const { response, answer } = await given.ask("/explain", given.image);
    if (!response.ok || !given.isLatest()) return;
    at("overlay").src = answer.overlay;
    at("overlay").alt = `Bright where the network sees what speaks for ${answer.label}`;
    at("seen-caption").textContent = `Bright: what speaks for “${answer.label}” (Grad‑CAM)`;
    at("seen").hidden = false;
  } catch {
    /* the answer itself stands */
  }
}
