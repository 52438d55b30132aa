// What one page view has to say, in numbered batches. Nothing here sends or looks at a clock: items come in as JSON,
// batches come out: {query: {n: number, e: event, f: 1 if it is the last, c: 1 if the next goes on with it}, text}. What a
// number holds never changes.

const NUMBERS = 990; // the server takes a thousand of a view: the last ones are for leaving

/** `most`: bytes of a batch; `changed` is called when `batches` has changed. */
export function createRecord(most, changed) {
  const record = {
    batches: [], // those that are not acknowledged yet, in order; their owner may note more in them
    open: [], // items that have no batch yet
    next: 0, // the next number
    final: false, // the last batch was meant to be the end

    /** Takes an item. False: the view has said all that it may. It becomes ASCII: then a character is a byte, and may
        stand at the end of a batch that the next one goes on with. */
    add(json) {
      const item = json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt().toString(16).padStart(4, 0)}`);
      if (record.next + item.length / most > NUMBERS) return false;
      if (record.open[0] && `${record.open}`.length + item.length + 3 > most) record.cut("more");
      record.open.push(item);
      if (item.length + 2 > most) record.cut("more");
      return true;
    },

    /** The batches that the open items would be; without any an empty one. */
    ahead(e, final) {
      const text = `[${record.open}]`;
      const batches = [];
      for (let at = 0; at < text.length; ) {
        const query = { n: record.next + batches.length, e };
        batches.push({ query, text: text.slice(at, (at += most)) });
        if (at < text.length) query.c = 1;
        else if (final) query.f = 1;
      }
      return batches;
    },

    /** Now they are. */
    cut(e, final) {
      if (record.next > NUMBERS + 8) return;
      const batches = record.ahead(e, final);
      record.batches.push(...batches);
      record.next += batches.length;
      record.final = final;
      record.open = [];
      changed();
    },

    /** What has to be said before the page goes: what is open, and that this is the end, unless that was said. */
    news: () => record.open[0] || !record.final,

    /** The server has it. */
    acknowledge(batch) {
      record.batches = record.batches.filter((each) => each !== batch);
      changed();
    },

    /** Nobody wants it. */
    end() {
      record.batches = record.open = [];
      record.final = record.next = Infinity;
      changed();
    },
  };
  return record;
}
