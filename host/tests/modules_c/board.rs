//! A driver of a PCI device, on the board that docs/devices.md describes.

use std::process::Command;

use crate::devices::*;
use crate::root::{host, path, system};
use crate::run;

use serde_json::json;

tests!(
    configuration_space_capabilities_and_dma,
    interrupts_of_every_kind_reach_their_handlers,
    a_device_copies_memory_and_interrupts,
    processes_map_a_base_address_register,
    a_device_reaches_memory_that_nobody_locked,
    a_handler_that_may_block_is_reported,
    a_handler_that_does_not_claim_its_interrupt_is_reported,
    a_description_that_is_wrong_is_refused,
    a_system_binds_devices_by_alias
);

const RUN: u32 = 0x7e01;
const RING: u32 = 0x7e02;
const COUNT: u32 = 0x7e03;
const COPY: u32 = 0x7e04;
const KIND: u32 = 0x7e05;
const UNBOUND: u32 = 0x7e06;
const OWN: u32 = 0x7e07;

/// The description in the documentation.
fn board() -> &'static str {
    let text = include_str!("../../../docs/devices.md");
    text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example")
}

/// Runs the client's half with interrupts of one kind (DDI_INTR_TYPE_*; 0: the older interface).
fn passes(kind: u32, client: &str) {
    let ran = run::run_on("board", &format!("interrupts-by={kind};\n"), board(), client);
    assert!(ran.status == 0 && ran.text.contains(run::PASSED), "status {}:\n{}", ran.status, ran.text);
}

fn configuration_space_capabilities_and_dma() {
    for kind in [4, 2] {
        passes(kind, half!(client_of_configuration_space_capabilities_and_dma));
    }
}
fn client_of_configuration_space_capabilities_and_dma() {
    let fd = open("/dev/board0");
    assert_eq!(ioctl(fd, RUN, 0), Ok(0), "the result is the line of the fixture's check that does not hold");
}

fn interrupts_of_every_kind_reach_their_handlers() {
    for kind in [4, 2, 1, 0] {
        passes(kind, half!(client_of_interrupts_of_every_kind_reach_their_handlers));
    }
}
fn client_of_interrupts_of_every_kind_reach_their_handlers() {
    let fd = open("/dev/board0");
    let kind = ioctl(fd, KIND, 0).unwrap();
    // A reader waits for the first interrupt.
    let reader = std::thread::spawn(move || read(fd));
    assert_eq!(ioctl(fd, RING, 0), Ok(0));
    assert_eq!(reader.join().unwrap(), Ok(1), "kind {kind}");
    assert_eq!((ioctl(fd, COUNT, 0), ioctl(fd, COUNT, 1)), (Ok(1), Ok(0)));
    assert_eq!(ioctl(fd, RING, 1), Ok(0));
    until(|| ioctl(fd, COUNT, 1) == Ok(1));
    // From outside, by the device's name and by its path.
    for device in ["board0", "/pci@0,0/pci1de1,1@1"] {
        let before = ioctl(fd, COUNT, 1).unwrap();
        let raised = interrupt(&[device, "1"]);
        assert!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stderr));
        until(|| ioctl(fd, COUNT, 1) == Ok(before + 1));
    }
    let absent = interrupt(&["board7"]);
    assert!(String::from_utf8_lossy(&absent.stderr).contains("there is no PCI device board7"));
    if kind == 4 {
        let silent = interrupt(&["board0", "3"]);
        assert!(String::from_utf8_lossy(&silent.stderr).contains("interrupt 3 was not delivered"));
    }
    assert_eq!(ioctl(fd, COUNT, 0), Ok(1));
}

/// The command, which clients have.
pub fn interrupt(args: &[&str]) -> std::process::Output {
    Command::new("interrupt").args(args).output().unwrap()
}

/// read(2) of a byte.
fn read(fd: i32) -> Result<isize, i32> {
    let mut byte = 0_u8;
    // SAFETY: room for one byte.
    let n = unsafe { libc::read(fd, (&raw mut byte).cast(), 1) };
    if n < 0 { Err(errno()) } else { Ok(n) }
}

fn a_device_copies_memory_and_interrupts() {
    for kind in [4, 1] {
        let (conf, client) =
            (format!("interrupts-by={kind};\n"), half!(client_of_a_device_copies_memory_and_interrupts));
        let (ran, events) = run::traced("board", &conf, Some(board()), client, &[]);
        assert!(ran.status == 0 && ran.text.contains(run::PASSED), "status {}:\n{}", ran.status, ran.text);
        run::assert_event(&events, "dma", &json!({ "length": 4096, "done": true }));
        run::assert_event(&events, "interrupt", &json!({ "claimed": true, "device_name": "board0" }));
        run::assert_event(&events, "wait", &json!({ "what": "driver", "interrupted": false }));
    }
}
fn client_of_a_device_copies_memory_and_interrupts() {
    let fd = open("/dev/board0");
    let page: Vec<u64> = (0..512).map(|i| i * 7).collect();
    for _ in 0..20 {
        let mut through = page.clone();
        assert_eq!(ioctl(fd, COPY, through.as_mut_ptr() as u64), Ok(0));
        assert!(through == page);
    }
    assert_eq!(ioctl(fd, COUNT, 1), Ok(20));
    assert_eq!(ioctl(fd, UNBOUND, 0), Ok(2));
}

fn processes_map_a_base_address_register() {
    passes(4, half!(client_of_processes_map_a_base_address_register));
}
fn client_of_processes_map_a_base_address_register() {
    let fd = open("/dev/board0");
    let at = map(fd, 0, 0x1_0000, libc::MAP_SHARED);
    set_word(at, 0x8000, 99);
    let child = fork(|| {
        set_word(at, 0, word(at, 0x8000) + 1);
        0
    });
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 0), 100);
    unmap(at, 0x1_0000);
}

fn a_device_reaches_memory_that_nobody_locked() {
    passes(4, half!(client_of_a_device_reaches_memory_that_nobody_locked));
}
fn client_of_a_device_reaches_memory_that_nobody_locked() {
    let fd = open("/dev/board0");
    // A large page's worth, at a large page's place.
    const LARGE: usize = 2 << 20;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping.
    let at = unsafe {
        libc::mmap(std::ptr::null_mut(), 2 * LARGE, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(at, libc::MAP_FAILED);
    let at = at.cast::<u8>();
    let at = at.wrapping_add(at.align_offset(LARGE));
    (0..512).for_each(|i| set_word(at, i * 8, i as u64 * 3));
    for _ in 0..2 {
        set_word(at, 0x1000 + 511 * 8, 0);
        assert_eq!(ioctl(fd, OWN, at as u64), Ok(1));
        (0..512).for_each(|i| assert_eq!(word(at, 0x1000 + i * 8), i as u64 * 3));
    }
    assert_eq!(ioctl(fd, OWN, 0x1000), Err(libc::EFAULT));
}

/// The client's half of the tests of handlers that do wrong: one interrupt.
fn client_of_one_interrupt() {
    let fd = open("/dev/board0");
    assert_eq!(ioctl(fd, RING, 0), Ok(0));
    let _ = read(fd);
}

fn a_handler_that_may_block_is_reported() {
    let client = half!(client_of_one_interrupt);
    let ran = run::run_on("board", "sleepy=1;\n", board(), client);
    let what = "KM_SLEEP may block, and this is an interrupt handler (see kmem_alloc(9F))";
    assert!(ran.status != 0 && ran.text.contains(what), "{}", ran.text);
    assert!(ran.text.contains("board`board_message"), "{}", ran.text);
}

fn a_handler_that_does_not_claim_its_interrupt_is_reported() {
    let client = half!(client_of_one_interrupt);
    let ran = run::run_on("board", "interrupts-by=1 deaf=1;\n", board(), client);
    let what = "the handler did not claim the interrupt, and its device's status register shows it";
    assert!(ran.status != 0 && ran.text.contains(what), "{}", ran.text);
}

fn a_description_that_is_wrong_is_refused() {
    let text = board().replace("offset = 0x24", "offset = 0x1000");
    let ran = run::run_on("board", "", &text, half!(client_of_one_interrupt));
    let what = "device.toml: doorbell: 4 bytes at 0x1000 are not inside bar 0, or not aligned";
    assert!(ran.status == 1 && ran.text.contains(what), "{}", ran.text);
}

fn a_system_binds_devices_by_alias() {
    let dir = system(&[("board", "interrupts-by=4;\n")]);
    let root = path(dir.path());
    let device = dir.path().join("board.toml");
    std::fs::write(&device, board()).unwrap();
    // By its minor's name: a PCI node's own name is made of its subsystem's numbers.
    std::fs::write(dir.path().join("etc/devlink.tab"), "minor=board0\t\\M0\n").unwrap();
    // There is no such device yet: installed, and not attached.
    let (status, _, err) = host(&["add_drv", "--root", root, "-i", "\"pci1de1,b0a2\"", "board"]);
    assert!(status == 0 && err.contains("successfully added to system but failed to attach"), "{err}");
    let client = std::env::current_exe().unwrap();
    let half = half!(client_of_processes_map_a_base_address_register);
    let run = |more: &[&str]| {
        let options = ["run", "--root", root, "--device", path(&device)];
        host(&[&options, more, &["--", path(&client), "--client", half]].concat())
    };
    let (status, out, err) = run(&[]);
    assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    // A second device, which nobody is for.
    let (status, out, err) = run(&["--device", "ivshmem"]);
    assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    assert!(
        err.contains("/pci@0,0/pci1af4,1100@6: no driver is installed for one of pci1af4,1110.1af4"),
        "{err}"
    );
}
