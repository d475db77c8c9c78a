//! `ddi-host timeline`: the page of a real run, and that of a long recording, used as people use them, in a headless Chromium.
//!
//! Pictures are left in target/tmp/pictures. docs/tracing.md has two of them:
//! `cargo test -p ddi-host --test timeline && cp target/tmp/pictures/timeline{,-chain}.png docs/pictures`. `DDI_TIMELINE_EVENTS` is the number of events
//! of the long recording.

mod browser;
mod client;
mod made;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use browser::Browser;
use client::{CLIENT, NAMES};
use ddi_timeline::story::Story;
use ddi_trace::{About, Access, Event, Outcome, Record, Stamp, Text, Trace, UNKNOWN};
use serde_json::{Value, json};

const HOST: &str = env!("CARGO_BIN_EXE_ddi-host");

fn output(command: &mut Command) -> (String, Option<i32>) {
    let out = command.output().unwrap();
    (String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(), out.status.code())
}

fn timeline(from: &Path, to: &Path) -> String {
    let (text, status) = output(Command::new(HOST).arg("timeline").arg(from).arg("-o").arg(to));
    assert_eq!(status, Some(0), "{text}");
    text
}

/// Records three clients that take turns. Returns the recording and its page.
fn real_run(dir: &Path) -> (PathBuf, PathBuf) {
    let nodes = "[[node]]\ninstance = 0\nregisters = [\"4K\", \"64K\"]\nproperties = { hysteresis-ms = 2 }\n";
    std::fs::write(dir.join("nodes.toml"), nodes).unwrap();
    let this = std::env::current_exe().unwrap();
    let client = |name| format!("{CLIENT}={name} {} --exact a_real_run --nocapture & ", this.display());
    let script = NAMES.map(client).concat() + "wait";
    let mut command = Command::new(HOST);
    command.current_dir(dir).args([
        "run",
        "--config",
        "nodes.toml",
        "--trace",
        "run.ring",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    let (text, status) = output(&mut command);
    assert_eq!(status, Some(0), "{text}");
    let (ring, page) = (dir.join("run.ring"), dir.join("run.html"));
    let said = timeline(&ring, &page);
    assert!(said.contains(" events; open file:///") && said.contains("run.html in a browser"), "{said}");
    (ring, page)
}

/// Returns the place of an event in the window.
fn place(browser: &Browser, event: usize) -> [f64; 2] {
    let at = browser.value(&format!("timeline.where({event})"));
    [at[0].as_f64().unwrap(), at[1].as_f64().unwrap()]
}

fn range(browser: &Browser) -> [f64; 2] {
    [0, 1].map(|end| browser.number(&format!("timeline.range()[{end}]")))
}

/// Returns how many pixels of the canvas have the colour of this name.
fn pixels(browser: &Browser, color: &str) -> f64 {
    browser.drawn();
    browser.number(&format!(
        "(() => {{
            const hex = getComputedStyle(document.documentElement).getPropertyValue('--{color}').trim();
            const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
            const {{ width, height }} = document.getElementById('canvas');
            const all = document.getElementById('canvas').getContext('2d').getImageData(0, 0, width, height).data;
            let count = 0;
            for (let at = 0; at < all.length; at += 4) count += all[at] === r && all[at + 1] === g && all[at + 2] === b;
            return count;
        }})()"
    ))
}

fn selected(browser: &Browser) -> i64 {
    browser.number("timeline.selected()") as i64
}

/// The kind of the selected event.
fn kind(browser: &Browser) -> String {
    browser.text("timeline.kind(timeline.selected())")
}

#[test]
fn a_real_run() {
    if let Ok(name) = std::env::var(CLIENT) {
        return client::run(&name);
    }
    let dir = tempfile::tempdir().unwrap();
    let (ring, page) = real_run(dir.path());
    let story = Story::of(Trace::read(&ring).unwrap());
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("took it from each other") && html.contains("client.rs:"));
    let Some(browser) = Browser::start() else { return };
    browser.open(&page);
    assert_eq!(browser.number("timeline.count"), story.events.len() as f64);
    shown(&browser, &story);
    zooms_and_pans(&browser);
    cause_and_effect(&browser, &story);
    keys(&browser, &story);
    everybody(&browser);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Checks that the page has the trace's rows, fields and tables.
fn shown(browser: &Browser, story: &Story) {
    let rows = browser.value("timeline.rows()");
    let rows: Vec<&str> = rows.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in NAMES {
        assert!(rows.iter().any(|row| row.starts_with(name)), "{rows:?}");
    }
    for (index, told) in story.events.iter().enumerate() {
        if let Event::Fault { address, offset, .. } = told.event {
            let fields = browser.value(&format!("timeline.fields({index})"));
            assert_eq!((&fields["address"], &fields["offset"]), (&address.into(), &offset.into()));
        }
    }
    for panel in
        ["Time of processes", "Pages that fault most", "Ping-pong", "Hysteresis, replayed from the trace"]
    {
        assert!(browser.text("document.querySelector('.panels').textContent").contains(panel));
    }
    browser.size(1200, 740);
    browser.picture("timeline");
    browser.size(1280, 900);
}

fn zooms_and_pans(browser: &Browser) {
    let whole = range(browser);
    let span = |[from, to]: [f64; 2]| to - from;
    let nearly = |a: f64, b: f64| (a - b).abs() <= (a.abs() + b.abs()) * 1e-6 + 1.0;
    let [left, top, width] = ["left", "top", "width"].map(|side| {
        browser.number(&format!("document.getElementById('canvas').getBoundingClientRect().{side}"))
    });
    // A place three quarters to the right, on the first process's row; the time there stays where it is.
    let at = [left + 176.0 + (width - 176.0) * 0.75, top + 120.0];
    let time = |[from, to]: [f64; 2]| from + (to - from) * 0.75;
    for _ in 0..3 {
        browser.wheel(at, -400.0, 2);
    }
    let zoomed = range(browser);
    assert!(span(zoomed) < span(whole) / 3.0, "{zoomed:?} of {whole:?}");
    assert!((time(zoomed) - time(whole)).abs() < span(whole) * 0.01, "{zoomed:?} of {whole:?}");
    // A drag moves what is under the mouse along.
    browser.drag(at, [at[0] - 100.0, at[1]], 0);
    let dragged = range(browser);
    assert!(nearly(span(dragged), span(zoomed)));
    assert!(nearly(dragged[0] - zoomed[0], 100.0 * span(zoomed) / (width - 176.0)), "{dragged:?} {zoomed:?}");
    // Without Ctrl the wheel zooms nothing; with Shift it pans.
    browser.wheel(at, 100.0, 0);
    assert_eq!(range(browser), dragged);
    browser.wheel(at, -50.0, 8);
    assert!(range(browser)[0] < dragged[0] && nearly(span(range(browser)), span(dragged)));
    // Shift and a drag zoom to what is marked.
    let [from, to] = range(browser);
    browser.drag(
        [left + 176.0 + (width - 176.0) * 0.25, at[1]],
        [left + 176.0 + (width - 176.0) * 0.5, at[1]],
        8,
    );
    let marked = range(browser);
    assert!(
        (marked[0] - (from + (to - from) * 0.25)).abs() < (to - from) * 0.01
            && span(marked) < (to - from) * 0.26
    );
    // The buttons, by keyboard.
    browser.value("document.getElementById('all').focus()");
    browser.key("Enter");
    assert_eq!(range(browser), whole);
    browser.value("document.getElementById('closer').focus()");
    browser.key("Enter");
    assert!(nearly(span(range(browser)), span(whole) / 2.0));
    // The overview: a click goes there.
    browser.value("timeline.set(0, 1e6)");
    let bar = browser.value("(({left, top, width}) => [left + width / 2, top + 10])(document.getElementById('overview').getBoundingClientRect())");
    browser.click([bar[0].as_f64().unwrap(), bar[1].as_f64().unwrap()]);
    let [from, to] = range(browser);
    assert!(((from + to) / 2.0 - span(whole) / 2.0).abs() < span(whole) * 0.01, "{from} {to}");
    // Never out of the trace, never closer than can be seen.
    for _ in 0..60 {
        browser.value("document.getElementById('closer').click()");
    }
    assert!(nearly(span(range(browser)), 200.0));
    browser.value("timeline.set(-1e15, -1e15 + 1e6)");
    assert!(range(browser)[1] > 0.0);
}

/// From a fault to the switch, the pages that it took from another process, and that one's next fault; and all the way back.
fn cause_and_effect(browser: &Browser, story: &Story) {
    let fault = |event: usize| matches!(story.events[event].event, Event::Fault { .. });
    let chains = ddi_timeline::links::reasons(story);
    // A fault that took the pages which another one then missed.
    let (missed, unload, first) = chains
        .iter()
        .filter_map(|(missed, unload)| Some((*missed, *unload, story.events[*unload].cause?)))
        .find(|(missed, unload, cause)| {
            let other = story.events[*missed].stamp.process != story.events[*unload].stamp.process;
            let earlier = chains.iter().all(|(fault, other)| other != unload || fault >= missed);
            other && earlier && fault(*cause)
        })
        .unwrap();
    browser.value(&format!("timeline.show({first})"));
    let at = place(browser, first);
    browser.key("Escape");
    // Hover, then click.
    browser.point([at[0] + 2.0, at[1] - 12.0]);
    let tip = browser
        .text("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent");
    assert!(tip.contains("fault of ") && tip.contains("duration: "), "{tip:?}");
    browser.click([at[0] + 2.0, at[1] - 12.0]);
    assert_eq!(selected(browser), first as i64);
    let details = browser.text("document.getElementById('details').textContent");
    // Not every fault's code is looked at.
    let place = story.events[first].code.as_ref().map_or("", |_| "client.rs:");
    assert!(
        details.contains("fault of ") && details.contains(place) && details.contains("Led to"),
        "{details}"
    );
    browser.key("e");
    assert_eq!(kind(browser), "grant");
    let grant = selected(browser);
    let said = browser.text("document.getElementById('said').textContent");
    assert!(said.contains("takes the engine from "), "{said}");
    browser.key("e");
    assert_eq!(kind(browser), "unload");
    assert_eq!(selected(browser), unload as i64);
    // All of it at once, for the picture.
    let time = |event: usize| (story.events[event].stamp.time - story.begin()) as f64;
    let (begin, end) = (time(first), time(missed) + story.events[missed].stamp.duration as f64);
    let (shown, room) = (range(browser), (end - begin) / 10.0);
    browser.value(&format!("timeline.set({}, {})", begin - room, end + room));
    browser.size(1200, 740);
    browser.picture("timeline-chain");
    browser.value(&format!("timeline.set({}, {})", shown[0], shown[1]));
    browser.size(1280, 900);
    browser.key("e");
    assert_eq!(selected(browser), missed as i64);
    browser.key("c");
    assert_eq!(selected(browser), unload as i64);
    browser.key("c");
    assert_eq!(kind(browser), "grant");
    browser.key("c");
    assert_eq!(selected(browser), first as i64);
    // Each is drawn in its colour.
    browser.key("f");
    let drawn = pixels(browser, "fault");
    assert!(drawn > 300.0, "{drawn}");
    browser.value(&format!("timeline.show({grant})"));
    browser.key("f");
    let drawn = pixels(browser, "grant");
    assert!(drawn > 10.0, "{drawn}");
    browser.value(&format!("timeline.show({first})"));
    // The same with the buttons of the details, and of the panels.
    browser.value("document.querySelector('#details li button').click()");
    assert_ne!(selected(browser), first as i64);
    browser.value("document.querySelector('.panel [data-event]').click()");
    assert_eq!(kind(browser), "grant");
    assert_eq!(browser.text("location.hash"), format!("#event={}", selected(browser)));
}

fn keys(browser: &Browser, story: &Story) {
    browser.value("document.getElementById('view').focus()");
    browser.key("0");
    let whole = range(browser);
    browser.key("+");
    browser.key("ArrowRight");
    let [from, to] = range(browser);
    assert!(from > (whole[1] - whole[0]) * 0.25 && (to - from) < (whole[1] - whole[0]) * 0.51);
    browser.key("ArrowLeft");
    browser.key("-");
    assert_eq!(range(browser), whole);
    browser.key("Home");
    let first = browser.text("timeline.row()");
    browser.key("ArrowDown");
    let second = browser.text("timeline.row()");
    assert_ne!(first, second);
    assert_eq!(browser.text("document.getElementById('said').textContent"), second);
    browser.key("ArrowUp");
    assert_eq!(browser.text("timeline.row()"), first);
    browser.key("End");
    browser.key("Enter");
    let one = selected(browser);
    assert!(one >= 0);
    browser.key(".");
    let next = selected(browser);
    browser.key(",");
    assert!(next > one && selected(browser) == one);
    browser.key("f");
    // It fills a third of the view, if the trace is as long as that.
    let [from, to] = range(browser);
    let third = story.events[one as usize].stamp.duration.max(100) as f64;
    assert!(
        ((to - from) - (3.0 * third).clamp(200.0, whole[1] - whole[0])).abs() < 1.0,
        "{from} {to} {third}"
    );
    browser.key("Escape");
    assert_eq!(selected(browser), -1);
    // The threads of the process that has two.
    browser.key("Home");
    let several = NAMES[1];
    let rows = browser.number("timeline.rows().length");
    for _ in 0..20 {
        if browser.text("timeline.row()").starts_with(several) {
            break;
        }
        browser.key("ArrowDown");
    }
    browser.key(" ");
    assert!(browser.text("document.getElementById('said').textContent").ends_with("threads hidden"));
    assert!(browser.number("timeline.rows().length") <= rows - 2.0);
    browser.key(" ");
    assert_eq!(browser.number("timeline.rows().length"), rows);
    assert!(browser.text("timeline.row()").starts_with(several));
    // Every control is reached with Tab, and seen when it has the focus.
    browser.value("document.activeElement.blur(); document.querySelector('#all').focus()");
    let mut reached = Vec::new();
    for _ in 0..12 {
        browser.key("Tab");
        reached.push(browser.text("document.activeElement.id || document.activeElement.tagName"));
        assert_ne!(
            browser.text("getComputedStyle(document.activeElement).outlineStyle"),
            "none",
            "{reached:?}"
        );
    }
    assert!(
        ["closer", "left", "view", "SUMMARY"].iter().all(|id| reached.iter().any(|at| at == id)),
        "{reached:?}"
    );
}

/// Both colour schemes, narrow windows, and programs that read the page aloud.
fn everybody(browser: &Browser) {
    browser.key("0");
    browser.value("document.getElementById('all').click()");
    let color = "(() => { const [r, g, b] = document.getElementById('canvas').getContext('2d').getImageData(2, 2 * 24 + 70, 1, 1).data; return r + g + b; })()";
    let mut brightness = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        let text = browser.text("getComputedStyle(document.body).color");
        brightness.push((browser.number(color), text));
        browser.picture(&format!("timeline-{scheme}"));
    }
    assert!(brightness[0].0 > 600.0 && brightness[1].0 < 200.0, "{brightness:?}");
    assert_ne!(brightness[0].1, brightness[1].1);
    browser.scheme("light");
    browser.size(600, 900);
    assert!(browser.number("document.documentElement.scrollWidth") <= 600.0);
    browser.picture("timeline-narrow");
    browser.size(1280, 900);
    let tree = browser.ask("Accessibility.getFullAXTree", json!({}));
    let nodes: Vec<(&str, &str)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] != true)
        .map(|node| {
            (node["role"]["value"].as_str().unwrap_or(""), node["name"]["value"].as_str().unwrap_or(""))
        })
        .collect();
    assert!(nodes.contains(&("application", "Timeline")), "{nodes:?}");
    assert!(nodes.contains(&("complementary", "Selected event")));
    assert!(nodes.iter().filter(|(role, _)| *role == "table").count() >= 4);
    assert!(
        nodes
            .iter()
            .all(|(role, name)| !["button", "image", "table", "region"].contains(role) || !name.is_empty())
    );
}

/// Events that a run seldom has, and none at all.
#[test]
fn rare_events() {
    let Some(browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str, trace: Trace| {
        let file = dir.path().join(name);
        ddi_timeline::page::write(&Story::of(trace), &mut File::create(&file).unwrap()).unwrap();
        browser.open(&file);
        browser.value("document.getElementById('view').focus()");
    };
    open("empty.html", Trace::default());
    for key in ["+", "ArrowDown", "Enter", ".", "c", "e", "f", " ", "b", "0", "End"] {
        browser.key(key);
    }
    assert!(browser.text("document.body.textContent").contains("The trace has no events."));
    let signal = Outcome::Signal { signo: 7, errno: 5 };
    let all = [
        Event::Ioctl { open: 1, command: 0x5401, argument: u64::MAX - 1, errno: 25 },
        Event::Fault {
            address: 0x7fff_0000_1234,
            offset: UNKNOWN,
            code: 0,
            access: Access::Exec,
            outcome: signal,
        },
        Event::Access { offset: 0x2000, length: 4096, access: Access::Write, error: -1 },
        Event::Interrupt { number: 3, claimed: true },
        Event::Dma { source: 0x1000, target: 0x2000, length: 64, done: false },
        Event::Mistake { text: 4 },
        Event::Probe { name: 9, first: 0x10, second: 0, third: 0, fourth: u64::MAX },
        Event::Exit {},
    ];
    let record = |(index, event): (u64, Event)| {
        let stamp = Stamp {
            time: 1000 * (index + 1),
            pid: 10,
            process: 1,
            thread: 11,
            device: 2,
            ..Stamp::default()
        };
        Record { stamp, event }
    };
    let text = |about, id, text: &str| Text { about, id, words: [10, 0, 0], text: text.into() };
    let texts = vec![
        text(About::Device, 2, "board0"),
        text(About::Process, 1, "</script><i>name"),
        text(About::Probe, 9, "board-flush"),
        text(About::Mistake, 4, "board0: <b>cv_wait(9F)</b> without the mutex"),
    ];
    open("rare.html", Trace { records: (0..).zip(all).map(record).collect(), texts, ..Trace::default() });
    let details = |event: usize| {
        browser.value(&format!("timeline.show({event})"));
        browser.text("document.getElementById('details').textContent")
    };
    let expected: [&[&str]; 8] = [
        &["ioctl of </script><i>name 10", "command0x5401", "argument0xfffffffffffffffe", "errno25"],
        &["exec at 0x7fff00001234", "outcomeSIGBUS, errno 5"],
        &["offset0x2000", "length4,096 bytes", "error-1"],
        &["interrupt of board0", "number3", "claimedyes"],
        &["dma of board0", "doneno", "length64 bytes"],
        &["mistake of a driver", "board0: <b>cv_wait(9F)</b> without the mutex"],
        &["probe board-flush of", "first0x10", "fourth0xffffffffffffffff"],
        &["exit of </script><i>name 10"],
    ];
    for (event, texts) in expected.into_iter().enumerate() {
        let told = details(event);
        assert!(texts.iter().all(|text| told.contains(text)), "{told}");
    }
    assert!(browser.value("timeline.rows()").as_array().unwrap().contains(&"board0".into()));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn ten_minutes_of_a_hundred_processes() {
    let events = std::env::var("DDI_TIMELINE_EVENTS").map_or(60_000, |events| events.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (ring, page) = (dir.path().join("long.ring"), dir.path().join("long.html"));
    made::recording(&ring, events);
    let began = Instant::now();
    timeline(&ring, &page);
    let (took, bytes) = (began.elapsed(), page.metadata().unwrap().len());
    assert!(bytes < 300_000 + 12 * events, "{bytes} bytes for {events} events");
    let Some(browser) = Browser::start() else { return };
    browser.open(&page);
    assert!(browser.number("timeline.count") >= events as f64);
    assert_eq!(browser.number("timeline.rows().length"), f64::from(made::PROCESSES));
    let first = browser.number("performance.getEntriesByName('first-contentful-paint')[0].startTime");
    let ready = browser.number("performance.getEntriesByName('ready')[0].startTime");
    // Of a column of each scale, and each place.
    let draws = browser.value(
        "(() => { const all = []; for (const span of [1e12, 1e11, 1e10, 1e9, 1e8, 1e7, 1e6]) for (const from of [0, 2e11, 5e11]) {
            timeline.set(from, from + span); const begin = performance.now(); timeline.draw(); all.push(performance.now() - begin); }
        return all; })()",
    );
    let worst = draws.as_array().unwrap().iter().filter_map(Value::as_f64).fold(0.0, f64::max);
    let metrics = browser.ask("Performance.getMetrics", json!({}));
    let heap =
        metrics["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == "JSHeapUsedSize");
    let arrays = browser.number("timeline.bytes()");
    println!(
        "{events} events: made in {took:.1?}, {bytes} bytes; seen after {first:.0} ms, ready after {ready:.0} ms, drawn in {worst:.0} ms, {:.0} MB",
        (heap.unwrap()["value"].as_f64().unwrap() + arrays) / 1e6
    );
    // What is slow here is slow by far: the machine may be busy.
    assert!(first < 10_000.0 && ready < 30_000.0 && worst < 2_000.0);
    browser.value("timeline.set(0, 1e12)");
    browser.picture("timeline-long");
    // From far no event is seen, but their share of the time.
    assert!(pixels(&browser, "fault") + pixels(&browser, "turn") > 100.0);
    assert_eq!(pixels(&browser, "grant"), 0.0);
    browser.value("timeline.set(2e11, 2e11 + 5e7)");
    browser.picture("timeline-long-near");
    // Of a hundred rows, those in which something happens.
    browser.value("document.getElementById('view').focus()");
    browser.key("b");
    let few = browser.number("timeline.rows().length");
    assert!(few >= 1.0 && few < f64::from(made::PROCESSES) / 2.0, "{few}");
    browser.picture("timeline-long-busy");
    browser.value("timeline.set(0, 1e12)");
    assert_eq!(browser.number("timeline.rows().length"), f64::from(made::PROCESSES));
    browser.value("document.getElementById('busy').click(); timeline.set(2e11, 2e11 + 5e7)");
    assert_eq!(browser.number("timeline.rows().length"), f64::from(made::PROCESSES));
    // From the farthest to one event: a click on a place that is too dense to see events zooms in.
    browser.value("timeline.set(0, 1e12)");
    let before = range(&browser);
    let at = browser.value("(({left, top}) => [left + 400, top + 24 + 15])(document.getElementById('canvas').getBoundingClientRect())");
    let at = [at[0].as_f64().unwrap(), at[1].as_f64().unwrap()];
    browser.point(at);
    let tip = browser.text("document.getElementById('tip').textContent");
    assert!(tip.contains(" switches in ") && tip.contains("%"), "{tip}");
    browser.click(at);
    assert!(range(&browser)[1] - range(&browser)[0] < (before[1] - before[0]) / 2.0);
    browser.value(&format!("timeline.show({})", events / 2));
    let [x, y] = place(&browser, events as usize / 2);
    let shown = browser.value("(({left, top, right, bottom}) => [left, top, right, bottom])(document.getElementById('view').getBoundingClientRect())");
    let side = |side: usize| shown[side].as_f64().unwrap();
    assert!(x >= side(0) && x <= side(2) && y >= side(1) && y <= side(3), "{x} {y} in {shown}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_run_ends_with_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(HOST);
    command.current_dir(dir.path()).args([
        "run",
        "--trace",
        "run.html",
        "--",
        "sh",
        "-c",
        "cat /dev/ctxdev0",
    ]);
    let (text, status) = output(&mut command);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("run.html: ") && text.contains("in a browser"), "{text}");
    let page = std::fs::read_to_string(dir.path().join("run.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Timeline of ctxdev0"));
    // What is no recording is left as it is, and nothing is made of it.
    let (text, status) =
        output(Command::new(HOST).current_dir(dir.path()).args(["timeline", "run.html", "-o", "other.html"]));
    assert!(status == Some(1) && text.contains("not a trace that ddi-host recorded"), "{text}");
    assert!(!dir.path().join("other.html").exists());
    let (text, status) = output(Command::new(HOST).current_dir(dir.path()).args(["timeline", "none.ring"]));
    assert!(status == Some(1) && text.contains("none.ring: "), "{text}");
}
