//! Device ids, I/O ports, and functions of which a driver needs one or the other.

use crate::devices::*;
use crate::run;

tests!(device_ids, nobody_answers_at_io_ports, functions_of_many_kinds);

/// One group of the fixture's checks.
fn group(cmd: u32) {
    let fd = open("/dev/names0");
    assert_eq!(ioctl(fd, cmd, 0), Ok(0), "the line of the fixture's check that does not hold");
}

fn device_ids() {
    run::passes("names", half!(client_of_device_ids));
}
fn client_of_device_ids() {
    group(0x7e61);
}

fn nobody_answers_at_io_ports() {
    run::passes("names", half!(client_of_nobody_answers_at_io_ports));
}
fn client_of_nobody_answers_at_io_ports() {
    group(0x7e62);
}

fn functions_of_many_kinds() {
    run::passes("names", half!(client_of_functions_of_many_kinds));
}
fn client_of_functions_of_many_kinds() {
    (0x7e63..=0x7e66).for_each(group);
}
