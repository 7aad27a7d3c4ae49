// What all parts of the page draw with. Text is only ever set as text: names of workers are foreign.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/** Sets text, and touches nothing that is as it should be: a selection stays. */
export function set(node, text) {
  text = String(text);
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, is) {
  if (node.hidden === Boolean(is)) node.hidden = !is;
}

export function classed(node, name, is) {
  node.classList.toggle(name, Boolean(is));
}

/** A new element with classes and children, which are nodes or texts. */
export function make(tag, classes = "", ...children) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  node.append(...children);
  return node;
}

/** Makes the children of `parent` as many as there are values, and has each one updated. */
export function fill(parent, values, create, update) {
  while (parent.children.length > values.length) parent.lastElementChild.remove();
  while (parent.children.length < values.length) parent.append(create());
  values.forEach((value, index) => update(parent.children[index], value));
}

/** A span of seconds in at most two units, as `kcl` writes it. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.floor(seconds * 1000)} ms`;
  if (seconds < 60) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const pair = (large, one, small, two) => (small ? `${large} ${one} ${small} ${two}` : `${large} ${one}`);
  const whole = Math.floor(seconds);
  if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86400) return pair(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return pair(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

/** A lag: below a second it is nothing that anybody has to look at. */
export const lag = (seconds) => (seconds !== null && seconds !== undefined && seconds < 1 ? "< 1 s" : span(seconds));

export const count = (number, one, many = `${one}s`) => `${group(number)} ${number === 1 ? one : many}`;

/** 10,000 and not 10000. */
export const group = (number) => number.toLocaleString("en");

/** The time of day of milliseconds since 1970. */
export function clock(millis, withSeconds = true) {
  const date = new Date(millis);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return withSeconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

/** What a state or a life is called: `hand_over` is a hand-over. */
export const named = (word) => ({ hand_over: "hand-over", handed_over: "handed over", unknown: "not judged" })[word] ?? word;
