
"use strict";
// Shows the numbers of a plot's table beside the pointer, or step by step with the arrow keys.
const SVG = "http://www.w3.org/2000/svg";

function add(parent, name, classes, namespace) {
  const element = namespace ? document.createElementNS(namespace, name) : document.createElement(name);
  element.setAttribute("class", classes);
  return parent.appendChild(element);
}

function follow(figure) {
  const drawing = figure.querySelector(".drawing");
  const tip = figure.querySelector(".tip");
  const rows = [...figure.querySelectorAll("tbody tr")];
  const names = [...figure.querySelectorAll("thead th")].map((cell) => cell.textContent);
  const tones = [...figure.querySelectorAll(".legend svg > *")].map((sample) => sample.getAttribute("class"));
  const marker = add(drawing, "g", "marker", SVG);
  let at = -1;

  // The box of the axes, without the room around it for labels.
  function area() {
    return drawing.querySelector(".field").getBoundingClientRect();
  }

  function hide() {
    at = -1;
    marker.replaceChildren();
    tip.hidden = true;
  }

  function show(index) {
    at = Math.min(Math.max(index, 0), rows.length - 1);
    const row = rows[at];
    const cells = [...row.querySelectorAll("td")];
    const x = row.dataset.x + "%";
    marker.replaceChildren();
    tip.replaceChildren();
    const line = add(marker, "line", "cross", SVG);
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 0, y2: 260 })) line.setAttribute(name, value);
    add(tip, "p", "head").textContent = names[0] + " " + row.querySelector("th").textContent;
    cells.forEach((cell, i) => {
      if (cell.dataset.y !== undefined) {
        const dot = add(marker, "circle", tones[i], SVG);
        for (const [name, value] of Object.entries({ cx: x, cy: cell.dataset.y, r: 4 })) dot.setAttribute(name, value);
      }
      const entry = add(tip, "p", "");
      add(entry, "i", tones[i]);
      add(entry, "span", "").textContent = names[i + 1];
      add(entry, "b", "").textContent = cell.textContent;
    });
    tip.hidden = false;
    place(row.dataset.x / 100);
  }

  // On the side of the line where there is more room, and never out of the figure.
  function place(share) {
    const box = area();
    const outer = tip.parentElement.getBoundingClientRect();
    const x = box.left - outer.left + share * box.width;
    const left = share < 0.5 ? x + 14 : x - 14 - tip.offsetWidth;
    tip.style.left = Math.min(Math.max(left, 0), Math.max(outer.width - tip.offsetWidth, 0)) + "px";
    tip.style.top = box.top - outer.top + 8 + "px";
  }

  function nearest(clientX) {
    const box = area();
    const share = (100 * (clientX - box.left)) / box.width;
    const distance = (row) => Math.abs(row.dataset.x - share);
    return rows.reduce((best, row, i) => (distance(row) < distance(rows[best]) ? i : best), 0);
  }

  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  drawing.addEventListener("pointermove", (event) => show(nearest(event.clientX)));
  drawing.addEventListener("pointerdown", (event) => show(nearest(event.clientX)));
  drawing.addEventListener("pointerleave", hide);
  drawing.addEventListener("blur", hide);
  drawing.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(at + steps[event.key]);
  });
}

document.querySelectorAll(".plot").forEach(follow);
// On paper nothing can be opened.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
