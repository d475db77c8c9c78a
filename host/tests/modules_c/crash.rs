//! Drivers that die: one report that says what happened, in which function, in which entry point and for which process; then everything ends.

use crate::devices::*;
use crate::run;

tests!(
    a_crash_is_reported_once_and_ends_everything,
    a_call_that_does_not_come_back,
    a_close_that_does_not_come_back
);

/// The client's half: opens the device and asks for the death that the environment names; 0 maps it.
pub fn client_of_crashes() {
    let how: u64 = std::env::var("CRASH").unwrap().parse().unwrap();
    let fd = open("/dev/crash0");
    println!("I am {}", std::process::id());
    if how == 0 {
        map(fd, 0, 0x1000, libc::MAP_SHARED);
    } else {
        let _ = ioctl(fd, 1, how);
    }
    println!("I went on");
}

#[track_caller]
fn dies(how: u64, texts: &[&str]) {
    let env = [("CRASH", how.to_string()), ("DDI_HOST_SPIN_LIMIT", "0.2".to_string())];
    let conf = "name=\"crash\" parent=\"pseudo\" instance=0;\n";
    let ran = run::run_with("crash", conf, half!(client_of_crashes), &env);
    for text in texts {
        assert!(ran.text.contains(text), "death {how}: {text:?} is not in:\n{}", ran.text);
    }
    assert_eq!(ran.status, 1, "death {how}: {}", ran.text);
    let reports = ran.text.matches("driver mistake:").count() + ran.text.matches("panic:").count();
    assert_eq!(reports, 1, "death {how}: one report, not more:\n{}", ran.text);
    assert!(!ran.text.contains("I went on"), "death {how}: the client is ended, too:\n{}", ran.text);
    if how != 15 {
        let pid = ran.text.lines().find_map(|line| line.strip_prefix("I am ")).unwrap();
        assert!(ran.text.contains(&format!(", for process {pid} (")), "death {how}:\n{}", ran.text);
    }
}

fn a_crash_is_reported_once_and_ends_everything() {
    const IOCTL: &str = "in crash: ioctl(9E), for process ";
    let caller = "at crash`crash_ioctl+0x";
    dies(0, &["crash`crash_devmap+0x", "a NULL pointer is used (address 0x10)", "in crash: devmap(9E), for"]);
    dies(1, &["mistake: crash`die+0x", "a NULL pointer is used (address 0x8)", caller, IOCTL]);
    dies(
        2,
        &["mistake: crash`jump+0x", "a NULL function pointer is called", "at crash`die+0x", caller, IOCTL],
    );
    dies(3, &["crash`jump+0x", "a call or jump to 0x5a5a5a5a5000, where there is no code", caller, IOCTL]);
    dies(4, &["crash`jump+0x", "which is data of crash", caller, IOCTL]);
    dies(5, &["crash`deeper+0x", "the stack is used up", IOCTL]);
    dies(6, &["crash`die+0x", "a division by zero", caller, IOCTL]);
    dies(7, &["crash`die", "an illegal instruction (ud2", caller, IOCTL]);
    dies(9, &["crash`die+0x", "the instruction cli is the kernel's", caller, IOCTL]);
    dies(10, &["crash`die+0x", "not a canonical one", caller, IOCTL]);
    dies(11, &["crash`die+0x", "read-only memory of the module", caller, IOCTL]);
    dies(12, &["mistake: bcopy: a NULL pointer is used (address 0x8)", "at crash`die+0x", caller, IOCTL]);
    dies(
        13,
        &["mistake: mutex_enter: a NULL pointer is used (address 0x20)", "at crash`die+0x", caller, IOCTL],
    );
    dies(14, &["panic: no hope for instance 0", "at crash`die+0x", caller, IOCTL]);
    dies(
        15,
        &[
            "crash`in_a_timeout+0x",
            "(address 0x18)",
            "in timeout(9F) function crash`in_a_timeout, in a timeout",
        ],
    );
}

fn a_call_that_does_not_come_back() {
    dies(
        8,
        &["crash`die+0x", "the call has taken 0.2 seconds of processor time", "in crash: ioctl(9E), for"],
    );
    // The client is killed while its call sleeps for good: on illumos it could not be; here the run ends and says why the driver stays.
    let conf = "name=\"crash\" parent=\"pseudo\" instance=0;\n";
    let ran = run::run("crash", conf, half!(client_of_a_call_that_does_not_come_back));
    assert_eq!(ran.status, 128 + libc::SIGKILL, "{}", ran.text);
    let report = "driver mistake: cv_wait: the call has not returned at the end of the run";
    assert_eq!(ran.text.matches(report).count(), 1, "{}", ran.text);
    assert!(ran.text.contains("at crash`die+0x") && ran.text.contains("in crash: ioctl(9E)"), "{}", ran.text);
}

fn client_of_a_call_that_does_not_come_back() {
    let fd = open("/dev/crash0");
    std::thread::spawn(move || ioctl(fd, 1, 16));
    until(|| ioctl(fd, 1, 17) == Ok(0));
    // SAFETY: ends this process, at once.
    unsafe { libc::raise(libc::SIGKILL) };
}

fn a_close_that_does_not_come_back() {
    // The last close is the exit's: no process waits for it, and no signal ends it.
    let conf = "name=\"crash\" parent=\"pseudo\" instance=0;\n";
    let begin = std::time::Instant::now();
    let ran = run::run("crash", conf, half!(client_of_a_close_that_does_not_come_back));
    assert_eq!(ran.status, 1, "{}", ran.text);
    let report = "driver mistake: cv_wait: the call has not returned at the end of the run";
    assert_eq!(ran.text.matches(report).count(), 1, "{}", ran.text);
    assert!(ran.text.contains("in crash: close(9E)"), "{}", ran.text);
    assert!(begin.elapsed().as_secs() < 20, "it took {:?}", begin.elapsed());
}

fn client_of_a_close_that_does_not_come_back() {
    let fd = open("/dev/crash0");
    ioctl(fd, 1, 18).unwrap();
}
