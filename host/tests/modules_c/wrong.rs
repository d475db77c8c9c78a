//! Mistakes of a driver, each reported at the call that makes it, with the driver's stack and the manual page.

use crate::devices::*;
use crate::run;

use serde_json::json;

tests!(
    without_a_mistake_nothing_is_reported,
    the_trace_has_it,
    mutexes,
    readers_writer_locks,
    sleeping_where_it_is_forbidden,
    kernel_memory,
    exported_memory,
    mappings_that_have_gone,
    devmap_calls_outside_their_context,
    what_is_left_at_detach,
    pointers_that_are_not_what_they_should_be,
    accesses_that_are_not_served
);

const BASE: u32 = 0x7c00;

/// The client's half: opens, maps, and asks for the mistake that the environment names.
fn client_of_mistakes() {
    let which: u32 = std::env::var("WRONG").unwrap().parse().unwrap();
    let fd = open("/dev/wrong0");
    if which == 45 {
        assert_eq!(ioctl(fd, BASE + which, 0), Ok(0));
        let at = map(fd, 0, 0x2000, libc::MAP_SHARED);
        unmap(at, 0x1000);
        unmap(at.wrapping_add(0x1000), 0x1000);
        return;
    }
    if which == 46 {
        let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
        unmap(at, 0x1000);
        let _ = ioctl(fd, BASE + which, 0);
        return;
    }
    if (40..60).contains(&which) {
        let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
        assert_eq!(word(at, 0), 0);
        let _ = ioctl(fd, BASE + which, 0);
        unmap(at, 0x1000);
        return;
    }
    let mut room = 0_u64;
    let _ = ioctl(fd, BASE + which, &raw mut room as u64);
}

/// Makes a mistake; the report has to hold all these texts, and the run has to fail.
#[track_caller]
fn reported(which: u32, texts: &[&str]) {
    let conf = "name=\"wrong\" parent=\"pseudo\" instance=0;\n";
    let env = [("WRONG", which.to_string())];
    let ran = run::run_with("wrong", conf, half!(client_of_mistakes), &env);
    for text in texts {
        assert!(ran.text.contains(text), "mistake {which}: {text:?} is not in:\n{}", ran.text);
    }
    assert_ne!(ran.status, 0, "mistake {which}: the run must fail:\n{}", ran.text);
}

const STACK: &str = "wrong`wrong_ioctl";

fn without_a_mistake_nothing_is_reported() {
    let env = [("WRONG", "0".to_string())];
    let conf = "name=\"wrong\" parent=\"pseudo\" instance=0;\n";
    let ran = run::run_with("wrong", conf, half!(client_of_mistakes), &env);
    assert!(ran.status == 0 && !ran.text.contains("driver mistake"), "{}", ran.text);
}

fn the_trace_has_it() {
    let conf = "name=\"wrong\" parent=\"pseudo\" instance=0;\n";
    let (ran, events) =
        run::traced("wrong", conf, None, half!(client_of_mistakes), &[("WRONG", "1".to_string())]);
    assert_ne!(ran.status, 0);
    // It ends the run inside the ioctl, which is not recorded for that reason.
    run::assert_event(&events, "mistake", &json!({ "text": 1 }));
    let report = events.iter().find_map(|event| event["report"].as_str()).unwrap();
    assert!(report.starts_with("driver mistake: mutex_exit: ") && report.contains(STACK), "{report}");
}

fn mutexes() {
    reported(1, &["mutex_exit", "does not hold it", "mutex_exit(9F)", STACK]);
    reported(
        2,
        &[
            "mutex_enter",
            "holds it already",
            "mutex_enter(9F)",
            STACK,
            "  entered:\n    at wrong`wrong_ioctl",
        ],
    );
    reported(
        3,
        &["mutex_enter", "it has been destroyed", "(9F)", STACK, "  destroyed:\n    at wrong`wrong_ioctl"],
    );
    reported(8, &["cv_wait", "does not hold it", STACK]);
    reported(
        9,
        &[
            "wrong: ioctl(9E) returned with a mutex held",
            "mutex_enter(9F)",
            "  entered:\n    at wrong`wrong_ioctl",
        ],
    );
    let keeper = "  entered by the thread that holds it:\n    at wrong`keep_mutex";
    reported(10, &["mutex_exit", "does not hold it", "mutex_exit(9F)", STACK, keeper]);
    reported(11, &["mutex_destroy", "it is held", "mutex_destroy(9F)", STACK, keeper]);
    reported(
        13,
        &["mutex_destroy", "it has been destroyed", STACK, "  destroyed:\n    at wrong`wrong_ioctl"],
    );
    reported(15, &["mutex_enter", "never initialised, or its memory was overwritten", STACK]);
}

fn readers_writer_locks() {
    reported(7, &["rw_exit", "does not hold it", "rw_exit(9F)", STACK]);
    reported(14, &["rw_enter", "holds it already", "rw_enter(9F)", STACK]);
}

fn sleeping_where_it_is_forbidden() {
    reported(4, &["kmem_alloc", "KM_SLEEP may block", "spin mutex", "kmem_alloc(9F)", STACK]);
    reported(5, &["kmem_alloc", "KM_SLEEP may block", "timeout's function", "wrong`sleep_in_timeout"]);
    reported(6, &["delay", "may block", "timeout's function", "delay(9F)", "wrong`delay_in_timeout"]);
    reported(
        16,
        &["kmem_alloc", "KM_SLEEP may block", "interrupt", "wrong`sleep_in_soft_interrupt", "kmem_alloc(9F)"],
    );
    reported(17, &["ddi_copyout", "may block", "holds the spin mutex", "ddi_copyout(9F)", STACK]);
    reported(12, &["sema_p", "may block", "in timeout(9F) function wrong`wait_in_timeout", "semaphore(9F)"]);
}

fn kernel_memory() {
    const ALLOCATED: &str = "  allocated:\n    at wrong`wrong_ioctl";
    const FREED: &str = "  freed:\n    at wrong`wrong_ioctl";
    reported(
        20,
        &["kmem_free", "a buffer of 64 bytes is freed as one of 65", "kmem_free(9F)", STACK, ALLOCATED],
    );
    reported(21, &["kmem_free", "it was freed before", "kmem_free(9F)", STACK, FREED, ALLOCATED]);
    let used = |n: u32| format!("byte {n} of a buffer of 64 bytes that was freed is used");
    reported(
        22,
        &["byte 64 of a buffer of 64 bytes is used: beyond its end", "kmem_alloc(9F)", STACK, ALLOCATED],
    );
    reported(23, &[STACK, &used(0), "kmem_free(9F)", FREED, ALLOCATED]);
    reported(24, &[STACK, &used(5), "kmem_free(9F)", FREED, ALLOCATED]);
    reported(25, &["_fini", "64 bytes", "kmem_alloc(9F)", "allocated at wrong`wrong_ioctl"]);
    reported(28, &["kmem_free", "written before its start, at byte -1", STACK, ALLOCATED]);
    reported(29, &["byte 64 of a buffer of", "that was freed is used", STACK, FREED, ALLOCATED]);
    reported(30, &["kmem_free", "is not a buffer of kmem_alloc", STACK]);
    reported(31, &["mistake: bcopy: ", &used(0), STACK, FREED, ALLOCATED]);
}

fn exported_memory() {
    const FREED: &str = "  freed:\n    at wrong`wrong_ioctl";
    const ALLOCATED: &str = "  allocated:\n    at wrong`fix_attach";
    let used = "byte 0x0 of 8192 bytes that ddi_umem_free gave back is used";
    reported(26, &[used, "ddi_umem_free(9F)", STACK, FREED, ALLOCATED]);
    reported(27, &["ddi_umem_free", "has been freed before", "ddi_umem_free(9F)", STACK, FREED, ALLOCATED]);
    reported(43, &["ddi_umem_free", "mapped", STACK]);
}

fn mappings_that_have_gone() {
    let private = "devmap_unmap: the private pointer 0x";
    reported(
        45,
        &[
            private,
            "is one of freed memory",
            "devmap_unmap(9E)",
            "  freed:\n    at wrong`wrong_unmap",
            "at wrong`wrong_map+",
        ],
    );
    reported(46, &["devmap_unload", "is that of a mapping that has gone", "devmap_unload(9F)", STACK]);
}

fn devmap_calls_outside_their_context() {
    reported(40, &["devmap_umem_setup", "devmap_umem_setup(9F)", STACK]);
    reported(41, &["devmap_load", "devmap_load(9F)", STACK]);
    reported(42, &["devmap_unload", "devmap_unload(9F)", STACK]);
    reported(44, &["devmap_default_access", "devmap_default_access(9F)", STACK]);
}

fn what_is_left_at_detach() {
    reported(60, &["detach", "wrong instance 0 left minor nodes: wrong0", "detach(9E)"]);
    reported(61, &["detach", "wrong instance 0 left its soft state, item 0", "ddi_soft_state(9F)"]);
    let made = "  made:\n    at wrong`wrong_ioctl";
    reported(64, &["_fini: a timeout is still pending: wrong`do_nothing", "untimeout(9F)", made]);
    reported(65, &["_fini: a task queue was not destroyed", "ddi_taskq_destroy(9F)", made]);
    reported(66, &["_fini: 1 umem cookies (4096 bytes) are left", "ddi_umem_free(9F)"]);
    reported(
        67,
        &["_fini: a periodic callback was not deleted: wrong`do_nothing", "ddi_periodic_delete(9F)", made],
    );
    reported(68, &["_fini: a thread of the driver's still runs: wrong`sleep_for_good", made]);
}

fn pointers_that_are_not_what_they_should_be() {
    reported(63, &["ddi_get_instance", "is not a dev_info_t", "ddi_get_instance(9F)", STACK]);
}

/// The client's half: a child touches a page whose access is never served; it dies of SIGBUS or is killed after a while.
fn client_of_accesses_that_are_not_served() {
    let which: u32 = std::env::var("WRONG").unwrap().parse().unwrap();
    let fd = open("/dev/wrong0");
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    assert_eq!(ioctl(fd, BASE + which, 0), Ok(0));
    let pid = fork(|| i32::from(word(at, 0) != 0));
    if which != 52 {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        // SAFETY: the child made above, which nobody has waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    println!("the child's status: {}", wait(pid));
}

/// What the driver does instead of serving accesses is no mistake; the run tells of it, and each time with `-v`.
fn accesses_that_are_not_served() {
    let client = half!(client_of_accesses_that_are_not_served);
    let run = |which: u32, options: &[&str]| {
        let env = [("WRONG", which.to_string())];
        let ran = run::run_with_options("wrong", client, options, &env);
        assert!(ran.status == 0 && !ran.text.contains("mistake"), "{}", ran.text);
        ran.text
    };
    for (which, returned) in [(50, "returned EINTR"), (51, "returned 0 without loading a translation")] {
        let text = run(which, &[]);
        let many = format!("NOTICE: wrong: devmap_access(9E) {returned} 1000 times for address 0x");
        let summary = format!("NOTICE: wrong: devmap_access(9E) {returned} ");
        let end =
            text.lines().find(|line| line.starts_with(&summary) && line.contains(" in a row for one page"));
        assert!(text.contains(&many) && end.is_some(), "{text}");
        assert!(!text.contains(&format!("{returned} for address")), "{text}");
        let text = run(which, &["-v"]);
        assert!(
            text.contains(&format!("{returned} for address 0x")) && text.contains(" 10 times for"),
            "{text}"
        );
    }
    let told = |text: &str| {
        let is_summary = |line: &&str| line.starts_with("NOTICE: wrong: devmap_access(9E) returned EIO ");
        text.lines().filter(is_summary).any(|line| !line.contains("address") && line.contains(": SIGBUS"))
    };
    let each = "NOTICE: wrong: devmap_access(9E) returned EIO for address 0x";
    let text = run(52, &[]);
    assert!(text.contains(&format!("the child's status: {}", 128 + libc::SIGBUS)), "{text}");
    assert!(told(&text) && !text.contains(each), "{text}");
    let text = run(52, &["-v"]);
    assert!(told(&text) && text.contains(each), "{text}");
}
