//! What happens at the same time: mmap against everything else that a process does, and everything against everything.

use std::thread::{scope, spawn, yield_now};

use ddi_sys as sys;

use crate::driver::{
    self, Behaviour, Call, DEV, Event, alloc, attach, events, free, memory, registers, revoke,
};
use crate::mock::{BASE, PAGE, Process, RW, boot, machine, run_timeout};

/// What others do while a map callback runs is over before the mapping begins: they find none of it.
#[test]
fn a_mapping_is_not_found_before_it_is_complete() {
    let _machine = boot();
    attach(vec![registers(0, 2), registers(4, 2)], Behaviour::Default);
    let process = Process::new();
    driver::on(Call::Map, move || {
        let others = spawn(move || {
            process.munmap(BASE, 64 * PAGE);
            assert_eq!(process.touch(BASE, sys::S_READ), sys::FC_NOMAP);
            assert_eq!(process.fault(BASE, PAGE, sys::F_SOFTLOCK, sys::S_READ), sys::FC_NOMAP);
            assert_eq!(process.mprotect(BASE, PAGE, sys::PROT_READ), Err(sys::ENOMEM));
            let child = process.fork().unwrap();
            assert_eq!(child.segments(), []);
            child.exit();
            revoke();
        });
        others.join().unwrap();
    });
    let at = process.mmap(DEV, 0, 4 * PAGE, RW, None).unwrap();
    assert_eq!(at, BASE);
    assert_eq!(events(), [Event::Map(1, 0, 2), Event::Map(2, 2, 2)]);
    assert_eq!(process.segments(), [(at, 4 * PAGE)]);
    assert_eq!(process.touch(at, sys::S_READ), 0);
    process.exit();
}

/// Nobody gets the addresses of a mapping whose callbacks run.
#[test]
fn two_mappings_have_addresses_of_their_own() {
    let _machine = boot();
    attach(vec![registers(0, 2)], Behaviour::Default);
    let process = Process::new();
    let (each, yields) = if cfg!(miri) { (3, 2) } else { (20, 20) };
    driver::on(Call::Map, move || (0..yields).for_each(|_| yield_now()));
    scope(|s| {
        for _ in 0..4 {
            s.spawn(move || {
                for _ in 0..each {
                    process.mmap(DEV, 0, 2 * PAGE, RW, None).unwrap();
                }
            });
        }
    });
    assert_eq!(process.segments().len(), 4 * each);
    process.exit();
}

/// A number below `n` that differs from call to call.
fn random(state: &mut u64, n: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % n
}

/// Pages of the device, and of the part of the address space in which everything happens.
const PAGES: u64 = 12;

/// What a thread does: one of everything that can happen to a mapping, anywhere.
fn step(process: Process, state: &mut u64) {
    let from = random(state, PAGES);
    let pages = 1 + random(state, PAGES - from);
    let (addr, len) = (BASE + from * PAGE, pages * PAGE);
    match random(state, 9) {
        0 => {
            let _ = process.mmap(DEV, from * PAGE, len, RW, Some(addr));
        }
        1 => {
            if let Ok(at) = process.mmap(DEV, from * PAGE, len, RW, None) {
                process.touch(at, sys::S_WRITE);
                process.munmap(at, len);
            }
        }
        2 => process.munmap(addr, len),
        3 => {
            if let Ok(child) = process.fork() {
                child.touch(addr, sys::S_WRITE);
                child.munmap(addr, len);
                child.exit();
            }
        }
        4 => {
            if process.fault(addr, len, sys::F_SOFTLOCK, sys::S_READ) == 0 {
                yield_now();
                assert_eq!(process.fault(addr, len, sys::F_SOFTUNLOCK, sys::S_READ), 0);
            }
        }
        5 => {
            let prot = if random(state, 2) == 0 { sys::PROT_READ } else { RW };
            let _ = process.mprotect(addr, len, prot);
        }
        6 => revoke(),
        _ => {
            process.touch(addr, if random(state, 2) == 0 { sys::S_READ } else { sys::S_WRITE });
        }
    }
}

fn everything(behaviour: Behaviour, seed: u64, steps: u64) {
    let _machine = boot();
    let (cookie, pageable) = (alloc(3, 0), alloc(2, sys::DDI_UMEM_PAGEABLE));
    let all =
        vec![registers(0, 2), memory(cookie, 3), registers(8, 4), memory(pageable, 2), registers(16, 1)];
    attach(all, behaviour);
    let (one, two) = (Process::new(), Process::new());
    scope(|s| {
        let threads = [one, one, one, two].into_iter().enumerate().map(|(n, process)| {
            s.spawn(move || {
                let mut state = seed * 4 + n as u64 + 1;
                (0..steps).for_each(|_| step(process, &mut state));
            })
        });
        let threads: Vec<_> = threads.collect();
        // The clock.
        while threads.iter().any(|thread| !thread.is_finished()) {
            run_timeout();
            yield_now();
        }
    });
    one.exit();
    two.exit();
    while run_timeout() {}
    free(cookie);
    free(pageable);
    machine(|m| assert!(m.cookies.is_empty()));
}

#[test]
fn everything_at_once_leaves_nothing() {
    let (seeds, steps) = if cfg!(miri) { (1, 8) } else { (20, 60) };
    for seed in 0..seeds {
        for behaviour in
            [Behaviour::Default, Behaviour::LoadAll, Behaviour::Exclusive(0), Behaviour::Exclusive(3)]
        {
            everything(behaviour, seed, steps);
        }
    }
}
