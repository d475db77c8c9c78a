// Draws. Where events are too dense to be seen, a column of pixels shows which share of its time was spent in what; that is exact, not sampled.

const overview = document.getElementById("overview");
const FONT = "12px system-ui, sans-serif";
const SMALL = "9px system-ui, sans-serif";
// Height for the marks below what a process does.
const MARKS = 10;
// Least height of a column in which anything happened.
const LOW = 8;
// Events of a lane that are drawn one by one.
const MANY = 20000;
let colors = {};

/** Reads the colours of the scheme in use. */
function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names =
    "paper panel ink faint line grid accent fault turn driver call callback grant load mark select row on-color owner-l owner-c";
  colors = {};
  for (const name of names.split(" ")) colors[name] = style.getPropertyValue("--" + name).trim();
  colors.owners = new Map();
  redraw();
}

/** The colour of a process that has had an engine: hues by the golden angle, so that neighbours differ. */
function ownerColor(process) {
  const owner = process < 0 ? -1 : processes[process].owner;
  if (!colors.owners.has(owner)) {
    const light = Number(colors["owner-l"]) - (owner % 3) * 0.07;
    const color = owner < 0 ? colors.load : `oklch(${light.toFixed(2)} ${colors["owner-c"]} ${((owner * 137.5 + 250) % 360).toFixed(1)})`;
    colors.owners.set(owner, color);
  }
  return colors.owners.get(owner);
}

/** The colour of an event. */
function eventColor(event) {
  switch (events.kind[event] & 0x7f) {
    case kindOf.fault: return colors.fault;
    case kindOf.wait: return events.inDriver(event) ? colors.driver : colors.turn;
    case kindOf.grant: return colors.grant;
    case kindOf.load: case kindOf.unload: return colors.load;
    case kindOf.mistake: return colors.mark;
    case kindOf.access: case kindOf.map: case kindOf.dup: case kindOf.cut: case kindOf.request: return colors.callback;
    default: return colors.call;
  }
}

function draw() {
  if (!view.width) return;
  const context = canvas.getContext("2d");
  context.fillStyle = colors.paper;
  context.fillRect(0, 0, view.width, view.height);
  context.font = FONT;
  context.textBaseline = "middle";
  context.save();
  context.beginPath();
  context.rect(0, view.top, view.width, view.height);
  context.clip();
  for (const row of rowsInSight()) drawRow(context, row);
  drawLinks(context);
  context.restore();
  for (const row of pinned) drawRow(context, row);
  drawRuler(context);
  if (pinned.height) line(context, 0, view.top - 0.5, view.width, view.top - 0.5, colors.line);
  drawMarking(context);
  drawOverview();
}

function rowsInSight() {
  const top = viewElement.scrollTop;
  return rows.filter((row) => row.y + row.height > top && row.y < top + view.height - view.top);
}

function line(context, x1, y1, x2, y2, color) {
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** Writes a text that ends with an ellipsis where it is too long. */
function write(context, text, x, y, width, color) {
  if (width < 14) return;
  context.fillStyle = color;
  let shown = text;
  if (context.measureText(text).width > width) {
    let low = 0;
    let high = text.length;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (context.measureText(text.slice(0, middle) + "\u2026").width <= width) low = middle;
      else high = middle - 1;
    }
    shown = low > 0 ? text.slice(0, low) + "\u2026" : "";
  }
  context.fillText(shown, x, y);
}

function drawRuler(context) {
  context.fillStyle = colors.panel;
  context.fillRect(0, 0, view.width, RULER);
  const raw = (view.to - view.from) / Math.max(view.plot / 110, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((by) => by * power >= raw) ?? 10);
  for (let time = Math.ceil(Math.max(view.from, 0) / step) * step; time <= view.to; time += step) {
    const x = Math.round(view.x(time)) + 0.5;
    if (x < GUTTER) continue;
    line(context, x, RULER - 6, x, RULER, colors.faint);
    context.fillStyle = colors.faint;
    context.fillText(pointText(time, step), x + 4, RULER / 2);
  }
  line(context, 0, RULER - 0.5, view.width, RULER - 0.5, colors.line);
}

function drawRow(context, row) {
  const y = view.y(row);
  const current = document.activeElement === viewElement && rows[view.row] === row;
  if (current) {
    context.fillStyle = colors.row;
    context.fillRect(0, y, view.width, row.height);
  }
  context.save();
  context.beginPath();
  context.rect(GUTTER, y, view.width - GUTTER, row.height);
  context.clip();
  if (row.engine) drawEngine(context, row, y);
  else if (row.rate) drawRate(context, row, y);
  else drawLanes(context, row, y);
  context.restore();
  line(context, 0, y + row.height - 0.5, view.width, y + row.height - 0.5, colors.grid);
  const middle = y + row.height / 2;
  let x = row.of ? 26 : 20;
  if (row.process && row.process.owner >= 0) {
    context.fillStyle = ownerColor(row.process.index);
    context.fillRect(6, middle - 5, 9, 10);
  }
  if (row.sum) {
    write(context, row.process.open ? "\u25be" : "\u25b8", x, middle, 20, colors.ink);
    x += 14;
  }
  write(context, row.name, x, middle, GUTTER - x - 8, row.of || row.rate ? colors.faint : colors.ink);
  line(context, GUTTER - 0.5, y, GUTTER - 0.5, y + row.height, colors.line);
}

/** Draws the turns of an engine. */
function drawEngine(context, row, y) {
  const engine = row.engine;
  const top = y + 3;
  const height = row.height - 6;
  const first = Math.max(above(engine.begins, view.from) - 1, 0);
  const last = above(engine.begins, view.to);
  if (last - first <= view.plot / 4) {
    for (let at = first; at < last; at++) {
      const from = Math.max(view.x(engine.begins[at]), GUTTER - 2);
      const to = Math.min(view.x(engine.ends[at]), view.width + 2);
      if (to < GUTTER) continue;
      const owner = engine.owners[at];
      context.fillStyle = ownerColor(owner);
      context.fillRect(from, top, Math.max(to - from - (to - from > 3 ? 1 : 0), 1), height);
      const left = Math.max(from, GUTTER) + 4;
      if (owner >= 0) write(context, processes[owner].name, left, top + height / 2, to - left - 4, colors["on-color"]);
      if (selected === engine.grants[at]) outline(context, from, top, to - from, height);
    }
    return;
  }
  const covers = [...engine.covers].filter(([, cover]) => cover.meets(view.from, view.to));
  const step = covers.length > 16 ? 2 : 1;
  const bottoms = new Float64Array(Math.ceil(view.plot / step));
  for (const [owner, cover] of covers) {
    context.fillStyle = ownerColor(owner);
    let before = cover.until(view.from);
    for (let column = 0; column < bottoms.length; column++) {
      const until = cover.until(view.time(GUTTER + (column + 1) * step));
      const share = ((until - before) * view.scale) / step;
      before = until;
      if (share <= 0) continue;
      context.fillRect(GUTTER + column * step, top + bottoms[column] * height, step, share * height + 0.3);
      bottoms[column] += share;
    }
  }
}

/** Switches per second, in windows of 100 ms, or a column if that is longer; shorter ones for a short trace. */
function drawRate(context, row, y) {
  const begins = row.rate.begins;
  const step = 3;
  const columns = Math.ceil(view.plot / step);
  const window = Math.max(step / view.scale, Math.min(1e8, head.length / 100));
  const rates = new Float64Array(columns);
  let most = 0;
  for (let column = 0; column < columns; column++) {
    const middle = view.time(GUTTER + (column + 0.5) * step);
    rates[column] = (above(begins, middle + window / 2) - above(begins, middle - window / 2)) / (window / 1e9);
    most = Math.max(most, rates[column]);
  }
  row.name = "switches/s";
  if (most === 0) return;
  context.fillStyle = colors.accent;
  const height = row.height - 6;
  for (let column = 0; column < columns; column++) {
    const tall = (rates[column] / most) * height;
    context.fillRect(GUTTER + column * step, y + row.height - 2 - tall, step, tall);
  }
  row.name = `up to ${Math.round(most).toLocaleString("en")} switches/s`;
}

/** Positions in a lane's list of what is in view. */
function inView(lane) {
  return [above(lane.reach, view.from), above(lane.begins, view.to)];
}

/** Whether the events of a lane can be seen one by one. */
function isSparse(lane) {
  const [first, last] = inView(lane);
  return last - first <= view.plot;
}

/** Vertical place of an event in its row: what is within another is lower. */
function band(event, row) {
  const inset = Math.min(depths[event], 4) * 8;
  return [3 + inset, row.height - 3 - MARKS - inset];
}

function drawLanes(context, row, y) {
  context.font = SMALL;
  drawShares(context, row, y);
  // Of a process with several threads: what no thread of its own did.
  for (const lane of row.sum ? row.lanes.filter((lane) => lane.thread === 0) : row.lanes) {
    const [first, last] = inView(lane);
    if (last - first > MANY) continue;
    for (let place = first; place < last; place++) drawEvent(context, row, y, lane.list[place]);
  }
  if (row.process) drawMarks(context, row, y);
}

/** An event, if it is wide enough to be seen, or the call that it is part of. */
function drawEvent(context, row, y, event) {
  const call = events.cause[event];
  const wide = events.duration[event] * view.scale;
  if (wide < 2 && event !== selected && (call < 0 || events.duration[call] * view.scale < 8)) return;
  const from = Math.max(view.x(events.time[event]), GUTTER - 1);
  const to = Math.min(view.x(endAt(event)), view.width + 1);
  if (to < GUTTER - 1) return;
  const [down, height] = band(event, row);
  const shown = Math.max(to - from, 1.2);
  context.fillStyle = eventColor(event);
  context.fillRect(from, y + down, shown, height);
  if (shown > 30 && depths[event] < 4) write(context, kindAt(event).name, from + 3, y + down + 4.5, shown - 5, colors["on-color"]);
  if (event === selected) outline(context, from, y + down, shown, height);
}

/** Draws for each column the shares of its time that were spent in faults, calls and waits; of several lanes, on average. */
function drawShares(context, row, y) {
  const height = row.height - 3 - MARKS;
  const met = row.lanes.filter((lane) => lane.fault.meets(view.from, view.to) || lane.call.meets(view.from, view.to));
  if (!met.length) return;
  let from = view.from;
  for (let column = 0; column < view.plot; column++) {
    const to = view.time(GUTTER + column + 1);
    let [turn, driver, fault, call] = [0, 0, 0, 0];
    for (const lane of met) {
      turn += lane.turn.within(from, to);
      driver += lane.driver.within(from, to);
      fault += lane.fault.within(from, to);
      call += lane.call.within(from, to);
    }
    const unit = (height * view.scale) / met.length;
    const rest = Math.max(fault + call - turn - driver, 0);
    const faults = fault + call > 0 ? (rest * fault) / (fault + call) : 0;
    // What is there is seen, however short it was; the rest is to scale.
    const scale = unit * Math.max(LOW / ((fault + call) * unit), 1);
    let bottom = y + row.height - MARKS;
    for (const [part, color] of [[turn, colors.turn], [driver, colors.driver], [faults, colors.fault], [rest - faults, colors.call]]) {
      if (part <= 0) continue;
      const tall = part * scale;
      context.fillStyle = color;
      context.fillRect(GUTTER + column, bottom - tall, 1, tall);
      bottom -= tall;
    }
    from = to;
  }
}

/** Draws where others took pages: small triangles, or a strip where there are many. */
function drawMarks(context, row, y) {
  const times = row.process.times;
  const first = above(times, view.from);
  const last = above(times, view.to);
  const bottom = y + row.height - 1;
  context.fillStyle = colors.mark;
  if (last - first <= view.plot / 6) {
    for (let at = first; at < last; at++) mark(context, view.x(times[at]), bottom, row.process.marks[at] === selected);
    return;
  }
  for (let column = 0, before = first; column < view.plot; column++) {
    const until = above(times, view.time(GUTTER + column + 1), before, last);
    if (until > before) context.fillRect(GUTTER + column, bottom - 2.5, 1, 2.5);
    before = until;
  }
}

function mark(context, x, bottom, isSelected) {
  context.beginPath();
  context.moveTo(x, bottom - 8);
  context.lineTo(x + 4.5, bottom);
  context.lineTo(x - 4.5, bottom);
  context.fill();
  if (isSelected) outline(context, x - 5, bottom - 8, 10, 8);
}

function outline(context, x, y, width, height) {
  context.strokeStyle = colors.select;
  context.lineWidth = 2;
  context.strokeRect(x - 1, y - 1, Math.max(width, 2) + 2, height + 2);
}

/** Arrows from what caused the selected event, to what it has caused. */
function drawLinks(context) {
  for (const [from, to] of arrows) {
    if (!rowWith(from) || !rowWith(to)) continue;
    const [x1, y1, x2, y2] = [...placeOf(from), ...placeOf(to)];
    if (Math.max(x1, x2) < GUTTER || Math.min(x1, x2) > view.width) continue;
    const straight = Math.abs(x2 - x1) < 24;
    const bend = straight ? 0 : Math.max(Math.min(Math.abs(x2 - x1) / 2, 80), 14);
    context.strokeStyle = colors.select;
    context.fillStyle = colors.select;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x1, y1);
    context.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
    context.stroke();
    const angle = straight ? Math.atan2(y2 - y1, x2 - x1) : 0;
    context.beginPath();
    context.moveTo(x2, y2);
    for (const side of [-0.5, 0.5]) context.lineTo(x2 - 8 * Math.cos(angle + side), y2 - 8 * Math.sin(angle + side));
    context.fill();
  }
}

/** The range that is being marked with Shift. */
function drawMarking(context) {
  if (!marking) return;
  const [from, to] = [marking.from, marking.to].sort((a, b) => a - b);
  context.globalAlpha = 0.18;
  context.fillStyle = colors.select;
  context.fillRect(from, 0, to - from, view.height);
  context.globalAlpha = 1;
}

/** The whole trace: faults above, switches below, the range in view framed. Counted when the page was made. */
function drawOverview() {
  const context = overview.getContext("2d");
  const [width, height] = [overview.clientWidth, overview.clientHeight];
  context.clearRect(0, 0, width, height);
  const half = height / 2;
  for (const [counts, color, base] of [[head.overview.faults, colors.fault, half - 1], [head.overview.switches, colors.accent, height - 1]]) {
    const most = Math.max(...counts, 1);
    const step = width / counts.length;
    context.fillStyle = color;
    counts.forEach((count, at) => {
      const tall = (count / most) * (half - 3);
      context.fillRect(at * step, base - tall, Math.max(step, 1), tall);
    });
  }
  const scale = width / Math.max(head.length, LEAST);
  const [from, to] = [view.from * scale, view.to * scale];
  context.globalAlpha = 0.35;
  context.fillStyle = colors.line;
  context.fillRect(0, 0, from, height);
  context.fillRect(to, 0, width - to, height);
  context.globalAlpha = 1;
  context.strokeStyle = colors.select;
  context.lineWidth = 2;
  context.strokeRect(Math.max(from, 1), 1, Math.max(Math.min(to, width - 1) - Math.max(from, 1), 2), height - 2);
}
