//! Modules with their own devmap framework beside one that stands on the host's, in one process.

use std::path::Path;
use std::process::Command;

use crate::devices::*;
use crate::root::{host, path};
use crate::run;

tests!(two_modules_with_their_own_framework_and_one_without);

const PAGE: usize = 0x1000;
/// `NOTICE_REVOKE`
const REVOKE: u32 = 0x6e01;
/// Three drivers, from one source.
const DRIVERS: [(&str, &str); 3] = [("mine", "own"), ("yours", "own"), ("plain", "kernel")];

/// Builds the tutorial's driver as a module; false, with the reason, when that cannot be done here.
fn build(framework: &str, output: &Path) -> bool {
    let out = Command::new(run::xtask())
        .args(["module", "--package", "notice", "--framework", framework])
        .arg("--output")
        .arg(output)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    let cannot = err.contains("library sources");
    assert!(out.status.success() || cannot, "cargo xtask module: {err}");
    if cannot {
        println!("skipped: {err}");
    }
    out.status.success()
}

fn two_modules_with_their_own_framework_and_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let drv = dir.path().join("kernel/drv");
    std::fs::create_dir_all(drv.join("amd64")).unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    let tab: String =
        DRIVERS.iter().map(|(name, _)| format!("type=ddi_pseudo;name={name}\t\\M0\n")).collect();
    std::fs::write(dir.path().join("etc/devlink.tab"), tab).unwrap();
    let root = path(dir.path());
    for framework in ["own", "kernel"] {
        if !build(framework, &dir.path().join(format!("{framework}.module"))) {
            return;
        }
    }
    for (name, framework) in DRIVERS {
        std::fs::copy(dir.path().join(format!("{framework}.module")), drv.join("amd64").join(name)).unwrap();
        std::fs::write(
            drv.join(format!("{name}.conf")),
            format!("name=\"{name}\" parent=\"pseudo\" instance=0;\n"),
        )
        .unwrap();
        assert_eq!(host(&["add_drv", "--root", root, name]), (0, String::new(), String::new()));
    }
    let (_, said, _) = host(&["modinfo", path(&drv.join("amd64/mine"))]);
    assert!(said.contains("mine (notice board 0.1 (own devmap)"), "{said}");
    let (_, undefined, _) = host(&["modinfo", "-u", path(&drv.join("amd64/mine"))]);
    let undefined: Vec<&str> = undefined.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let of_devmap: Vec<_> = undefined.iter().filter(|name| name.starts_with("devmap_")).collect();
    assert!(undefined.contains(&"as_map") && of_devmap.is_empty(), "{of_devmap:?}");
    let client = std::env::current_exe().unwrap();
    for faults in ["auto", "signal"] {
        let half = half!(client_of_two_modules_with_their_own_framework_and_one_without);
        let options =
            ["run", "--check", "--faults", faults, "--root", root, "--", path(&client), "--client", half];
        let (status, out, err) = host(&options);
        assert!(status == 0 && out.contains(run::PASSED), "{faults}: status {status}\n{out}{err}");
    }
}

fn client_of_two_modules_with_their_own_framework_and_one_without() {
    let fds = DRIVERS.map(|(name, _)| open(&format!("/dev/{name}0")));
    let faults = |n: usize| {
        let text = std::fs::read_to_string(format!("/dev/{}0", DRIVERS[n].0)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("faults "));
        line.and_then(|number| number.parse::<u64>().ok()).unwrap()
    };
    // One behind the other, so that calls for a range go over all of them.
    let at = map(-1, 0, 3 * PAGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let page = |n: usize| at.wrapping_add(n * PAGE);
    let over = |n: usize| {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        // SAFETY: over a page that the test has mapped.
        let got = unsafe { libc::mmap(page(n).cast(), PAGE, prot, flags, fds[n], 0) };
        assert_eq!(got, page(n).cast());
    };
    let protect = |prot| {
        // SAFETY: the test's own mappings.
        assert_eq!(unsafe { libc::mprotect(at.cast(), 3 * PAGE, prot) }, 0);
    };
    let word_in_child = |n: usize| wait(fork(|| word(page(n), 0) as i32));
    (0..3).for_each(over);
    for n in 0..3 {
        set_word(page(n), 0, 10 + n as u64);
    }
    assert_eq!([0, 1, 2].map(word_in_child), [10, 11, 12]);
    // Each has translations of its own.
    let before = [0, 1, 2].map(faults);
    assert_eq!(ioctl(fds[1], REVOKE, 0), Ok(0));
    assert_eq!([0, 1, 2].map(|n| word(page(n), 0)), [10, 11, 12]);
    assert_eq!([0, 1, 2].map(faults), [before[0], before[1] + 1, before[2]]);
    protect(libc::PROT_READ);
    let stored = |n: usize| {
        wait(fork(|| {
            set_word(page(n), 0, 1);
            0
        }))
    };
    assert!([0, 1, 2].map(stored).iter().all(|status| *status > 128));
    protect(libc::PROT_READ | libc::PROT_WRITE);
    // One in the place of another.
    set_word(page(0), 8, 7);
    for (there, n) in [(1, 0), (2, 1), (0, 2)] {
        // SAFETY: over a page that the test has mapped.
        let got = unsafe {
            libc::mmap(
                page(there).cast(),
                PAGE,
                libc::PROT_READ,
                libc::MAP_SHARED | libc::MAP_FIXED,
                fds[n],
                0,
            )
        };
        assert_eq!((got, word(page(there), 0)), (page(there).cast(), 10 + n as u64));
    }
    unmap(at, 3 * PAGE);
    assert_eq!([0, 1, 2].map(word_in_child), [128 + libc::SIGSEGV; 3]);
    // Left to exit(2).
    let _ = fds.map(|fd| word(map(fd, 0, PAGE, libc::MAP_SHARED), 0));
}
