//! Correct drivers in unusual styles: nothing is reported.

use crate::devices::*;
use crate::run;

tests!(correct_drivers_hear_nothing);

/// The client's half: the driver's own checks, then mappings whose memory goes with them.
fn client_of_styles() {
    let fd = open("/dev/styles0");
    for command in 1..=4 {
        assert_eq!(
            ioctl(fd, command, 0),
            Ok(0),
            "command {command}: the line of the check that does not hold"
        );
    }
    const LEN: usize = 0x4000;
    for _ in 0..3 {
        let at = map(fd, 0, LEN, libc::MAP_SHARED);
        set_word(at, 0x1000, 7);
        let child = fork(|| {
            set_word(at, 0x2000, word(at, 0x1000));
            0
        });
        assert_eq!(wait(child), 0);
        assert_eq!(word(at, 0x2000), 7);
        unmap(at.wrapping_add(0x1000), 0x1000);
        assert_eq!((word(at, 0), ioctl(fd, 5, 0)), (0, Ok(1)));
        unmap(at, LEN);
        assert_eq!(ioctl(fd, 5, 0), Ok(0), "the last unmap callback freed the memory");
    }
}

fn correct_drivers_hear_nothing() {
    let module = run::compile("styles");
    for conf in ["", "name=\"styles\" parent=\"pseudo\" instance=0;\n"] {
        let ran = run::with_module(&module, conf, "", half!(client_of_styles), &[]);
        assert!(ran.status == 0 && ran.text.contains(run::PASSED), "{}", ran.text);
        for word in ["mistake", "WARNING", "panic"] {
            assert!(!ran.text.contains(word), "{word}: {}", ran.text);
        }
    }
}
