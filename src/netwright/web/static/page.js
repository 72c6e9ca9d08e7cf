/* The page: what is given, asked for and said. What an answer looks like is a module for each task. */

import * as classes from "/classes.js";
import * as masks from "/masks.js";
import * as numbers from "/numbers.js";
import { at, some } from "/parts.js";
import { makeForm } from "/rows.js";

const TASKS = { classification: classes, regression: numbers, segmentation: masks };
let token = sessionStorage.getItem("token") || "";
let model = null;
let waiting = null; // what waits for a token: a function that asks again
let asked = 0; // answers to an earlier question are not shown
let shown = null; // the image's URL, to be given back

function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

function say(text, wrong = false) {
  const sentence = text.replace(/^the image: /, "");
  at("state").textContent = sentence.charAt(0).toUpperCase() + sentence.slice(1);
  at("state").classList.toggle("wrong", wrong);
}

async function asJson(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

function problem(response, answer) {
  if (answer.error) return answer.error.message;
  const first = (answer.predictions || [])[0];
  return first && first.error ? first.error.message : `the server answered ${response.status}`;
}

async function describe() {
  const response = await fetch("/model", { headers: headers() });
  if (response.status === 401) return needToken();
  const found = await asJson(response);
  if (!response.ok) return say(problem(response, found), true);
  model = found;
  const part = TASKS[model.task];
  at("token-form").hidden = true;
  document.title = `${model.name || "model"} · netwright`;
  at("name").textContent = model.name || "";
  at("title").textContent = part.title(model);
  at("about").textContent = part.about(model);
  const columns = model.columns || [];
  if (columns.length) {
    at("about").textContent += `, from ${columns.length} columns: ${some(columns.map(column => column.name))}`;
    makeForm(columns, askRow);
  }
  at("input").hidden = at("pictures").hidden = model.takes !== "images";
  showCard(model.card, `${model.engine.name} in ${model.engine.precision}`);
}

function needToken() {
  at("title").textContent = "This server asks for a token";
  at("token-form").hidden = false;
  at("token").focus();
}

/* The card is Markdown of a few kinds of lines. Class and file names in it are text, never HTML. */
function showCard(markdown, engine) {
  const box = at("card");
  box.replaceChildren();
  let list = null;
  for (const line of [...markdown.split("\n"), `Computed by ${engine}.`]) {
    if (!line.startsWith("- ")) list = null;
    if (!line.trim() || line.startsWith("# ")) continue;
    if (line.startsWith("- ")) {
      list = list || box.appendChild(document.createElement("ul"));
      list.appendChild(document.createElement("li")).textContent = line.slice(2);
      continue;
    }
    const kind = line.startsWith("## ") ? "h3" : line.startsWith("    ") ? "pre" : "p";
    box.appendChild(document.createElement(kind)).textContent = kind === "h3" ? line.slice(3) : line.trim();
  }
}

async function ask(path, body, kind = "application/octet-stream") {
  const response = await fetch(path, { method: "POST", body, headers: headers({ "Content-Type": kind }) });
  return { response, answer: await asJson(response) };
}

function askImage(image) {
  if (shown) URL.revokeObjectURL(shown);
  at("image").src = shown = URL.createObjectURL(image);
  return predict(image, undefined, image);
}

function askRow(row) {
  return predict(JSON.stringify(row), "application/json", null);
}

async function predict(body, kind, image) {
  const number = ++asked;
  for (const id of ["seen", "answer", "mask", "mask-tools"]) at(id).hidden = true;
  say("Looking …");
  const used = token;
  let found;
  try {
    found = await ask("/predict", body, kind);
  } catch {
    return say("The server can't be reached.", true);
  }
  if (number !== asked) return;
  if (found.response.status === 401) {
    if (token !== used) return predict(body, kind, image); // given meanwhile
    waiting = () => predict(body, kind, image);
    say("");
    return needToken();
  }
  if (!found.response.ok) return say(problem(found.response, found.answer), true);
  if (!model) await describe();
  const isLatest = () => number === asked;
  const given = { model, image, calibrated: found.answer.calibrated, ask, isLatest };
  await TASKS[model.task].show(found.answer.predictions[0], given);
  if (!isLatest()) return;
  at("answer").hidden = false;
  document.body.classList.add("answered");
  say("");
}

/* A picture of few pixels is shown as such, not as a blur; one that browsers can't show (TIFF) not at all. */
for (const picture of [at("image"), at("overlay")]) {
  picture.addEventListener("load", () => {
    picture.classList.remove("unseen");
    picture.classList.toggle("small", picture.naturalWidth < 100);
  });
  picture.addEventListener("error", () => picture.classList.add("unseen"));
}

function take(files) {
  const image = [...files].find(file => file.type.startsWith("image/")) || files[0];
  if (image && model?.takes !== "rows") askImage(image);
}

at("file").addEventListener("change", () => { take(at("file").files); at("file").value = ""; });
document.addEventListener("paste", event => take(event.clipboardData.files));
document.addEventListener("dragover", event => { event.preventDefault(); at("drop").classList.add("over"); });
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", event => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files);
});

at("token-form").addEventListener("submit", async event => {
  event.preventDefault();
  token = at("token").value.trim();
  sessionStorage.setItem("token", token);
  const again = waiting;
  waiting = null;
  await describe();
  if (again) again();
});

let stream = null;

function stopCamera() {
  if (stream) stream.getTracks().forEach(track => track.stop());
  stream = null;
  at("video").hidden = at("shoot").hidden = true;
  at("camera").textContent = "Use the camera";
}

at("camera").addEventListener("click", async () => {
  if (stream) return stopCamera();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    return say("There is no camera, or it may not be used here (browsers allow it on localhost and over HTTPS).", true);
  }
  at("video").srcObject = stream;
  at("video").hidden = at("shoot").hidden = false;
  at("camera").textContent = "Stop the camera";
  await at("video").play();
});

at("shoot").addEventListener("click", () => {
  const video = at("video"), canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  stopCamera();
  canvas.toBlob(image => askImage(image), "image/jpeg", 0.92);
});

if (!navigator.mediaDevices) at("camera").hidden = true;
describe();
