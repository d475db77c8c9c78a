//! Mappings that come, go, are touched, duplicated, cut and revoked, by several threads of several processes.

use devmap_mock::pinned;
use devmap_mock::work::run_task;
use devmap_mock::{PAGE, cut_first, exit, fork_process, kernel, touch_any, unmap_first};
use devmap_model::check;

use crate::all;
use crate::driver::{
    ALONE, ALONE_CUT, AT_ONCE, Board, HYSTERESIS, IN_PARTS, INVALIDATE, INVALIDATE_ALL, KEEP_AT_IT, KEPT,
    LEN, LOOK, LOWER, PIN, PINNED, PLAIN, REMAP, REMAP_ALL, REMAP_CARELESSLY, REVOKE, SWITCHES, UNLOAD,
    UNPIN, UNSEEN, VALIDATE, accepts, ask, assert_moved, boot, boot_with_pins, live, map, try_map,
};
use crate::machine::Routine;

/// An access to whatever the process has mapped is served.
pub fn touch(process: u32) {
    assert!(touch_any(process).is_none_or(|result| result == Ok(())));
}

/// Explores a scenario of two instances, of which it may use one only. In its end no process has anything mapped.
fn explore(name: &str, scenario: impl Fn() -> Vec<Routine> + Send + Sync + Clone + 'static) {
    check(name, move || {
        let booted = boot(2);
        all(scenario());
        let processes: Vec<u32> = devmap_mock::kernel().segments.iter().map(|one| one.process).collect();
        processes.into_iter().for_each(exit);
        assert_eq!(live(), 0, "data of mappings that are gone");
        drop(booted);
    });
}

macro_rules! routines {
    ($($routine:expr),* $(,)?) => { vec![$(Box::new($routine)),*] };
}

#[test]
fn map_against_unmap() {
    explore("map against unmap", || {
        routines![
            || (0..2).for_each(|_| map(0, 0, PLAIN)),
            || (0..3).for_each(|_| _ = unmap_first(0)),
            || map(0, 0, IN_PARTS),
        ]
    });
}

#[test]
fn access_before_the_map_callback_returns() {
    explore("access before the map callback returns", || {
        routines![|| map(0, 0, PLAIN), || map(0, 0, IN_PARTS), || touch(0), || (0..2).for_each(|_| touch(0))]
    });
}

#[test]
fn unmap_before_mmap_ends() {
    explore("unmap before mmap ends", || {
        routines![|| map(0, 0, IN_PARTS), || map(0, 0, PLAIN), || _ = unmap_first(0), || {
            touch(0);
            unmap_first(0);
        },]
    });
}

/// Handles of an mmap that fails are freed before it comes back, and others have their addresses.
#[test]
fn an_mmap_that_fails_against_others() {
    explore("an mmap that fails against others", || {
        devmap_mock::kernel().refuse.insert("as_map", 0);
        routines![
            || _ = try_map(0, 1, PLAIN),
            || _ = try_map(0, 0, IN_PARTS),
            || {
                devmap_mock::kernel().refuse.clear();
                map(0, 0, PLAIN);
                touch(0);
                unmap_first(0);
            },
            || touch(0),
        ]
    });
}

#[test]
fn cut_before_mmap_ends() {
    explore("cut before mmap ends", || {
        routines![|| map(0, 0, PLAIN), || _ = cut_first(0, PAGE, PAGE), || touch(0), || {
            cut_first(0, 0, PAGE);
            touch(0);
        },]
    });
}

#[test]
fn fork_against_mmap_and_unmap() {
    explore("fork against mmap and unmap", || {
        routines![
            || map(0, 0, IN_PARTS),
            || {
                let child = fork_process(0).expect("fork(2)");
                touch(child);
                exit(child);
            },
            || _ = unmap_first(0),
        ]
    });
}

#[test]
fn fork_against_cuts() {
    explore("fork against cuts", || {
        map(0, 0, PLAIN);
        routines![
            || {
                let child = fork_process(0).expect("fork(2)");
                touch(child);
                cut_first(child, PAGE, PAGE);
                exit(child);
            },
            || _ = cut_first(0, PAGE, PAGE),
            || touch(0),
        ]
    });
}

#[test]
fn revoke_against_map_and_access() {
    explore("revoke against map and access", || {
        map(0, 0, PLAIN);
        routines![
            || {
                ask(0, REVOKE, AT_ONCE);
                ask(0, UNLOAD, AT_ONCE);
            },
            || {
                touch(0);
                touch(0);
            },
            || map(1, 0, IN_PARTS),
            || touch(1),
        ]
    });
}

#[test]
fn revoke_against_cuts_and_fork() {
    explore("revoke against cuts and fork", || {
        map(0, 0, PLAIN);
        touch(0);
        routines![
            || ask(0, REVOKE, 0),
            || {
                cut_first(0, PAGE, PAGE);
                touch(0);
            },
            || {
                let child = fork_process(0).expect("fork(2)");
                touch(child);
                exit(child);
            },
        ]
    });
}

#[test]
fn revoke_against_unmap() {
    explore("revoke against unmap", || {
        map(0, 0, PLAIN);
        touch(0);
        map(1, 0, PLAIN);
        touch(1);
        routines![|| ask(0, REVOKE, 0), || ask(0, UNLOAD, 0), || exit(0), || _ = cut_first(1, 0, PAGE)]
    });
}

fn contexts(milliseconds: isize) -> Vec<Routine> {
    ask(0, HYSTERESIS, milliseconds);
    (0..3).for_each(|process| map(process, 0, SWITCHES));
    routines![
        || {
            touch(0);
            touch(0);
        },
        || {
            touch(1);
            exit(1);
        },
        || touch(2),
        || exit(2),
    ]
}

#[test]
fn three_contexts_against_unmap_and_exit() {
    explore("three contexts against unmap and exit", || contexts(0));
}

#[test]
fn three_contexts_with_hysteresis_against_unmap_and_exit() {
    explore("three contexts with hysteresis against unmap and exit", || contexts(100));
}

/// One mapping at a time has the device, whoever comes and goes.
#[test]
fn one_at_a_time_against_map_unmap_and_fork() {
    explore("one at a time against map, unmap and fork", || {
        (0..2).for_each(|process| map(process, 0, ALONE));
        touch(0);
        routines![
            || {
                touch(1);
                exit(1);
            },
            || {
                let child = fork_process(0).expect("fork(2)");
                touch(child);
                exit(child);
            },
            || touch(0),
            || {
                map(2, 0, ALONE);
                touch(2);
            },
        ]
    });
}

/// A piece of a mapping that had the device is not seen by its process while another mapping has it.
#[test]
fn one_at_a_time_against_cuts() {
    check("one at a time against cuts", || {
        let booted = boot(1);
        (0..2).for_each(|process| map(process, 0, ALONE_CUT));
        touch_or_fail(0);
        all(routines![
            || _ = cut_first(0, PAGE, PAGE),
            || touch_or_fail(0),
            || {
                touch_or_fail(1);
                cut_first(1, 0, PAGE);
            },
            || touch_or_fail(fork_process(0).expect("fork(2)")),
        ]);
        let loaded = kernel().handles.values().filter(|handle| !handle.loaded.is_empty()).count();
        assert!(loaded <= 1, "two mappings can use the device");
        drop(booted);
    });
}

/// Processes that map, touch, cut and fork, while the driver does this; and what must be so in the end.
fn against(name: &str, commands: &'static [i32], end: fn()) {
    against_those(name, PLAIN, commands, end);
}

/// As [`against`], of this memory.
fn against_those(name: &str, page: u64, commands: &'static [i32], end: fn()) {
    check(name, move || {
        let booted = boot(1);
        map(0, 0, page);
        touch_or_fail(0);
        all(routines![
            move || commands.iter().for_each(|command| ask(0, *command, 0)),
            || {
                map(1, 0, PLAIN);
                touch_or_fail(1);
            },
            || {
                cut_first(0, PAGE, PAGE);
                touch_or_fail(0);
            },
            || touch_or_fail(fork_process(0).expect("fork(2)")),
        ]);
        end();
        drop(booted);
    });
}

/// A copy that the driver has not asked for is what the old one is, whatever is done to that by the set of all mappings.
#[test]
fn copies_that_nobody_has_asked_for() {
    let refused =
        || assert!(Board::handles().into_iter().all(|(process, handle)| process == 1 || !accepts(handle)));
    against_those("unseen, invalidate all", UNSEEN, &[INVALIDATE_ALL], refused);
    against_those(
        "unseen, invalidate and validate",
        UNSEEN,
        &[INVALIDATE, VALIDATE, INVALIDATE_ALL],
        refused,
    );
    against_those("unseen, remap all", UNSEEN, &[REMAP_ALL], assert_moved);
    against_those("unseen, remap and remap all", UNSEEN, &[LOWER, REMAP_ALL], assert_moved);
}

/// An access that may be refused.
fn touch_or_fail(process: u32) {
    let _ = touch_any(process);
}

#[test]
fn remap_against_all_else() {
    against("remap against all else", &[REMAP], assert_moved);
}

#[test]
fn remap_while_mappings_are_set_up() {
    against("remap while mappings are set up", &[REMAP_CARELESSLY], || ());
}

#[test]
fn lower_against_all_else() {
    against("lower against all else", &[LOWER], || ());
}

#[test]
fn invalidate_against_all_else() {
    let refused = || {
        let mut handles = Board::handles().into_iter();
        // Of the other process's mapping, which may have come later, nothing is said.
        assert!(handles.all(|(process, handle)| process == 1 || !accepts(handle)), "an access is served");
    };
    against("invalidate against all else", &[INVALIDATE], refused);
    against("invalidate all against all else", &[INVALIDATE_ALL], refused);
}

#[test]
fn validate_against_all_else() {
    let served =
        || assert!(Board::handles().into_iter().all(|(_, handle)| accepts(handle)), "an access is refused");
    against("validate against all else", &[INVALIDATE, VALIDATE], served);
}

#[test]
fn sets_are_gone_through_against_unmap() {
    explore("sets are gone through against unmap", || {
        map(0, 0, PLAIN);
        map(1, 0, IN_PARTS);
        routines![|| ask(0, LOOK, 0), || ask(0, LOOK, 0), || exit(0), || exit(1)]
    });
}

/// A handle does no harm when its mapping has gone.
#[test]
fn handles_that_are_kept_against_cuts_and_unmap() {
    explore("handles that are kept against cuts and unmap", || {
        map(0, 0, KEPT);
        touch(0);
        map(1, 0, KEPT);
        routines![
            || ask(0, KEEP_AT_IT, 0),
            || exit(0),
            || {
                cut_first(1, 0, PAGE);
                touch_or_fail(1);
                exit(1);
            },
            || map(2, 0, KEPT),
        ]
    });
}

/// Memory of a process is lost while others map it: nobody sees it any more, and it is given back.
#[test]
fn pinned_memory_is_lost_against_all_else() {
    check("pinned memory is lost against all else", || {
        let booted = boot_with_pins();
        let pages = vec![0_u8; LEN + PAGE];
        ask(0, PIN, pages.as_ptr().expose_provenance().next_multiple_of(PAGE) as isize);
        let cookie = pinned::pins()[0];
        map(0, 0, PINNED);
        touch_or_fail(0);
        all(routines![
            move || _ = pinned::lose(cookie),
            || {
                let _ = try_map(1, 0, PINNED);
                touch_or_fail(1);
            },
            || {
                cut_first(0, PAGE, PAGE);
                touch_or_fail(0);
            },
            || touch_or_fail(fork_process(0).expect("fork(2)")),
        ]);
        let refused = Board::handles().into_iter().all(|(_, handle)| !accepts(handle));
        assert!(refused, "an access to memory that is lost");
        ask(0, UNPIN, 0);
        [0, 1, 1001].into_iter().for_each(exit);
        while run_task() {}
        assert!(pinned::pins().is_empty(), "memory that was lost is not given back");
        drop(booted);
    });
}

/// An unload during a cut leaves nothing loaded that was loaded before it.
fn unload_against_a_cut(name: &str, command: i32) {
    check(name, move || {
        let booted = boot(1);
        map(0, 0, PLAIN);
        touch(0);
        all(routines![move || ask(0, command, 0), || _ = cut_first(0, PAGE, PAGE)]);
        assert!(!Board::has_loaded(), "translations are left of an unload during a cut");
        drop(booted);
    });
}

#[test]
fn revoke_against_a_cut() {
    unload_against_a_cut("revoke against a cut", REVOKE);
}

#[test]
fn unload_against_a_cut_by_the_drivers_set() {
    unload_against_a_cut("unload against a cut by the driver's set", UNLOAD);
}
