// Lanes (a thread's events in their order), engines, and the rows that show them.

/** Index of the first number of a sorted array that is larger than the value, from `low` up to `high`. */
function above(array, value, low = 0, high = array.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Times that do not overlap: how much of any range they cover. */
class Cover {
  constructor() {
    this.begin = [];
    this.end = [];
    this.sum = [];
    this.total = 0;
  }

  /** Appends a time that begins behind the begin of the last one. */
  push(begin, end) {
    const last = this.end.length ? this.end[this.end.length - 1] : -Infinity;
    const from = Math.max(begin, last);
    if (end <= from) return;
    this.begin.push(from);
    this.end.push(end);
    this.sum.push(this.total);
    this.total += end - from;
  }

  /** Makes it compact: nothing is pushed any more. */
  done() {
    this.begin = Float64Array.from(this.begin);
    this.end = Float64Array.from(this.end);
    this.sum = Float64Array.from(this.sum);
    return this;
  }

  until(time) {
    const at = above(this.begin, time) - 1;
    return at < 0 ? 0 : this.sum[at] + Math.min(time, this.end[at]) - this.begin[at];
  }

  within(from, to) {
    return this.total === 0 ? 0 : this.until(to) - this.until(from);
  }

  meets(from, to) {
    const length = this.begin.length;
    return length > 0 && this.begin[0] < to && this.end[length - 1] > from;
  }
}

const lanes = [];
const engines = [];
const processes = head.processes.map((process, index) => ({
  index,
  name: process.name ? `${process.name} ${process.pid || ""}`.trim() : process.pid ? `${process.pid}` : `child ${index}`,
  lanes: [],
  // What others took from it: events, and their times.
  marks: [],
  times: [],
  // Order among those that have had an engine: its colour.
  owner: -1,
  open: true,
}));
// Depth of each event in its lane, and its place in the lane's list.
let depths;

function buildLanes() {
  const count = events.count;
  const sizes = new Uint32Array(head.lanes.length);
  for (let at = 0; at < count; at++) sizes[events.lane[at]]++;
  head.lanes.forEach((lane, index) => {
    const size = sizes[index];
    const made = {
      ...lane,
      index,
      list: new Uint32Array(size),
      // Begins, and the largest end until there, of what is in the list.
      begins: new Float64Array(size),
      reach: new Float64Array(size),
      fault: new Cover(),
      call: new Cover(),
      turn: new Cover(),
      driver: new Cover(),
      used: 0,
      open: [],
    };
    lanes.push(made);
    if (lane.process !== null) processes[lane.process].lanes.push(made);
  });
  depths = new Uint8Array(count);
  const fault = kindOf.fault;
  const wait = kindOf.wait;
  for (let at = 0; at < count; at++) {
    const lane = lanes[events.lane[at]];
    const begin = events.time[at];
    const end = begin + events.duration[at];
    const place = lane.used++;
    lane.list[place] = at;
    lane.begins[place] = begin;
    lane.reach[place] = place > 0 ? Math.max(lane.reach[place - 1], end) : end;
    while (lane.open.length && lane.open[lane.open.length - 1] <= begin) lane.open.pop();
    const depth = Math.min(lane.open.length, 255);
    depths[at] = depth;
    if (end > begin) {
      lane.open.push(end);
      const kind = events.kind[at] & 0x7f;
      if (kind === wait) (events.inDriver(at) ? lane.driver : lane.turn).push(begin, end);
      if (depth === 0) (kind === fault ? lane.fault : lane.call).push(begin, end);
    }
  }
  for (const lane of lanes) {
    for (const cover of [lane.fault, lane.call, lane.turn, lane.driver]) cover.done();
    lane.open = null;
  }
}

async function buildMarks() {
  const numbers = new Numbers(await column("marks"));
  let event = 0;
  while (numbers.at < numbers.bytes.length) {
    event += numbers.next();
    const process = processes[numbers.next()];
    process.marks.push(event);
    process.times.push(events.time[event]);
  }
}

async function buildEngines() {
  const numbers = new Numbers(await column("turns"));
  let owners = 0;
  for (const name of head.engines) {
    const count = numbers.next();
    const engine = {
      name,
      begins: new Float64Array(count),
      ends: new Float64Array(count),
      grants: new Uint32Array(count),
      // Indices of processes; -1: the kernel.
      owners: new Int32Array(count),
      covers: new Map(),
    };
    const gaps = new Float64Array(count);
    let grant = 0;
    for (let at = 0; at < count; at++) {
      grant += numbers.next();
      gaps[at] = numbers.next();
      engine.grants[at] = grant;
      engine.begins[at] = events.time[grant];
      engine.owners[at] = lanes[events.lane[grant]].process ?? -1;
    }
    for (let at = 0; at < count; at++) {
      const owner = engine.owners[at];
      engine.ends[at] = (at + 1 < count ? engine.begins[at + 1] : head.length) - gaps[at];
      if (!engine.covers.has(owner)) engine.covers.set(owner, new Cover());
      engine.covers.get(owner).push(engine.begins[at], engine.ends[at]);
      if (owner >= 0 && processes[owner].owner < 0) processes[owner].owner = owners++;
    }
    for (const cover of engine.covers.values()) cover.done();
    engines.push(engine);
  }
}

/** Returns the turn that a grant has begun: its engine and number; null if it has begun none. */
function turnOf(grant) {
  for (const engine of engines) {
    const at = above(engine.grants, grant) - 1;
    if (at >= 0 && engine.grants[at] === grant) return { engine, at };
  }
  return null;
}

const ROW = 50;
const ENGINE = 30;
const RATE = 30;
// Rows above all others, which stay, and the others, which scroll.
let pinned = [];
let rows = [];
// Only rows with something in view.
let onlyBusy = false;

const threadsOf = (process) => process.lanes.filter((lane) => lane.thread !== 0).length;

/** Whether there is anything of a process in view. */
function isBusy(process) {
  const seen = (lane) => {
    const [first, last] = inView(lane);
    return last > first;
  };
  return process.lanes.some(seen) || above(process.times, view.to) > above(process.times, view.from);
}

/** Makes the rows anew: processes are opened and closed, or only busy ones are shown. */
function buildRows() {
  const place = (list) => {
    let y = 0;
    for (const row of list) {
      row.y = y;
      y += row.height;
    }
    list.height = y;
    return list;
  };
  const ofEngines = engines.flatMap((engine) => [
    { engine, name: `${engine.name} engine`, height: ENGINE },
    { rate: engine, name: "switches/s", height: RATE },
  ]);
  const others = [];
  for (const lane of lanes.filter((lane) => lane.process === null)) {
    others.push({ lanes: [lane], name: lane.device ? head.devices[lane.device] : "kernel", height: ROW });
  }
  for (const process of processes) {
    if (!process.lanes.length && !process.marks.length) continue;
    if (onlyBusy && !isBusy(process)) continue;
    const threads = threadsOf(process);
    others.push({ process, lanes: process.lanes, name: process.name, height: ROW, sum: threads > 1 });
    if (threads < 2 || !process.open) continue;
    for (const lane of process.lanes.filter((lane) => lane.thread !== 0)) {
      others.push({ of: process, lanes: [lane], name: `thread ${lane.thread}`, height: ROW });
    }
  }
  // A few engines stay in sight.
  const few = ofEngines.length <= 4;
  pinned = place(few ? ofEngines : []);
  rows = place(few ? others : [...ofEngines, ...others]);
  // The row that shows a lane: that of its thread, or of its process if that is closed.
  for (const shown of [...processes, ...lanes]) shown.row = undefined;
  for (const row of rows) {
    if (row.process) row.process.row = row;
    for (const lane of row.lanes ?? []) lane.row = row;
  }
}

async function buildModel() {
  buildLanes();
  await buildMarks();
  await buildEngines();
  const threads = processes.reduce((sum, process) => sum + threadsOf(process), 0);
  if (threads > 60) for (const process of processes) process.open = false;
  buildRows();
}
