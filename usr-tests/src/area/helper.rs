//! The parts of this program that cases execute anew: `usr-tests --helper NAME DEVICE REPORT LINK ARGS…`.
//!
//! REPORT and LINK are descriptors that the case passes on; the outcome goes to the first.

use crate::case::{Ctx, LIMIT, Result, check, equal, error, refused, works};
use crate::device::{Dev, Map, PRIVATE, SHARED};
use crate::peer::{Link, report_and_exit};
use crate::probe::{self, Kind};
use crate::sys::{self, page_size};

pub fn main(args: &[String]) -> ! {
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<i32>().ok());
    let (Some(report), Some(link)) = (number(2), number(3)) else {
        eprintln!("usr-tests: --helper is for the cases themselves");
        std::process::exit(2);
    };
    probe::install();
    let ctx = Ctx { device: args[1].clone(), limit: LIMIT };
    let rest: Vec<usize> = args[4..].iter().filter_map(|text| text.parse().ok()).collect();
    report_and_exit(report, || match args[0].as_str() {
        "map_anew" => map_anew(&ctx, &rest),
        "inherited" => inherited(&rest),
        "not_inherited" => not_inherited(&rest),
        "gone" => gone(&Link::from_fd(link), &rest),
        other => Err(error(format!("no helper {other}"))),
    })
}

/// Nothing is mapped at the old address; the device can be mapped, starts with zeros, and shows the shared value.
fn map_anew(t: &Ctx, args: &[usize]) -> Result {
    let [old, shared_value] = *args else { return Err(error("map_anew ADDRESS VALUE")) };
    if let Err(fault) = probe::load8(old) {
        equal("fault at the address of the old mapping", fault.kind(), Kind::Hole)?;
    }
    let dev = t.open()?;
    let (private, shared) = (dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_all(SHARED)?);
    private.holds(0, 0)?;
    private.mark(0x700)?;
    shared.holds(0, shared_value as u64)?;
    private.marked(0x700)
}

/// A descriptor that came through exec is the device, and works.
fn inherited(args: &[usize]) -> Result {
    let [fd, old] = *args else { return Err(error("inherited FD ADDRESS")) };
    if let Err(fault) = probe::load8(old) {
        equal("fault at the address of the old mapping", fault.kind(), Kind::Hole)?;
    }
    let dev = works("taking over the descriptor", Dev::from_fd(fd as i32))?;
    check(dev.is_ctxdev(), "the descriptor that came through exec is no ctxdev")?;
    dev.stats()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x30)?;
    map.marked(0x30)
}

/// A descriptor with FD_CLOEXEC did not come through exec.
fn not_inherited(args: &[usize]) -> Result {
    let [fd] = *args else { return Err(error("not_inherited FD")) };
    refused("fcntl of a descriptor closed by exec", sys::fcntl(fd as i32, libc::F_GETFD, 0), &[libc::EBADF])
}

/// The mapping did not come through exec; the case looks at the counters meanwhile.
fn gone(link: &Link, args: &[usize]) -> Result {
    let [old] = *args else { return Err(error("gone ADDRESS")) };
    link.say(b'e')?;
    link.hear(b'x')?;
    let old = Map { base: old, len: page_size(), off: 0 };
    match probe::load8(old.base) {
        Ok(_) => Ok(()),
        Err(fault) => equal("fault at the address of the old mapping", fault.kind(), Kind::Hole),
    }
}
