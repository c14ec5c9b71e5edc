"use strict";
// The page of a comparison: a table that sorts, restorations to flip with their errors, curves.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const COLOURS = 8;
const colour = i => `var(--c${i % COLOURS})`;
function make(tag, parent, text) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

$("made").textContent = data.made;
$("quality").textContent = data.quality;
$("bar").style.background = `linear-gradient(to right, ${data.scale.join(", ")})`;
if (data.table.some(row => row.cells.some(cell => cell && cell.lpips !== null))) $("seen").textContent = ", LPIPS";

// the table
let sorted = null, falling = true;
function drawTable() {
  const head = $("table").tHead, body = $("table").tBodies[0];
  head.replaceChildren(); body.replaceChildren();
  const line = make("tr", head);
  ["prior", ...data.columns, "seconds", "certified"].forEach((name, i) => {
    const cell = make("th", line);
    cell.scope = "col";
    if (sorted === i) cell.ariaSort = falling ? "descending" : "ascending";
    const button = make("button", cell, name);
    button.type = "button";
    button.onclick = () => { falling = sorted === i ? !falling : i > 0; sorted = i; drawTable(); };
  });
  const value = (row, i) => i === 0 ? row.prior : i <= data.columns.length
    ? (row.cells[i - 1] ? row.cells[i - 1].mean : -1) : i === data.columns.length + 1
    ? row.seconds : row.certified / row.images;
  const rows = [...data.table];
  if (sorted !== null) rows.sort((a, b) => {
    const [x, y] = [value(a, sorted), value(b, sorted)];
    return (x < y ? -1 : x > y ? 1 : 0) * (falling ? -1 : 1);
  });
  for (const row of rows) {
    const line = make("tr", body);
    make("td", line, row.prior);
    for (const cell of row.cells) {
      const td = make("td", line);
      if (!cell) { td.textContent = "-"; continue; }
      td.className = cell.best ? "best" : "";
      make("b", td, cell.mean.toFixed(2));
      td.append(` \u00b1 ${cell.spread.toFixed(2)} / ${cell.ssim === null ? "" : cell.ssim.toFixed(3)}`
        + (cell.lpips === null ? "" : ` / ${cell.lpips.toFixed(3)}`));
      td.title = cell.behind ? `${cell.behind.toFixed(2)} \u00b1 ${cell.error.toFixed(2)} dB behind the best`
        + (cell.p === null ? "" : `, p = ${cell.p.toPrecision(2)}`) : "the best";
    }
    make("td", line, row.seconds.toFixed(1));
    make("td", line, `${row.certified} of ${row.images}`);
  }
}

// restorations: versions of one measurement, the one that is shown and the one before it
// at first the first restoration, with the truth to flip to
let versions = [], shown = 3, before = 0, spot = [0.5, 0.5], pointed = false;
const inProblem = () => data.measurements.filter(m => m.column === +$("problem").value);
const here = () => inProblem()[+$("image").value];
function choose() {
  const names = inProblem().map(m => m.name);
  const kept = Math.min(Math.max(0, $("image").selectedIndex), names.length - 1);
  $("image").replaceChildren();
  names.forEach((name, i) => { make("option", $("image"), name).value = i; });
  $("image").value = kept;
  open();
}
function open() {
  const m = here();
  versions = m.versions;
  if (!pointed) spot = m.spot;
  shown = Math.min(shown, versions.length - 1); before = Math.min(before, versions.length - 1);
  for (const frame of document.querySelectorAll(".frame")) frame.style.aspectRatio = `${m.size[0]} / ${m.size[1]}`;
  $("marks").replaceChildren();
  [0, 0.25, 0.5, 0.75, 1].forEach(share => make("span", $("marks"), +(share * m.end).toPrecision(3)
    + (share === 1 ? " and more" : "")));
  $("versions").replaceChildren(); $("zooms").replaceChildren();
  versions.forEach((v, i) => {
    const button = make("button", $("versions"), v.name);
    button.type = "button";
    button.onclick = () => show(i);
    if (!v.aligned) return;  // its pixels are none of the image's
    const tile = make("label", $("zooms"));
    for (const key of [v.picture, v.error]) {
      if (key !== null) make("div", tile).style.backgroundImage = `url(${data.pictures[key]})`;
    }
    make("span", tile, v.name + (v.psnr === null ? "" : ` ${v.psnr.toFixed(2)} dB`));
    tile.onclick = () => show(i);
  });
  show(shown); drawCurves(m);
}
function show(i) {
  if (i !== shown) { before = shown; shown = i; }
  const v = versions[shown];
  $("big").src = data.pictures[v.picture];
  $("big").alt = v.name;
  $("caption").textContent = v.name + (v.psnr === null ? "" : `, ${v.psnr.toFixed(2)} dB`)
    + (v.said ? `: ${v.said}` : "");
  // the truth and the measurement have none
  $("wrongness").classList.toggle("empty", v.error === null);
  if (v.error !== null) {
    $("error").src = data.pictures[v.error];
    $("error").alt = `error of ${v.name}`;
    $("wrong").textContent = `|${v.name} \u2212 truth|, image units; one scale for all versions of this measurement`;
  }
  [...$("versions").children].forEach((b, k) => { b.ariaPressed = String(k === shown); });
  zoom();
}
const flip = () => show(before);
function zoom() {
  const m = here(), times = 4, [w, h] = [m.size[0] * times, m.size[1] * times];
  const place = (at, whole, side) => -Math.min(Math.max(0, at * whole - side / 2), Math.max(0, whole - side));
  for (const tile of $("zooms").querySelectorAll("div")) {
    tile.style.backgroundSize = `${w}px ${h}px`;
    tile.style.backgroundPosition = `${place(spot[0], w, tile.clientWidth)}px ${place(spot[1], h, tile.clientHeight)}px`;
  }
}
function point(event) {
  const box = event.target.getBoundingClientRect();
  pointed = true;
  spot = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  zoom();
}

// curves
const TITLES = { objective: "objective above its last value", residual: "residual" };
function drawCurves(m) {
  $("curves").replaceChildren();
  for (const which of ["objective", "residual"]) {
    const lines = m.versions.filter(v => v.curves)
      .map((v, i) => ({ name: v.name, points: points(v.curves, which), i }))
      .filter(line => line.points.length > 1);
    if (lines.length) $("curves").append(plot(TITLES[which], lines));
  }
}
function points(curves, which) {
  if (!curves[which]) return [];
  const start = which === "objective" ? curves.descent : 0, values = curves[which].slice(start);
  const last = which === "objective" ? values[values.length - 1] : 0;
  return values.map((y, i) => [start + i + 1, y === null ? NaN : Math.log10(y - last)]).filter(p => isFinite(p[1]));
}
function stepTicks(near, far) {
  // 1, 2 and 5 times powers of ten; where fewer than three of them lie on the axis, even ones
  const found = [];
  for (let power = 1; power <= far; power *= 10) found.push(power, 2 * power, 5 * power);
  const there = found.filter(k => k >= near && k <= far);
  if (there.length > 2) return there;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, (far - near) / 5)));
  const gap = [1, 2, 5, 10].map(k => k * power).find(wide => (far - near) / wide <= 5);
  return Array.from({ length: 6 }, (_, i) => (Math.ceil(near / gap) + i) * gap).filter(k => k <= far);
}
function plot(title, lines) {
  // as wide as its place, so that letters have their size on every screen
  const room = $("curves").clientWidth, W = room < 856 ? room : (room - 16) / 2;
  const [H, L, B, T, R] = [270, 48, 40, 24, 12], all = lines.flatMap(line => line.points);
  const [near, far] = [Math.min, Math.max].map(end => end(...all.map(p => p[0])));
  const ys = all.map(p => p[1]), [low, high] = [Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys))];
  const x = k => L + (W - L - R) * Math.log(k / near) / (Math.log(far / near) || 1);
  const y = v => T + (H - B - T) * (high - v) / (high - low || 1);
  const node = (tag, parent, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const box = make("figure"), svg = node("svg", box, { viewBox: `0 0 ${W} ${H}`, role: "img" });
  node("title", svg, {}, `${title}, by step`);
  const every = Math.max(1, Math.ceil((high - low) / 6));
  for (let v = low; v <= high; v += every) {
    node("line", svg, { class: "grid", x1: L, x2: W - R, y1: y(v), y2: y(v) });
    node("line", svg, { class: "tick", x1: L - 5, x2: L, y1: y(v), y2: y(v) });
    node("text", svg, { x: L - 8, y: y(v) + 4, "text-anchor": "end" }, `1e${v}`);
  }
  for (const k of stepTicks(near, far)) {
    node("line", svg, { class: "grid", x1: x(k), x2: x(k), y1: T, y2: H - B });
    node("line", svg, { class: "tick", x1: x(k), x2: x(k), y1: H - B, y2: H - B + 5 });
    node("text", svg, { x: x(k), y: H - B + 17, "text-anchor": "middle" }, k);
  }
  node("line", svg, { class: "axis", x1: L, x2: L, y1: T, y2: H - B });
  node("line", svg, { class: "axis", x1: L, x2: W - R, y1: H - B, y2: H - B });
  node("text", svg, { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" }, "step");
  node("text", svg, { x: 4, y: 13 }, title);
  for (const { points, i } of lines) node("polyline", svg, { style: `stroke: ${colour(i)}`,
    points: points.map(p => `${x(p[0])},${y(p[1])}`).join(" ") });
  const legend = make("figcaption", box);
  legend.className = "legend";
  for (const { name, i } of lines) {
    const entry = make("span", legend);
    make("i", entry).style.background = colour(i);
    entry.append(name);
  }
  return box;
}

data.columns.forEach((name, i) => {
  if (data.measurements.some(m => m.column === i)) make("option", $("problem"), name).value = i;
});
$("problem").onchange = choose;
$("image").onchange = open;
$("big").onclick = flip;
for (const id of ["big", "error"]) $(id).onpointermove = $(id).onpointerdown = point;
addEventListener("resize", () => { if (data.measurements.length) { zoom(); drawCurves(here()); } });
addEventListener("keydown", event => {
  if (event.key === " " && !["BUTTON", "SELECT"].includes(event.target.tagName)) { event.preventDefault(); flip(); }
});
drawTable();
if (data.measurements.length) choose();
