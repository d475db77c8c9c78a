// Reads what the page carries: the head, and the columns of numbers (data.rs has their form).

const head = JSON.parse(document.getElementById("head").textContent);
const kinds = [];
for (const kind of head.kinds) kinds[kind.number] = kind;
const kindOf = {};
for (const kind of head.kinds) kindOf[kind.name] = kind.number;

/** Numbers of a column, one after another. */
class Numbers {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  next() {
    let byte = this.bytes[this.at++];
    if (byte < 0x80) return byte;
    let number = byte & 0x7f;
    let scale = 0x80;
    do {
      byte = this.bytes[this.at++];
      number += (byte & 0x7f) * scale;
      scale *= 0x80;
    } while (byte >= 0x80);
    return number;
  }

  /** The next number, as a BigInt if it is too large for a number. */
  exact() {
    const from = this.at;
    const number = this.next();
    if (number <= Number.MAX_SAFE_INTEGER) return number;
    let exact = 0n;
    for (let at = this.at - 1; at >= from; at--) exact = (exact << 7n) | BigInt(this.bytes[at] & 0x7f);
    return exact;
  }
}

/** Returns the bytes of a column, and removes its text from the page. */
async function column(name) {
  const element = document.getElementById("column-" + name);
  const text = atob(element.textContent);
  element.remove();
  const packed = new Uint8Array(text.length);
  for (let at = 0; at < packed.length; at++) packed[at] = text.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The events: an array for each thing that all of them have. */
const events = { count: head.events };

async function readEvents() {
  const count = events.count;
  const each = async (name, to, of) => {
    const numbers = new Numbers(await column(name));
    for (let at = 0; at < count; at++) to[at] = of(numbers.next(), at);
    return to;
  };
  const same = (number) => number;
  // The kind, and of a wait whether it is one in a driver.
  events.kind = await column("kind");
  events.inDriver = (at) => events.kind[at] >= 0x80;
  let time = 0;
  // Nanoseconds since the first event.
  events.time = await each("time", new Float64Array(count), (number) => (time += number));
  events.duration = await each("duration", new Float64Array(count), same);
  events.lane = await each("lane", new Uint32Array(count), same);
  // Index of the call or fault that it is part of; -1: none.
  events.cause = await each("cause", new Int32Array(count), (number, at) =>
    number === 0 ? -1 : number % 2 === 0 ? at - number / 2 : at + (number + 1) / 2,
  );
  events.device = await each("device", new Uint16Array(count), same);
  events.arguments = await column("arguments");
  const starts = new Numbers(await column("starts"));
  events.starts = new Float64Array(Math.ceil(count / head.group));
  for (let at = 1; at < events.starts.length; at++) events.starts[at] = events.starts[at - 1] + starts.next();
}

/** Returns the kind of an event. */
const kindAt = (at) => kinds[events.kind[at] & 0x7f];

/** Returns the end of an event. */
const endAt = (at) => events.time[at] + events.duration[at];

/** Returns the fields of an event, by their names. */
function fieldsAt(event) {
  const numbers = new Numbers(events.arguments, events.starts[Math.floor(event / head.group)]);
  for (let at = event - (event % head.group); at < event; at++) {
    for (let left = kindAt(at).fields.length; left > 0; left--) numbers.next();
  }
  const fields = {};
  for (const [name] of kindAt(event).fields) fields[name] = numbers.exact();
  return fields;
}
