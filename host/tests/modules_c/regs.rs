//! Register sets of a simulated device, for the driver and for processes.

use crate::devices::*;
use crate::run;

tests!(registers_are_shared_by_driver_and_processes, without_register_sets_it_does_not_attach);

const RUN: u32 = 0x7d01;
const GET: u32 = 0x7d02;
const PUT: u32 = 0x7d03;
const INVALID: u32 = 0x7d04;

fn registers_are_shared_by_driver_and_processes() {
    let nodes = "[[node]]\ninstance = 0\nregisters = [4096, \"8K\"]\n";
    run::passes_with_nodes("regs", nodes, half!(client_of_registers_are_shared_by_driver_and_processes));
}
fn client_of_registers_are_shared_by_driver_and_processes() {
    let fd = open("/dev/regs0");
    assert_eq!(ioctl(fd, RUN, 0), Ok(0), "the result is the line of the fixture's check that does not hold");
    let at = map(fd, 0, 0x2000, libc::MAP_SHARED);
    set_word(at, 0x1008, 0x1234);
    assert_eq!(ioctl(fd, GET, 0x1008), Ok(0x1234));
    assert_eq!(ioctl(fd, PUT, 0), Ok(0));
    assert_eq!(word(at, 0) as u32, std::process::id());
    let child = fork(|| {
        set_word(at, 0x1008, 0x5678);
        0
    });
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 0x1008), 0x5678);
    unmap(at, 0x2000);

    // An invalid mapping: the access is a SIGSEGV of its process.
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    assert_ne!(word(at, 0), 0);
    assert_eq!(ioctl(fd, INVALID, 0), Ok(0));
    let child = fork(|| (word(at, 0) == 0) as i32);
    assert_eq!(wait(child), 128 + libc::SIGSEGV);
    unmap(at, 0x1000);
}

fn without_register_sets_it_does_not_attach() {
    let conf = "name=\"regs\" parent=\"pseudo\" instance=0;\n";
    let ran = run::run("regs", conf, half!(client_of_registers_are_shared_by_driver_and_processes));
    assert!(ran.status == 1 && ran.text.contains("regs: no instance attached"), "{}", ran.text);
}
