/* A number, and how far such numbers are off where that is known. */

import { at, drawBars, number } from "/parts.js";

export function title(model) {
  return model.target ? `Predict ${model.target}` : "Which number is it?";
}

export function about(model) {
  return model.takes === "images" ? "One number for an image" : "One number for a row";
}

export async function show(prediction, given) {
  at("label").textContent = number(prediction.value);
  at("sure").textContent = expected(given.model);
  drawBars([], "");
  at("more").hidden = true;
}

/* The mean absolute error on data that it has not learnt from: test's, or else val's. */
function expected(model) {
  const split = ["test", "val"].find(name => model.metrics[name]?.mae !== undefined);
  const called = model.target || "the unit of the targets";
  if (!split) return `${called}; how far off it is was not measured`;
  const { mae, mae_interval: interval } = model.metrics[split];
  const ends = interval ? ` (95 % interval ${number(interval[0], 3)} to ${number(interval[1], 3)})` : "";
  return `${called}, off by ${number(mae, 3)} on average${ends}, as measured on ${split}`;
}
