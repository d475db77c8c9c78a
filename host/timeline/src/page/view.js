// The range of time in view, and where things are on the canvas.

const viewElement = document.getElementById("view");
const space = document.getElementById("space");
const canvas = document.getElementById("canvas");
const GUTTER = 176;
const RULER = 24;
// Nanoseconds that are the least to be seen.
const LEAST = 200;

const view = {
  from: 0,
  to: Math.max(head.length, LEAST),
  // Of the canvas, in CSS pixels.
  width: 0,
  height: 0,
  // The row that keys act on.
  row: 0,

  get plot() {
    return Math.max(this.width - GUTTER, 10);
  },
  get scale() {
    return this.plot / (this.to - this.from);
  },
  x(time) {
    return GUTTER + (time - this.from) * this.scale;
  },
  time(x) {
    return this.from + (x - GUTTER) / this.scale;
  },
  /** Height of all that does not scroll. */
  get top() {
    return RULER + pinned.height;
  },
  /** Returns the place of a row on the canvas. */
  y(row) {
    return pinned.includes(row) ? RULER + row.y : this.top + row.y - viewElement.scrollTop;
  },

  set(from, to) {
    const whole = Math.max(head.length, LEAST);
    const span = Math.min(Math.max(to - from, LEAST), whole);
    const middle = (from + to) / 2;
    const edge = span * 0.02;
    this.from = span === whole ? 0 : Math.min(Math.max(middle - span / 2, -edge), whole - span + edge);
    this.to = this.from + span;
    changed();
  },
  zoom(by, around = (this.from + this.to) / 2) {
    const span = Math.min(Math.max((this.to - this.from) / by, LEAST), Math.max(head.length, LEAST));
    const share = (around - this.from) / (this.to - this.from);
    this.set(around - span * share, around + span * (1 - share));
  },
  pan(share) {
    const by = (this.to - this.from) * share;
    this.set(this.from + by, this.to + by);
  },
  whole() {
    this.set(0, head.length);
  },
};

/** Units of time, the largest that fits first. */
function timeText(ns, digits = 3) {
  const size = Math.abs(ns);
  const [unit, name] = size >= 1e9 ? [1e9, "s"] : size >= 1e6 ? [1e6, "ms"] : size >= 1e3 ? [1e3, "\u00b5s"] : [1, "ns"];
  return `${+(ns / unit).toFixed(unit === 1 ? 0 : digits)}\u00a0${name}`;
}

/** A time of the trace, with as many digits as a step between times needs. */
function pointText(time, step) {
  const digits = Math.min(Math.max(Math.ceil(-Math.log10(step / 1e9)), 0), 9);
  return `${(time / 1e9).toFixed(digits)}\u00a0s`;
}

let asked = false;
/** Draws soon. */
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

/** The range in view has changed. */
function changed() {
  const step = (view.to - view.from) / 1000;
  const from = pointText(Math.max(view.from, 0), step);
  if (onlyBusy) arrange();
  document.getElementById("range").textContent = `${from} to ${pointText(view.to, step)} (${timeText(view.to - view.from)})`;
  redraw();
}

/** The canvas gets the size that it is shown in. */
function resize() {
  const ratio = devicePixelRatio || 1;
  for (const [element, width, height] of [
    [canvas, viewElement.clientWidth, viewElement.clientHeight],
    [overview, overview.clientWidth, overview.clientHeight],
  ]) {
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    element.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  view.width = viewElement.clientWidth;
  view.height = viewElement.clientHeight;
  canvas.style.width = `${view.width}px`;
  canvas.style.height = `${view.height}px`;
  redraw();
}

/** Makes the rows anew; the one that keys act on stays so, if it is still there. */
function arrange() {
  const { process, of } = rows[view.row] ?? {};
  buildRows();
  view.row = Math.max(rows.findIndex((row) => row.process && row.process === (process ?? of)), 0);
  layOut();
}

/** The rows have changed. */
function layOut() {
  const height = view.top + rows.height + 8;
  space.style.height = `${height}px`;
  document.querySelector(".work").style.setProperty("--tall", `${height}px`);
  view.row = Math.min(view.row, rows.length - 1);
  redraw();
}

/** Scrolls until a row is in sight. */
function reveal(row) {
  if (pinned.includes(row)) return;
  const top = viewElement.scrollTop;
  const room = view.height - view.top;
  if (row.y < top) viewElement.scrollTop = row.y;
  else if (row.y + row.height > top + room) viewElement.scrollTop = row.y + row.height - room;
}
