// Begins: what was counted before is drawn at once, the rest when the events have been read.

async function start() {
  if (head.date) document.getElementById("date").textContent = `Recorded ${new Date(head.date).toLocaleString()}.`;
  readColors();
  resize();
  changed();
  // The columns come last in the page.
  if (document.readyState === "loading") await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve));
  const begin = performance.now();
  await readEvents();
  await buildModel();
  layOut();
  listen();
  const status = document.getElementById("status");
  status.textContent = `${events.count.toLocaleString("en")} events, read in ${timeText((performance.now() - begin) * 1e6, 1)}`;
  performance.mark("ready");
  const event = /^#event=(\d+)$/.exec(location.hash);
  if (event && Number(event[1]) < events.count) show(Number(event[1]));
}

// For the console, and for tests.
globalThis.timeline = {
  ready: start().catch((why) => {
    document.getElementById("status").textContent = `The events cannot be read: ${why.message}`;
    throw why;
  }),
  count: events.count,
  range: () => [view.from, view.to],
  set: (from, to) => view.set(from, to),
  show,
  selected: () => selected,
  line: lineOf,
  kind: (event) => kindAt(event).name,
  fields: fieldsAt,
  row: () => rows[view.row]?.name,
  rows: () => rows.map((row) => row.name),
  draw,
  /** Bytes of the arrays. */
  bytes: () => {
    const covers = (lane) => [lane.fault, lane.call, lane.turn, lane.driver].flatMap(Object.values);
    const ofLanes = lanes.flatMap((lane) => [lane.list, lane.begins, lane.reach, ...covers(lane)]);
    return [...Object.values(events), depths, ...ofLanes].reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
  },
  /** Returns the place of an event in the window, in CSS pixels: its begin, and the middle of its height. */
  where: (event) => {
    draw();
    const [x, y] = placeOf({ event });
    const box = canvas.getBoundingClientRect();
    return [box.left + x, box.top + y];
  },
};
