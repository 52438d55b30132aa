// What one page view has to say, in numbered batches. Nothing here sends or looks at a clock: items come in as JSON,
// batches come out: {query: {n: number, e: event, f: 1 if it is the last, c: 1 if the next goes on with it}, text}. What a
// number holds never changes.

const NUMBERS = 990; // the server takes a thousand of a view: the last ones are for leaving

export class Record {
  /** The batches that are not acknowledged yet, in order. Their owner may note more in them. */
  batches = [];
  /** Items that have no batch yet. */
  open = [];
  /** The next number. */
  next = 0;
  /** The last batch was meant to be the end. */
  final;
  #most; // bytes of a batch
  #changed; // called when `batches` has changed

  constructor(most, changed) {
    this.#most = most;
    this.#changed = changed;
  }

  /** Takes an item. False: the view has said all that it may. It becomes ASCII: then a character is a byte, and may
      stand at the end of a batch that the next one goes on with. */
  add(json) {
    const item = json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt().toString(16).padStart(4, 0)}`);
    if (this.next + item.length / this.#most > NUMBERS) return false;
    if (this.open[0] && `${this.open}`.length + item.length + 3 > this.#most) this.cut("more");
    this.open.push(item);
    if (item.length + 2 > this.#most) this.cut("more");
    return true;
  }

  /** The batches that the open items would be; without any an empty one. */
  ahead(e, final) {
    const text = `[${this.open}]`;
    const batches = [];
    for (let at = 0; at < text.length; ) {
      const query = { n: this.next + batches.length, e };
      batches.push({ query, text: text.slice(at, (at += this.#most)) });
      if (at < text.length) query.c = 1;
      else if (final) query.f = 1;
    }
    return batches;
  }

  /** Now they are. */
  cut(e, final) {
    if (this.next > NUMBERS + 8) return;
    const batches = this.ahead(e, final);
    this.batches.push(...batches);
    this.next += batches.length;
    this.final = final;
    this.open = [];
    this.#changed();
  }

  /** What has to be said before the page goes: what is open, and that this is the end, unless that was said. */
  get news() {
    return this.open[0] || !this.final;
  }

  /** The server has it. */
  acknowledge(batch) {
    this.batches = this.batches.filter((each) => each !== batch);
    this.#changed();
  }

  /** Nobody wants it. */
  end() {
    this.batches = this.open = [];
    this.final = this.next = Infinity;
    this.#changed();
  }
}
