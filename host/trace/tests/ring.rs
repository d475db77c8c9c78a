//! The file of rings: what threads write is read, the oldest goes, and what was written survives the process.

use std::process::Command;

use ddi_trace::{About, Access, Actor, Event, Outcome, Record, Stamp, Text, Trace};

/// Bytes of the smallest file: eight blocks.
const SMALL: u64 = 0;
const VARIABLE: &str = "DDI_TRACE_TEST_FILE";
/// Set for the process that follows its own recording.
const FOLLOWED: &str = "DDI_TRACE_TEST_FOLLOWED";

fn fault(offset: u64) -> Event {
    Event::Fault { address: 1 << 40, offset, code: 3, access: Access::Write, outcome: Outcome::Served }
}

fn write(file: &std::path::Path) {
    ddi_trace::instant(0, || panic!("no trace was begun"));
    ddi_trace::start(file, SMALL).unwrap();
    ddi_trace::process(9, 4321, "painter");
    ddi_trace::code(9, [0x1000, 0x2000, 0x30], "/usr/bin/painter");
    ddi_trace::device(77, || "ctxdev0".into());
    ddi_trace::device(77, || panic!("it has its name already"));
    ddi_trace::mistake(&"ä".repeat(4000));
    {
        let _acting = ddi_trace::acting(Actor { pid: 4321, process: 9, thread: 4322 });
        let span = ddi_trace::span();
        ddi_trace::instant(77, || Event::Unload { of: 8, of_pid: 1, address: 4096, pages: 2 });
        span.end(77, || fault(5));
    }
    // Threads that come and go take over each other's blocks.
    for n in 0..100 {
        std::thread::spawn(move || ddi_trace::instant(0, || fault(100 + n))).join().unwrap();
    }
}

#[test]
fn what_was_written_survives_the_process() {
    if let Some(file) = std::env::var_os(VARIABLE) {
        write(file.as_ref());
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new(this);
    command.args(["--exact", "what_was_written_survives_the_process"]).env(VARIABLE, &file);
    assert!(!command.output().unwrap().status.success());
    let trace = Trace::read(&file).unwrap();
    assert!(!trace.ended);
    assert_eq!((trace.overwritten, trace.refused), (0, 0));
    assert_eq!(trace.records.len(), 103);
    let of = |event: fn(&Event) -> bool| *trace.records.iter().find(|r| event(&r.event)).unwrap();
    let (unload, fault) =
        (of(|e| matches!(e, Event::Unload { .. })), of(|e| matches!(e, Event::Fault { .. })));
    assert_eq!((unload.stamp.pid, unload.stamp.thread, unload.stamp.process), (4321, 4322, 9));
    assert_eq!((unload.stamp.cause, unload.stamp.device), (fault.stamp.cause, 77));
    assert!(fault.stamp.duration > 0 && fault.stamp.time <= unload.stamp.time);
    let last = trace.records.last().unwrap();
    assert_eq!((last.stamp.cause, last.event), (0, self::fault(199)));
    let text = |about| trace.texts.iter().find(|text| text.about == about).unwrap();
    assert_eq!((text(About::Process).id, text(About::Process).text.as_str()), (9, "painter"));
    assert_eq!(text(About::Code).words, [0x1000, 0x2000, 0x30]);
    assert_eq!(text(About::Device).text, "ctxdev0");
    // As much of it as a text may have.
    assert_eq!(text(About::Mistake).text, "ä".repeat(2048));

    // Blocks: one of the texts, one of the first thread, one of the others. The rest was never used, and takes no room.
    let used = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&file).unwrap()) * 512;
    assert!(used <= 4 * (64 << 10), "{used} bytes");
    std::fs::write(&file, "not a trace").unwrap();
    let error = Trace::read(&file).unwrap_err().to_string();
    assert!(error.contains("not a trace that ddi-host recorded"), "{error}");
}

#[test]
fn the_oldest_goes_and_is_counted() {
    if let Some(file) = std::env::var_os(VARIABLE) {
        ddi_trace::start(file.as_ref(), SMALL).unwrap();
        ddi_trace::process(1, 1, "kept");
        let many = |from: u64| (from..from + 20_000).for_each(|n| ddi_trace::instant(0, || fault(n)));
        std::thread::scope(|scope| {
            let threads = [0, 1_000_000].map(|from| scope.spawn(move || many(from)));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        many(2_000_000);
        // A text per block and more: they may take a quarter.
        (0..100_000).for_each(|n| ddi_trace::process(n, 1, "refused at some time"));
        ddi_trace::stop();
        ddi_trace::instant(0, || panic!("the trace was ended"));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_oldest_goes_and_is_counted"]).env(VARIABLE, &file);
    assert!(command.output().unwrap().status.success());
    let trace = Trace::read(&file).unwrap();
    assert!(trace.ended);
    assert_eq!(trace.records.len() as u64 + trace.overwritten, 60_000);
    assert!(trace.refused > 90_000);
    assert!(trace.texts.iter().any(|text| text.text == "kept"));
    // The last ones are there, without a gap.
    let last = trace.records.iter().rev().take(2000).map(|record| record.event);
    assert!(last.eq((0..2000).map(|n| fault(2_019_999 - n))));
    assert!(std::fs::metadata(&file).unwrap().len() <= 4096 + 8 * (64 << 10));
}

#[test]
fn a_reader_follows_what_is_written() {
    // A process has one recording: this test has its own.
    if std::env::var_os(FOLLOWED).is_none() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "a_reader_follows_what_is_written";
        let out = command.args(["--exact", name, "--nocapture"]).env(FOLLOWED, "1").output().unwrap();
        return assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    ddi_trace::start(&file, SMALL).unwrap();
    let mut follow = ddi_trace::Follow::open(&file).unwrap();
    let offsets = |trace: &Trace| -> Vec<u64> {
        let of = |record: &ddi_trace::Record| match record.event {
            Event::Fault { offset, .. } => offset,
            _ => panic!("{record:?}"),
        };
        trace.records.iter().map(of).collect()
    };
    assert_eq!(offsets(&follow.read().unwrap()), []);
    for round in 0..100 {
        ddi_trace::process(round, 7, "painter");
        for n in 0..50 {
            ddi_trace::instant(0, || fault(round * 50 + n));
        }
        let new = follow.read().unwrap();
        assert_eq!((new.overwritten, new.ended, new.texts.len()), (0, false, 1));
        assert!(offsets(&new).into_iter().eq(round * 50..round * 50 + 50), "round {round}");
    }
    // More than the file holds: what is missing is counted.
    let all = 20_000;
    for n in 0..all {
        ddi_trace::instant(0, || fault(n));
    }
    // The one who reads goes on in the file that it has opened.
    std::fs::remove_file(&file).unwrap();
    let new = follow.read().unwrap();
    let got = offsets(&new);
    assert!(got.windows(2).all(|pair| pair[1] == pair[0] + 1) && *got.last().unwrap() == all - 1);
    assert_eq!(got.len() as u64 + new.overwritten, all);
    ddi_trace::stop();
    assert!(follow.read().unwrap().ended);
}

#[test]
fn what_is_damaged_is_counted_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let text = |name: &str| Text { about: About::Probe, id: 1, words: [0; 3], text: name.repeat(4000) };
    let record =
        |time, duration| Record { stamp: Stamp { time, duration, ..Stamp::default() }, event: fault(7) };
    let (texts, records) = (vec![text("a"), text("b")], vec![record(5, 6), record(u64::MAX - 5, 6)]);
    Trace { texts, records, ..Trace::default() }.write(&file).unwrap();
    let trace = Trace::read(&file).unwrap();
    // The end of the second one is no time.
    assert_eq!((trace.records, trace.texts.len(), trace.refused), (vec![record(5, 6)], 2, 1));
    // The length of the first text: more than a text has.
    let mut bytes = std::fs::read(&file).unwrap();
    let length = 4096 + 64 + 10 * 8;
    bytes[length..length + 8].copy_from_slice(&5000_u64.to_ne_bytes());
    std::fs::write(&file, bytes).unwrap();
    let trace = Trace::read(&file).unwrap();
    assert_eq!((trace.texts.len(), trace.records.len(), trace.refused), (0, 1, 2));
}
