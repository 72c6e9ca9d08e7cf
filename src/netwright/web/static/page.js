"use strict";

const FEW = 5; // classes shown at first
const at = id => document.getElementById(id);
let token = sessionStorage.getItem("token") || "";
let waiting = null; // the image that waits for a token
let asked = 0; // answers to an earlier image are not shown

function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

function say(text, wrong = false) {
  at("state").textContent = text;
  at("state").classList.toggle("wrong", wrong);
}

function percent(fraction) {
  const value = 100 * fraction;
  return `${value > 99.9 && value < 100 ? ">99.9" : value.toFixed(1)} %`;
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
  const model = await asJson(response);
  if (!response.ok) return say(problem(response, model), true);
  at("token-form").hidden = true;
  document.title = `${model.name || "model"} · netwright`;
  at("name").textContent = model.name || "";
  at("title").textContent = "What is on the image?";
  const names = model.class_names;
  const some = names.slice(0, 12).join(", ");
  at("about").textContent = `${names.length} classes: ${some}${names.length > 12 ? ", …" : ""}`;
  showCard(model.card);
}

function needToken() {
  at("title").textContent = "This server asks for a token";
  at("token-form").hidden = false;
  at("token").focus();
}

/* The card is Markdown of a few kinds of lines. Class and file names in it are text, never HTML. */
function showCard(markdown) {
  const box = at("card");
  box.replaceChildren();
  let list = null;
  for (const line of markdown.split("\n")) {
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

async function ask(path, image) {
  const response = await fetch(path, {
    method: "POST", body: image, headers: headers({ "Content-Type": "application/octet-stream" }),
  });
  return { response, answer: await asJson(response) };
}

async function predict(image) {
  const number = ++asked;
  at("image").src = URL.createObjectURL(image);
  at("seen").hidden = true;
  at("answer").hidden = true;
  say("Looking …");
  const used = token;
  let found;
  try {
    found = await ask("/predict", image);
  } catch {
    return say("The server can't be reached.", true);
  }
  if (number !== asked) return;
  if (found.response.status === 401) {
    if (token !== used) return predict(image); // given meanwhile
    waiting = image;
    say("");
    return needToken();
  }
  if (!found.response.ok) return say(problem(found.response, found.answer), true);
  show(found.answer.predictions[0], found.answer.calibrated);
  say("");
  await explain(image, number);
}

function show(prediction, calibrated) {
  at("label").textContent = prediction.label;
  at("sure").textContent = `${percent(prediction.probability)} sure` +
    (calibrated ? " (calibrated on validation data)" : " (the network's own number, not calibrated)");
  const every = Object.entries(prediction.probabilities).sort((one, other) => other[1] - one[1]);
  drawBars(every.slice(0, FEW));
  at("more").hidden = every.length <= FEW;
  at("more").onclick = () => {
    drawBars(every);
    at("more").hidden = true;
  };
  at("answer").hidden = false;
  document.body.classList.add("answered");
}

function drawBars(pairs) {
  const rows = pairs.map(([name, probability]) => {
    const row = document.createElement("tr");
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.textContent = name;
    const track = row.appendChild(document.createElement("td")).appendChild(document.createElement("span"));
    track.className = "track";
    const bar = track.appendChild(document.createElement("span"));
    bar.className = "bar";
    bar.style.width = `${100 * probability}%`;
    const number = row.appendChild(document.createElement("td"));
    number.className = "number";
    number.textContent = percent(probability);
    return row;
  });
  at("bars").tBodies[0].replaceChildren(...rows);
}

/* Where it looks comes after the answer: it takes a second pass, and some networks have no places to show. */
async function explain(image, number) {
  try {
    const { response, answer } = await ask("/explain", image);
    if (!response.ok || number !== asked) return;
    at("overlay").src = answer.overlay;
    at("overlay").alt = `Bright where the network sees what speaks for ${answer.label}`;
    at("seen-caption").textContent = `Bright: what speaks for “${answer.label}” (Grad‑CAM)`;
    at("seen").hidden = false;
  } catch {
    /* the answer itself stands */
  }
}

/* A picture of few pixels is shown as such, not as a blur. */
for (const shown of [at("image"), at("overlay")]) {
  shown.addEventListener("load", () => shown.classList.toggle("small", shown.naturalWidth < 100));
}

function take(files) {
  const image = [...files].find(file => file.type.startsWith("image/")) || files[0];
  if (image) predict(image);
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

at("token-form").addEventListener("submit", event => {
  event.preventDefault();
  token = at("token").value.trim();
  sessionStorage.setItem("token", token);
  const image = waiting;
  waiting = null;
  describe();
  if (image) predict(image);
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
  canvas.toBlob(image => predict(image), "image/jpeg", 0.92);
});

if (!navigator.mediaDevices) at("camera").hidden = true;
describe();
