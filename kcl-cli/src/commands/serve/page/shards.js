// The table of shards: a page of the tree, asked for again after each look.
import { button } from "./change.js";
import { at, classed, clock, fill, group, lag, make, named, set, show } from "./draw.js";

const LINES = 50;

export class Shards {
  constructor(change) {
    this.row = () => row(change);
    this.from = 0;
    this.asked = 0;
    this.application = "";
    const again = () => { this.from = 0; this.ask(); };
    at("find").addEventListener("input", again);
    at("state").addEventListener("change", again);
    at("stuck").addEventListener("change", again);
    at("filter").addEventListener("submit", (event) => event.preventDefault());
    at("before").addEventListener("click", () => { this.from = Math.max(0, this.from - LINES); this.ask(); });
    at("after").addEventListener("click", () => { this.from += LINES; this.ask(); });
  }

  turnTo(application) {
    this.application = application;
    this.from = 0;
  }

  /** Asks for the lines that are shown; an answer that comes after a newer question is dropped. */
  async ask() {
    const number = ++this.asked;
    const wish = new URLSearchParams({ from: this.from, limit: LINES });
    if (at("find").value.trim()) wish.set("find", at("find").value.trim());
    if (at("state").value) wish.set("state", at("state").value);
    if (at("stuck").checked) wish.set("stuck", "true");
    const answer = await fetch(`/api/tree/${encodeURIComponent(this.application)}?${wish}`).catch(() => null);
    if (!answer?.ok) return;
    const page = await answer.json();
    if (number !== this.asked) return;
    if (page.from >= page.found && page.from > 0) {
      this.from = Math.max(0, Math.floor((page.found - 1) / LINES) * LINES);
      return this.ask();
    }
    this.draw(page);
  }

  draw(page) {
    set(at("shards-total"), group(page.found));
    show(at("none"), page.found === 0);
    fill(at("shards").tBodies[0], page.lines, this.row, update);
    show(at("pager"), page.found > page.lines.length);
    const last = page.from + page.lines.length;
    set(at("range"), `${group(page.from + 1)} to ${group(last)} of ${group(page.found)}`);
    at("before").disabled = page.from === 0;
    at("after").disabled = last >= page.found;
  }
}

function row(change) {
  const shard = make("td", "", make("span", "twig"), make("span", "prefix"), make("span"));
  const keys = make("td", "keys wide", make("span", "range", make("i")));
  return make("tr", "", shard, keys, make("td"), make("td", "worker"), make("td", "number"), make("td", "number wide"), make("td", "text wide"), make("td", "change", button(change)));
}

function update(line, lease) {
  const [shard, keys, state, holder, behind, checkpoint, note] = line.cells;
  line.dataset.lease = lease.lease;
  const [twig, prefix, digits] = shard.children;
  set(twig, lease.depth ? `${"\u2003".repeat(Math.min(lease.depth, 8) - 1)}└ ` : "");
  const parts = /^(.*?shardId-0*)(\d+)$/.exec(lease.lease);
  set(prefix, parts ? parts[1] : "");
  set(digits, parts ? parts[2] : lease.lease);
  shard.title = lease.lease;
  const [start, end] = lease.keys ?? [0, 0];
  const bar = keys.firstChild.firstChild;
  bar.style.left = `${start * 100}%`;
  bar.style.width = `${(end - start) * 100}%`;
  keys.title = lease.keys ? `${(start * 100).toFixed(1)} to ${(end * 100).toFixed(1)} % of the hash keys` : "the lease does not say which hash keys";
  set(state, named(lease.state));
  classed(state, "bad", lease.is_stuck || lease.state === "expired");
  const who = lease.awaited_by ? `${lease.holder ?? "–"} → ${lease.awaited_by}` : lease.holder ?? "–";
  // A lease that has just changed hands lights up for a moment.
  const isSame = holder.dataset.lease === lease.lease;
  classed(line, "fresh", isSame && (holder.textContent !== who || line.classList.contains("fresh") && Date.now() - line.dataset.since < 2500));
  if (isSame && holder.textContent !== who) line.dataset.since = Date.now();
  holder.dataset.lease = lease.lease;
  set(holder, who);
  holder.title = who;
  // Below a second, a bound says as much as the lag itself.
  const bound = lease.at_most && lease.behind_seconds >= 1;
  set(behind, lease.state === "ended" ? "" : `${bound ? "≤ " : ""}${lag(lease.behind_seconds)}`);
  behind.title = bound ? "at most: its worker names the leases that are furthest behind" : "";
  set(checkpoint, lease.checkpointed_at ? clock(lease.checkpointed_at) : position(lease.checkpoint));
  checkpoint.title = lease.checkpoint;
  set(note, lease.note);
  classed(line, "ended", lease.state === "ended");
  show(line.cells[7].firstChild, lease.state !== "ended");
}

/** A sequence number says nothing to people: its end tells two of them apart. */
function position(checkpoint) {
  return /^\d{12,}/.test(checkpoint) ? `…${checkpoint.slice(-6)}` : checkpoint.toLowerCase().replaceAll("_", " ");
}
