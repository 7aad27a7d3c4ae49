// The page: what is drawn after each look of the observer.
import { Chart } from "./chart.js";
import { Change, workerButton } from "./change.js";
import { Letters } from "./letters.js";
import { Shards } from "./shards.js";
import { at, classed, clock, count, fill, group, lag, make, named, set, show, span } from "./draw.js";

// So many samples and happenings are kept here, as on the other side.
const SAMPLES = 1440;
const MARKS = 500;
const MARKED = new Set(["handed_over", "taken_over", "expired", "died"]);

const chart = new Chart(at("chart"));
const change = new Change();
const shards = new Shards(change);
const letters = new Letters();
let source = null;
let heard = null;
let every = 1;

async function start() {
  const applications = await (await fetch("/api/applications")).json();
  const names = applications.map((it) => it.application);
  change.allow(applications[0].may_change);
  letters.allow(applications[0].has_dead_letters);
  const select = at("applications");
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  show(select, names.length > 1);
  show(at("application"), names.length === 1);
  select.addEventListener("change", () => { location.hash = encodeURIComponent(select.value); });
  const turn = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const name = names.includes(wanted) ? wanted : names[0];
    select.value = name;
    turnTo(name);
  };
  addEventListener("hashchange", turn);
  // A browser opens six connections to a host: tabs that nobody sees leave them to the others.
  document.addEventListener("visibilitychange", () => (document.hidden ? source?.close() : turn()));
  for (const button of at("spans").children) {
    button.addEventListener("click", () => choose(Number(button.dataset.minutes)));
  }
  choose(10);
  turn();
  setInterval(alive, 500);
}

function choose(minutes) {
  chart.minutes = minutes;
  for (const button of at("spans").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === minutes));
  }
  chart.draw();
}

async function turnTo(name) {
  source?.close();
  heard = null;
  const path = encodeURIComponent(name);
  for (const what of ["status", "leases", "check", "lag", "cost"]) at(`api-${what}`).href = `/api/${what}/${path}`;
  at("api-scale").href = `/scale/${path}`;
  shards.turnTo(name);
  change.turnTo(name);
  const past = await (await fetch(`/api/history/${path}`)).json();
  chart.samples = past.samples;
  chart.marks = past.happened.filter((it) => MARKED.has(it.kind));
  chart.draw();
  source = new EventSource(`/api/live/${path}`);
  source.addEventListener("message", (event) => {
    heard = performance.now();
    draw(JSON.parse(event.data));
    shards.ask();
    letters.ask();
  });
}

/** Whether what is shown is what there is. */
function alive() {
  const age = heard === null ? null : (performance.now() - heard) / 1000;
  const isOn = age !== null && age < Math.max(4, every * 3);
  classed(at("dot"), "on", isOn);
  classed(at("dot"), "off", !isOn && age !== null);
  set(at("liveness"), isOn ? "live" : age === null ? "connecting" : `nothing heard for ${span(age)}`);
}

function draw(live) {
  every = live.every_seconds;
  document.title = live.problems ? `(${live.problems}) ${live.application}` : live.application;
  set(at("application"), live.application);
  set(at("place"), live.lease_table);
  show(at("error"), live.error !== null || live.led_by !== null);
  set(at("error"), live.error ? `What is shown is from ${clock(live.looked_at)}. ${live.error}` : live.led_by ? `Another framework gives the leases of this table away (${live.led_by}): no worker of this one takes any.` : "");
  tiles(live);
  findings(live);
  workers(live);
  happened(live);
  past(live);
  const asked = live.lag.asked;
  const stream = asked ? `; the stream ${live.lag.stream.split("/").at(-1)} was asked for ${count(asked.get_records, "page", "pages")} of records at ${clock(live.lag.measured_at)}` : "";
  set(at("asked"), `The table was read at ${clock(live.looked_at)} in ${live.look_seconds < 0.001 ? "under 1 ms" : span(live.look_seconds)}, every ${span(live.every_seconds)}, once for all pages${stream}.`);
}

function tiles(live) {
  const lives = live.workers_by_life;
  const alive = lives.alive ?? 0;
  const others = ["unknown", "leaving", "dead"].filter((life) => lives[life]).map((life) => `${group(lives[life])} ${named(life)}`);
  set(at("workers-count"), group(alive));
  set(at("workers-sub"), others.join(", ") || "all alive");
  classed(at("workers-sub"), "bad", lives.dead);
  const states = live.leases_by_state;
  const held = (states.held ?? 0) + (states.hand_over ?? 0);
  const unfinished = live.leases - (states.ended ?? 0);
  set(at("held-count"), group(held));
  const rest = ["hand_over", "handed_over", "free", "expired"].filter((state) => states[state]).map((state) => `${group(states[state])} ${named(state)}`);
  set(at("held-sub"), rest.length ? `of ${group(unfinished)}: ${rest.join(", ")}` : `of ${group(unfinished)}`);
  classed(at("held-sub"), "bad", states.free || states.expired);
  set(at("behind"), lag(live.lag.max_behind_seconds));
  set(at("behind-sub"), pace(live.lag));
  set(at("rate"), live.sample ? live.sample.checkpoints_per_second.toFixed(1) : "–");
  set(at("wanted"), group(live.wanted.wanted_workers));
  set(at("wanted-sub"), live.wanted.why);
  set(at("problems"), group(live.problems));
  classed(at("problems"), "bad", live.problems);
  const notes = live.findings - live.problems;
  set(at("problems-sub"), notes ? count(notes, "note") : live.judged ? "none seen" : "still watching");
  if (live.problems && !notes) set(at("problems-sub"), "");
}

/** Whether the lease that is furthest behind catches up. */
function pace({ max_behind_seconds: behind, speed, error }) {
  if (error) return "not measured";
  if (behind === null) return "not known";
  if (behind < 10) return "keeps pace";
  if (speed === null) return "not known yet how fast it is read";
  if (speed < 0.05) return "stands still";
  if (speed < 0.98) return `falls behind: reads at ${speed.toFixed(1)}×`;
  if (speed < 1.05) return "stays that far behind";
  return `catches up in ${span(Math.round(behind / (speed - 1)))}`;
}

function findings(live) {
  show(at("findings-card"), live.findings > 0);
  set(at("findings-count"), live.findings > live.first_findings.length ? group(live.findings) : "");
  fill(at("findings"), live.first_findings.slice(0, 8), () => make("li", "", make("b"), make("span"), make("div", "advice")), (item, found) => {
    const [about, says, advice] = item.children;
    classed(item, "problem", found.level === "problem");
    set(about, found.about ? `${found.about} ` : "");
    set(says, found.says);
    set(advice, found.advice);
  });
  const more = live.findings - Math.min(8, live.first_findings.length);
  show(at("findings-more"), more > 0);
  set(at("findings-more"), `and ${group(more)} more: kcl check ${live.application}`);
}

function workers(live) {
  const most = Math.max(1, ...live.workers.map((worker) => worker.leases));
  const total = Object.values(live.workers_by_life).reduce((sum, it) => sum + it, 0);
  set(at("workers-total"), group(total));
  const create = () => make("tr", "", make("td", "worker"), make("td"), make("td", "number"), make("td", "bar", make("span", "meter")), make("td", "number wide"), make("td", "number wide"), make("td", "change", workerButton(change)));
  fill(at("workers").tBodies[0], live.workers.slice(0, 30), create, (row, worker) => {
    const [name, life, leases, bar, awaited, silent] = row.cells;
    row.dataset.worker = worker.worker;
    row.dataset.draining = worker.draining;
    set(name, worker.worker);
    name.title = worker.worker;
    set(life, worker.draining ? `${named(worker.life)}, draining` : named(worker.life));
    classed(life, "bad", worker.life === "dead");
    set(leases, group(worker.leases));
    bar.firstChild.style.width = `${(worker.leases / most) * 100}%`;
    show(bar.firstChild, worker.leases > 0);
    set(awaited, worker.awaited || "");
    // A worker writes several times within the time after which it counts as dead: less is no news.
    show(row.cells[6].firstChild, worker.has_row && worker.life !== "dead");
    set(silent, worker.silent_seconds < worker.dead_after_seconds * 0.4 ? "" : span(worker.silent_seconds));
  });
  const more = total - Math.min(30, live.workers.length);
  show(at("workers-more"), more > 0);
  set(at("workers-more"), `and ${group(more)} more: kcl workers ${live.application}`);
}

function happened(live) {
  show(at("quiet"), live.happened.length === 0);
  fill(at("happened"), live.happened, () => make("li", "", make("time"), make("span")), (item, it) => {
    const [time, says] = item.children;
    set(time, clock(it.at));
    set(says, it.says);
    classed(says, "bad", ["died", "taken_over", "expired", "malformed"].includes(it.kind));
    item.dataset.kind = it.kind;
  });
}

/** Adds what is new to the line. */
function past(live) {
  if (live.sample && live.sample.at > (chart.samples.at(-1)?.at ?? 0)) {
    chart.samples.push(live.sample);
    chart.samples.splice(0, chart.samples.length - SAMPLES);
  }
  const last = chart.marks.reduce((most, it) => Math.max(most, it.number), 0);
  chart.marks.push(...live.happened.filter((it) => it.number > last && MARKED.has(it.kind)));
  chart.marks.splice(0, chart.marks.length - MARKS);
  set(at("chart-note"), live.lag.error ? `The lag is not known: ${live.lag.error}.` : live.lag.unknown ? `${live.lag.not_asked ? "No worker says" : "Nobody says"} it of ${count(live.lag.unknown, "lease")}${live.lag.not_asked ? `: ${live.lag.not_asked}` : ""}.` : "");
  chart.draw();
}

start().catch((error) => {
  show(at("error"), true);
  set(at("error"), `The page cannot start: ${error.message}`);
});
