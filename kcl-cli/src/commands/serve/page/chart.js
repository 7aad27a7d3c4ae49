// The lag as a line over time.
import { clock, lag, make } from "./draw.js";

const SPACE = { left: 52, right: 6, top: 12, bottom: 20 };
// Steps that are round in seconds, minutes, hours and days.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** A tick of the axis in one unit. */
function tick(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [size, unit] of units) if (seconds >= size) return `${Math.round((seconds / size) * 10) / 10} ${unit}`;
  return `${seconds} s`;
}

export class Chart {
  constructor(place) {
    this.place = place;
    this.minutes = 10;
    this.samples = [];
    this.marks = [];
    this.svg = svg("svg", { role: "img", "aria-label": "How far behind, over time" });
    this.output = make("output");
    this.output.hidden = true;
    place.append(this.svg, this.output);
    new ResizeObserver(() => this.draw()).observe(place);
    place.addEventListener("pointermove", (event) => this.point(event.offsetX));
    place.addEventListener("pointerleave", () => this.point(null));
  }

  draw() {
    const width = this.place.clientWidth;
    const height = this.place.clientHeight;
    const now = this.samples.at(-1)?.at ?? Date.now();
    // A line of a minute is not drawn into an empty frame of hours.
    const begun = Math.min(this.samples[0]?.at ?? now, now - 60000);
    const from = Math.max(now - this.minutes * 60000, begun);
    const shown = this.samples.filter((sample) => sample.at >= from);
    const right = width - SPACE.right;
    const bottom = height - SPACE.bottom;
    const x = (at) => SPACE.left + ((at - from) / (now - from)) * (right - SPACE.left);
    const top = Math.max(5, ...shown.map((sample) => sample.max_behind_seconds ?? 0));
    const step = STEPS.find((size) => top / size <= 4) ?? Math.ceil(top / 4 / 604800) * 604800;
    const most = Math.ceil(top / step) * step;
    const y = (seconds) => bottom - (Math.min(seconds, most) / most) * (bottom - SPACE.top);
    this.scale = { x, shown };
    const parts = [];
    for (let value = 0; value <= most; value += step) {
      parts.push(svg("line", { class: "grid", x1: SPACE.left, x2: right, y1: y(value), y2: y(value) }));
      parts.push(svg("text", { x: SPACE.left - 8, y: y(value) + 4, "text-anchor": "end" }, tick(value)));
    }
    const labels = width < 480 ? 2 : 5;
    for (let label = 0; label <= labels; label += 1) {
      const at = from + ((now - from) * label) / labels;
      const anchor = label === 0 ? "start" : label === labels ? "end" : "middle";
      parts.push(svg("text", { x: x(at), y: height - 4, "text-anchor": anchor }, clock(at, now - from < 300000)));
    }
    for (const mark of this.marks.filter((it) => it.at >= from && it.at <= now)) {
      const kind = mark.kind === "handed_over" ? "mark" : "mark lost";
      parts.push(svg("line", { class: kind, x1: x(mark.at), x2: x(mark.at), y1: bottom - 7, y2: bottom }));
    }
    for (const piece of pieces(shown, "median_behind_seconds")) {
      parts.push(svg("path", { class: "middle", d: path(piece, x, y) }));
    }
    for (const piece of pieces(shown, "max_behind_seconds")) {
      const line = path(piece, x, y);
      const [first, last] = [piece[0], piece.at(-1)];
      parts.push(svg("path", { class: "area", d: `${line}L${x(last[0])},${bottom}L${x(first[0])},${bottom}Z` }));
      parts.push(svg("path", { class: "furthest", d: line }));
    }
    this.cursor = svg("line", { class: "cursor", y1: SPACE.top, y2: bottom, visibility: "hidden" });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...parts, this.cursor);
    this.point(this.pointed ?? null);
  }

  /** Says what was at the pointer. */
  point(at) {
    this.pointed = at;
    const nearest = at === null ? undefined : this.nearest(at);
    this.output.hidden = nearest === undefined;
    this.cursor?.setAttribute("visibility", nearest === undefined ? "hidden" : "visible");
    if (nearest === undefined) return;
    const x = this.scale.x(nearest.at);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.output.textContent = `${clock(nearest.at)}  ${lag(nearest.max_behind_seconds)}, median ${lag(nearest.median_behind_seconds)}`;
    const room = this.place.clientWidth - this.output.offsetWidth;
    this.output.style.left = `${Math.max(0, Math.min(room, x + 8))}px`;
  }

  nearest(at) {
    const far = (sample) => Math.abs(this.scale.x(sample.at) - at);
    return this.scale?.shown.reduce((best, it) => (best === undefined || far(it) < far(best) ? it : best), undefined);
  }
}

/** The stretches in which a figure is known, as pairs of time and value. */
function pieces(samples, figure) {
  const all = [[]];
  for (const sample of samples) {
    if (sample[figure] === null) all.push([]);
    else all.at(-1).push([sample.at, sample[figure]]);
  }
  return all.filter((piece) => piece.length > 1);
}

const path = (piece, x, y) => piece.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)},${y(value).toFixed(1)}`).join("");
