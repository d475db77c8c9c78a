//! Instances that come and go while others are used, and opens that do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use devmap::context::Kernel;
use devmap::life::Gate;
use devmap::once::OnceArc;
use devmap_mock::{Config, PAGE, RW, SHARED, exit, in_process, mmap, open_new};
use devmap_model::check;

use crate::desk;
use crate::doors::Doors;
use crate::driver::{PLAIN, boot, live, map};
use crate::machine::Routine;
use crate::mappings::touch;
use crate::{all, all_and};

/// A process that opens the device, maps it, touches that and ends.
fn visiting(doors: &Arc<Doors>, process: u32, dev: u64) -> Routine {
    let doors = doors.clone();
    Box::new(move || {
        doors.visit(dev, || {
            map(process, dev, PLAIN);
            touch(process);
            exit(process);
        });
    })
}

#[test]
fn detach_against_detach_while_another_is_mapped() {
    check("detach against detach while another is mapped", || {
        let booted = boot(3);
        let doors = Arc::new(Doors::default());
        let mut routines = vec![visiting(&doors, 0, 0), Box::new(|| touch(0)) as Routine];
        for dev in [1, 2] {
            let (doors, detach) = (doors.clone(), booted.detacher(dev));
            routines.push(Box::new(move || assert!(doors.leave(dev, detach))));
        }
        all(routines);
        assert_eq!(live(), 0);
        drop(booted);
    });
}

#[test]
fn attach_against_detach_while_another_is_mapped() {
    check("attach against detach while another is mapped", || {
        let mut booted = boot(2);
        let doors = Arc::new(Doors::default());
        let (leaving, detach) = (doors.clone(), booted.detacher(1));
        let routines: Vec<Routine> = vec![
            visiting(&doors, 0, 0),
            Box::new(|| touch(0)),
            Box::new(move || assert!(leaving.leave(1, detach))),
        ];
        all_and(routines, || assert!(booted.attach(Config::default()).is_some()));
        drop(booted);
    });
}

#[test]
fn detach_against_open_and_mmap() {
    check("detach against open and mmap", || {
        let booted = boot(1);
        let doors = Arc::new(Doors::default());
        let (leaving, detach) = (doors.clone(), booted.detacher(0));
        all(vec![
            visiting(&doors, 0, 0),
            visiting(&doors, 1, 0),
            Box::new(move || {
                let mut detach = Some(detach);
                for _ in 0..2 {
                    leaving.leave(0, || detach.take().is_some_and(|detach| detach()));
                }
            }),
        ]);
        assert_eq!(live(), 0);
        drop(booted);
    });
}

#[test]
fn opens_have_data_of_their_own() {
    check("opens have data of their own", || {
        let booted = desk::boot();
        let client = |process: u32| {
            Box::new(move || {
                for _ in 0..2 {
                    let dev = open_new(0, 0).expect("open(2)");
                    let (error, number) = devmap_mock::ioctl(dev, 1, 0);
                    assert_eq!(error, 0);
                    in_process(process);
                    // The driver sees that its number is that of the open.
                    mmap(dev, i64::from(number) * PAGE as i64, PAGE as i64, RW, SHARED).expect("mmap(2)");
                    exit(process);
                    assert_eq!(devmap_mock::ioctl(dev, 1, 0), (0, number));
                    assert_eq!(devmap_mock::close(dev), 0);
                }
            }) as Routine
        };
        all((0..3).map(client).collect());
        assert_eq!(desk::live(), 0, "private data of opens that are closed");
        drop(booted);
    });
}

/// Nobody is behind a gate that is closed.
#[test]
fn a_gate_is_closed_when_all_have_left() {
    check("a gate is closed when all have left", || {
        let booted = boot(0);
        let gate = Arc::new((Gate::new(), AtomicU32::new(0)));
        let enters = || {
            let gate = gate.clone();
            Box::new(move || {
                // SAFETY: a thread that may sleep.
                let cx = unsafe { Kernel::assume() };
                if let Ok(_pass) = gate.0.enter(&cx) {
                    gate.1.fetch_add(1, SeqCst);
                    drop(gate.0.try_enter());
                    gate.1.fetch_sub(1, SeqCst);
                }
            }) as Routine
        };
        let closes = gate.clone();
        all(vec![
            enters(),
            enters(),
            Box::new(move || {
                // SAFETY: a thread that may sleep.
                let cx = unsafe { Kernel::assume() };
                closes.0.close(&cx);
                assert_eq!(closes.1.load(SeqCst), 0, "somebody is inside");
                assert!(closes.0.try_enter().is_none());
                closes.0.open();
            }),
        ]);
        drop(gate);
        drop(booted);
    });
}

/// All threads see the same value, in whatever order they come.
#[test]
fn a_value_is_set_once() {
    check("a value is set once", || {
        let booted = boot(0);
        let once = Arc::new(OnceArc::new());
        let sets = |value: u32| {
            let once = once.clone();
            Box::new(move || {
                let before = once.get().copied();
                let set = once.set(Arc::new(value)).copied();
                let now = once.get().copied();
                assert!(now.is_some() && (before.is_none() || before == now));
                assert!(set.is_err() || set.ok() == now);
                assert_eq!(once.share().as_deref().copied(), now);
            }) as Routine
        };
        all((0..3).map(sets).collect());
        drop(booted);
    });
}
