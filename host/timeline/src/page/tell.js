// Says in words what an event is.

const hex = (number) => `0x${number.toString(16)}`;
const UNKNOWN = (1n << 64n) - 1n;
// Fields that are written in hexadecimal.
const HEX = "address offset code mapping context source target argument command frame flags asked ready events first second third fourth".split(" ");
const pagesText = (pages) => (pages === 1 ? "1 page" : `${pages.toLocaleString("en")} pages`);

function placeText(place) {
  const where = place.file ? `${place.file}${place.line ? `:${place.line}` : ""}` : place.image;
  return place.function ? `${place.function}, ${where}` : where;
}

/** Name of a file without its folders, and the line. */
function placeShort(place) {
  const name = (path) => path.split("/").pop();
  if (place.file && place.line) return `${name(place.file)}:${place.line}`;
  return place.function ?? name(place.image);
}

/** Signed, of 64 bits. */
const signed = (number) => (typeof number === "bigint" && number >> 63n ? number - (1n << 64n) : number);

function outcomeText(word) {
  const number = BigInt(word);
  if ((number & 0xffn) === 0n) return "served";
  if ((number & 0xffn) === 1n) return "interrupted";
  const signal = Number((number >> 8n) & 0xffn);
  const name = { 7: "SIGBUS", 11: "SIGSEGV" }[signal] ?? `signal ${signal}`;
  return `${name}, errno ${number >> 32n}`;
}

/** A field as text; null where it says nothing. */
function fieldText(name, type, value) {
  if (type === "u64" && value === UNKNOWN && name === "offset") return null;
  switch (type) {
    case "bool": return value ? "yes" : "no";
    case "i32": return value ? `${signed(value)}` : "none";
    case "Access": return ["read", "write", "exec"][value];
    case "For": return value ? "driver" : "turn";
    case "Outcome": return outcomeText(value);
    case "process": return value ? processes[value - 1].name : null;
    case "place": return value ? placeText(head.places[value - 1]) : null;
    case "back": case "ahead": return null;
  }
  if (name === "of" || name === "of_pid" || name === "child" || name === "text") return null;
  if (name === "code" && !value) return null;
  if (name === "name") return head.probes[value] ?? null;
  if (name === "protection") return ["read", "write", "exec"].filter((_, bit) => value & (1 << bit)).join(", ") || "none";
  if (HEX.includes(name)) return hex(value);
  if (name === "length") return `${value.toLocaleString("en")} bytes`;
  return value.toLocaleString("en");
}

function laneName(lane) {
  if (lane.process === null) return lane.device ? head.devices[lane.device] : "kernel";
  return processes[lane.process].name;
}

/** An event in one line: "fault, write at 0x0 by render 12". */
function lineOf(event) {
  const kind = kindAt(event).name;
  const fields = fieldsAt(event);
  const who = laneName(lanes[events.lane[event]]);
  switch (kind) {
    case "fault": {
      const at = fields.offset === UNKNOWN ? hex(fields.address) : `offset ${hex(fields.offset)}`;
      const place = fields.place ? `, ${placeShort(head.places[fields.place - 1])}` : "";
      return `fault of ${who}, ${["read", "write", "exec"][fields.access]} at ${at}${place}`;
    }
    case "grant": {
      if (!fields.switched) return `grant: ${who} keeps the engine`;
      return fields.taken_from ? `switch: ${who} takes the engine from ${processes[fields.taken_from - 1].name}` : `switch: ${who} gets the engine`;
    }
    case "unload": case "load": {
      const whose = fields.whose;
      return `${kind} of ${pagesText(fields.pages)}${whose ? ` of ${processes[whose - 1].name}` : ""}`;
    }
    case "wait": return fields.what ? `${who} waits in a driver` : `${who} waits for its turn`;
    case "probe": return `probe ${head.probes[fields.name] ?? "?"} of ${who}`;
    case "mistake": return "mistake of a driver";
    default: return `${kind} of ${who}`;
  }
}

/** Returns all that is known about an event: pairs of name and text. */
function tableOf(event) {
  const lane = lanes[events.lane[event]];
  const table = [["begin", pointText(events.time[event], 1)]];
  if (events.duration[event]) table.push(["duration", timeText(events.duration[event])]);
  if (lane.process !== null) table.push(["process", processes[lane.process].name]);
  if (lane.thread) table.push(["thread", `${lane.thread}`]);
  if (events.device[event]) table.push(["device", head.devices[events.device[event]]]);
  const fields = fieldsAt(event);
  for (const [name, type] of kindAt(event).fields) {
    const text = fieldText(name, type, fields[name]);
    if (text !== null) table.push([name.replaceAll("_", " "), text]);
  }
  return table;
}

/** The report of a mistake; null for other events. */
function reportOf(event) {
  return kindAt(event).name === "mistake" ? (head.mistakes[fieldsAt(event).text] ?? null) : null;
}

/** Returns in words how a column of dense events was spent. */
function columnText(row, time) {
  const half = 1 / view.scale;
  const [from, to] = [time - half, time + half];
  const percent = (part) => `${Math.round((100 * part) / (to - from))}\u00a0%`;
  if (row.engine) {
    const switches = above(row.engine.begins, to) - above(row.engine.begins, from);
    const shares = [...row.engine.covers]
      .map(([owner, cover]) => [owner, cover.within(from, to)])
      .filter(([, part]) => part > 0)
      .sort((a, b) => b[1] - a[1]);
    const owners = shares.slice(0, 6).map(([owner, part]) => `${owner < 0 ? "kernel" : processes[owner].name}: ${percent(part)}`);
    const more = shares.length > 6 ? [`and ${shares.length - 6} more`] : [];
    return [`${switches.toLocaleString("en")} switches in ${timeText(to - from)}`, ...owners, ...more].join("\n");
  }
  const threads = Math.max(row.lanes.filter((lane) => lane.thread !== 0).length, 1);
  const sum = (name) => row.lanes.reduce((all, lane) => all + lane[name].within(from, to), 0) / threads;
  const count = row.lanes.reduce((all, lane) => all + above(lane.begins, to) - above(lane.begins, from), 0);
  const [turn, driver, fault, call] = [sum("turn"), sum("driver"), sum("fault"), sum("call")];
  const parts = [["in faults", fault], ["in calls", call], ["of it waiting for a turn", turn], ["waiting in a driver", driver]];
  const shown = parts.filter(([, part]) => part > 0).map(([name, part]) => `${name}: ${percent(part)}`);
  const taken = row.process ? above(row.process.times, to) - above(row.process.times, from) : 0;
  if (taken) shown.push(`pages taken by others: ${taken} times`);
  return [`${row.name}: ${count.toLocaleString("en")} events in ${timeText(to - from)}`, ...shown].join("\n");
}
