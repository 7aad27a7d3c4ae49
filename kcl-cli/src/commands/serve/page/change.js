// Pauses, their ends, seeks, moves, and drains of workers: a dialog with two steps, of which the first changes nothing.
import { at, count, make, set, show, span } from "./draw.js";

// Kept for this tab, until it is closed.
const TOKEN = "kcl-token";

export class Change {
  constructor() {
    this.application = "";
    this.leases = [];
    this.worker = null;
    this.isSure = false;
    this.number = 0;
    const form = at("change-form");
    form.addEventListener("submit", (event) => { event.preventDefault(); this.step(); });
    form.addEventListener("input", () => this.unsure());
    at("change-cancel").addEventListener("click", () => at("change").close());
    at("change").addEventListener("close", () => { this.number += 1; });
    at("change-all").addEventListener("click", () => this.open([]));
  }

  /** Whether this program lets anybody change anything. */
  allow(is) {
    document.body.classList.toggle("may-change", is);
  }

  turnTo(application) {
    this.application = application;
    if (at("change").open) at("change").close();
  }

  /** Opens the dialog for these leases, or for all. */
  open(leases) {
    this.begin(leases, null, leases.length ? leases.join(", ") : `All shards of ${this.application}`, "pause");
    this.workers();
  }

  /** Opens it for a worker. */
  openWorker(worker, isDraining) {
    this.begin([], worker, worker, isDraining ? "undrain" : "drain");
  }

  begin(leases, worker, title, what) {
    this.leases = leases;
    this.worker = worker;
    set(at("change-title"), title);
    for (const label of document.querySelectorAll("#change .of-leases")) show(label, worker === null);
    for (const label of document.querySelectorAll("#change .of-worker")) show(label, worker !== null);
    at("change-form").elements.do.value = what;
    at("change-token").value = sessionStorage.getItem(TOKEN) ?? "";
    at("change-skip").checked = false;
    this.unsure();
    at("change").showModal();
  }

  /** Offers the workers that live. */
  async workers() {
    const answer = await fetch(`/api/workers/${encodeURIComponent(this.application)}`).catch(() => null);
    if (!answer?.ok) return;
    const { workers } = await answer.json();
    const alive = workers.filter((worker) => worker.life === "alive");
    at("change-workers").replaceChildren(...alive.map((worker) => new Option(worker.worker)));
  }

  what() {
    return at("change-form").elements.do.value;
  }

  /** Something was typed: what was found out before counts no more. */
  unsure() {
    const isSeek = this.what() === "seek";
    this.isSure = false;
    this.number += 1;
    show(at("change-to-line"), isSeek);
    show(at("change-time-line"), isSeek && at("change-to").value === "at");
    show(at("change-skip-line"), isSeek);
    show(at("change-worker-line"), this.what() === "move");
    set(at("change-do"), "Continue");
    at("change-do").disabled = false;
    this.say("");
  }

  say(text, isBad = false) {
    set(at("change-says"), text);
    at("change-says").classList.toggle("bad", isBad);
  }

  wish() {
    const wish = { do: this.what() };
    if (this.worker !== null) return { ...wish, worker: this.worker };
    if (this.leases.length) wish.leases = this.leases;
    else wish.all = true;
    if (wish.do === "move") wish.to = at("change-worker").value.trim();
    if (wish.do === "seek") {
      const to = at("change-to").value;
      wish.to = to === "at" ? `at:${new Date(at("change-time").value).toISOString()}` : to;
      wish.skip = at("change-skip").checked;
    }
    return wish;
  }

  async step() {
    if (this.what() === "seek" && at("change-to").value === "at" && !at("change-time").value) {
      return this.say("When? Give a day and a time.", true);
    }
    if (this.what() === "move" && !at("change-worker").value.trim()) {
      return this.say("To which worker?", true);
    }
    const wish = this.wish();
    const which = this.leases.length ? count(this.leases.length, "shard") : "all shards";
    const sentence = { pause: `Pause ${which}`, resume: `Resume ${which}`, seek: `Read ${which} on there`, move: `Move ${which}`, drain: "Drain it", undrain: "End the drain" }[wish.do];
    if (!this.isSure) {
      if (wish.do === "seek") {
        const planned = await this.ask({ ...wish, dry_run: true });
        if (planned === null) return;
        const [text, isBad] = effect(planned);
        if (planned.skips > 0 && !wish.skip) return this.say(`${text} Tick the box if that is wanted.`, true);
        this.say(text, isBad);
      } else {
        this.say({
          pause: "Their workers store how far they are and release them; nobody reads them until they are resumed.",
          resume: "Workers take them at once.",
          move: `Their workers store how far they are and hand them over to ${wish.to}, which keeps them for a minute at least.`,
          drain: "It stores how far it is, gives its leases to the others and takes none until its drain is ended; its process goes on.",
          undrain: "It takes its share of the leases again.",
        }[wish.do]);
      }
      this.isSure = true;
      set(at("change-do"), sentence);
      return;
    }
    const done = await this.ask(wish);
    if (done === null) return;
    sessionStorage.setItem(TOKEN, at("change-token").value);
    at("change").close();
  }

  /** The answer, or null after it was said why there is none. */
  async ask(wish) {
    const number = this.number;
    at("change-do").disabled = true;
    const answer = await fetch(`/api/change/${encodeURIComponent(this.application)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${at("change-token").value}` },
      body: JSON.stringify(wish),
    }).catch(() => null);
    // The dialog was closed, or something else was typed.
    if (number !== this.number) return null;
    at("change-do").disabled = false;
    if (answer?.ok) return answer.json();
    this.isSure = false;
    set(at("change-do"), "Continue");
    this.say(answer ? (await answer.text()).trim() : "The program does not answer: it may have been done or not.", true);
    return null;
  }
}

/** What a seek would do, in a sentence, and whether records are skipped. */
function effect(planned) {
  const of = (kind) => planned.leases.filter((step) => step.effect.effect === kind);
  const longest = (steps) => span(Math.max(...steps.map((step) => step.effect.span_seconds ?? 0)));
  const [again, skipped, unknown] = [of("read_again"), of("skipped"), of("unknown")];
  const parts = [];
  if (again.length) parts.push(`reads up to ${longest(again)} again in ${count(again.length, "shard")}`);
  if (skipped.length) parts.push(`skips up to ${longest(skipped)} in ${count(skipped.length, "shard")}: nobody ever processes those records`);
  if (unknown.length) parts.push(`may skip records in ${count(unknown.length, "shard")}, of which the stream says nothing`);
  return parts.length ? [`This ${parts.join("; it ")}.`, planned.skips > 0] : ["This changes nothing.", false];
}

function more(title, open) {
  const it = make("button", "more", "…");
  it.type = "button";
  it.title = title;
  it.addEventListener("click", () => open(it.closest("tr").dataset));
  return it;
}

/** The button of a lease's line. */
export const button = (change) => more("Pause, resume, seek or move", ({ lease }) => change.open([lease]));

/** The button of a worker's line. */
export const workerButton = (change) => more("Drain", ({ worker, draining }) => change.openWorker(worker, draining === "true"));
