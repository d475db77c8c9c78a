// The selected event: what it is, what caused it, what it caused.

let selected = -1;
// Pairs of places: an event in its own row, or as a mark in the row of the process that lost pages.
let arrows = [];
const CAUSE = document.getElementById("to-cause");
const EFFECT = document.getElementById("to-effect");
const details = document.getElementById("details");
const HINT = details.innerHTML;

const isKind = (event, name) => (events.kind[event] & 0x7f) === kindOf[name];

/** Position of an event in the list of its lane. */
const positionOf = (event) => above(lanes[events.lane[event]].list, event) - 1;

/** The row with an event, or with its mark; undefined if it is not shown. */
const rowWith = ({ event, victim }) => (victim === undefined ? lanes[events.lane[event]] : processes[victim]).row;

/** Returns the place of an event, or of its mark, on the canvas. */
function placeOf({ event, victim }) {
  const row = rowWith({ event, victim });
  const x = view.x(events.time[event]);
  if (victim !== undefined) return [x, view.y(row) + row.height - 5];
  const [down, height] = row.sum ? [3, row.height - 3 - MARKS] : band(event, row);
  return [x, view.y(row) + down + height / 2];
}

/** Events that are part of a call or fault. */
function partsOf(call) {
  const parts = [];
  const end = endAt(call);
  for (let at = call + 1; at < events.count && events.time[at] <= end && parts.length < 500; at++) {
    if (events.cause[at] === call) parts.push(at);
  }
  return parts;
}

/** The switch within which an event has happened; -1: none. */
function switchOf(event) {
  const { list } = lanes[events.lane[event]];
  for (let place = positionOf(event) - 1; place >= 0 && list[place] > events.cause[event]; place--) {
    const at = list[place];
    if (isKind(at, "grant") && endAt(at) >= events.time[event]) return at;
  }
  return -1;
}

/** The process, by its index, from which an unload has taken pages, if it is another than the one that did it; else undefined. */
function victimOf(event) {
  if (!isKind(event, "unload")) return undefined;
  const victim = fieldsAt(event).whose - 1;
  return victim >= 0 && victim !== lanes[events.lane[event]].process ? victim : undefined;
}

/** Returns the causes of an event, the nearest first: pairs of why and event. */
function causesOf(event) {
  const causes = [];
  const fields = fieldsAt(event);
  const within = isKind(event, "unload") || isKind(event, "load") ? switchOf(event) : -1;
  if (within >= 0) causes.push(["in", within]);
  if (fields.because) causes.push(["its page was taken:", event - fields.because]);
  if (events.cause[event] >= 0) causes.push(["part of", events.cause[event]]);
  const turn = isKind(event, "grant") ? turnOf(event) : null;
  if (turn && turn.at > 0) causes.push(["after", turn.engine.grants[turn.at - 1]]);
  return causes;
}

/** Returns the effects of an event, the most telling first: pairs of why and event. */
function effectsOf(event) {
  const fields = fieldsAt(event);
  if (isKind(event, "unload")) return fields.missed ? [["missed by", event + fields.missed]] : [];
  if (isKind(event, "grant")) {
    const within = (at) => events.lane[at] === events.lane[event] && at > event && events.time[at] <= endAt(event);
    return partsOf(events.cause[event]).filter((at) => within(at) && victimOf(at) !== undefined).map((at) => ["took away:", at]);
  }
  const weigh = (at) => (isKind(at, "grant") && fieldsAt(at).switched ? 0 : victimOf(at) !== undefined ? 1 : isKind(at, "wait") ? 2 : 3);
  return partsOf(event)
    .map((at) => [weigh(at), at])
    .sort(([a, first], [b, second]) => a - b || first - second)
    .map(([, at]) => ["", at]);
}

/** The arrows of an event: to the fault that it is part of, from there to the processes that lost pages, and to the faults that missed them. */
function arrowsOf(event) {
  const call = events.cause[event] >= 0 ? events.cause[event] : event;
  const all = [];
  const { because } = fieldsAt(call);
  if (because) {
    const taken = { event: call - because, victim: lanes[events.lane[call]].process };
    all.push([{ event: call - because }, taken], [taken, { event: call }]);
  }
  for (const part of partsOf(call)) {
    const victim = victimOf(part);
    if (victim === undefined) continue;
    all.push([{ event: part }, { event: part, victim }]);
    const { missed } = fieldsAt(part);
    if (missed) all.push([{ event: part, victim }, { event: part + missed }]);
    if (all.length > 40) break;
  }
  return all;
}

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function listOf(title, links) {
  if (!links.length) return;
  element("h3", title, details);
  const list = element("ul", undefined, details);
  for (const [why, event] of links.slice(0, 12)) {
    const button = element("button", `${why ? why + " " : ""}${lineOf(event)}`, element("li", undefined, list));
    button.dataset.event = event;
  }
  if (links.length > 12) element("li", `and ${(links.length - 12).toLocaleString("en")} more`, list);
}

/** Shows what is known about the selected event. */
function tell() {
  const links = selected < 0 ? [[], []] : [causesOf(selected), effectsOf(selected)];
  CAUSE.disabled = !links[0].length;
  EFFECT.disabled = !links[1].length;
  if (selected < 0) {
    details.innerHTML = HINT;
    return;
  }
  details.textContent = "";
  element("h2", lineOf(selected), details);
  const report = reportOf(selected);
  if (report !== null) element("pre", report, details);
  const list = element("dl", undefined, details);
  for (const [name, text] of tableOf(selected)) {
    element("dt", name, list);
    element("dd", text, list);
  }
  listOf("Caused by", links[0]);
  listOf("Led to", links[1]);
}

/** Selects an event, or none with -1. */
function select(event) {
  selected = event;
  arrows = event < 0 ? [] : arrowsOf(event);
  tell();
  say(event < 0 ? "nothing selected" : lineOf(event));
  history.replaceState(null, "", event < 0 ? "#" : `#event=${event}`);
  redraw();
}

/** Selects an event and brings it into view, with the call that it is part of, and large enough to be seen. */
function show(event) {
  const call = events.cause[event] >= 0 ? events.cause[event] : event;
  const [begin, end] = [Math.min(events.time[call], events.time[event]), Math.max(endAt(call), endAt(event))];
  const wide = Math.max(end - begin, 500);
  const span = view.to - view.from;
  if (wide * view.scale < 40) {
    view.set(begin - 1.5 * wide, end + 1.5 * wide);
  } else if (begin < view.from || end > view.to) {
    // An event that is seen in a call that does not fit is fine.
    const seen = events.time[event] >= view.from && events.time[event] < view.to;
    if (wide <= span * 0.9) view.set((begin + end - span) / 2, (begin + end + span) / 2);
    else if (events.duration[event] * view.plot > wide * 8) view.set(begin - wide / 4, end + wide / 4);
    else if (!seen) view.set(events.time[event] - span / 3, events.time[event] + (2 * span) / 3);
  }
  const lane = lanes[events.lane[event]];
  if (lane.row?.sum && lane.thread !== 0) toggle(lane.row);
  const { row } = lane;
  if (rows.includes(row)) {
    view.row = rows.indexOf(row);
    reveal(row);
  }
  select(event);
}

/** Zooms until the selected event fills a third of the view. */
function fit() {
  if (selected < 0) return;
  const wide = Math.max(events.duration[selected], 100);
  view.set(events.time[selected] - wide, events.time[selected] + 2 * wide);
}

function follow(links) {
  if (links.length) show(links[0][1]);
}
const toCause = () => selected >= 0 && follow(causesOf(selected));
const toEffect = () => selected >= 0 && follow(effectsOf(selected));

/** Selects the event before or after the selected one in its row. */
function step(by) {
  const row = rows[view.row];
  if (!row?.lanes?.length) return;
  const inRow = selected >= 0 && lanes[events.lane[selected]].row === row;
  if (!inRow) return selectMiddle();
  const { list } = lanes[events.lane[selected]];
  const place = positionOf(selected) + by;
  if (place >= 0 && place < list.length) show(list[place]);
}

/** Selects the event of the current row that is nearest to the middle of the view. */
function selectMiddle() {
  const row = rows[view.row];
  const middle = (view.from + view.to) / 2;
  let [best, distance] = [-1, Infinity];
  if (row?.engine) {
    best = row.engine.grants[Math.max(above(row.engine.begins, middle) - 1, 0)] ?? -1;
  }
  for (const lane of row?.lanes ?? []) {
    const at = above(lane.begins, middle);
    for (const place of [at - 1, at]) {
      if (place < 0 || place >= lane.list.length) continue;
      const away = Math.abs(lane.begins[place] - middle);
      if (away < distance) [best, distance] = [lane.list[place], away];
    }
  }
  // The call rather than a part of it.
  if (best >= 0) show(events.cause[best] >= 0 && !row.engine ? events.cause[best] : best);
}

/** Says something to who does not see. */
function say(text) {
  document.getElementById("said").textContent = text;
}
