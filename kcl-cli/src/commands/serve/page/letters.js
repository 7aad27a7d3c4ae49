// Dead letters: asked for again after each look, where files of them are named.
import { at, count, fill, group, make, set, show } from "./draw.js";

export class Letters {
  constructor() {
    this.is = false;
  }

  /** Whether this program knows of any files. */
  allow(is) {
    this.is = is;
    show(at("letters-card"), is);
  }

  async ask() {
    if (!this.is) return;
    const answer = await fetch("/api/dead-letters").catch(() => null);
    if (answer?.ok) this.draw(await answer.json());
  }

  draw({ letters, files, newest }) {
    set(at("letters-count"), group(letters));
    const bad = files.filter((it) => it.error).map((it) => `${it.file}: ${it.error}.`);
    set(at("letters-note"), bad.join(" "));
    fill(at("letters").tBodies[0], newest, () => make("tr", "", make("td"), make("td"), make("td", "number wide"), make("td", "text wide"), make("td", "text")), (row, letter) => {
      const [shard, sequence, attempts, arrived, error] = row.cells;
      set(shard, letter.shard.replace(/^shardId-0*(?=\d)/, ""));
      shard.title = letter.shard;
      set(sequence, `…${letter.sequence_number.slice(-6)}${letter.sub_sequence_number ? `.${letter.sub_sequence_number}` : ""}`);
      sequence.title = letter.sequence_number;
      set(attempts, letter.attempts);
      set(arrived, letter.arrived_at ? letter.arrived_at.slice(0, 19).replace("T", " ") : "");
      set(error, letter.error ? `${letter.why.replaceAll("_", " ")}: ${letter.error}` : letter.why.replaceAll("_", " "));
      error.title = letter.error ?? "";
    });
    show(at("letters"), newest.length > 0);
    show(at("letters-more"), letters > newest.length);
    set(at("letters-more"), `and ${count(letters - newest.length, "older one")}`);
  }
}
