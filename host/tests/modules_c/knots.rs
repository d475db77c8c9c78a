//! Threads of a driver that wait for each other: a deadlock is reported when it arises, with the stack of each and the names of the locks.

use crate::devices::*;
use crate::run;

tests!(
    locks_taken_in_two_orders,
    functions_that_are_waited_for_under_their_mutex,
    readers_and_writers,
    a_thread_that_ends_with_a_mutex,
    no_deadlock_is_seen_where_there_is_none
);

const BASE: u32 = 0x7d00;

/// The client's half: has the knot tied that the environment names. The first takes two processes.
fn client_of_knots() {
    let which: u32 = std::env::var("KNOT").unwrap().parse().unwrap();
    let fd = open("/dev/knots0");
    if which == 1 {
        fork(move || ioctl(fd, BASE + 2, 0).unwrap_or(1));
    }
    if which == 14 {
        fork(|| {
            until(|| crate::board::interrupt(&["knots0"]).status.success());
            0
        });
    }
    let done = ioctl(fd, BASE + which, 0);
    println!("I went on: {done:?}");
}

fn tie(which: u32) -> run::Ran {
    let env = [("KNOT", which.to_string())];
    if which == 14 {
        let device = "vendor = 0x1de1\ndevice = 1\nclass = 0xff0000\nslot = 1\nmsix = { vectors = 1, bar = 4 }\n\
                      [[bar]]\nnumber = 4\nsize = \"4K\"\n";
        return run::run_on_with("knots", "", device, half!(client_of_knots), &env);
    }
    let conf = "name=\"knots\" parent=\"pseudo\" instance=0;\n";
    run::run_with("knots", conf, half!(client_of_knots), &env)
}

/// The report has to hold all these texts, be the only one, and end the run.
#[track_caller]
fn deadlock(which: u32, texts: &[&str]) {
    let ran = tie(which);
    for text in texts {
        assert!(ran.text.contains(text), "knot {which}: {text:?} is not in:\n{}", ran.text);
    }
    assert_eq!(ran.text.matches("driver mistake:").count(), 1, "knot {which}: one report:\n{}", ran.text);
    assert_eq!(ran.status, 1, "knot {which}:\n{}", ran.text);
    assert!(!ran.text.contains("I went on"), "knot {which}:\n{}", ran.text);
}

const IOCTL: &str = "\n    in knots: ioctl(9E), for process ";

fn locks_taken_in_two_orders() {
    let both = ["deadlock: this thread waits for the mutex knots`knots_", "\n    at knots`both+0x", IOCTL];
    let entered = "\n  the mutex knots`knots_a was entered:\n    at knots`both+0x";
    deadlock(
        1,
        &[&both[..], &["knots`knots_a, which", "knots`knots_b, which", "(see mutex_enter(9F))", entered]]
            .concat(),
    );
    let three = ["knots`knots_a, which", "knots`knots_b, which", "knots`knots_c, which"];
    let stacks = ["\n    in task function knots`b_then_c", "\n    in task function knots`c_then_a"];
    deadlock(3, &[&both[..], &three, &stacks].concat());
}

fn functions_that_are_waited_for_under_their_mutex() {
    let waits = |function: &str, other: &str, page: &str| {
        (format!(" waits for {function}, which "), format!("\n    in {other}"), page.to_owned())
    };
    let rows = [
        (
            4,
            waits(
                "the function that it cancels",
                "timeout(9F) function knots`take_a, in a timeout",
                "untimeout",
            ),
        ),
        (5, waits("the tasks of knots", "task function knots`take_a", "ddi_taskq_wait")),
        (8, waits("the function that it cancels", "a soft interrupt handler", "ddi_intr_remove_softint")),
        (9, waits("the function that it cancels", "ddi_periodic_add(9F) function", "ddi_periodic_delete")),
        (10, waits("a thread's function", "thread_create function knots`take_a_in_thread", "thread_join")),
        (12, waits("the tasks of knots", "task function knots`take_a", "ddi_taskq_destroy")),
        (14, waits("the handler of interrupt 0", "knots: the handler of interrupt 0", "ddi_intr_disable")),
    ];
    for (which, (waits, other, called)) in rows {
        // Whoever comes second finds it.
        let ran = tie(which);
        let report = ran.text.contains("driver mistake: mutex_enter: deadlock: this thread")
            || ran.text.contains(&format!("driver mistake: {called}: deadlock: this thread"));
        assert!(report, "knot {which}:\n{}", ran.text);
        deadlock(which, &[&waits, "the mutex knots`knots_a, which ", &other, "at knots`take_a", IOCTL]);
    }
    let own = "ddi_taskq_wait: deadlock: this thread waits for the tasks of knots, which it runs";
    deadlock(11, &[own, "at knots`wait_for_own_queue+0x"]);
}

fn readers_and_writers() {
    let again = "rw_enter: deadlock: this thread waits for the readers/writer lock knots`knots_rw as a reader, which it holds";
    deadlock(6, &[again, "(see rw_enter(9F))", "at knots`knots_ioctl+0x", IOCTL]);
    let writer = "the readers/writer lock knots`knots_rw as the writer, which ";
    deadlock(7, &[writer, "the mutex knots`knots_a, which ", "at knots`read_rw_then_a+0x", IOCTL]);
}

fn a_thread_that_ends_with_a_mutex() {
    deadlock(13, &["thread_exit: the thread ends with a mutex held", "at knots`end_with_a+0x"]);
}

fn no_deadlock_is_seen_where_there_is_none() {
    let ran = tie(20);
    assert!(ran.status == 0 && ran.text.contains("I went on: Ok(0)"), "{}", ran.text);
    assert!(!ran.text.contains("driver mistake"), "{}", ran.text);
}
