//! Lines as docs/dtrace/events.d prints them, as a trace.

use std::path::PathBuf;

use ddi_timeline::engines::engines;
use ddi_timeline::story::Story;
use ddi_timeline::{Format, dtrace, panels, write};
use ddi_trace::{Access, Event, Outcome, Trace};

/// A mapping each of two programs, which take the context from each other; a framework in the module that makes an access begin anew; a fork, a cut, a
/// revoke by a thread of the kernel, and an exit. As it comes from two processors: not in the order of time.
const TEXT: &str = "devmap-events 1 1000 1800000000000000000
1100 71 1 ctxdev devmap-map ff01 a500000003 1 0 2000 ff90 8047000 paint er
1200 71 1 ctxdev devmap-fault ff01 e1 0 1000 0 2 8048010 paint er
1210 71 1 ctxdev devmap-context-wait ff01 e1 0 1000 0 2 8048010 paint er
1300 71 1 ctxdev devmap-context-switch ff01 e1 0 1000 0 2 8048010 paint er
1350 71 1 ctxdev devmap-load ff01 0 1000 0 2 0 8048010 paint er
1400 71 1 ctxdev devmap-fault-done 0 0 0 0 0 0 8048010 paint er
3000 71 1 ctxdev devmap-dup ff01 e1 ff03 0 0 0 8047000 paint er
3100 71 1 - create 4b 0 0 0 0 0 0 paint er
3200 71 2 ctxdev devmap-unmap ff01 e1 1000 800 ff04 0 8047000 paint er
3201 71 2 ctxdev devmap-split ff05 0 0 0 0 0 8047000 paint er
3250 71 2 ctxdev devmap-unmap ff05 e1 1800 800 0 0 8047000 paint er
3300 0 1 ctxdev devmap-revoke ff04 0 1000 0 0 0 0 sched
3310 0 1 ctxdev devmap-unload ff04 0 0 0 0 0 0 sched
4000 71 1 - exit 0 0 0 0 0 0 0 paint er
1150 72 1 ctxdev devmap-map ff02 a500000003 1 0 2000 ff90 8047000 reader
2000 72 1 ctxdev devmap-fault ff02 e2 1000 1000 0 1 8048020 reader
2010 72 1 ctxdev devmap-context-wait ff02 e2 1000 1000 ffffff0000000000 1 8048020 reader
2050 72 1 ctxdev devmap-fault-done 2d 0 0 0 0 0 8048020 reader
2400 72 1 ctxdev devmap-fault ff02 e2 1000 1000 0 1 8048020 reader
2410 72 1 ctxdev devmap-context-wait ff02 e2 1000 1000 0 1 8048020 reader
2500 72 1 ctxdev devmap-context-switch ff02 e2 1000 1000 0 1 8048020 reader
2510 72 1 ctxdev devmap-unload ff01 0 0 0 0 0 8048020 reader
2600 72 1 ctxdev devmap-fault-done 0 0 0 0 0 0 8048020 reader
2700 72 1 ctxdev devmap-fault ff02 e2 0 1000 0 1 8048020 reader
2800 72 1 ctxdev devmap-fault-done 5 0 0 0 0 0 8048020 reader
";

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.txt");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn what_dtrace_prints_is_a_trace() {
    let (dir, path) = file(TEXT);
    let trace = dtrace::read(&path).unwrap();
    // It is the same when it was written as a recording and read again.
    let ring = dir.path().join("events.ring");
    let written = write(trace.clone(), &ring, Format::Ring).unwrap();
    let again = Trace::read(&ring).unwrap();
    assert_eq!(
        (written.events, &again.records, &again.texts),
        (trace.records.len() as u64, &trace.records, &trace.texts)
    );
    assert_eq!((again.started, again.date, again.ended), (1000, 1_800_000_000_000_000_000, true));

    let story = Story::of(again);
    let all: Vec<_> =
        story.events.iter().map(|told| (told.stamp.time, told.stamp.duration, told.event)).collect();
    let served = |offset, code, access| Event::Fault {
        address: u64::MAX,
        offset,
        code,
        access,
        outcome: Outcome::Served,
    };
    assert!(all.contains(&(1200, 200, served(0, 0x804_8010, Access::Write))));
    assert!(all.contains(&(2400, 200, served(0x1000, 0x804_8020, Access::Read))));
    let faults: Vec<_> = all
        .iter()
        .filter_map(|(_, _, event)| match event {
            Event::Fault { outcome, .. } => Some(*outcome),
            _ => None,
        })
        .collect();
    assert_eq!(
        faults,
        [Outcome::Served, Outcome::Interrupted, Outcome::Served, Outcome::Signal { signo: 7, errno: 5 }]
    );
    let of = |name: &str| {
        story.processes.iter().find(|(_, process)| process.name == name).map(|(id, _)| *id).unwrap()
    };
    let (painter, reader) = (of("paint er"), of("reader"));
    let child = story.processes.iter().find(|(_, process)| process.parent == Some(painter)).unwrap();
    assert_eq!(child.1.pid, 0x4b);
    assert!(all.contains(&(
        3000,
        0,
        Event::Dup { offset: 0, length: 0x2000, child: (*child.0).into(), error: 0 }
    )));
    assert!(all.contains(&(
        3200,
        0,
        Event::Cut { offset: 0x1000, length: 0x800, before: true, behind: true }
    )));
    let last = Event::Cut { offset: 0x1800, length: 0x800, before: false, behind: false };
    assert!(
        all.contains(&(3250, 0, last))
            && story.events.iter().all(|told| story.device(told.device) != "ctxdev")
    );
    let painter = u64::from(painter);
    assert!(all.contains(&(3300, 0, Event::Revoke { of: painter, of_pid: 71, offset: 0, length: 0x1000 })));
    assert!(all.contains(&(2510, 0, Event::Unload { of: painter, of_pid: 71, address: u64::MAX, pages: 2 })));
    assert!(all.contains(&(3310, 0, Event::Unload { of: painter, of_pid: 71, address: u64::MAX, pages: 1 })));

    // The reader has waited from its first request on, also while its access began anew.
    let engines = engines(&story);
    let (engine, turns) = engines.first_key_value().unwrap();
    assert_eq!((engines.len(), story.device(engine.device), engine.context), (1, "ctxdev:3", 0));
    let turn = |n: usize| (u64::from(turns.turns[n].owner.process), turns.turns[n].begin, turns.turns[n].end);
    assert_eq!([turn(0), turn(1)], [(painter, 1300, 2500), (reader.into(), 2500, 4000)]);
    let waits: Vec<_> = turns.waits.iter().map(|wait| (wait.begin, wait.end)).collect();
    assert_eq!(waits, [(1210, 1300), (2010, 2500)]);
    let answers = panels::text(&story);
    assert!(
        answers.contains("ctxdev:3: 2 switches") && answers.contains("paint er 71 and reader 72"),
        "{answers}"
    );

    for format in [Format::Json, Format::Perfetto] {
        let out = dir.path().join("out");
        assert_eq!(write(trace.clone(), &out, format).unwrap().events, written.events);
        assert!(std::fs::metadata(&out).unwrap().len() > 1000);
    }
}

#[test]
fn what_dtrace_has_not_printed_is_said() {
    let error = |text: &str| {
        let (_dir, path) = file(text);
        dtrace::read(&path).unwrap_err().to_string()
    };
    for text in ["", "hello\n", "devmap-events 2 1 1\n", "devmap-events 1 1\n"] {
        assert!(error(text).contains("docs/dtrace/events.d prints: its first line"), "{text}");
    }
    let line = TEXT.lines().nth(1).unwrap();
    for wrong in [&line[1..60], "1 2", &line.replace("ff01", "gg01"), &line.replace(" 71 ", " -1 ")] {
        let said = error(&format!("devmap-events 1 1 1\n\n{wrong}\n"));
        assert!(said.contains("events.txt:3: not a line of"), "{said}");
    }
    assert_eq!(
        dtrace::read("/no/such/file".as_ref()).unwrap_err().to_string().split(':').next(),
        Some("/no/such/file")
    );
}
