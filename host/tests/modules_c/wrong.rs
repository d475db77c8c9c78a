//! Mistakes of a driver, each reported at the call that makes it, with the driver's stack and the manual page.

use crate::devices::*;
use crate::run;

const BASE: u32 = 0x7c00;

/// The client's half: opens, maps, and asks for the mistake that the environment names.
pub fn client_of_mistakes() {
    let which: u32 = std::env::var("WRONG").unwrap().parse().unwrap();
    let fd = open("/dev/wrong0");
    if (40..60).contains(&which) {
        let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
        assert_eq!(word(at, 0), 0);
        let _ = ioctl(fd, BASE + which, 0);
        unmap(at, 0x1000);
        return;
    }
    let _ = ioctl(fd, BASE + which, 0);
}

/// Makes a mistake; the report has to hold all these texts, and the run has to fail.
#[track_caller]
fn reported(which: u32, texts: &[&str]) {
    let conf = "name=\"wrong\" parent=\"pseudo\" instance=0;\n";
    let env = [("WRONG", which.to_string())];
    let ran = run::run_with("wrong", conf, "wrong::client_of_mistakes", &env);
    for text in texts {
        assert!(ran.text.contains(text), "mistake {which}: {text:?} is not in:\n{}", ran.text);
    }
    assert_ne!(ran.status, 0, "mistake {which}: the run must fail:\n{}", ran.text);
}

const STACK: &str = "wrong`wrong_ioctl";

pub fn without_a_mistake_nothing_is_reported() {
    let env = [("WRONG", "0".to_string())];
    let conf = "name=\"wrong\" parent=\"pseudo\" instance=0;\n";
    let ran = run::run_with("wrong", conf, "wrong::client_of_mistakes", &env);
    assert!(ran.status == 0 && !ran.text.contains("driver mistake"), "{}", ran.text);
}

pub fn mutexes() {
    reported(1, &["mutex_exit", "does not hold it", "mutex_exit(9F)", STACK]);
    reported(2, &["mutex_enter", "holds it already", "mutex_enter(9F)", STACK]);
    reported(3, &["mutex_enter", "it has been destroyed", "mutex_enter(9F)", STACK]);
    reported(8, &["cv_wait", "does not hold it", STACK]);
    reported(9, &["wrong: ioctl(9E) returned with a mutex held", "mutex_enter(9F)"]);
}

pub fn readers_writer_locks() {
    reported(7, &["rw_exit", "does not hold it", "rw_exit(9F)", STACK]);
}

pub fn sleeping_where_it_is_forbidden() {
    reported(4, &["kmem_alloc", "KM_SLEEP may block", "spin mutex", "kmem_alloc(9F)", STACK]);
    reported(5, &["kmem_alloc", "KM_SLEEP may block", "timeout's function", "wrong`sleep_in_timeout"]);
    reported(6, &["delay", "may block", "timeout's function", "delay(9F)", "wrong`delay_in_timeout"]);
}

pub fn kernel_memory() {
    reported(
        20,
        &["kmem_free", "a buffer of 64 bytes is freed as one of 65", "allocated at", "kmem_free(9F)", STACK],
    );
    reported(21, &["kmem_free", "kmem_free(9F)", STACK]);
    reported(22, &["byte 64 of a buffer of 64 bytes is used: beyond its end", "kmem_alloc(9F)", STACK]);
    reported(23, &["freed", "kmem_free(9F)", STACK]);
    reported(24, &["freed", "kmem_free(9F)", STACK]);
    reported(25, &["_fini", "64 bytes", "kmem_alloc(9F)"]);
}

pub fn exported_memory() {
    reported(26, &["ddi_umem_free", STACK]);
    reported(27, &["ddi_umem_free", "ddi_umem_free(9F)", STACK]);
    reported(43, &["ddi_umem_free", "mapped", STACK]);
}

pub fn devmap_calls_outside_their_context() {
    reported(40, &["devmap_umem_setup", "devmap_umem_setup(9F)", STACK]);
    reported(41, &["devmap_load", "devmap_load(9F)", STACK]);
    reported(42, &["devmap_unload", "devmap_unload(9F)", STACK]);
    reported(44, &["devmap_default_access", "devmap_default_access(9F)", STACK]);
}

pub fn what_is_left_at_detach() {
    reported(60, &["detach", "wrong instance 0 left minor nodes: wrong0", "detach(9E)"]);
    reported(61, &["detach", "wrong instance 0 left its soft state, item 0", "ddi_soft_state(9F)"]);
}

pub fn pointers_that_are_not_what_they_should_be() {
    reported(63, &["ddi_get_instance", "is not a dev_info_t", "ddi_get_instance(9F)", STACK]);
}
