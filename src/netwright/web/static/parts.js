/* What every part of the page uses. */

export const at = id => document.getElementById(id);

export function percent(fraction) {
  const value = 100 * fraction;
  return `${value > 99.9 && value < 100 ? ">99.9" : value.toFixed(1)} %`;
}

export function number(value, digits = 6) {
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(value);
}

export function some(names, most = 12) {
  return names.slice(0, most).join(", ") + (names.length > most ? ", …" : "");
}

/* Draw the table of bars: [name, fraction] each, with the colour of a name where there are colours. */
export function drawBars(pairs, caption, colours = null) {
  at("bars-caption").textContent = caption;
  at("bars").classList.toggle("legend", colours !== null);
  at("bars").tBodies[0].replaceChildren(...pairs.map(([name, fraction]) => {
    const row = document.createElement("tr");
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    if (colours) head.append(swatch(colours[name]));
    head.append(name);
    const track = row.appendChild(document.createElement("td")).appendChild(document.createElement("span"));
    track.className = "track";
    const bar = track.appendChild(document.createElement("span"));
    bar.className = "bar";
    bar.style.width = `${100 * fraction}%`;
    if (colours) paint(bar, colours[name]);
    const number = row.appendChild(document.createElement("td"));
    number.className = "number";
    number.textContent = percent(fraction);
    return row;
  }));
}

function swatch(colour) {
  const made = document.createElement("span");
  made.className = "swatch";
  paint(made, colour);
  return made;
}

/* Black is the class that is left clear: there the image shows. */
function paint(element, colour) {
  if (colour === "#000000") element.classList.add("clear");
  else element.style.backgroundColor = colour;
}
