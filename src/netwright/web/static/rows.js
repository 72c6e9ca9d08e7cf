/* A form of a table's columns: what is left empty is not known. */

import { at, number } from "/parts.js";

const MOST_OPTIONS = 60; // of more words some are typed

/* Make the form; `ask` gets a row when it is sent. */
export function makeForm(columns, ask) {
  const fields = columns.map((column, place) => field(column, `column-${place}`));
  at("fields").replaceChildren(...fields.map(each => each.box));
  at("row").hidden = false;
  at("row").onsubmit = event => {
    event.preventDefault();
    ask(Object.fromEntries(columns.map((column, place) => [column.name, fields[place].input.value.trim() || null])));
  };
}

function field(column, id) {
  const box = document.createElement("div");
  const label = box.appendChild(document.createElement("label"));
  label.htmlFor = id;
  label.textContent = column.name;
  const input = box.appendChild(inputOf(column, box, id));
  input.id = id;
  return { box, input };
}

function inputOf(column, box, id) {
  if (column.kind === "boolean") return select([["yes", "yes"], ["no", "no"]]);
  if (column.kind === "category" && column.categories.length <= MOST_OPTIONS) {
    return select(column.categories.map(word => [word, word]));
  }
  const input = document.createElement("input");
  input.autocomplete = "off";
  if (column.kind === "date") input.type = "date";
  if (column.kind === "number") {
    input.inputMode = "decimal";
    input.placeholder = `such as ${number(column.middle)}`;
  }
  if (column.kind === "category") {
    input.setAttribute("list", `${id}-words`);
    const words = box.appendChild(document.createElement("datalist"));
    words.id = `${id}-words`;
    words.append(...column.categories.map(word => new Option(word)));
  }
  return input;
}

function select(pairs) {
  const made = document.createElement("select");
  made.append(new Option("not known", ""), ...pairs.map(([value, text]) => new Option(text, value)));
  return made;
}
