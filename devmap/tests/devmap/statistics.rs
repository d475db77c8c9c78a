//! kstats of all types.

use ddi_sys as sys;
use devmap::interrupt::Priority;
use devmap::kstat::{Counts, Io, Label, Line, Named, Raw, Timers};
use devmap::prelude::*;

use crate::driver::{cx, with_node};
use crate::mock::kernel;
use crate::mock::kstats::{named, reading};

devmap::named! {
    /// One of each type.
    struct Health { temperature: i32, revision: u32, drift: i64, copied: u64, state: Label, vendor: Line<24> }
}

fn health() -> Health {
    Health {
        temperature: -5,
        revision: 3,
        drift: -1 << 40,
        copied: 1 << 40,
        state: Label::new("ready"),
        vendor: Line::new("acme"),
    }
}

fn shown(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn named_values_have_types() {
    use std::fmt::Write;
    let _kernel = with_node(|node| {
        let stats = Named::new(node, "health", Priority::NONE, health()).unwrap();
        let all = [
            ("temperature", "-5"),
            ("revision", "3"),
            ("drift", "-1099511627776"),
            ("copied", "1099511627776"),
            ("state", "ready"),
            ("vendor", "acme"),
        ];
        assert_eq!(named("probe:0:health"), Ok(shown(&all)));
        {
            let mut cx = cx();
            let mut now = stats.lock(&mut cx);
            now.copied += 1;
            now.state.set("more than sixteen bytes");
            now.vendor.set("another vendor, and longer than it may be");
            let _ = write!(now.vendor, "!");
        }
        let values = named("probe:0:health").unwrap();
        let texts: Vec<&str> = values[3..].iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(texts, ["1099511627777", "more than sixtee", "another vendor, and lon"]);
        let written = reading("probe:0:health", sys::KSTAT_WRITE, |_| ());
        assert_eq!(written, Err(Errno::EACCES.raw()));
    });
}

#[test]
fn named_values_are_brought_up_to_date_by_who_reads() {
    let _kernel = with_node(|node| {
        let stats = Named::updated(node, "health", Priority::NONE, health(), |health| {
            health.temperature += 1;
            if health.temperature == -3 { Err(Errno::EIO) } else { Ok(()) }
        });
        let stats = stats.unwrap();
        assert_eq!(named("probe:0:health").unwrap()[0].1, "-4");
        assert_eq!(named("probe:0:health"), Err(Errno::EIO.raw()));
        assert_eq!(named("probe:0:health").unwrap()[0].1, "-2");
        assert_eq!(stats.lock(&mut cx()).temperature, -2);
        let again = Named::new(node, "health", Priority::NONE, health());
        assert_eq!(again.err().unwrap().errno(), Errno::ENOMEM, "the name is taken");
        let long = Named::new(node, &"x".repeat(31), Priority::NONE, health());
        assert_eq!(long.err().unwrap().errno(), Errno::EINVAL);
        drop(stats);
        assert!(kernel().kstats.is_empty());
    });
}

#[test]
fn requests_wait_run_and_are_done() {
    let _kernel = with_node(|node| {
        let io = Io::new(node, "requests", Priority::NONE).unwrap();
        let queues = || {
            reading("probe:0:requests", 0, |kstat| {
                // SAFETY: of this type.
                let io = unsafe { &*kstat.ks_data.cast::<sys::kstat_io_t>() };
                (io.wcnt, io.rcnt, io.reads, io.nread, io.writes, io.nwritten)
            })
        };
        let mut cx = cx();
        let one = io.lock(&mut cx).wait();
        let two = io.lock(&mut cx).wait();
        let running = io.lock(&mut cx).run_waiting(one);
        let third = io.lock(&mut cx).run();
        assert_eq!(queues(), Ok((1, 2, 0, 0, 0, 0)));
        let again = io.lock(&mut cx).wait_again(third);
        io.lock(&mut cx).give_up(again);
        io.lock(&mut cx).give_up(two);
        let mut now = io.lock(&mut cx);
        now.done(running);
        now.read(512);
        now.write(100);
        now.write(24);
        drop(now);
        assert_eq!(queues(), Ok((0, 0, 1, 512, 2, 124)));
    });
}

/// A request of another kstat's does not make a count negative.
#[test]
fn what_does_not_wait_or_run_is_not_counted_down() {
    let _kernel = with_node(|node| {
        let one = Io::new(node, "one", Priority::NONE).unwrap();
        let two = Io::new(node, "two", Priority::NONE).unwrap();
        let mut cx = cx();
        let waiting = one.lock(&mut cx).wait();
        let running = one.lock(&mut cx).run();
        let mut now = two.lock(&mut cx);
        now.done(running);
        let running = now.run_waiting(waiting);
        let waiting = now.wait_again(running);
        now.give_up(waiting);
    });
}

#[test]
fn interrupts_are_counted_by_kind() {
    let _kernel = with_node(|node| {
        let counts = Counts::new(node, "interrupts").unwrap();
        counts.hard();
        counts.hard();
        counts.soft();
        counts.watchdog();
        counts.spurious();
        counts.multiple();
        counts.multiple();
        counts.multiple();
        let shown = reading("probe:0:interrupts", 0, |kstat| {
            assert_eq!(kstat.ks_type, sys::KSTAT_TYPE_INTR);
            // SAFETY: of this type.
            unsafe { *kstat.ks_data.cast::<sys::kstat_intr_t>() }.intrs
        });
        assert_eq!(shown, Ok([2, 1, 1, 1, 3]));
    });
}

#[test]
fn timers_count_events_and_their_time() {
    let _kernel = with_node(|node| {
        let timers = Timers::new(node, "times", Priority::NONE, &["copy", "reset"]).unwrap();
        let mut cx = cx();
        for _ in 0..3 {
            timers.start(&mut cx, 1).unwrap();
            timers.stop(&mut cx, 1).unwrap();
        }
        assert_eq!(timers.start(&mut cx, 2).unwrap_err().errno(), Errno::EINVAL);
        let shown = reading("probe:0:times", 0, |kstat| {
            // SAFETY: it has two of this type.
            let timers = unsafe { std::slice::from_raw_parts(kstat.ks_data.cast::<sys::kstat_timer_t>(), 2) };
            [0, 1].map(|index| {
                (timers[index].name[0] as u8, timers[index].num_events, timers[index].elapsed_time)
            })
        });
        assert_eq!(shown, Ok([(b'c', 0, 0), (b'r', 3, 6)]));
    });
}

devmap::plain! {
    struct Point { x: u32, y: u32 }
}

#[test]
fn a_structure_is_read_whole() {
    let _kernel = with_node(|node| {
        let raw = Raw::new(node, "point", Priority::NONE, Point { x: 1, y: 2 }).unwrap();
        let mut cx = cx();
        raw.lock(&mut cx).y += 5;
        assert_eq!(raw.lock(&mut cx).x, 1);
        let shown = reading("probe:0:point", 0, |kstat| {
            assert_eq!((kstat.ks_type, kstat.ks_data_size), (sys::KSTAT_TYPE_RAW, 8));
            // SAFETY: of this type.
            unsafe { *kstat.ks_data.cast::<[u32; 2]>() }
        });
        assert_eq!(shown, Ok([1, 7]));
    });
}
