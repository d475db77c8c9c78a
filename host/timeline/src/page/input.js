// Mouse, touch and keys.

const tip = document.getElementById("tip");
const BUSY = document.getElementById("busy");
let marking = null;

/** Returns what is at a place of the canvas: the row, the event if one can be told from the others, and the time. */
function hit(x, y) {
  const time = view.time(x);
  const list = y < view.top ? pinned : rows;
  const down = y < view.top ? y - RULER : y - view.top + viewElement.scrollTop;
  const row = y < RULER ? undefined : list.find((row) => down >= row.y && down < row.y + row.height);
  if (!row || x < GUTTER) return { row, event: -1, time };
  if (row.engine) {
    const at = above(row.engine.begins, time) - 1;
    const few = above(row.engine.begins, view.to) - above(row.engine.begins, view.from) <= view.plot / 4;
    return { row, event: few && at >= 0 && time < row.engine.ends[at] ? row.engine.grants[at] : -1, time };
  }
  return { row, event: row.rate ? -1 : eventAt(row, x, down - row.y), time };
}

/** The event at a place within a row: a mark, or the innermost slice. */
function eventAt(row, x, down) {
  if (row.process && down > row.height - 10) {
    const { times, marks } = row.process;
    const first = above(times, view.time(x - 5));
    const last = above(times, view.time(x + 5));
    const dense = above(times, view.to) - above(times, view.from) > view.plot / 6;
    if (last > first && !dense) return marks[Math.min((first + last) >>> 1, last - 1)];
  }
  let best = -1;
  for (const lane of row.sum ? row.lanes.filter((lane) => lane.thread === 0) : row.lanes) {
    if (!isSparse(lane)) continue;
    const [first, last] = inView(lane);
    for (let place = first; place < last; place++) {
      const event = lane.list[place];
      if (view.x(endAt(event)) < x - 2 || view.x(events.time[event]) > x + 2) continue;
      const [top, height] = band(event, row);
      // What is too narrow to have its place in the row is hit anywhere.
      const narrow = events.duration[event] * view.scale < 2 && depths[event] === 0;
      if (!narrow && (down < top || down > top + height)) continue;
      if (best < 0 || depths[event] >= depths[best]) best = event;
    }
  }
  return best;
}

function showTip(pointer) {
  const box = canvas.getBoundingClientRect();
  const { row, event, time } = hit(pointer.clientX - box.left, pointer.clientY - box.top);
  let text = "";
  if (event >= 0) {
    const table = tableOf(event).filter(([name]) => !["process", "thread"].includes(name));
    text = [lineOf(event), ...table.map(([name, value]) => `${name}: ${value}`)].join("\n");
  } else if (row?.rate) {
    text = "";
  } else if (row && pointer.clientX - box.left >= GUTTER) {
    text = columnText(row, time);
  } else if (row) {
    text = row.name;
  }
  tip.hidden = text === "";
  tip.textContent = text;
  const { offsetWidth, offsetHeight } = tip;
  tip.style.left = `${Math.max(Math.min(pointer.clientX + 14, innerWidth - offsetWidth - 6), 6)}px`;
  tip.style.top = `${pointer.clientY + 18 + offsetHeight > innerHeight ? pointer.clientY - offsetHeight - 10 : pointer.clientY + 18}px`;
}

function click(x, y) {
  const { row, event, time } = hit(x, y);
  if (!row) return;
  if (rows.includes(row)) view.row = rows.indexOf(row);
  if (event >= 0) select(event);
  else if (x < GUTTER) toggle(row);
  else if (row.engine || row.sum || row.lanes?.some((lane) => !isSparse(lane))) view.zoom(4, time);
  redraw();
}

/** Opens or closes the threads of a process. */
function toggle(row) {
  if (!row?.sum) return;
  row.process.open = !row.process.open;
  view.row = rows.indexOf(row);
  arrange();
  say(`${row.name}: threads ${row.process.open ? "shown" : "hidden"}`);
}

function mouse() {
  let drag = null;
  canvas.addEventListener("pointerdown", (pointer) => {
    if (pointer.button !== 0) return;
    const x = pointer.clientX - canvas.getBoundingClientRect().left;
    drag = { x, y: pointer.clientY, from: view.from, top: viewElement.scrollTop, moved: false };
    if (pointer.shiftKey && x >= GUTTER) marking = { from: x, to: x };
    canvas.setPointerCapture(pointer.pointerId);
    viewElement.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (pointer) => {
    if (!drag) return showTip(pointer);
    const x = pointer.clientX - canvas.getBoundingClientRect().left;
    drag.moved ||= Math.abs(x - drag.x) > 3 || Math.abs(pointer.clientY - drag.y) > 3;
    if (!drag.moved) return;
    tip.hidden = true;
    if (marking) {
      marking.to = Math.max(x, GUTTER);
      return redraw();
    }
    const span = view.to - view.from;
    const from = drag.from - (x - drag.x) / view.scale;
    if (pointer.pointerType === "mouse") viewElement.scrollTop = drag.top - (pointer.clientY - drag.y);
    view.set(from, from + span);
  });
  canvas.addEventListener("pointerup", (pointer) => {
    if (!drag) return;
    const box = canvas.getBoundingClientRect();
    if (marking && Math.abs(marking.to - marking.from) > 4) {
      const [from, to] = [view.time(marking.from), view.time(marking.to)].sort((a, b) => a - b);
      view.set(from, to);
    } else if (!drag.moved) {
      click(pointer.clientX - box.left, pointer.clientY - box.top);
    }
    drag = marking = null;
    redraw();
  });
  canvas.addEventListener("pointercancel", () => {
    drag = marking = null;
    redraw();
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  viewElement.addEventListener("scroll", () => {
    tip.hidden = true;
    redraw();
  });
  viewElement.addEventListener("wheel", (wheel) => {
    const x = wheel.clientX - canvas.getBoundingClientRect().left;
    if (wheel.ctrlKey || wheel.metaKey || wheel.altKey) view.zoom(1.0015 ** -wheel.deltaY, view.time(Math.max(x, GUTTER)));
    else if (wheel.shiftKey || Math.abs(wheel.deltaX) > Math.abs(wheel.deltaY)) view.pan((wheel.deltaX || wheel.deltaY) / view.plot);
    else return;
    wheel.preventDefault();
  }, { passive: false });
  const jump = (pointer) => {
    const box = overview.getBoundingClientRect();
    const middle = ((pointer.clientX - box.left) / box.width) * head.length;
    const half = (view.to - view.from) / 2;
    view.set(middle - half, middle + half);
  };
  overview.addEventListener("pointerdown", (pointer) => {
    overview.setPointerCapture(pointer.pointerId);
    jump(pointer);
  });
  overview.addEventListener("pointermove", (pointer) => pointer.buttons && jump(pointer));
}

const buttons = {
  all: () => view.whole(),
  closer: () => view.zoom(2),
  farther: () => view.zoom(0.5),
  left: () => view.pan(-0.25),
  right: () => view.pan(0.25),
  "to-cause": toCause,
  "to-effect": toEffect,
};

/** Shows all rows, or only those with something in view. */
function showBusy(only) {
  onlyBusy = BUSY.checked = only;
  arrange();
  say(only ? "only busy rows" : "all rows");
}

/** Makes a row the one that keys act on. */
function moveTo(row) {
  view.row = Math.min(Math.max(row, 0), rows.length - 1);
  if (!rows.length) return;
  reveal(rows[view.row]);
  say(rows[view.row].name);
  redraw();
}

const keys = {
  ArrowLeft: buttons.left,
  ArrowRight: buttons.right,
  ArrowUp: () => moveTo(view.row - 1),
  ArrowDown: () => moveTo(view.row + 1),
  PageUp: () => moveTo(view.row - 10),
  PageDown: () => moveTo(view.row + 10),
  Home: () => moveTo(0),
  End: () => moveTo(rows.length - 1),
  "+": buttons.closer,
  "=": buttons.closer,
  "-": buttons.farther,
  0: buttons.all,
  " ": () => toggle(rows[view.row]?.of ? rows[view.row].of.row : rows[view.row]),
  Enter: selectMiddle,
  ",": () => step(-1),
  ".": () => step(1),
  b: () => showBusy(!onlyBusy),
  c: toCause,
  e: toEffect,
  f: fit,
  Escape: () => select(-1),
};

function listen() {
  mouse();
  for (const [id, act] of Object.entries(buttons)) document.getElementById(id).addEventListener("click", act);
  BUSY.addEventListener("change", () => showBusy(BUSY.checked));
  viewElement.addEventListener("keydown", (key) => {
    if (key.ctrlKey || key.altKey || key.metaKey) return;
    const act = keys[key.key];
    if (!act) return;
    key.preventDefault();
    tip.hidden = true;
    act();
  });
  for (const change of ["focus", "blur"]) viewElement.addEventListener(change, redraw);
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("button[data-event], button[data-time]");
    if (!button) return;
    if (button.dataset.event) show(Number(button.dataset.event));
    else view.set(Number(button.dataset.time), Number(button.dataset.time) + 1e9);
    document.querySelector(".work").scrollIntoView({ block: "nearest" });
    viewElement.focus({ preventScroll: true });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColors);
  new ResizeObserver(resize).observe(viewElement);
}
